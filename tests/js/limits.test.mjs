// What stock clients see of the limits: contract §4, Rate limits.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { Client, MODES } from './support/client.mjs';
import { startServer } from './support/server.mjs';
import { person } from './support/tokens.mjs';

let server;

before(async () => {
  const limits = { RATE_LIMIT_MODE: undefined, RATE_NEW_GOSSIP: '2/24h', RATE_OTHER: '10/24h', MAX_SOCKETS_PER_USER: '2' };
  server = await startServer({ env: { ...limits, LOG_LEVEL: 'info' } });
});

after(() => server?.stop());

/** The lines of the log about somebody, once there are any. */
async function logOf(who) {
  const { stderr } = server.child;
  const lines = () => server.stderr.split('\n').slice(0, -1).filter((line) => line.includes(who.id));
  while (!lines().length) await once(stderr, 'data', { signal: AbortSignal.timeout(10_000) });
  return lines();
}

function isRateLimited(refusal) {
  const { status, code, message, retryAfterMs, ...more } = refusal;
  assert.deepEqual({ status, code, more }, { status: 'error', code: 'rate_limited', more: {} });
  assert.equal(typeof message, 'string');
  assert.ok(Number.isInteger(retryAfterMs) && retryAfterMs > 0, `retryAfterMs is ${retryAfterMs}`);
  return retryAfterMs;
}

for (const [mode, transports] of Object.entries(MODES)) {
  describe(`limits: ${mode}`, () => {
    const open = (who) => new Client(server.url, { transports, auth: who && { token: who.token } }).open();

    it('a command too many is refused, on another socket too', async () => {
      const roomId = randomUUID();
      const who = person({ rooms: '*' });
      const clients = [await open(who), await open(who)];
      for (const client of clients) await client.post(roomId);
      for (const client of clients) {
        const wait = isRateLimited(await client.call('new_gossip', { roomId, content: 'psst' }));
        assert.ok(wait > 11.9 * 3600_000 && wait <= 12 * 3600_000, `${wait} ms`);
        client.emit('new_gossip', { roomId, content: 'psst' });
        const { event, ...body } = await client.nextException();
        assert.equal(event, 'new_gossip');
        isRateLimited(body);
        await client.ok('join_room', { roomId });
        client.close();
      }
    });

    it('a socket too many is a connect_error, or the answer to authenticate', async () => {
      const who = person();
      const clients = [await open(who), await open(who)];
      await assert.rejects(open(who), (error) => isRateLimited(error.data) === 10_000);
      const late = await open(null);
      assert.equal(isRateLimited(await late.call('authenticate', { token: who.token })), 10_000);
      await open(person()).then((other) => other.close());
      for (const client of [...clients, late]) client.close();
      // Once, whatever was refused.
      const told = await logOf(who);
      assert.equal(told.length, 1);
      assert.match(told[0], /INFO.*too many sockets of one user.*127\.0\.0\.1/);
    });

    it('who keeps flooding is disconnected, and does not come back', async () => {
      const who = person();
      const client = await open(who);
      await client.settled();
      const acks = [];
      for (let sent = 0; sent < 300; sent++) client.socket.emit('no_such_event', {}, (ack) => acks.push(ack.code));
      assert.equal(await client.disconnected(), 'io server disconnect');
      assert.deepEqual(acks.slice(0, 10), Array(10).fill('unknown_event'));
      // One more than may be refused, less what comes back in a moment.
      assert.ok(acks.length >= 111 && acks.length < 200, `${acks.length} answers`);
      assert.ok(acks.slice(10).every((code) => code === 'rate_limited'));
      isRateLimited(await client.nextException());
      assert.ok(!client.socket.active);
      const told = await logOf(who);
      assert.equal(told.length, 1);
      assert.match(told[0], /INFO.*flooding.*127\.0\.0\.1/);
    });
  });
}
