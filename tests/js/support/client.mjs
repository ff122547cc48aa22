// A stock socket.io-client with a memory: what arrived, and waiting for what has not yet.
import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { io } from 'socket.io-client';
import * as shapes from './shapes.mjs';

export const MODES = {
  'websocket only': ['websocket'],
  'polling only': ['polling'],
  'polling, then upgrade': ['polling', 'websocket'],
};

const WAIT_MS = 10_000;

/** Arrivals in order, with a place for every reader that waits. */
export class Inbox {
  #waiting = new Set();
  all = [];
  read = 0;

  push(item) {
    this.all.push(item);
    this.wake();
  }

  wake() {
    for (const look of this.#waiting) look();
  }

  /** Resolves with the first truthy answer of `probe`, asked again at every arrival. */
  until(what, probe, ms = WAIT_MS) {
    return new Promise((resolve, reject) => {
      const end = (settle, value) => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settle(value);
      };
      const look = () => {
        const answer = probe();
        if (answer) end(resolve, answer);
      };
      const timer = setTimeout(() => {
        const seen = JSON.stringify(this.all.slice(-5));
        end(reject, new Error(`${what}: not within ${ms} ms; the last of ${this.all.length} seen: ${seen}`));
      }, ms);
      this.#waiting.add(look);
      look();
    });
  }

  async next(what, ms) {
    const index = this.read++;
    await this.until(what, () => this.all.length > index, ms);
    return this.all[index];
  }
}

export class Client {
  #inboxes = new Map();
  #ends = new Inbox();

  constructor(url, { transports, namespace = '/gossip', ...options }) {
    this.socket = io(`${url}${namespace}`, { transports, forceNew: true, reconnection: false, autoConnect: false, ...options });
    this.socket.onAny((name, ...args) => this.received(name, args));
    this.socket.on('disconnect', (reason) => this.#ends.push(reason));
  }

  received(name, args) {
    assert.equal(args.length, 1, `${name} has one argument`);
    this.inbox(name).push(args[0]);
  }

  inbox(name) {
    if (!this.#inboxes.has(name)) this.#inboxes.set(name, new Inbox());
    return this.#inboxes.get(name);
  }

  /** Connects, or throws the `connect_error`. */
  open() {
    return new Promise((resolve, reject) => {
      this.socket.once('connect', () => resolve(this));
      this.socket.once('connect_error', reject);
      this.socket.connect();
    });
  }

  /** Resolves when no upgrade is under way: a stock client that loses both transports in the middle of one notices
   * only when the ping timeout is over. */
  async settled() {
    const { engine, opts } = this.socket.io;
    if (opts.transports.length > 1 && engine.transport.name === 'polling') {
      const upgraded = new Promise((resolve) => engine.once('upgrade', () => resolve(true)));
      const late = pause(WAIT_MS, false, { ref: false });
      assert.ok(await Promise.race([upgraded, late]), `no upgrade within ${WAIT_MS} ms`);
    }
  }

  close() {
    this.socket.disconnect();
  }

  get updates() {
    return this.inbox('gossip_update').all;
  }

  nextUpdate() {
    return this.inbox('gossip_update').next('gossip_update');
  }

  nextException(ms) {
    return this.inbox('exception').next('exception', ms);
  }

  disconnected(ms) {
    return this.#ends.next('disconnect', ms);
  }

  /** Resolves with the events of a room once the one with `seq` is there. */
  async updatesUpTo(seq, roomId) {
    const ofRoom = () => this.updates.filter((each) => each.roomId === roomId);
    await this.inbox('gossip_update').until(`gossip_update ${seq}`, () => ofRoom().some((each) => each.seq >= seq));
    return ofRoom();
  }

  /** Emits with an ack callback; whatever is answered is returned. */
  call(name, ...args) {
    return this.socket.timeout(WAIT_MS).emitWithAck(name, ...args);
  }

  /** Emits without an ack callback. */
  emit(name, ...args) {
    this.socket.emit(name, ...args);
  }

  /** A command that must succeed. */
  async ok(name, data) {
    const ack = await this.call(name, data);
    assert.notEqual(ack?.status, 'error', `${name}: ${JSON.stringify(ack)}`);
    return ack;
  }

  /** A command that must be refused alike through its ack and, without one, as an `exception`. */
  async refused(name, args, code, field) {
    try {
      shapes.refusal(await this.call(name, ...args), code, field);
      this.emit(name, ...args);
      shapes.exception(await this.nextException(), code, field, name);
    } catch (error) {
      error.message = `${name} ${JSON.stringify(args)?.slice(0, 200)}: ${error.message}`;
      throw error;
    }
  }

  join(roomId, more) {
    return this.ok('join_room', { roomId, ...more });
  }

  post(roomId, content = 'Have you heard?', more = {}) {
    return this.ok('new_gossip', { roomId, content, ...more });
  }

  vote(intentId, action) {
    return this.ok('vote_gossip', { intentId, action });
  }

  comment(intentId, content = 'No!', more = {}) {
    return this.ok('comment_gossip', { intentId, content, ...more });
  }

  setStatus(intentId, status, reason) {
    return this.ok('update_gossip', { intentId, status, reason });
  }

  get(intentId) {
    return this.ok('get_gossip', { intentId });
  }
}
