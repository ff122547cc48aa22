// Many at once see one and the same history: contract §4, "Order" and "Votes".
import assert from 'node:assert/strict';
import { everyMode } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';

const CROWD = 30;

const lastSeq = (acks) => Math.max(...acks.map((ack) => ack.seq));

everyMode('a crowd', (it) => {
  it('posting and voting sees the same gapless sequence', async (w) => {
    const crowd = await w.members(CROWD);
    const { intent: hot } = await crowd[0].post(w.room, 'the talk of the town');
    const acks = await Promise.all(crowd.flatMap((client, index) => [
      client.post(w.room, `${index} says`),
      client.vote(hot.id, index % 3 ? 'upvote' : 'downvote'),
      client.comment(hot.id, `${index} thinks`),
      client.post(w.room, `${index} adds`),
    ]));
    const last = lastSeq(acks);
    const reference = await crowd[0].updatesUpTo(last, w.room);
    shapes.gapless(reference);
    for (const client of crowd) assert.deepEqual(await client.updatesUpTo(last, w.room), reference);

    const kinds = (type) => reference.filter((each) => each.type === type);
    assert.equal(kinds('new_intent').length, 1 + 2 * CROWD);
    assert.equal(kinds('comment').length, CROWD);
    const { upvotes, downvotes } = kinds('vote').at(-1).intent;
    assert.deepEqual([upvotes, downvotes], [CROWD - CROWD / 3, CROWD / 3]);
    shapes.includes((await crowd[0].get(hot.id)).intent, { upvotes, downvotes });
  });

  it('each ack names the event it caused', async (w) => {
    const crowd = await w.members(10);
    const { intent: hot } = await crowd[0].post(w.room);
    const acks = await Promise.all(crowd.map((client) => client.vote(hot.id, 'upvote')));
    const seen = await crowd[0].updatesUpTo(lastSeq(acks), w.room);
    for (const ack of acks) assert.deepEqual(seen[ack.seq - 1].intent, ack.intent);
  });

  it('changing its mind ends with the votes that stand', async (w) => {
    const crowd = await w.members(CROWD);
    const { intent: hot } = await crowd[0].post(w.room);
    const plans = crowd.map((_, index) => [
      ['upvote', 'remove'], ['upvote', 'downvote'], ['downvote', 'upvote', 'upvote'], ['remove', 'downvote', 'remove', 'upvote'],
    ][index % 4]);
    const acks = await Promise.all(crowd.flatMap((client, index) => plans[index].map((action) => client.vote(hot.id, action))));
    const standing = (action) => plans.filter((plan) => plan.at(-1) === action).length;
    const expected = { upvotes: standing('upvote'), downvotes: standing('downvote') };

    const seen = await crowd[0].updatesUpTo(lastSeq(acks), w.room);
    shapes.gapless(seen);
    shapes.includes(seen.at(-1).intent, expected);
    for (const [index, client] of crowd.entries()) {
      const { intent, myVote } = await client.get(hot.id);
      shapes.includes(intent, expected);
      const last = plans[index].at(-1);
      assert.equal(myVote, last === 'remove' ? null : last);
    }
  });
});
