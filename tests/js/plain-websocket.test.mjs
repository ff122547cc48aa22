// The plain WebSocket at /gossip/ws: contract §1.
import assert from 'node:assert/strict';
import { PlainClient } from './support/plain.mjs';
import { withServer } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';
import { brokenTokens, expiryTime, seconds } from './support/tokens.mjs';

async function memberOf(w) {
  const client = await PlainClient.open(w, { token: w.person().token });
  assert.equal((await client.call('join_room', { roomId: w.room })).status, 'joined');
  return client;
}

async function stillWorks(w, client) {
  const { status, intent } = await client.call('new_gossip', { roomId: w.room, content: 'still here' });
  assert.equal(status, 'success');
  assert.deepEqual(await client.call('get_gossip', { intentId: intent.id }), { status: 'success', intent, myVote: null });
}

withServer('plain WebSocket', (it) => {
  it('authenticates by the header', async (w) => {
    await stillWorks(w, await memberOf(w));
  });

  it('authenticates by the event', async (w) => {
    const who = w.person();
    const client = await PlainClient.open(w);
    shapes.refusal(await client.call('join_room', { roomId: w.room }), 'not_authenticated');
    shapes.refusal(await client.call('authenticate', { token: 'not-a-token' }), 'invalid_token');
    assert.deepEqual(await client.call('authenticate', { token: who.token }), {
      status: 'authenticated', userId: who.id, expiresAt: expiryTime(who.exp),
    });
    await stillWorks(w, client);
  });

  it('does not open with a bad token in the header', async (w) => {
    for (const [what, token] of brokenTokens()) {
      await assert.rejects(PlainClient.open(w, { token }), { status: 401 }, what);
    }
  });

  it('gives the same acks and the same events as Socket.IO', async (w) => {
    const plain = await memberOf(w);
    const stock = await w.member();
    const admin = await w.admin();
    const posted = await plain.call('new_gossip', { roomId: w.room, content: 'Gossip content', metadata: { a: 1 } });
    shapes.keys(posted, ['status', 'intent', 'seq']);
    const intentId = posted.intent.id;
    await stock.vote(intentId, 'upvote');
    const voted = await plain.call('vote_gossip', { intentId, action: 'downvote' });
    shapes.includes(voted.intent, { upvotes: 1, downvotes: 1 });
    shapes.keys(await plain.call('comment_gossip', { intentId, content: 'hm' }), ['status', 'update', 'seq']);
    await admin.setStatus(intentId, 'verified', 'Yes');
    const seen = await stock.updatesUpTo(6, w.room);
    shapes.gapless(seen);
    assert.deepEqual(await plain.events('gossip_update', 6), seen);
    assert.deepEqual(await plain.call('leave_room', { roomId: w.room }), { status: 'left', roomId: w.room });
  });

  it('replays since', async (w) => {
    const first = await memberOf(w);
    for (const content of ['one', 'two', 'three']) await first.call('new_gossip', { roomId: w.room, content });
    const second = await PlainClient.open(w, { token: w.person().token });
    const ack = await second.call('join_room', { roomId: w.room, since: 1 });
    assert.deepEqual(ack, { status: 'joined', roomId: w.room, seq: 3, recovered: true });
    assert.deepEqual(await second.events('gossip_update', 2), (await first.events('gossip_update', 3)).slice(1));
  });

  it('answers a failure by its id, and without one as an exception', async (w) => {
    const client = await memberOf(w);
    const rows = [
      ['shout', {}, 'unknown_event'],
      ['__proto__', {}, 'unknown_event'],
      ['join_room', {}, 'invalid_input', 'roomId'],
      ['join_room', undefined, 'invalid_input', 'data'],
      ['join_room', [], 'invalid_input', 'data'],
      ['new_gossip', { roomId: w.room, content: ' ' }, 'invalid_input', 'content'],
      ['vote_gossip', { intentId: w.room, action: 'upvote' }, 'not_found'],
    ];
    for (const [event, data, code, field] of rows) {
      shapes.refusal(await client.call(event, data), code, field);
      client.send(JSON.stringify({ event, data }));
    }
    const bodies = await client.events('exception', rows.length);
    rows.forEach(([event, , code, field], index) => shapes.exception(bodies[index], code, field, event));
    await stillWorks(w, client);
  });

  it('a success without an id is silent', async (w) => {
    const client = await memberOf(w);
    client.send(JSON.stringify({ event: 'new_gossip', data: { roomId: w.room, content: 'quietly' } }));
    assert.equal((await client.events('gossip_update', 1))[0].seq, 1);
    client.send(JSON.stringify({ event: 'list_gossip', data: { roomId: w.room } }));
    await stillWorks(w, client);
    assert.deepEqual(await client.events('exception', 0), []);
  });

  it('frames that are no frames', async (w) => {
    const client = await memberOf(w);
    const frames = [
      ['not JSON', 'data'], ['', 'data'], ['{', 'data'], ['"event"', 'data'], ['[]', 'data'], ['null', 'data'],
      ['{"data":{}}', 'event'], ['{"event":5,"data":{}}', 'event'], ['{"event":null}', 'event'],
      ['{"event":"join_room","data":{},"id":"one"}', 'id'],
    ];
    for (const [text] of frames) client.send(text);
    const bodies = await client.events('exception', frames.length);
    frames.forEach(([text, field], index) => {
      const body = bodies[index];
      shapes.exception(body, 'invalid_input', field, body.event);
      assert.ok(body.event === undefined || text.includes(body.event), text);
    });
    await stillWorks(w, client);
  });

  it('a frame with an id but no event is answered by its id', async (w) => {
    const client = await memberOf(w);
    client.send('{"id":4711,"data":{}}');
    let frame = await client.next();
    while (frame.id !== 4711) frame = await client.next();
    shapes.keys(frame, ['id', 'data']);
    shapes.refusal(frame.data, 'invalid_input', 'event');
    await stillWorks(w, client);
  });

  it('numbers no number can hold, JSON five hundred deep, half a surrogate', async (w) => {
    const client = await memberOf(w);
    const frames = [
      `{"event":"list_gossip","data":{"roomId":"${w.room}","limit":1e999}}`,
      `{"event":"list_gossip","data":{"roomId":"${w.room}","limit":${'9'.repeat(400)}}}`,
      `{"event":"new_gossip","data":{"roomId":"${w.room}","content":"psst","metadata":${'{"a":'.repeat(500)}1${'}'.repeat(500)}}}`,
      `{"event":"list_gossip","data":{"roomId":"\\ud800"}}`,
    ];
    for (const frame of frames) client.send(frame);
    for (const body of await client.events('exception', frames.length)) shapes.refusal(body, 'invalid_input', undefined, body.event ? ['event'] : []);
    await stillWorks(w, client);
  });

  it('a frame over the limit is refused, not the connection', async (w) => {
    const client = await memberOf(w);
    client.send(JSON.stringify({ event: 'new_gossip', data: { roomId: w.room, content: 'x'.repeat(70_000) } }));
    const [body] = await client.events('exception', 1);
    assert.equal(body.code, 'too_large');
    await stillWorks(w, client);
  });

  it('a token that runs out ends the connection', async (w) => {
    const client = await PlainClient.open(w, { token: w.person({ exp: seconds(2) }).token });
    const [body] = await client.events('exception', 1);
    shapes.exception(body, 'token_expired');
    await client.closed;
  });
});
