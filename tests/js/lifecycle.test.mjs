// Connecting and authenticating: contract §1.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { everyMode } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';
import { brokenTokens, expiryTime, person, seconds, sign } from './support/tokens.mjs';

const rejects = (opening, code) => assert.rejects(opening, (error) => {
  assert.equal(error.data?.code, code, `${error.message} ${JSON.stringify(error.data)}`);
  return true;
});

everyMode('lifecycle', (it) => {
  it('connects to /gossip over the transport asked for', async (w) => {
    const client = await w.stranger();
    assert.equal(typeof client.socket.id, 'string');
    const { engine } = client.socket.io;
    if (w.transports.length === 2 && engine.transport.name === 'polling') {
      await new Promise((resolve) => engine.once('upgrade', resolve));
    }
    assert.equal(engine.transport.name, w.transports.at(-1));
    const who = w.person();
    assert.equal((await client.ok('authenticate', { token: who.token })).userId, who.id);
  });

  for (const namespace of ['/', '/gossips', '/gossip/ws', '/admin']) {
    it(`has no namespace "${namespace}"`, async (w) => {
      const opening = w.client({ namespace, auth: { token: w.person().token } }).open();
      await assert.rejects(opening, { message: 'Invalid namespace' });
    });
  }

  it('a refused namespace leaves the connection to the others', async (w) => {
    const client = w.client();
    const other = client.socket.io.socket('/nowhere');
    const refused = new Promise((resolve) => other.once('connect_error', resolve));
    other.connect();
    await client.open();
    assert.equal((await refused).message, 'Invalid namespace');
    const who = w.person();
    await client.ok('authenticate', { token: who.token });
  });

  it('authenticates by the handshake', async (w) => {
    const who = w.person();
    const client = await w.connect(who);
    shapes.keys(await client.join(w.room), ['status', 'roomId', 'seq']);
    const again = await w.client({ auth: { token: who.token, userId: who.id } }).open();
    await again.join(w.room);
  });

  it('refuses a handshake with a bad token, and says why', async (w) => {
    for (const [what, token, code] of brokenTokens()) {
      await w.t.test(what, () => rejects(w.client({ auth: { token } }).open(), code));
    }
    const { token } = w.person();
    await rejects(w.client({ auth: { token, userId: randomUUID() } }).open(), 'invalid_token');
  });

  it("runs the seed's example: every event at once, nothing awaited", async (w) => {
    const who = w.person();
    const client = w.client();
    client.socket.connect();
    client.emit('authenticate', { token: who.token, userId: who.id });
    client.emit('join_room', { roomId: w.room });
    client.emit('new_gossip', { roomId: w.room, content: 'This is some juicy gossip!', expiresInMinutes: 60 });
    const update = await client.nextUpdate();
    shapes.event(update, { type: 'new_intent', roomId: w.room, seq: 1, intent: { userId: who.id } });
    assert.equal(update.intent.content, 'This is some juicy gossip!');
    assert.deepEqual(client.inbox('exception').all, []);
  });

  it('acknowledges authenticate with the user and the expiry', async (w) => {
    const who = w.person();
    const client = await w.stranger();
    const ack = await client.call('authenticate', { token: who.token, userId: who.id });
    assert.deepEqual(ack, { status: 'authenticated', userId: who.id, expiresAt: expiryTime(who.exp) });
  });

  it('nbf has five seconds of leeway', async (w) => {
    const client = await w.stranger();
    const token = sign({ sub: randomUUID(), exp: seconds(60), nbf: seconds(3) });
    await client.ok('authenticate', { token });
  });

  it('a failed authenticate leaves the socket open for another try', async (w) => {
    const client = await w.stranger();
    for (const [what, token, code] of brokenTokens()) {
      await w.t.test(what, () => client.refused('authenticate', [{ token }], code));
    }
    await client.refused('join_room', [{ roomId: w.room }], 'not_authenticated');
    const who = w.person();
    await client.ok('authenticate', { token: who.token });
    await client.join(w.room);
  });

  it('a userId beside the token must be its subject', async (w) => {
    const who = w.person();
    const client = await w.stranger();
    await client.refused('authenticate', [{ token: who.token, userId: randomUUID() }], 'invalid_token');
    await client.refused('join_room', [{ roomId: w.room }], 'not_authenticated');
    await client.ok('authenticate', { token: who.token, userId: who.id });
  });

  it('authenticate wants a token that is a string', async (w) => {
    const client = await w.stranger();
    await client.refused('authenticate', [{}], 'invalid_input', 'token');
    await client.refused('authenticate', [{ token: 5 }], 'invalid_input', 'token');
    await client.refused('authenticate', [{ token: w.person().token, userId: 5 }], 'invalid_input', 'userId');
    await client.refused('authenticate', ['token'], 'invalid_input', 'data');
  });

  it('authenticate again refreshes the same user', async (w) => {
    const who = w.person({ exp: seconds(600) });
    const client = await w.connect(who);
    const longer = w.person({ id: who.id, exp: seconds(7200) });
    const ack = await client.call('authenticate', { token: longer.token });
    assert.deepEqual(ack, { status: 'authenticated', userId: who.id, expiresAt: expiryTime(longer.exp) });
    await client.join(w.room);
  });

  it('authenticate as another user is forbidden and changes nothing', async (w) => {
    const client = await w.member();
    await client.refused('authenticate', [{ token: w.person().token }], 'forbidden');
    const { intent } = await client.post(w.room);
    assert.equal(intent.userId, client.id);
  });

  it('everything else waits for authentication', async (w) => {
    const member = await w.member();
    const { intent } = await member.post(w.room);
    const client = await w.stranger();
    const roomId = w.room;
    const intentId = intent.id;
    for (const [name, data] of [
      ['join_room', { roomId }],
      ['leave_room', { roomId }],
      ['new_gossip', { roomId, content: 'psst' }],
      ['update_gossip', { intentId, status: 'verified' }],
      ['vote_gossip', { intentId, action: 'upvote' }],
      ['comment_gossip', { intentId, content: 'psst' }],
      ['list_gossip', { roomId }],
      ['get_gossip', { intentId }],
      ['list_updates', { intentId }],
    ]) {
      await client.refused(name, [data], 'not_authenticated');
    }
    assert.deepEqual((await member.get(intentId)).intent, intent);
  });

  it('a token that runs out says so and ends the connection; a refreshed one does not', async (w) => {
    const exp = seconds(3);
    const leaving = await w.connect(w.person({ exp }));
    const staying = w.person({ exp });
    const stays = await w.connect(staying);
    const byEvent = await w.stranger();
    await byEvent.ok('authenticate', { token: w.person({ exp }).token });
    await stays.ok('authenticate', { token: w.person({ id: staying.id }).token });
    for (const client of [leaving, byEvent]) {
      shapes.exception(await client.nextException(), 'token_expired');
      assert.equal(await client.disconnected(), 'io server disconnect');
      const late = Date.now() - exp * 1000;
      assert.ok(late > -50 && late < 2000, `ended ${late} ms after the expiry`);
    }
    await stays.join(w.room);
  });
});

everyMode('an impatient server', (it) => {
  it('closes a socket that does not authenticate in time', async (w) => {
    const authenticated = await w.member();
    const silent = await w.stranger();
    const failing = await w.stranger();
    await failing.refused('authenticate', [{ token: 'not-a-token' }], 'invalid_token');
    for (const client of [silent, failing]) await client.disconnected(5000);
    await authenticated.post(w.room);
  });

  it('lets in a socket that does', async (w) => {
    const silent = await w.stranger();
    const client = await w.stranger();
    await client.ok('authenticate', { token: person({ rooms: [w.room] }).token });
    await silent.disconnected(5000);
    await client.join(w.room);
  });
}, { env: { AUTH_TIMEOUT: '1s' } });
