// What was said and decided about one gossip: comments and changes of status, oldest first, read when it is opened and
// live from then on.
import { clone, part, personName, write, writeTime } from './dom.js';
import { grow, onSubmit, RequestIds, sendsByKey } from './forms.js';

const PAGE = 50;

export class Thread {
  #root;
  #list;
  #intentId;
  #context;
  #updates = new Map();
  #before = null;
  #requestIds = new RequestIds();
  isLoaded = false;

  constructor(root, intentId, context) {
    this.#root = root;
    this.#list = part(root, 'updates');
    this.#intentId = intentId;
    this.#context = context;
    const form = part(root, 'comment');
    sendsByKey(form.elements.content);
    onSubmit(form, () => this.#send(form));
    part(root, 'earlier').addEventListener('click', () => this.load(this.#before).catch(context.failed));
  }

  /** How many comments are here; more may be behind "Show earlier". */
  get comments() {
    return [...this.#updates.values()].filter(({ type }) => type === 'comment').length;
  }

  get isWhole() {
    return this.#before === null;
  }

  async load(before) {
    const data = { intentId: this.#intentId, limit: PAGE, ...(before && { before }) };
    const { updates, nextBefore } = await this.#context.connection.call('list_updates', data);
    this.#before = nextBefore;
    this.isLoaded = true;
    updates.forEach((update) => this.add(update));
    part(this.#root, 'earlier').hidden = this.isWhole;
    part(this.#root, 'none').hidden = this.#updates.size > 0;
    this.#context.changed();
  }

  /** Takes an update from a page or live, in whatever order; true if it is shown. */
  add(update) {
    // A verdict comes with a change of status that says the same; votes have no words.
    if (update.type !== 'comment' && update.type !== 'status_change') return false;
    if (this.#updates.has(update.id)) return false;
    this.#updates.set(update.id, update);
    const item = this.#item(update);
    const next = [...this.#list.children].find((other) => other.dataset.order > item.dataset.order);
    this.#list.insertBefore(item, next ?? null);
    part(this.#root, 'none').hidden = true;
    return true;
  }

  tick() {
    for (const item of this.#list.children) writeTime(part(item, 'created'), this.#updates.get(item.dataset.id).createdAt);
  }

  close(isClosed) {
    part(this.#root, 'comment').hidden = isClosed;
  }

  #item(update) {
    const item = clone('update-template');
    item.dataset.id = update.id;
    item.dataset.order = `${update.createdAt} ${update.id}`;
    write(part(item, 'author'), personName(update.userId, this.#context.session.userId));
    part(item, 'author').title = update.userId;
    write(part(item, 'content'), update.content ?? '');
    writeTime(part(item, 'created'), update.createdAt);
    if (update.type === 'status_change') {
      const status = part(item, 'status');
      status.hidden = false;
      status.dataset.status = update.metadata?.newStatus ?? '';
      write(status, String(update.metadata?.newStatus ?? 'changed'));
    }
    return item;
  }

  async #send(form) {
    const data = { intentId: this.#intentId, content: form.elements.content.value };
    await this.#context.connection.call('comment_gossip', { ...data, requestId: this.#requestIds.for(data) });
    this.#requestIds.done();
    form.reset();
    grow(form.elements.content);
    form.elements.content.focus();
  }
}
