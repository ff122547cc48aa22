// A stock client that asks for Socket.IO's connection state recovery and has no other code for coming back, and what
// it takes to tell whether it missed or repeated anything.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { Client, Inbox } from './client.mjs';

const LONG_MS = 30_000;
const BY_ITSELF = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };

export class Recovering extends Client {
  #rooms = new Map();
  #connects = new Inbox();
  /** The names of what came, in order. */
  names = [];
  /** The last offset that came, which the stock client keeps to itself. */
  offset;

  constructor(url, options) {
    super(url, { ...BY_ITSELF, ...options });
    this.socket.on('connect', () => {
      this.#connects.push({ recovered: Boolean(this.socket.recovered), pid: this.socket._pid });
    });
  }

  received(name, args) {
    this.names.push(name);
    // An answer is no event: it brings nothing to go on from.
    if (name === 'exception') return super.received(name, args);
    assert.equal(args.length, 2, `${name} comes with an offset`);
    assert.equal(typeof args[1], 'string', `${name} has an offset as its last argument`);
    this.offset = args[1];
    if (name === 'gossip_update') this.events(args[0].roomId).push(args[0]);
    super.received(name, args.slice(0, 1));
  }

  /** The next time it is connected: whether it was `recovered`, and under which `pid`. */
  connected(ms) {
    return this.#connects.next('connect', ms);
  }

  /** What came of one room. */
  events(roomId) {
    if (!this.#rooms.has(roomId)) this.#rooms.set(roomId, []);
    return this.#rooms.get(roomId);
  }

  /** Resolves when so many events of a room have come, in the very moment. */
  async count(roomId, count, ms) {
    const events = this.events(roomId);
    await this.inbox('gossip_update').until(`${count} events of a room`, () => events.length >= count, ms);
    return events;
  }

  /** Resolves when the event with this `seq` has come. */
  async upTo(roomId, seq, ms) {
    const events = this.events(roomId);
    await this.inbox('gossip_update').until(`event ${seq} of a room`, () => events.at(-1)?.seq >= seq, ms);
    return events;
  }
}

/** A connected client that asks to be recovered, in no room yet. */
export async function recovering(w, who, { auth = { token: who.token, recover: true }, url = w.url, ...more } = {}) {
  const client = new Recovering(url, { transports: w.transports, auth, ...more });
  w.t.after(() => client.close());
  await client.open();
  const { recovered } = await client.connected();
  assert.equal(recovered, false);
  await client.settled();
  return client;
}

/** Someone who posts, votes and comments in every room without a pause, whatever happens to the server. */
export class Chatter {
  #ended = false;
  #givenUp = false;
  #heard = new Inbox();

  static async start(w, who, rooms) {
    const chatter = new Chatter();
    chatter.client = w.client({ auth: { token: who.token }, ...BY_ITSELF });
    // Where the scenario fails, nobody stops it.
    w.t.after(() => {
      chatter.#ended = true;
      chatter.#givenUp = true;
    });
    await chatter.client.open();
    await chatter.client.settled();
    chatter.talking = rooms.map((room) => chatter.#talk(room));
    return chatter;
  }

  async #talk(roomId) {
    for (let count = 1; !this.#ended; count += 1) {
      const posted = await this.#insist('new_gossip', { roomId, content: `number ${count}`, requestId: randomUUID() });
      if (posted === undefined) return;
      const { intent } = posted;
      await this.#insist('vote_gossip', { intentId: intent.id, action: 'upvote' });
      await this.#insist('comment_gossip', { intentId: intent.id, content: 'No!', requestId: randomUUID() });
    }
  }

  /** Repeats a command until it is answered: what is emitted without a connection goes out with the next. */
  async #insist(name, data) {
    while (!this.#givenUp) {
      const ack = await this.client.call(name, data).catch(() => undefined);
      if (ack === undefined) continue;
      assert.equal(ack.status, 'success', JSON.stringify(ack));
      this.#heard.push(ack.seq);
      return ack;
    }
    return undefined;
  }

  /** Resolves when so many more commands have been answered. */
  async more(count) {
    const goal = this.#heard.all.length + count;
    await this.#heard.until(`${count} more answers`, () => this.#heard.all.length >= goal);
  }

  async stop() {
    this.#ended = true;
    await Promise.all(this.talking);
    this.client.close();
  }
}

/** Posts so many times in a room, many at once. */
export async function fill(poster, roomId, count, content = 'psst') {
  let left = count;
  const post = async () => {
    while (left > 0) {
      left -= 1;
      await poster.post(roomId, content);
    }
  };
  await Promise.all(Array.from({ length: Math.min(count, 50) }, post));
}

/** What the log has of a room, as a fresh client is told. */
async function log(w, roomId) {
  const reader = await w.connect(w.person({ role: 'service' }));
  const { seq, recovered } = await reader.join(roomId, { since: 0 });
  assert.equal(recovered, true);
  await reader.inbox('gossip_update').until('the log', () => reader.updates.length >= seq, LONG_MS);
  reader.close();
  return reader.updates;
}

/**
 * Shows that clients have every event of these rooms from `after` on, each
 * once, in order and as it is in the log. `after` is one seq for all, or a Map.
 * A post at the end shows that nothing more was on its way.
 */
export async function exactly(w, clients, rooms, after = 0) {
  const poster = await w.connect(w.person({ role: 'service' }));
  const ends = new Map();
  for (const roomId of rooms) ends.set(roomId, (await poster.post(roomId, 'the end')).seq);
  poster.close();
  for (const roomId of rooms) {
    const start = after instanceof Map ? after.get(roomId) : after;
    const expected = (await log(w, roomId)).slice(start);
    for (const client of [clients].flat()) {
      const events = await client.upTo(roomId, ends.get(roomId));
      assert.deepEqual(events.map(({ seq }) => seq), expected.map(({ seq }) => seq));
      assert.deepEqual(events, expected);
    }
  }
}
