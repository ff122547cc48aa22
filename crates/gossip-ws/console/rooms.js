// What this page knows of each room: the gossip, the last `seq`, and how to go on after a loss without missing or
// doubling anything. It draws nothing; it dispatches `rooms` when one comes or goes, and `room` with what changed in one.

const HISTORY = 50;
/** Gossip kept of a room, beyond which the oldest is let go; what someone scrolled back to comes on top. */
const KEPT = 200;
const AGAIN_MS = 1000;

export class Room {
  /** Newest first is the order of ids, which are made in time; the time comes first for rows that are older than that. */
  intents = new Map();
  seq = 0;
  /** `joining`: what comes is not to be applied, since what it follows is not here yet. */
  state = 'joining';
  unread = 0;
  kept = KEPT;
  before = undefined;

  constructor(id) {
    this.id = id;
  }

  /** Begins anew from an ack of `join_room` with history. */
  reset({ seq, intents }) {
    this.seq = seq;
    this.intents = new Map(intents.map((intent) => [intent.id, intent]));
    this.before = intents.length < HISTORY ? null : undefined;
  }

  /** `apply`, `known` for what was seen already, `gap` where something before it is missing. */
  place({ seq }) {
    if (seq <= this.seq) return 'known';
    return seq === this.seq + 1 ? 'apply' : 'gap';
  }

  apply({ seq, intent }) {
    this.seq = seq;
    const isNew = !this.intents.has(intent.id);
    this.intents.set(intent.id, intent);
    return isNew;
  }

  /** Lets the oldest go where there are too many; answers which. `needed` says of an id that it is in use. */
  trim(needed) {
    if (this.intents.size <= this.kept) return [];
    const gone = this.newestFirst().slice(this.kept).map(({ id }) => id).filter((id) => !needed(id));
    for (const id of gone) this.intents.delete(id);
    // Pages go on from where they were last read, which is no longer the end.
    this.before = undefined;
    return gone;
  }

  newestFirst() {
    return [...this.intents.values()].sort(newerFirst);
  }
}

export function newerFirst(a, b) {
  if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? 1 : -1;
  return a.id < b.id ? 1 : -1;
}

export class Rooms extends EventTarget {
  #connection;
  #rooms = new Map();

  constructor(connection) {
    super();
    this.#connection = connection;
    connection.addEventListener('ready', () => this.#rooms.forEach((room) => this.#rejoin(room)));
    connection.addEventListener('event', ({ detail }) => this.#receive(detail));
    connection.addEventListener('state', ({ detail: { state } }) => {
      if (state === 'waiting' || state === 'connecting') this.#rooms.forEach((room) => this.#paused(room));
    });
  }

  get ids() {
    return [...this.#rooms.keys()];
  }

  get(id) {
    return this.#rooms.get(id);
  }

  /** Joins, with history; throws what the server refused. */
  async join(id) {
    const known = this.#rooms.get(id);
    if (known && known.state !== 'closed') return known;
    const ack = await this.#connection.call('join_room', { roomId: id, history: HISTORY });
    const room = known ?? new Room(id);
    room.reset(ack);
    room.state = 'live';
    this.#rooms.set(id, room);
    this.#tell('rooms', { room });
    this.#tell('room', { room, change: 'reset' });
    return room;
  }

  /** Puts a room of an earlier visit back, to be joined as soon as there is a connection. */
  restore(id) {
    if (this.#rooms.has(id)) return;
    const room = new Room(id);
    this.#rooms.set(id, room);
    this.#tell('rooms', { room });
    if (this.#connection.state === 'online') this.#rejoin(room);
  }

  /** Leaves at once; whether the server heard of it matters to nobody here. */
  leave(id) {
    this.#rooms.delete(id);
    this.#connection.call('leave_room', { roomId: id }).catch(() => {});
    this.#tell('rooms', {});
  }

  clear() {
    this.#rooms.clear();
    this.#tell('rooms', {});
  }

  /** Fetches the next older page; true when there is more behind it. */
  async older(room) {
    let found = 0;
    while (!found && room.before !== null) {
      const data = { roomId: room.id, limit: 100, ...(room.before && { before: room.before }) };
      const { intents, nextBefore } = await this.#connection.call('list_gossip', data);
      room.before = nextBefore;
      // What came live is newer than any page.
      const unknown = intents.filter((intent) => !room.intents.has(intent.id));
      for (const intent of unknown) room.intents.set(intent.id, intent);
      found = unknown.length;
    }
    room.kept += found;
    this.#tell('room', { room, change: 'older' });
  }

  #paused(room) {
    if (room.state === 'live') room.state = 'joining';
    clearTimeout(room.timer);
  }

  async #rejoin(room) {
    if (room.state === 'closed' || room.isJoining) return;
    room.isJoining = true;
    try {
      await this.#joinAgain(room);
      this.#tell('room', { room, change: 'state' });
    } catch (error) {
      this.#refused(room, error);
    } finally {
      room.isJoining = false;
    }
  }

  async #joinAgain(room) {
    const roomId = room.id;
    if (room.seq > 0) {
      const ack = await this.#connection.call('join_room', { roomId, since: room.seq });
      // What was missed follows the ack, in order, as live events.
      if (ack.recovered) {
        room.state = 'live';
        return;
      }
    }
    room.state = 'joining';
    room.reset(await this.#connection.call('join_room', { roomId, history: HISTORY }));
    room.state = 'live';
    this.#tell('room', { room, change: 'reset' });
  }

  #refused(room, { code, message, retryAfterMs }) {
    if (code === 'forbidden' || code === 'not_found' || code === 'invalid_input') {
      room.state = 'closed';
      this.#tell('room', { room, change: 'closed', message });
    } else if (this.#connection.state === 'online') {
      this.#later(room, retryAfterMs);
    }
  }

  #later(room, ms = AGAIN_MS) {
    room.state = 'joining';
    clearTimeout(room.timer);
    const again = () => this.#connection.state === 'online' && this.#rooms.has(room.id) && this.#rejoin(room);
    room.timer = setTimeout(again, ms + Math.random() * AGAIN_MS);
  }

  #receive({ event, data }) {
    const room = this.#rooms.get(data?.roomId);
    if (event === 'room_closed' && room) this.#closed(room, data.code);
    // One without a `seq` was broadcast by a service, and is not of the room's log.
    else if (event === 'gossip_update' && Number.isInteger(data?.seq)) this.#update(room, data);
  }

  #closed(room, code) {
    if (code !== 'forbidden') return this.#later(room);
    room.state = 'closed';
    this.#tell('room', { room, change: 'closed', message: 'Your access to this room was withdrawn' });
  }

  #update(room, data) {
    if (room?.state !== 'live') return;
    const place = room.place(data);
    if (place === 'gap') this.#later(room, 0);
    if (place !== 'apply') return;
    const isNew = room.apply(data);
    const { intent, update, type } = data;
    this.#tell('room', { room, change: 'intent', intent, update, type, isNew });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
