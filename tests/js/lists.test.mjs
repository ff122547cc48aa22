// Pages of gossip and of updates: contract §2.
import { randomUUID } from 'node:crypto';
import assert from 'node:assert/strict';
import { everyMode } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';

/** Follows `nextBefore` to the end; `each` is called between pages. */
async function pages(client, name, member, query, each = () => {}) {
  const result = [];
  let before;
  do {
    const ack = await client.ok(name, { ...query, before });
    shapes.keys(ack, ['status', member, 'nextBefore']);
    assert.ok(ack.nextBefore === null || typeof ack.nextBefore === 'string');
    if (ack.nextBefore !== null) assert.equal(ack[member].length, query.limit, 'a page before the last is full');
    result.push(...ack[member]);
    before = ack.nextBefore;
    await each();
  } while (before !== null);
  return result;
}

async function posts(w, client, count) {
  const acks = await Promise.all(Array.from({ length: count }, (_, index) => client.post(w.room, `number ${index}`)));
  return acks.sort((a, b) => b.seq - a.seq).map((ack) => ack.intent);
}

everyMode('list_gossip', (it) => {
  for (const limit of [1, 3, 4, 100]) {
    it(`comes to the end ${limit} at a time`, async (w) => {
      const client = await w.connect();
      const posted = await posts(w, client, 8);
      assert.deepEqual(await pages(client, 'list_gossip', 'intents', { roomId: w.room, limit }), posted);
    });
  }

  it('new gossip does not shift the pages', async (w) => {
    const client = await w.connect();
    const posted = await posts(w, client, 7);
    const query = { roomId: w.room, limit: 2 };
    const listed = await pages(client, 'list_gossip', 'intents', query, () => client.post(w.room, 'meanwhile'));
    assert.deepEqual(listed, posted);
  });

  it('filters by status', async (w) => {
    const client = await w.connect();
    const admin = await w.admin();
    const posted = await posts(w, client, 8);
    const statuses = ['pending', 'verified', 'debunked', 'expired'];
    const expected = { pending: [], verified: [], debunked: [], expired: [] };
    for (const [index, { id }] of posted.entries()) {
      const status = statuses[index % 4];
      expected[status].push((await admin.setStatus(id, status)).intent);
    }
    for (const status of statuses) {
      const query = { roomId: w.room, limit: 1, status };
      assert.deepEqual(await pages(client, 'list_gossip', 'intents', query), expected[status], status);
    }
  });

  it('keeps to its room', async (w) => {
    const client = await w.connect(w.person({ rooms: '*' }));
    await posts(w, client, 2);
    const elsewhere = randomUUID();
    const { intent } = await client.post(elsewhere);
    assert.deepEqual((await client.ok('list_gossip', { roomId: elsewhere })).intents, [intent]);
  });
});

everyMode('list_updates', (it) => {
  it('comes to the end, and new comments do not shift the pages', async (w) => {
    const client = await w.connect();
    const intentId = (await client.post(w.room)).intent.id;
    const acks = await Promise.all(Array.from({ length: 7 }, (_, index) => client.comment(intentId, `number ${index}`)));
    const comments = acks.sort((a, b) => b.seq - a.seq).map((ack) => ack.update);
    for (const limit of [1, 3, 7, 100]) {
      assert.deepEqual(await pages(client, 'list_updates', 'updates', { intentId, limit }), comments);
    }
    const meanwhile = () => client.comment(intentId, 'meanwhile');
    assert.deepEqual(await pages(client, 'list_updates', 'updates', { intentId, limit: 2 }, meanwhile), comments);
  });

  it('shows who voted to admins and services only', async (w) => {
    const voter = await w.connect();
    const intentId = (await voter.post(w.room)).intent.id;
    const comment = (await voter.comment(intentId)).update;
    await voter.vote(intentId, 'upvote');
    assert.deepEqual((await voter.ok('list_updates', { intentId })).updates, [comment]);
    assert.deepEqual(await pages(voter, 'list_updates', 'updates', { intentId, limit: 1 }), [comment]);
    for (const client of [await w.admin(), await w.connect(w.person({ role: 'service' }))]) {
      const { updates } = await client.ok('list_updates', { intentId });
      assert.deepEqual(updates.map((each) => each.type), ['vote', 'comment']);
      shapes.update(updates[0], { intentId, userId: voter.id, type: 'vote', content: 'upvote' });
      assert.deepEqual(await pages(client, 'list_updates', 'updates', { intentId, limit: 1 }), updates);
    }
  });
});
