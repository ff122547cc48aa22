// One room's tab panel: where to post, and the list of gossip, newest first, kept in step with rooms.js.
import { announce, clone, part, write } from './dom.js';
import { Card } from './card.js';
import { grow, onSubmit, RequestIds, sendsByKey, sentence, wireFields } from './forms.js';
import { newerFirst } from './rooms.js';

/** About as high as the bar at the top, under which nothing is in sight. */
const BAR_PX = 64;

export class RoomPanel {
  #room;
  #context;
  #list;
  #cards = new Map();
  #requestIds = new RequestIds();

  constructor(room, context) {
    this.#room = room;
    this.#context = context;
    this.element = clone('panel-template');
    wireFields(this.element);
    this.#list = part(this.element, 'list');
    write(part(this.element, 'id'), room.id);
    part(this.element, 'leave').addEventListener('click', () => context.rooms.leave(room.id));
    const older = part(this.element, 'older');
    older.addEventListener('click', () => context.rooms.older(room).catch((error) => this.notice(sentence(error.message))));
    this.#composer(this.element.querySelector('.composer'));
    this.reconcile();
  }

  #composer(form) {
    sendsByKey(form.elements.content);
    sendsByKey(form.elements.metadata);
    onSubmit(form, async () => {
      const data = { roomId: this.#room.id, ...read(form) };
      await this.#context.connection.call('new_gossip', { ...data, requestId: this.#requestIds.for(data) });
      this.#requestIds.done();
      form.elements.content.value = '';
      form.elements.metadata.value = '';
      grow(form.elements.content);
      form.elements.content.focus();
    });
  }

  /** Takes what happened in the room; see rooms.js. */
  take({ change, intent, update, type, isNew, message }) {
    if (change === 'intent') this.#event(intent, update, type, isNew);
    else if (change === 'closed') this.notice(`${sentence(message)} What is here may be out of date.`);
    else this.reconcile();
    if (change === 'reset') this.#cards.forEach((card) => card.refresh());
    if (change === 'reset' || change === 'state') this.notice('');
    this.element.querySelector('.composer').hidden = this.#room.state === 'closed';
  }

  notice(text) {
    const notice = part(this.element, 'notice');
    write(notice, text);
    notice.hidden = !text;
  }

  tick() {
    const now = Date.now();
    this.#cards.forEach((card) => card.tick(now));
  }

  #event(intent, update, type, isNew) {
    this.#holdStill(() => {
      const known = this.#cards.get(intent.id);
      // What happened to gossip that this page does not have needs no place in it.
      if (known) known.update(intent, update);
      else this.#insert(intent);
      for (const id of this.#room.trim((id) => this.#cards.get(id)?.hasFocus)) this.#remove(id);
      this.#edges();
    });
    const card = this.#cards.get(intent.id);
    if (type !== 'verification') card?.flash();
    const isMine = intent.userId === this.#context.session.userId;
    if (isNew && type === 'new_intent' && !isMine && !this.element.hidden) {
      announce(`New gossip: ${intent.content.slice(0, 120)}`);
    }
  }

  /** Makes the list what the room is, touching only what differs. */
  reconcile() {
    const wanted = this.#room.newestFirst();
    const ids = new Set(wanted.map(({ id }) => id));
    for (const id of this.#cards.keys()) if (!ids.has(id)) this.#remove(id);
    let at = this.#list.firstElementChild;
    for (const intent of wanted) {
      const card = this.#cards.get(intent.id);
      if (card) card.update(intent);
      const { element } = card ?? this.#make(intent);
      if (element === at) at = at.nextElementSibling;
      else this.#list.insertBefore(element, at);
    }
    this.#edges();
  }

  #make(intent) {
    const card = new Card(intent, this.#context);
    this.#cards.set(intent.id, card);
    return card;
  }

  #insert(intent) {
    const next = [...this.#list.children].find(({ dataset: { id } }) => newerFirst(intent, this.#cards.get(id).intent) < 0);
    this.#list.insertBefore(this.#make(intent).element, next ?? null);
  }

  #remove(id) {
    this.#cards.get(id).element.remove();
    this.#cards.delete(id);
  }

  #edges() {
    part(this.element, 'empty').hidden = this.#cards.size > 0;
    part(this.element, 'older').hidden = this.#room.before === null || this.#cards.size === 0;
  }

  /** What is being looked at stays where it is on the screen. Browsers do that too, some of them and sometimes. */
  #holdStill(change) {
    const anchor = this.element.hidden ? null : this.#anchor();
    const before = anchor?.getBoundingClientRect().top;
    change();
    const moved = anchor?.isConnected ? anchor.getBoundingClientRect().top - before : 0;
    if (moved) scrollBy({ top: moved, behavior: 'instant' });
  }

  /** What has the focus, or else the first card in sight; nothing where the list is in sight from its top. */
  #anchor() {
    if (this.#list.contains(document.activeElement)) return document.activeElement;
    if (this.#list.getBoundingClientRect().top >= 0) return null;
    return [...this.#list.children].find((item) => item.getBoundingClientRect().bottom > BAR_PX) ?? null;
  }
}

function read(form) {
  const { content, metadata, expiresInMinutes } = form.elements;
  const data = { content: content.value };
  if (expiresInMinutes.value) data.expiresInMinutes = Number(expiresInMinutes.value);
  if (metadata.value.trim()) {
    try {
      data.metadata = JSON.parse(metadata.value);
    } catch {
      throw { field: 'metadata', message: 'This is not JSON.' };
    }
  }
  return data;
}
