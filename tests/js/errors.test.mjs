// Whatever a client sends gets the contract's answer, and its connection lives on: contract §2.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { everyMode } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';

const NOT_OBJECTS = [null, 'text', 42, true, []];
const NOT_UUIDS = [undefined, null, '', 'room-123', 7, {}, [], `${randomUUID()}0`];
const NOT_LIMITS = [0, -1, 101, 1.5, '10', 1e308, Number.MAX_SAFE_INTEGER, {}];

/** Shows that this connection still does what it is for. */
async function stillWorks(w, client) {
  const { intent, seq } = await client.post(w.room, 'still here');
  await client.updatesUpTo(seq, w.room);
  assert.deepEqual((await client.get(intent.id)).intent, intent);
}

everyMode('errors', (it) => {
  it('unknown events', async (w) => {
    const client = await w.member();
    for (const name of [
      'shout', 'JOIN_ROOM', 'join_room ', 'gossip_update', 'exception', '', '__proto__', 'constructor', 'toString',
      'hasOwnProperty', 'x'.repeat(1000), '🦀',
    ]) {
      await client.refused(name, [{ roomId: w.room }], 'unknown_event');
    }
    await client.refused('shout', [], 'unknown_event');
    await stillWorks(w, client);
  });

  it('data that is missing, or no object', async (w) => {
    const client = await w.member();
    for (const name of [
      'authenticate', 'join_room', 'leave_room', 'new_gossip', 'vote_gossip', 'comment_gossip', 'list_gossip',
      'get_gossip', 'list_updates',
    ]) {
      await client.refused(name, [], 'invalid_input', 'data');
      for (const data of NOT_OBJECTS) await client.refused(name, [data], 'invalid_input', 'data');
    }
    await stillWorks(w, client);
  });

  it('a room or an intent that is no UUID', async (w) => {
    const client = await w.member();
    const admin = await w.admin();
    for (const roomId of NOT_UUIDS) {
      await client.refused('join_room', [{ roomId }], 'invalid_input', 'roomId');
      await client.refused('leave_room', [{ roomId }], 'invalid_input', 'roomId');
      await client.refused('new_gossip', [{ roomId, content: 'psst' }], 'invalid_input', 'roomId');
      await client.refused('list_gossip', [{ roomId }], 'invalid_input', 'roomId');
    }
    for (const intentId of NOT_UUIDS) {
      await client.refused('vote_gossip', [{ intentId, action: 'upvote' }], 'invalid_input', 'intentId');
      await client.refused('comment_gossip', [{ intentId, content: 'psst' }], 'invalid_input', 'intentId');
      await client.refused('get_gossip', [{ intentId }], 'invalid_input', 'intentId');
      await client.refused('list_updates', [{ intentId }], 'invalid_input', 'intentId');
      await admin.refused('update_gossip', [{ intentId, status: 'verified' }], 'invalid_input', 'intentId');
    }
    await stillWorks(w, client);
  });

  it('words that are none of the choices', async (w) => {
    const client = await w.member();
    const admin = await w.admin();
    const { intent } = await client.post(w.room);
    for (const action of [undefined, null, '', 'up', 'UPVOTE', 1, ['upvote'], '__proto__', 'constructor']) {
      await client.refused('vote_gossip', [{ intentId: intent.id, action }], 'invalid_input', 'action');
    }
    for (const status of [undefined, null, '', 'true', 'Verified', 1, {}, '__proto__', 'constructor']) {
      await admin.refused('update_gossip', [{ intentId: intent.id, status }], 'invalid_input', 'status');
    }
    for (const status of ['open', 5, '']) {
      await client.refused('list_gossip', [{ roomId: w.room, status }], 'invalid_input', 'status');
    }
    await stillWorks(w, client);
  });

  it('numbers that are none of the limits, and pages nobody gave out', async (w) => {
    const client = await w.member();
    const { intent } = await client.post(w.room);
    for (const limit of NOT_LIMITS) {
      await client.refused('list_gossip', [{ roomId: w.room, limit }], 'invalid_input', 'limit');
      await client.refused('list_updates', [{ intentId: intent.id, limit }], 'invalid_input', 'limit');
    }
    for (const before of ['nonsense', '🦀', 5, {}, 'x'.repeat(5000)]) {
      await client.refused('list_gossip', [{ roomId: w.room, before }], 'invalid_input', 'before');
      await client.refused('list_updates', [{ intentId: intent.id, before }], 'invalid_input', 'before');
    }
    for (const history of [-1, 101, 1.5, '10', 1e308]) {
      await client.refused('join_room', [{ roomId: w.room, history }], 'invalid_input', 'history');
    }
    for (const since of [-1, 1.5, '1', {}]) {
      await client.refused('join_room', [{ roomId: w.room, since }], 'invalid_input', 'since');
    }
    const { intents } = await client.ok('list_gossip', { roomId: w.room, limit: 100 });
    assert.equal(intents.length, 1);
    await stillWorks(w, client);
  });

  it('a huge `since` is beyond the end or not a number, never a crash', async (w) => {
    const client = await w.member();
    for (const since of [Number.MAX_SAFE_INTEGER, 2 ** 63, 2 ** 64, 1e308]) {
      const ack = await client.call('join_room', { roomId: w.room, since });
      if (ack.status === 'error') shapes.refusal(ack, 'invalid_input', 'since');
      else assert.deepEqual(ack, { status: 'joined', roomId: w.room, seq: 0, recovered: false });
    }
    await stillWorks(w, client);
  });

  it('binary attachments where text is expected', async (w) => {
    const client = await w.member();
    const { intent } = await client.post(w.room);
    const bytes = Buffer.from('bytes');
    await client.refused('new_gossip', [{ roomId: w.room, content: bytes }], 'invalid_input', 'content');
    await client.refused('new_gossip', [{ roomId: bytes, content: 'psst' }], 'invalid_input', 'roomId');
    await client.refused('new_gossip', [{ roomId: w.room, content: 'psst', metadata: bytes }], 'invalid_input', 'metadata');
    await client.refused('new_gossip', [{ roomId: w.room, content: 'psst', metadata: { bytes } }], 'invalid_input', 'metadata');
    await client.refused('comment_gossip', [{ intentId: intent.id, content: bytes }], 'invalid_input', 'content');
    await client.refused('join_room', [bytes], 'invalid_input', 'data');
    await client.refused('shout', [bytes, bytes], 'unknown_event');
    await stillWorks(w, client);
  });

  it('a text cannot pretend to be an attachment', async (w) => {
    const client = await w.member();
    const metadata = { _placeholder: true, num: 0 };
    const { intent } = await client.post(w.room, 'no attachment here', { metadata });
    assert.deepEqual(intent.metadata, metadata);
    await stillWorks(w, client);
  });

  it('members named like parts of an object', async (w) => {
    const client = await w.member();
    const metadata = '{"__proto__":{"admin":true},"constructor":{"prototype":{}},"toString":1}';
    const { intent } = await client.post(w.room, 'psst', { metadata: JSON.parse(metadata) });
    assert.deepEqual(JSON.parse(JSON.stringify(intent.metadata)), JSON.parse(metadata));
    await client.refused('join_room', [JSON.parse('{"__proto__":{"roomId":"x"}}')], 'invalid_input', 'roomId');
    const claimed = JSON.parse(`{"intentId":"${intent.id}","status":"verified","__proto__":{"role":"admin"},"role":"admin"}`);
    await client.refused('update_gossip', [claimed], 'forbidden');
    await stillWorks(w, client);
  });

  it('JSON five hundred deep', async (w) => {
    const client = await w.member();
    const deep = JSON.parse('{"a":'.repeat(500) + '1' + '}'.repeat(500));
    const deepList = JSON.parse('['.repeat(500) + ']'.repeat(500));
    const field = ['metadata', 'data'];
    await client.refused('new_gossip', [{ roomId: w.room, content: 'psst', metadata: deep }], 'invalid_input', field);
    await client.refused('new_gossip', [{ roomId: w.room, content: 'psst', metadata: { deepList } }], 'invalid_input', field);
    await client.refused('join_room', [deepList], 'invalid_input', 'data');
    await stillWorks(w, client);
  });

  it('half a surrogate pair is answered', async (w) => {
    const client = await w.member();
    for (const content of ['\ud800', 'a\udfffb']) {
      const ack = await client.call('new_gossip', { roomId: w.room, content });
      if (ack.status === 'error') shapes.refusal(ack, 'invalid_input', ['content', 'data']);
      else shapes.intent(ack.intent);
    }
    await stillWorks(w, client);
  });

  it('a frame over the limit is refused, not the connection', async (w) => {
    const client = await w.member();
    const { intent } = await client.post(w.room);
    client.emit('new_gossip', { roomId: w.room, content: 'x'.repeat(70_000) });
    const body = await client.nextException();
    shapes.exception(body, 'too_large', undefined, body.event);
    assert.ok([undefined, 'new_gossip'].includes(body.event), body.event);
    assert.deepEqual((await client.get(intent.id)).intent, intent);
    await stillWorks(w, client);
  });

  it('all of it on one connection, all at once', async (w) => {
    const client = await w.member();
    const { intent } = await client.post(w.room);
    const rows = [
      ['shout', [{}], 'unknown_event'],
      ['join_room', [], 'invalid_input'],
      ['join_room', [{ roomId: randomUUID() }], 'forbidden'],
      ['new_gossip', [{ roomId: w.room, content: Buffer.alloc(3) }], 'invalid_input'],
      ['vote_gossip', [{ intentId: randomUUID(), action: 'upvote' }], 'not_found'],
      ['update_gossip', [{ intentId: intent.id, status: 'verified' }], 'forbidden'],
      ['get_gossip', [{ intentId: 'x' }], 'invalid_input'],
    ];
    for (const [name, args] of rows) client.emit(name, ...args);
    const acks = await Promise.all(rows.map(([name, args]) => client.call(name, ...args)));
    rows.forEach(([, , code], index) => shapes.refusal(acks[index], code));
    // What is refused at once may overtake what the store refuses: an exception says which event it is of.
    const exceptions = [];
    for (const _ of rows) exceptions.push(await client.nextException());
    for (const [name, , code] of rows) {
      shapes.exception(exceptions.find((each) => each.event === name && each.code === code), code, undefined, name);
    }
    await stillWorks(w, client);
  });
});
