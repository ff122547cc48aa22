// What answers over HTTP beside the sockets: contract §1 and §6.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { get as getUrl } from './support/http.mjs';
import { PlainClient } from './support/plain.mjs';
import { startProxy } from './support/proxy.mjs';
import { everyMode, withServer } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';
import { brokenTokens, person } from './support/tokens.mjs';

const STATS = [
  'activeConnections', 'totalConnections', 'roomsSubscribed', 'usersConnected', 'averageLatency',
  'messagesPerSecond', 'errorRate', 'memoryBytes', 'uptimeSeconds',
];
const SETTLE_MS = 10_000;
const ASK_AGAIN_MS = 20;

const get = (w, path, token) => getUrl(w.url + path, token);

async function stats(w) {
  const response = await get(w, '/v1/stats', person({ role: 'service' }).token);
  assert.equal(response.status, 200);
  return response.json();
}

/** Asks until the counts are as expected: what a disconnect frees, it frees soon after. */
async function counted(w, expected) {
  const deadline = Date.now() + SETTLE_MS;
  for (;;) {
    const now = await stats(w);
    const wrong = Object.keys(expected).filter((key) => now[key] !== expected[key]);
    if (wrong.length === 0) return now;
    const shown = JSON.stringify(now);
    assert.ok(Date.now() < deadline, `${wrong} not as in ${JSON.stringify(expected)} after ${SETTLE_MS} ms: ${shown}`);
    await pause(ASK_AGAIN_MS);
  }
}

const NOBODY = { activeConnections: 0, roomsSubscribed: 0, usersConnected: 0 };

withServer('HTTP', (it) => {
  it('is alive and ready', async (w) => {
    for (const path of ['/healthz', '/readyz']) assert.equal((await get(w, path)).status, 200, path);
  });

  it('knows no other paths', async (w) => {
    for (const path of ['/nowhere', '/v1/nowhere', '/gossip/nowhere', '/../../etc/passwd', '/%00', '/healthz/x']) {
      assert.equal((await get(w, path)).status, 404, path);
    }
  });

  it('lets pages from elsewhere ask for all but the metrics', async (w) => {
    const allowed = async (path) => {
      const response = await getUrl(w.url + path, undefined, { Origin: 'https://elsewhere.example' });
      return response.headers['access-control-allow-origin'];
    };
    for (const path of ['/healthz', '/v1/stats', '/v1/openapi.json']) assert.equal(await allowed(path), '*', path);
    assert.equal(await allowed('/metrics'), undefined);
  });

  it('shows statistics to a service and an admin', async (w) => {
    for (const role of ['service', 'admin']) {
      const response = await get(w, '/v1/stats', person({ role }).token);
      assert.equal(response.status, 200);
      assert.match(response.headers['content-type'], /^application\/json/);
      const body = await response.json();
      for (const key of STATS) assert.ok(Number.isFinite(body[key]) && body[key] >= 0, `${key}: ${body[key]}`);
      shapes.keys(body.latency, ['p50', 'p95', 'p99']);
    }
  });

  it('and to nobody else', async (w) => {
    for (const [token, status, code] of [
      [undefined, 401, 'not_authenticated'],
      [person().token, 403, 'forbidden'],
      ...brokenTokens().map(([, token, code]) => [token, 401, code]),
    ]) {
      const response = await get(w, '/v1/stats', token);
      assert.equal(response.status, status);
      shapes.refusal(await response.json(), code);
    }
  });

  it('counts plain connections too', async (w) => {
    await counted(w, NOBODY);
    const client = await PlainClient.open(w, { token: w.person().token });
    await client.call('join_room', { roomId: w.room });
    await counted(w, { activeConnections: 1, roomsSubscribed: 1, usersConnected: 1 });
    client.socket.terminate();
    await counted(w, NOBODY);
  });
});

everyMode('statistics', (it) => {
  it('count connections, users and rooms, and return to zero', async (w) => {
    const before = await counted(w, NOBODY);
    const rooms = [w.room, randomUUID()];
    const ann = w.person({ rooms });
    const clients = [await w.connect(ann), await w.connect(ann), await w.connect(w.person()), await w.stranger()];
    const connected = await counted(w, { ...NOBODY, activeConnections: 4, usersConnected: 2 });
    assert.equal(connected.totalConnections, before.totalConnections + 4);

    for (const client of clients.slice(0, 3)) await client.join(w.room);
    await clients[0].join(rooms[1]);
    await counted(w, { activeConnections: 4, usersConnected: 2, roomsSubscribed: 2 });
    await clients[0].ok('leave_room', { roomId: rooms[1] });
    await counted(w, { roomsSubscribed: 1 });

    clients[0].close();
    await counted(w, { activeConnections: 3, usersConnected: 2, roomsSubscribed: 1 });
    for (const client of clients) client.close();
    const after = await counted(w, NOBODY);
    assert.equal(after.totalConnections, connected.totalConnections);
  });

  it('forget clients that vanish without a goodbye', async (w) => {
    await counted(w, NOBODY);
    const proxy = await startProxy(w.t, w.server.port);
    const clients = await Promise.all(Array.from({ length: 20 }, () => w.member({}, { url: proxy.url })));
    await counted(w, { activeConnections: 20, usersConnected: 20, roomsSubscribed: 1 });
    proxy.cut();
    await Promise.all(clients.map((client) => client.disconnected()));
    await counted(w, NOBODY);
  });
}, { env: { PING_INTERVAL: '1s', PING_TIMEOUT: '1s' } });
