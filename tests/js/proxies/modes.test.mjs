// Stock clients and plain ones through the proxies of deploy/, over TLS: every transport, one server and two.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { Agent, request } from 'node:https';
import { after, before, describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { Client, Inbox, MODES } from '../support/client.mjs';
import { PlainClient } from '../support/plain.mjs';
import { PROXIES, startReverse } from '../support/reverse.mjs';
import { startServer } from '../support/server.mjs';
import * as shapes from '../support/shapes.mjs';
import { person } from '../support/tokens.mjs';

const LIMIT = { timeout: 60_000 };
const STAY = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100 };
const CLIENT = '127.0.0.2';
const TRUSTING = { TRUSTED_PROXIES: '127.0.0.1' };

/** A request through the proxy; `{status, headers, body}`. */
function ask(proxy, path, { method = 'GET', headers = {}, body, port = proxy.ports.https } = {}) {
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path, method, headers, ca: proxy.ca, agent: false };
    const sent = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part) => { text += part; });
      response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: text }));
      response.on('error', reject);
    });
    sent.on('error', reject).end(body);
  });
}

/** A client and whose it is, connected through the proxy. */
async function open(proxy, who, options) {
  return new Client(proxy.url, { ca: proxy.ca, auth: { token: who.token }, ...options }).open();
}

/** Two servers behind one proxy, which know nothing of each other: a session must stay where it began. */
async function pair(kind, t) {
  const both = [await startServer({ env: TRUSTING }), await startServer({ env: TRUSTING })];
  t.after(() => Promise.all(both.map((server) => server.kill())));
  const proxy = await startReverse(kind, both.map(({ port }) => port));
  t.after(() => proxy.stop());
  return { both, proxy };
}

for (const kind of PROXIES) {
  describe(kind, () => {
    let server;
    let proxy;
    before(async () => {
      server = await startServer({ env: TRUSTING });
      proxy = await startReverse(kind, [server.port]);
    });
    after(async () => {
      await proxy?.stop();
      await server?.stop();
    });

    for (const [mode, transports] of Object.entries(MODES)) {
      it(`passes on ${mode}`, LIMIT, async (t) => {
        const roomId = randomUUID();
        const clients = [];
        for (let count = 0; count < 2; count += 1) {
          const client = await open(proxy, person({ rooms: [roomId] }), { transports });
          t.after(() => client.close());
          clients.push(client);
          await client.settled();
          assert.equal(client.socket.io.engine.transport.name, transports.at(-1));
          await client.join(roomId);
        }
        const [one, other] = clients;
        const { intent } = await one.post(roomId, 'through a proxy');
        await other.vote(intent.id, 'upvote');
        // More than fits a buffer, and more than a proxy keeps in memory by default.
        for (let count = 0; count < 20; count += 1) await one.post(roomId, `${count} ${'ä'.repeat(1990)}`);
        for (const client of clients) {
          const seen = await client.updatesUpTo(22, roomId);
          shapes.gapless(seen);
          assert.equal(seen.length, 22);
        }
      });
    }

    it('passes on plain WebSockets', LIMIT, async (t) => {
      const roomId = randomUUID();
      const { token } = person({ rooms: [roomId] });
      const socket = new WebSocket(`${proxy.url.replace('https', 'wss')}/gossip/ws`, {
        ca: proxy.ca, headers: { Authorization: `Bearer ${token}` },
      });
      const client = new PlainClient(socket);
      t.after(() => socket.terminate());
      await once(socket, 'open');
      assert.equal((await client.call('join_room', { roomId })).status, 'joined');
      const { intent } = await client.call('new_gossip', { roomId, content: 'plainly' });
      assert.deepEqual((await client.events('gossip_update', 1))[0].intent, intent);
      socket.close();
      assert.equal(await client.closed, 1000);
    });

    it('passes on server-sent events, each when it is sent', LIMIT, async (t) => {
      const roomId = randomUUID();
      const who = person({ rooms: [roomId] });
      const headers = { Authorization: `Bearer ${who.token}`, Accept: 'text/event-stream' };
      const options = { host: '127.0.0.1', port: proxy.ports.https, path: `/v1/rooms/${roomId}/events`, headers };
      const sent = request({ ...options, ca: proxy.ca, agent: false }).end();
      t.after(() => sent.destroy());
      const [response] = await once(sent, 'response');
      assert.equal(response.statusCode, 200);
      const came = new Inbox();
      let text = '';
      response.setEncoding('utf8').on('data', (part) => {
        text += part;
        came.wake();
      });
      response.on('error', () => {}); // it is cut off at the end
      const client = await open(proxy, who, { transports: ['websocket'] });
      t.after(() => client.close());
      for (const seq of [1, 2, 3]) {
        await client.post(roomId, `number ${seq}`);
        await came.until(`number ${seq}`, () => text.includes(`id: ${seq}\n`) || text.includes(`id:${seq}\n`));
        assert.ok(!text.includes(`number ${seq + 1}`));
      }
    });

    it('sends http to https, and keeps figures to itself', LIMIT, async () => {
      const { status, headers } = await ask(proxy, '/healthz?a=1', { port: proxy.ports.https });
      assert.equal(status, 200, JSON.stringify(headers));
      assert.equal((await ask(proxy, '/metrics')).status, 404);
      const plain = await fetch(`http://127.0.0.1:${proxy.ports.http}/healthz?a=1`, { redirect: 'manual' });
      assert.equal(plain.status, 308);
      assert.match(plain.headers.get('location'), /^https:\/\/.*\/healthz\?a=1$/);
    });

    it('lets gossipd refuse what is too large, and takes no more than four times that', LIMIT, async (t) => {
      const client = await open(proxy, person(), { transports: ['polling'] });
      t.after(() => client.close());
      const path = `/socket.io/?EIO=4&transport=polling&sid=${client.socket.io.engine.id}`;
      const post = (length) => ask(proxy, path, { method: 'POST', body: `4${'x'.repeat(length - 1)}` });
      assert.equal((await post(70_000)).status, 200);
      shapes.exception(await client.nextException(), 'too_large', undefined, undefined);
      const { status, headers } = await post(262_145);
      assert.equal(status, 413);
      assert.match(headers['content-type'], /html/, 'the proxy says it');
      // Nothing of it has harmed the session.
      assert.equal((await client.call('get_gossip', { intentId: randomUUID() })).code, 'not_found');
    });

    it('tells the address of clients, who cannot tell another', LIMIT, async (t) => {
      const strict = await startServer({ env: { ...TRUSTING, RATE_LIMIT_MODE: 'enforce', MAX_SOCKETS_PER_ADDRESS: '1' } });
      t.after(() => strict.kill());
      const alone = await startReverse(kind, [strict.port]);
      t.after(() => alone.stop());
      const status = (localAddress, headers) => new Promise((resolve, reject) => {
        const url = `${alone.url.replace('https', 'wss')}/gossip/ws`;
        const socket = new WebSocket(url, { ca: alone.ca, localAddress, headers });
        t.after(() => socket.terminate());
        socket.once('open', () => resolve(101));
        socket.once('unexpected-response', (_, response) => resolve(response.statusCode));
        socket.once('error', reject);
      });
      assert.equal(await status(CLIENT), 101);
      assert.equal(await status(CLIENT), 429);
      for (const lie of [
        { 'X-Forwarded-For': '192.0.2.1' }, { Forwarded: 'for=192.0.2.1' },
        { 'X-Forwarded-For': '192.0.2.1', Forwarded: 'for=192.0.2.1' }, { 'X-Forwarded-For': 'nonsense' },
      ]) {
        assert.equal(await status(CLIENT, lie), 429, JSON.stringify(lie));
      }
      assert.equal(await status('127.0.0.3'), 101);
    });

    for (const [mode, transports] of Object.entries(MODES)) {
      it(`keeps a session at its server of two: ${mode}`, LIMIT, async (t) => {
        const { both, proxy } = await pair(kind, t);
        const clients = await Promise.all(Array.from({ length: 20 }, async (_, index) => {
          const roomId = randomUUID();
          // Each from an address of its own: that is what nginx tells those who poll apart by.
          const agent = new Agent({ localAddress: `127.0.1.${index + 1}`, ca: proxy.ca });
          const client = await open(proxy, person({ rooms: [roomId] }), { transports, agent });
          t.after(() => {
            client.close();
            agent.destroy();
          });
          await client.settled();
          await client.join(roomId);
          for (let count = 0; count < 5; count += 1) await client.post(roomId, `${count}`);
          shapes.gapless(await client.updatesUpTo(5, roomId));
          return client;
        }));
        for (const client of clients) assert.ok(client.socket.connected);
        const { token } = person({ role: 'service' });
        const counts = await Promise.all(both.map(async ({ url }) => {
          const response = await fetch(`${url}/v1/stats`, { headers: { Authorization: `Bearer ${token}` } });
          return (await response.json()).activeConnections;
        }));
        assert.equal(counts[0] + counts[1], clients.length);
        assert.ok(Math.min(...counts) > 0, `both are used: ${counts}`);
      });
    }

    it('lets clients come back while a server is replaced, by the other and by the new one', LIMIT, async (t) => {
      const { both, proxy } = await pair(kind, t);
      const clients = [];
      for (let count = 0; count < 6; count += 1) {
        const client = await open(proxy, person(), { transports: Object.values(MODES)[count % 3], ...STAY });
        t.after(() => client.close());
        await client.settled();
        clients.push(client);
      }
      // Whoever has not noticed yet that it is cut off, loses this call.
      const isBack = async (client) => {
        if (!client.socket.connected) await once(client.socket, 'connect', { signal: AbortSignal.timeout(10_000) });
        return client.call('get_gossip', { intentId: randomUUID() }).catch(() => isBack(client));
      };
      for (const server of both) {
        await server.drain();
        for (const client of clients) {
          assert.equal((await isBack(client)).code, 'not_found');
        }
        await server.start();
      }
    });
  });
}
