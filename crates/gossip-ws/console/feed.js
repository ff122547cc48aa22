// The first view: rooms as tabs, and how to get into another one.
import { byId, element, short, toggle, uuid } from './dom.js';
import { onSubmit } from './forms.js';
import { RoomPanel } from './room-panel.js';

export class Feed {
  #context;
  #panels = new Map();
  #tabs = byId('tabs');
  #active = null;
  #onRooms;

  /** `onRooms(ids, active)` is told of each change, to be remembered. */
  constructor(context, onRooms) {
    this.#context = context;
    this.#onRooms = onRooms;
    const { rooms } = context;
    rooms.addEventListener('rooms', ({ detail }) => this.#sync(detail.room));
    rooms.addEventListener('room', ({ detail }) => this.#changed(detail));
    this.#tabs.addEventListener('keydown', (event) => this.#key(event));
    const form = byId('join-form');
    byId('add-room').addEventListener('click', () => {
      toggle(byId('add-room'), form);
      if (!form.hidden) form.elements.roomId.focus();
    });
    onSubmit(form, () => this.#join(form.elements.roomId.value.trim()));
    byId('new-room').addEventListener('click', () => {
      form.elements.roomId.value = uuid();
      form.requestSubmit();
    });
    setInterval(() => this.#panels.get(this.#active)?.panel.tick(), 1000);
  }

  /** Offers rooms with random names, where anyone may be in any. */
  offerNewRooms() {
    byId('new-room').hidden = false;
  }

  /** Rooms of an earlier visit to this tab. */
  restore(ids, active) {
    ids.forEach((id) => this.#context.rooms.restore(id));
    if (this.#panels.has(active)) this.show(active);
    this.#sync();
  }

  show(id) {
    this.#active = id;
    const room = this.#context.rooms.get(id);
    if (room) room.unread = 0;
    for (const [each, { tab, panel }] of this.#panels) {
      const isActive = each === id;
      panel.element.hidden = !isActive;
      tab.setAttribute('aria-selected', String(isActive));
      tab.tabIndex = isActive ? 0 : -1;
      if (isActive) panel.tick();
    }
    this.#label(id);
    this.#remember();
  }

  async #join(roomId) {
    // The server names rooms in small letters, whatever they are asked for in.
    const room = await this.#context.rooms.join(roomId.toLowerCase());
    byId('join-form').reset();
    toggle(byId('add-room'), byId('join-form'), false);
    this.show(room.id);
    this.#panels.get(room.id).panel.element.querySelector('textarea').focus();
  }

  #sync(added) {
    const { rooms } = this.#context;
    if (added && !this.#panels.has(added.id)) this.#add(added);
    for (const [id, { tab, panel }] of this.#panels) {
      if (rooms.get(id)) continue;
      tab.remove();
      panel.element.remove();
      this.#panels.delete(id);
    }
    const none = this.#panels.size === 0;
    byId('add-room').hidden = none;
    if (none) toggle(byId('add-room'), byId('join-form'), true);
    if (none) this.#active = null;
    else if (!this.#panels.has(this.#active)) this.#moveOn();
    this.#remember();
  }

  #moveOn() {
    const [id] = [...this.#panels.keys()].slice(-1);
    this.show(id);
    // The button that had the focus left with its room.
    if (document.activeElement === document.body) this.#panels.get(id).tab.focus();
    else if (this.#panels.size === 1) toggle(byId('add-room'), byId('join-form'), false);
  }

  #add(room) {
    const panel = new RoomPanel(room, this.#context);
    const tab = element('button', 'tab');
    tab.type = 'button';
    tab.id = `tab-${room.id}`;
    tab.setAttribute('role', 'tab');
    tab.setAttribute('aria-controls', `panel-${room.id}`);
    tab.title = room.id;
    tab.append(element('span', 'visually-hidden', 'Room '), element('span', '', `…${short(room.id)}`), element('span', 'unread'));
    tab.addEventListener('click', () => this.show(room.id));
    panel.element.id = `panel-${room.id}`;
    panel.element.setAttribute('aria-labelledby', tab.id);
    panel.element.hidden = true;
    this.#tabs.append(tab);
    byId('panels').append(panel.element);
    this.#panels.set(room.id, { tab, panel });
    this.#label(room.id);
  }

  #changed(detail) {
    const { room, change } = detail;
    const entry = this.#panels.get(room.id);
    if (!entry) return;
    entry.panel.take(detail);
    if (change === 'intent' && room.id !== this.#active) room.unread += 1;
    this.#label(room.id);
  }

  #label(id) {
    const { tab } = this.#panels.get(id) ?? {};
    if (!tab) return;
    const { unread } = this.#context.rooms.get(id);
    const count = unread > 99 ? '99+' : String(unread || '');
    tab.lastElementChild.replaceChildren(count, ...(count ? [element('span', 'visually-hidden', ' new')] : []));
  }

  #key(event) {
    const ids = [...this.#panels.keys()];
    const at = ids.indexOf(this.#active);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + ids.length, Home: 0, End: ids.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.show(ids[to % ids.length]);
      this.#panels.get(this.#active).tab.focus();
    } else if (event.key === 'Delete') {
      this.#context.rooms.leave(this.#active);
    }
  }

  #remember() {
    this.#onRooms(this.#context.rooms.ids, this.#active);
  }
}
