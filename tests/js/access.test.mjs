// Access that is withdrawn while a client is away: what Socket.IO's connection state recovery must not bring back
// (contract §4). And while it is there, over every transport of the stock client.
import assert from 'node:assert/strict';
import { DATABASES } from './support/databases.mjs';
import { send } from './support/http.mjs';
import { startProxy } from './support/proxy.mjs';
import { exactly, recovering } from './support/recovering.mjs';
import { anew, drop, joinAll, recovered, rememberedBy, rooms, server } from './support/returning.mjs';
import { everyMode } from './support/scenario.mjs';
import { person, seconds } from './support/tokens.mjs';

const SECOND_MS = 1_000;

async function manage(w, method, path) {
  const { status } = await send(method, `${w.url}/v1/${path}`, person({ role: 'service' }).token);
  assert.equal(status, 204, path);
}

/** A recovering client behind a proxy, a member of three rooms. */
async function member(w) {
  const ids = rooms(3);
  const who = person({ iat: seconds(-60) });
  for (const roomId of ids) await manage(w, 'PUT', `rooms/${roomId}/members/${who.id}`);
  const proxy = await startProxy(w.t, w.server.port);
  const client = await recovering(w, who, { url: proxy.url });
  await joinAll(client, ids);
  return { who, ids, proxy, client };
}

/** Comes back, and is refused: attempts that did not reach the server have no `data`. */
async function refused(one, meanwhile) {
  const error = new Promise((resolve) => {
    one.client.socket.on('connect_error', ({ data }) => data && resolve(data));
  });
  await drop(one, meanwhile);
  return error;
}

for (const [database, make] of Object.entries(DATABASES)) {
  everyMode(`access on ${database}`, (it) => {
    it('a member who is removed is told so within a second, and gets nothing of the room any more', async (w) => {
      const { who, ids: [lost, ...kept], client } = await member(w);
      const poster = await server(w);
      const begun = Date.now();
      await manage(w, 'DELETE', `rooms/${lost}/members/${who.id}`);
      assert.deepEqual(await client.inbox('room_closed').next('room_closed'), { roomId: lost, code: 'forbidden' });
      assert.ok(Date.now() - begun < SECOND_MS);
      await poster.post(lost, 'private');
      await exactly(w, client, kept);
      assert.deepEqual(client.events(lost), []);
    });

    it('a member who is removed while away is recovered without that room', async (w) => {
      const one = await member(w);
      const { who, ids: [lost, ...kept], client } = one;
      const poster = await server(w);
      await drop(one, async () => {
        // Also what was said before the removal: nothing is delivered after it.
        for (const roomId of one.ids) await poster.post(roomId, 'missed');
        await manage(w, 'DELETE', `rooms/${lost}/members/${who.id}`);
        for (const roomId of one.ids) await poster.post(roomId, 'missed too');
      });
      await recovered(client);
      assert.deepEqual(await client.inbox('room_closed').next('room_closed'), { roomId: lost, code: 'forbidden' });
      await poster.post(lost, 'private');
      await exactly(w, client, kept);
      assert.deepEqual(client.events(lost), []);
      // Nor does it come back with a membership that is new: that is for the client to ask for.
      await manage(w, 'PUT', `rooms/${lost}/members/${who.id}`);
      await drop(one, () => poster.post(lost, 'public again'));
      await recovered(client);
      await exactly(w, client, kept);
      assert.deepEqual(client.events(lost), []);
      assert.equal(client.inbox('room_closed').all.length, 1);
    });

    it('a user whose tokens are revoked while away is refused', async (w) => {
      const one = await member(w);
      const poster = await server(w);
      const { code, message } = await refused(one, async () => {
        await manage(w, 'DELETE', `users/${one.who.id}/connections?notBefore=${new Date().toISOString()}`);
        for (const roomId of one.ids) await poster.post(roomId, 'private');
      });
      assert.deepEqual([code, message], ['invalid_token', 'the token was revoked']);
      for (const roomId of one.ids) assert.deepEqual(one.client.events(roomId), []);
      // With a token that is good it begins anew: what could be recovered is forgotten.
      const { token } = person({ id: one.who.id, iat: seconds(1) });
      one.client.socket.auth = { token, recover: true };
      one.client.socket.connect();
      await anew(one.client);
      assert.deepEqual(one.client.names.filter((name) => name === 'gossip_update'), []);
    });

    it('a user who was disconnected is not recovered, and stays away by itself', async (w) => {
      const one = await member(w);
      const { client } = one;
      const { pid } = await rememberedBy(client);
      await manage(w, 'DELETE', `users/${one.who.id}/connections`);
      const { code } = await client.nextException();
      assert.equal(code, 'invalid_token');
      assert.equal(await client.disconnected(), 'io server disconnect');
      client.socket.connect();
      assert.notEqual((await anew(client)).pid, pid);
    });

    it('a client whose token has expired while away is refused', async (w) => {
      const one = await member(w);
      const poster = await server(w);
      const { code } = await refused(one, async () => {
        one.client.socket.auth = { token: person({ id: one.who.id, exp: seconds(-1) }).token, recover: true };
        for (const roomId of one.ids) await poster.post(roomId, 'private');
      });
      assert.equal(code, 'token_expired');
      for (const roomId of one.ids) assert.deepEqual(one.client.events(roomId), []);
    });
  }, { env: { ROOM_ACCESS: 'members' }, database: make });
}
