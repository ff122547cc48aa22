// Server-side broadcasting over HTTP: contract §6, the calls of "Server-side Broadcasting".
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { post } from './support/http.mjs';
import { PlainClient } from './support/plain.mjs';
import { everyMode, withServer } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';
import { person } from './support/tokens.mjs';

const service = () => person({ role: 'service' }).token;

const toRoom = (w, body, token = service(), room = w.room) => post(`${w.url}/v1/rooms/${room}/broadcast`, token, body);
const toUser = (w, user, body, token = service()) => post(`${w.url}/v1/users/${user}/broadcast`, token, body);
const toAll = (w, body, token = service()) => post(`${w.url}/v1/broadcast`, token, body);

async function sent(answer) {
  const { status, json } = await answer;
  assert.deepEqual([status, json()], [202, { status: 'success' }]);
}

/** The next event of a name: of a stock client, or a plain one. */
const nextOf = (client, name) => client.inbox(name).next(name);

async function plainMember(w, who = w.person()) {
  const client = await PlainClient.open(w, { token: who.token });
  assert.equal((await client.call('join_room', { roomId: w.room })).status, 'joined');
  return client;
}

everyMode('broadcasts', (it) => {
  it('reach the members of a room, and nobody else', async (w) => {
    const [stock, plain] = [await w.member(), await plainMember(w)];
    const outside = await w.connect();
    const body = { event: 'gossip_update', data: { type: 'new_intent', intent: { content: '<b>psst</b>' } } };
    await sent(toRoom(w, body));
    assert.deepEqual(await nextOf(stock, 'gossip_update'), body.data);
    assert.deepEqual(await plain.events('gossip_update', 1), [body.data]);
    // What is sent to everybody comes after it, so it would have been seen.
    await sent(toAll(w, { event: 'mark', data: 1 }));
    assert.equal(await nextOf(outside, 'mark'), 1);
    assert.deepEqual(outside.updates, []);
  });

  it('reach every connection of a user, and nobody else', async (w) => {
    const who = w.person();
    const clients = [await w.connect(who), await w.connect(who)];
    const plain = await PlainClient.open(w, { token: who.token });
    await plain.call('join_room', { roomId: w.room });
    const other = await w.member();
    const data = { message: 'Your gossip was verified', at: [1, 2.5, null, 'ü\u0000'] };
    await sent(toUser(w, who.id, { event: 'notification', data }));
    for (const client of clients) assert.deepEqual(await nextOf(client, 'notification'), data);
    assert.deepEqual(await plain.events('notification', 1), [data]);
    await sent(toAll(w, { event: 'mark', data: 1 }));
    assert.equal(await nextOf(other, 'mark'), 1);
    assert.deepEqual(other.inbox('notification').all, []);
  });

  it('reach everybody who is authenticated', async (w) => {
    const stock = await w.connect();
    const plain = await PlainClient.open(w, { token: w.person().token });
    // Answered, so it is known here.
    await plain.call('leave_room', { roomId: w.room });
    const data = { message: 'Maintenance in 5 minutes' };
    await sent(toAll(w, { event: 'system_message', data }));
    assert.deepEqual(await nextOf(stock, 'system_message'), data);
    assert.deepEqual(await plain.events('system_message', 1), [data]);
  });

  it('take no seq and are in order with the rest', async (w) => {
    const member = await w.member();
    const order = [];
    member.socket.onAny((name, data) => order.push(data.seq ?? name));
    assert.equal((await member.post(w.room, 'one')).seq, 1);
    for (const event of ['first', 'second']) await sent(toRoom(w, { event, data: {} }));
    assert.equal((await member.post(w.room, 'two')).seq, 2);
    await member.updatesUpTo(2, w.room);
    assert.deepEqual(order, [1, 'first', 'second', 2]);
  });
});

withServer('broadcasts, refused', (it) => {
  it('to whoever is neither a service nor an admin', async (w) => {
    const body = { event: 'x', data: {} };
    for (const ask of [toRoom, toAll, (w, ...more) => toUser(w, randomUUID(), ...more)]) {
      await sent(ask(w, body, person({ role: 'admin' }).token));
      for (const [token, status, code] of [
        ['', 401, 'not_authenticated'], ['x', 401, 'invalid_token'], [w.person().token, 403, 'forbidden'],
      ]) {
        const answer = await ask(w, body, token);
        assert.equal(answer.status, status);
        shapes.refusal(answer.json(), code);
      }
    }
  });

  it('by the member that is wrong', async (w) => {
    for (const event of [
      undefined, null, '', 7, 'x'.repeat(300), 'connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener',
      'removeListener',
    ]) {
      const answer = await toAll(w, { event, data: {} });
      assert.equal(answer.status, 400, event);
      shapes.refusal(answer.json(), 'invalid_input', 'event');
    }
    for (const [answer, field] of [
      [await toRoom(w, { event: 'x' }, service(), 'room-123'), 'roomId'],
      [await toUser(w, 'user-123', { event: 'x' }), 'userId'],
    ]) {
      assert.equal(answer.status, 400, field);
      shapes.refusal(answer.json(), 'invalid_input', field);
    }
    const large = await toAll(w, { event: 'x', data: 'x'.repeat(70_000) });
    assert.equal(large.status, 413);
    shapes.refusal(large.json(), 'too_large');
  });
});
