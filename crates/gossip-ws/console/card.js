// One gossip: its words, its votes, what an admin may do about it, and its thread. It is changed in place, never made
// anew, so that focus, drafts and what is folded open stay as they are when events arrive.
import { clone, duration, part, personName, toggle, write, writeTime } from './dom.js';
import { onSubmit, RequestIds, sentence, wireFields } from './forms.js';
import { Thread } from './thread.js';

/** Which vote is one's own is asked when a card is first looked at: 50 calls for each join would be for nothing. */
const cards = new WeakMap();
const onFirstSight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    onFirstSight.unobserve(target);
    cards.get(target)?.loadVote();
  }
});

export class Card {
  #context;
  #thread;
  #requestIds = new RequestIds();
  #myVote = null;
  #news = 0;

  constructor(intent, context) {
    this.#context = context;
    this.element = clone('card-template');
    this.element.dataset.id = intent.id;
    wireFields(this.element);
    cards.set(this.element, this);
    this.#prepare(intent);
    this.update(intent);
    onFirstSight.observe(this.element);
  }

  get hasFocus() {
    return this.element.contains(document.activeElement);
  }

  #part(name) {
    return part(this.element, name);
  }

  #prepare({ id, userId, content, metadata, createdAt }) {
    const { session } = this.#context;
    write(this.#part('author'), personName(userId, session.userId));
    this.#part('author').title = userId;
    write(this.#part('content'), content);
    writeTime(this.#part('created'), createdAt);
    if (metadata !== null) {
      this.#part('metadata').hidden = false;
      write(this.#part('metadata').querySelector('pre'), JSON.stringify(metadata, null, 2));
    }
    this.#part('up').addEventListener('click', () => this.#vote('upvote'));
    this.#part('down').addEventListener('click', () => this.#vote('downvote'));
    this.#part('discuss').addEventListener('click', () => this.#discuss());
    this.#part('moderate').addEventListener('click', () => {
      toggle(this.#part('moderate'), this.#part('moderation'));
      if (!this.#part('moderation').hidden) this.#part('moderation').elements.reason.focus();
    });
    // Enter would press the first button there: a verdict nobody chose.
    this.#part('moderation').elements.reason.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') event.preventDefault();
    });
    onSubmit(this.#part('moderation'), ({ value }) => this.#setStatus(value));
    this.#thread = new Thread(this.#part('thread'), id, {
      ...this.#context, changed: () => this.#label(), failed: (error) => this.#fail(error),
    });
  }

  /** Takes the intent as it is now, and what an event brought besides. */
  update(intent, update) {
    this.intent = intent;
    const isExpired = intent.status === 'expired';
    const status = this.#part('status');
    write(status, intent.status);
    status.dataset.status = intent.status;
    this.element.classList.toggle('is-expired', isExpired);
    for (const [name, count, action] of [['up', intent.upvotes, 'upvote'], ['down', intent.downvotes, 'downvote']]) {
      const button = this.#part(name);
      write(button.querySelector('b'), String(count));
      // Not `disabled`, which would take the focus from whoever is on it.
      button.setAttribute('aria-disabled', String(isExpired));
      button.setAttribute('aria-pressed', String(this.#myVote === action));
    }
    this.#moderation(isExpired);
    this.#thread.close(isExpired);
    if (update && (this.#thread.isLoaded ? this.#thread.add(update) : update.type === 'comment')) this.#news += 1;
    this.#label();
    this.tick();
  }

  tick(now = Date.now()) {
    const { createdAt, expiresAt, status } = this.intent;
    writeTime(this.#part('created'), createdAt);
    const left = (Date.parse(expiresAt) - now) / 1000;
    // Seconds only when they matter: a page full of running clocks is no calm place.
    const shown = left < 300 ? left : left - (left % 60);
    const running = left > 0 ? `${duration(shown)} left` : 'expiring';
    write(this.#part('expiry'), status === 'expired' ? '' : running);
    if (!this.#part('thread').hidden) this.#thread.tick();
  }

  /** Draws the eye to what changed without anyone here having done it. */
  flash() {
    const article = this.element.firstElementChild;
    article.classList.remove('changed');
    requestAnimationFrame(() => article.classList.add('changed'));
  }

  /** What may have been missed: after a loss that could not be made up for. */
  async refresh() {
    this.loadVote();
    if (this.#thread.isLoaded) await this.#thread.load().catch(() => {});
  }

  async loadVote() {
    try {
      const { myVote } = await this.#context.connection.call('get_gossip', { intentId: this.intent.id });
      this.#myVote = myVote;
      this.update(this.intent);
    } catch {
      // Then no vote is shown as one's own; voting works all the same.
    }
  }

  async #vote(action) {
    if (this.intent.status === 'expired') return;
    const taken = this.#myVote === action ? 'remove' : action;
    write(this.#part('message'), '');
    try {
      await this.#context.connection.call('vote_gossip', { intentId: this.intent.id, action: taken });
      this.#myVote = taken === 'remove' ? null : taken;
      this.update(this.intent);
    } catch (error) {
      this.#fail(error);
    }
  }

  #discuss() {
    const thread = this.#part('thread');
    toggle(this.#part('discuss'), thread);
    this.#news = 0;
    this.#label();
    if (!thread.hidden && !this.#thread.isLoaded) this.#thread.load().catch((error) => this.#fail(error));
  }

  #label() {
    const { isLoaded, isWhole, comments } = this.#thread;
    const count = isLoaded ? ` (${comments}${isWhole ? '' : '+'})` : '';
    const news = this.#news && this.#part('thread').hidden ? `, ${this.#news} new` : '';
    write(this.#part('discuss'), `Comments${count}${news}`);
  }

  #moderation(isExpired) {
    const [button, form] = [this.#part('moderate'), this.#part('moderation')];
    const isPossible = this.#context.session.isAdmin && !isExpired;
    if (!isPossible && !form.hidden) {
      if (form.contains(document.activeElement)) this.#part('discuss').focus();
      toggle(button, form, false);
    }
    button.hidden = !isPossible;
    for (const choice of form.querySelectorAll('[value]')) choice.hidden = choice.value === this.intent.status;
  }

  async #setStatus(status) {
    const form = this.#part('moderation');
    const reason = form.elements.reason.value.trim();
    const data = { intentId: this.intent.id, status, ...(reason && { reason }) };
    await this.#context.connection.call('update_gossip', { ...data, requestId: this.#requestIds.for(data) });
    this.#requestIds.done();
    form.reset();
    toggle(this.#part('moderate'), form, false);
    (status === 'expired' ? this.#part('discuss') : this.#part('moderate')).focus();
  }

  #fail({ message, retryAfterMs }) {
    const wait = retryAfterMs ? ` Try again in ${Math.ceil(retryAfterMs / 1000)} s.` : '';
    write(this.#part('message'), `${sentence(message)}${wait}`);
  }
}
