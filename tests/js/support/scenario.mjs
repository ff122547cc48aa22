// One server a file, every scenario over the three transport modes, in a room of its own.
import { randomUUID } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { Client, MODES } from './client.mjs';
import { DATABASES } from './databases.mjs';
import { lastingPort, startServer } from './server.mjs';
import { person } from './tokens.mjs';

const SCENARIO_MS = 60_000;

/** What a scenario has at hand: a fresh room, people with tokens, and their clients. */
class World {
  constructor(t, server, transports) {
    this.t = t;
    this.server = server;
    this.url = server.url;
    this.transports = transports;
    this.room = randomUUID();
  }

  /** Someone with access to this scenario's room, unless `rooms` says otherwise. */
  person(claims = {}) {
    return person({ rooms: [this.room], ...claims });
  }

  /** A client that has not connected yet. */
  client(options = {}) {
    const { url = this.url, ...more } = options;
    const client = new Client(url, { transports: this.transports, ...more });
    this.t.after(() => client.close());
    return client;
  }

  /** A connected client that has not authenticated. */
  stranger(options) {
    return this.client(options).open();
  }

  /** A connected client, authenticated by its handshake. */
  async connect(who = this.person(), options = {}) {
    const client = this.client({ auth: { token: who.token }, ...options });
    client.id = who.id;
    client.token = who.token;
    return client.open();
  }

  /** A connected, authenticated client that has joined the room. */
  async member(claims, options) {
    const client = await this.connect(this.person(claims), options);
    await client.join(this.room);
    return client;
  }

  members(count) {
    return Promise.all(Array.from({ length: count }, () => this.member()));
  }

  /** An admin without a list of rooms, not joined anywhere. */
  admin() {
    return this.connect(person({ role: 'admin' }));
  }

  /**
   * Shows that nothing unexpected is on its way: the next thing each client
   * sees is a post made now, and it takes the room's next `seq`.
   */
  async nothingBefore(poster, clients, seq) {
    const ack = await poster.post(this.room, 'a mark');
    assert.equal(ack.seq, seq);
    for (const client of clients) {
      const next = await client.nextUpdate();
      assert.equal(next.intent.id, ack.intent.id, `an event nobody caused: ${JSON.stringify(next)}`);
      assert.equal(next.seq, seq);
    }
  }
}

/** A server for the scenarios of one file, started before the first and stopped after the last. */
export function withServer(title, define, { env, database = DATABASES.SQLite, lasting = false } = {}) {
  describe(title, () => {
    let made;
    let server;
    before(async () => {
      made = await database();
      const port = lasting ? { WS_PORT: String(await lastingPort()) } : {};
      server = await startServer({ env: { ...made.env, ...port, ...env } });
    });
    after(async () => {
      // One that is killed in the middle of scenarios need not end well.
      await (lasting ? server?.kill() : server?.stop());
      await made?.drop();
    });
    define((name, scenario, transports = ['websocket']) => {
      test(name, { timeout: SCENARIO_MS }, (t) => scenario(new World(t, server, transports)));
    });
  });
}

/** The same scenarios over each transport mode. */
export function everyMode(title, define, options) {
  withServer(title, (it) => {
    for (const [mode, transports] of Object.entries(MODES)) {
      describe(mode, () => define((name, scenario) => it(name, scenario, transports), mode));
    }
  }, options);
}
