// Every event's ack and every gossip_update, to the letter: contract §2 and §3.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { everyMode } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';

const MINUTE = 60_000;

const lifetime = (intent) => Date.parse(intent.expiresAt) - Date.parse(intent.createdAt);

everyMode('events', (it) => {
  it('join_room and leave_room', async (w) => {
    const client = await w.connect();
    assert.deepEqual(await client.call('join_room', { roomId: w.room }), { status: 'joined', roomId: w.room, seq: 0 });
    assert.deepEqual(await client.call('leave_room', { roomId: w.room }), { status: 'left', roomId: w.room });
  });

  it('new_gossip: the ack, and the event to everyone, the author included', async (w) => {
    const [author, other] = await w.members(2);
    const metadata = { source: 'anonymous', nested: { list: [1, 2.5, null, true, 'x'] } };
    const ack = await author.post(w.room, 'Gossip content', { metadata, expiresInMinutes: 60 });
    shapes.keys(ack, ['status', 'intent', 'seq']);
    assert.equal(ack.status, 'success');
    assert.equal(ack.seq, 1);
    shapes.intent(ack.intent, {
      roomId: w.room, userId: author.id, content: 'Gossip content', status: 'pending', metadata, upvotes: 0, downvotes: 0,
    });
    assert.equal(lifetime(ack.intent), 60 * MINUTE);
    assert.equal(ack.intent.updatedAt, ack.intent.createdAt);

    for (const client of [author, other]) {
      const update = await client.nextUpdate();
      shapes.event(update, { type: 'new_intent', roomId: w.room, seq: 1 });
      assert.deepEqual(update.intent, ack.intent);
    }
  });

  it('new_gossip without options: no metadata, a day to live', async (w) => {
    const client = await w.member();
    const { intent } = await client.post(w.room);
    assert.equal(intent.metadata, null);
    assert.equal(lifetime(intent), 1440 * MINUTE);
  });

  it('vote_gossip: absolute counts, and nobody named', async (w) => {
    const [author, voter] = await w.members(2);
    const { intent } = await author.post(w.room);
    const ack = await voter.vote(intent.id, 'upvote');
    shapes.keys(ack, ['status', 'intent', 'seq']);
    assert.equal(ack.status, 'success');
    assert.equal(ack.seq, 2);
    shapes.intent(ack.intent, { id: intent.id, userId: author.id, upvotes: 1, downvotes: 0, status: 'pending' });

    for (const client of [author, voter]) {
      await client.nextUpdate();
      const update = await client.nextUpdate();
      shapes.event(update, { type: 'vote', roomId: w.room, seq: 2 });
      assert.deepEqual(update.intent, ack.intent);
      assert.ok(!JSON.stringify(update).includes(voter.id));
    }
  });

  it('comment_gossip: the comment, and the intent it belongs to', async (w) => {
    const [author, reader] = await w.members(2);
    const { intent } = await author.post(w.room);
    const ack = await reader.comment(intent.id, 'Comment content');
    shapes.keys(ack, ['status', 'update', 'seq']);
    assert.equal(ack.status, 'success');
    assert.equal(ack.seq, 2);
    shapes.update(ack.update, {
      intentId: intent.id, userId: reader.id, type: 'comment', content: 'Comment content', metadata: null,
    });

    for (const client of [author, reader]) {
      await client.nextUpdate();
      const update = await client.nextUpdate();
      shapes.event(update, { type: 'comment', roomId: w.room, seq: 2, intent: { id: intent.id }, update: {} });
      assert.deepEqual(update.update, ack.update);
    }
  });

  for (const status of ['verified', 'debunked']) {
    it(`update_gossip to ${status}: status_change, then right after it verification`, async (w) => {
      const [author, reader] = await w.members(2);
      const admin = await w.admin();
      const { intent } = await author.post(w.room);
      const ack = await admin.setStatus(intent.id, status, 'Checked by an admin');
      shapes.keys(ack, ['status', 'intent', 'seq']);
      assert.equal(ack.status, 'success');
      assert.equal(ack.seq, 3);
      shapes.intent(ack.intent, { id: intent.id, userId: author.id, status });

      for (const client of [author, reader]) {
        await client.nextUpdate();
        shapes.event(await client.nextUpdate(), {
          type: 'status_change', roomId: w.room, seq: 2, intent: { id: intent.id, status },
          update: { userId: admin.id, content: 'Checked by an admin', metadata: { oldStatus: 'pending', newStatus: status } },
        });
        const verification = await client.nextUpdate();
        shapes.event(verification, {
          type: 'verification', roomId: w.room, seq: 3,
          update: { userId: admin.id, content: 'Checked by an admin', metadata: { verdict: status } },
        });
        assert.deepEqual(verification.intent, ack.intent);
      }
    });
  }

  it('update_gossip to expired: one event, and no reason is null', async (w) => {
    const author = await w.member();
    const admin = await w.admin();
    const { intent } = await author.post(w.room);
    const ack = await admin.setStatus(intent.id, 'expired');
    assert.equal(ack.seq, 2);
    await author.nextUpdate();
    shapes.event(await author.nextUpdate(), {
      type: 'status_change', roomId: w.room, seq: 2, intent: { status: 'expired' },
      update: { userId: admin.id, content: null, metadata: { oldStatus: 'pending', newStatus: 'expired' } },
    });
    await w.nothingBefore(author, [author], 3);
  });

  it('get_gossip: the intent and my own vote', async (w) => {
    const [author, voter] = await w.members(2);
    const { intent } = await author.post(w.room);
    assert.deepEqual(await author.get(intent.id), { status: 'success', intent, myVote: null });
    for (const [action, myVote] of [['upvote', 'upvote'], ['downvote', 'downvote'], ['remove', null]]) {
      const voted = await voter.vote(intent.id, action);
      assert.deepEqual(await voter.get(intent.id), { status: 'success', intent: voted.intent, myVote });
      assert.equal((await author.get(intent.id)).myVote, null);
    }
  });

  it('list_gossip: intents, newest first', async (w) => {
    const client = await w.member();
    assert.deepEqual(await client.ok('list_gossip', { roomId: w.room }), { status: 'success', intents: [], nextBefore: null });
    const first = (await client.post(w.room, 'first')).intent;
    const second = (await client.post(w.room, 'second')).intent;
    assert.deepEqual(await client.ok('list_gossip', { roomId: w.room }), {
      status: 'success', intents: [second, first], nextBefore: null,
    });
  });

  it('list_updates: what happened to an intent, newest first', async (w) => {
    const client = await w.member();
    const admin = await w.admin();
    const { intent } = await client.post(w.room);
    assert.deepEqual(await client.ok('list_updates', { intentId: intent.id }), {
      status: 'success', updates: [], nextBefore: null,
    });
    const comment = (await client.comment(intent.id, 'Really?')).update;
    await admin.setStatus(intent.id, 'verified', 'Yes');
    const ack = await client.ok('list_updates', { intentId: intent.id });
    shapes.keys(ack, ['status', 'updates', 'nextBefore']);
    assert.deepEqual(ack.updates.map((each) => each.type), ['verification', 'status_change', 'comment']);
    const seen = await client.updatesUpTo(4, w.room);
    assert.deepEqual(ack.updates, [seen[3].update, seen[2].update, comment]);
    assert.equal(ack.nextBefore, null);
  });

  it('a room counts 1, 2, 3… whatever the kind of event, and other rooms hear nothing', async (w) => {
    const elsewhere = randomUUID();
    const rooms = [w.room, elsewhere];
    const author = await w.member({ rooms });
    const both = await w.member({ rooms });
    const outsider = await w.connect(w.person({ rooms }));
    const admin = await w.admin();
    await both.join(elsewhere);
    await outsider.join(elsewhere);

    const { intent } = await author.post(w.room);
    await author.vote(intent.id, 'downvote');
    await author.comment(intent.id);
    await admin.setStatus(intent.id, 'debunked', 'No');
    await author.post(w.room, 'another');
    const there = await author.post(elsewhere, 'there');
    assert.equal(there.seq, 1, 'each room counts for itself');

    const seen = await author.updatesUpTo(6, w.room);
    shapes.gapless(seen);
    assert.deepEqual(seen.map((each) => each.type), [
      'new_intent', 'vote', 'comment', 'status_change', 'verification', 'new_intent',
    ]);
    assert.deepEqual(await both.updatesUpTo(6, w.room), seen);
    assert.deepEqual((await both.updatesUpTo(1, elsewhere)).map((each) => each.intent.id), [there.intent.id]);
    assert.equal((await outsider.nextUpdate()).intent.id, there.intent.id);
    assert.equal(author.updates.length, 6, 'the author has not joined the other room');
    assert.equal(outsider.updates.length, 1);
  });

  it('works without ack callbacks', async (w) => {
    const client = await w.member();
    client.emit('new_gossip', { roomId: w.room, content: 'quietly' });
    const { intent } = await client.nextUpdate();
    client.emit('vote_gossip', { intentId: intent.id, action: 'upvote' });
    client.emit('comment_gossip', { intentId: intent.id, content: 'quietly too' });
    assert.equal((await client.nextUpdate()).type, 'vote');
    assert.equal((await client.nextUpdate()).type, 'comment');
    client.emit('leave_room', { roomId: w.room });
    await client.get(intent.id);
    assert.deepEqual(client.inbox('exception').all, []);
  });
});
