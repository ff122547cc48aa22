// A repeated command is answered, not done again: contract §4, "Retries".
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { everyMode } from './support/scenario.mjs';

everyMode('requestId', (it) => {
  it('the same command again: the same ack, no second event', async (w) => {
    const client = await w.member();
    const admin = await w.admin();
    const once = async (who, name, data) => {
      const command = { ...data, requestId: randomUUID() };
      const first = await who.ok(name, command);
      assert.deepEqual(await who.ok(name, command), first, name);
      return first;
    };
    const { intent } = await once(client, 'new_gossip', { roomId: w.room, content: 'once', metadata: { a: 1, b: [2] } });
    await once(client, 'comment_gossip', { intentId: intent.id, content: 'once' });
    await once(admin, 'update_gossip', { intentId: intent.id, status: 'verified', reason: 'once' });
    const seen = await client.updatesUpTo(4, w.room);
    assert.deepEqual(seen.map((each) => each.type), ['new_intent', 'comment', 'status_change', 'verification']);
    client.inbox('gossip_update').read = 4;
    await w.nothingBefore(client, [client], 5);
  });

  it('answers with the first result, though the intent has changed since', async (w) => {
    const client = await w.member();
    const command = { roomId: w.room, content: 'once', requestId: 'r1' };
    const first = await client.ok('new_gossip', command);
    await client.vote(first.intent.id, 'upvote');
    assert.deepEqual(await client.ok('new_gossip', command), first);
  });

  it('holds over the sockets of a user, and when sent at once', async (w) => {
    const who = w.person();
    const sockets = await Promise.all([w.connect(who), w.connect(who), w.connect(who)]);
    const command = { roomId: w.room, content: 'once', requestId: 'at once' };
    const [first, ...others] = await Promise.all([...sockets, ...sockets].map((each) => each.ok('new_gossip', command)));
    for (const other of others) assert.deepEqual(other, first);
    const { intents } = await sockets[0].ok('list_gossip', { roomId: w.room });
    assert.deepEqual(intents, [first.intent]);
  });

  it('another command under the same id is a conflict', async (w) => {
    const client = await w.member();
    const requestId = 'r'.repeat(64);
    const { intent } = await client.post(w.room, 'once', { requestId });
    await client.refused('new_gossip', [{ roomId: w.room, content: 'other', requestId }], 'conflict');
    await client.refused('new_gossip', [{ roomId: w.room, content: 'once', expiresInMinutes: 5, requestId }], 'conflict');
    await client.refused('comment_gossip', [{ intentId: intent.id, content: 'once', requestId }], 'conflict');
    await client.nextUpdate();
    await w.nothingBefore(client, [client], 2);
  });

  it('each user has ids of their own', async (w) => {
    const [ann, bob] = await w.members(2);
    const requestId = 'mine';
    const one = await ann.post(w.room, 'hers', { requestId });
    const two = await bob.post(w.room, 'his', { requestId });
    assert.notEqual(one.intent.id, two.intent.id);
  });

  it('a refused command does not use its id up', async (w) => {
    const client = await w.member();
    const requestId = 'again';
    await client.refused('new_gossip', [{ roomId: w.room, content: ' ', requestId }], 'invalid_input', 'content');
    await client.post(w.room, 'now right', { requestId });
  });

  it('has 1 to 64 characters', async (w) => {
    const client = await w.member();
    const { intent } = await client.post(w.room, 'psst', { requestId: '🦀'.repeat(64) });
    for (const requestId of ['', 'r'.repeat(65), 5, {}]) {
      await client.refused('new_gossip', [{ roomId: w.room, content: 'psst', requestId }], 'invalid_input', 'requestId');
      await client.refused('comment_gossip', [{ intentId: intent.id, content: 'psst', requestId }], 'invalid_input', 'requestId');
    }
  });
});
