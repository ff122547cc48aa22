// Votes and statuses: contract §4.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { everyMode } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';

const counts = ({ intent }) => [intent.upvotes, intent.downvotes];

async function intentIn(w, client) {
  const ack = await client.post(w.room);
  await client.nextUpdate();
  return ack.intent.id;
}

everyMode('votes', (it) => {
  it('one live vote a user: again is nothing, the other direction switches', async (w) => {
    const client = await w.member();
    const id = await intentIn(w, client);
    let seq = 1;
    for (const [action, up, down, isEvent] of [
      ['remove', 0, 0, false],
      ['upvote', 1, 0, true],
      ['upvote', 1, 0, false],
      ['downvote', 0, 1, true],
      ['downvote', 0, 1, false],
      ['upvote', 1, 0, true],
      ['remove', 0, 0, true],
      ['remove', 0, 0, false],
      ['downvote', 0, 1, true],
      ['remove', 0, 0, true],
    ]) {
      const ack = await client.vote(id, action);
      seq += isEvent ? 1 : 0;
      assert.deepEqual(counts(ack), [up, down], action);
      assert.equal(ack.seq, seq, `${action}: the room's seq`);
      if (isEvent) {
        const update = await client.nextUpdate();
        shapes.event(update, { type: 'vote', roomId: w.room, seq });
        assert.deepEqual(counts(update), [up, down], action);
      }
    }
    await w.nothingBefore(client, [client], seq + 1);
  });

  it('counts the votes of all, the author included', async (w) => {
    const [author, ...voters] = await w.members(4);
    const id = await intentIn(w, author);
    await author.vote(id, 'upvote');
    await voters[0].vote(id, 'upvote');
    await voters[1].vote(id, 'downvote');
    assert.deepEqual(counts(await voters[2].vote(id, 'upvote')), [3, 1]);
    assert.deepEqual(counts(await voters[0].vote(id, 'remove')), [2, 1]);
    assert.deepEqual(counts(await author.get(id)), [2, 1]);
  });

  it("two sockets of one user share that user's vote", async (w) => {
    const who = w.person();
    const [one, two] = await Promise.all([w.connect(who), w.connect(who)]);
    const { intent } = await one.post(w.room);
    await one.vote(intent.id, 'upvote');
    assert.deepEqual(counts(await two.vote(intent.id, 'upvote')), [1, 0]);
    assert.deepEqual(counts(await two.vote(intent.id, 'downvote')), [0, 1]);
    assert.equal((await one.get(intent.id)).myVote, 'downvote');
  });

  it('an intent that is not there, or not in a room of mine, is not found', async (w) => {
    const member = await w.member();
    const id = await intentIn(w, member);
    const outsider = await w.connect(w.person({ rooms: [randomUUID()] }));
    for (const [client, intentId] of [[member, randomUUID()], [outsider, id]]) {
      await client.refused('vote_gossip', [{ intentId, action: 'upvote' }], 'not_found');
      await client.refused('comment_gossip', [{ intentId, content: 'hm' }], 'not_found');
      await client.refused('get_gossip', [{ intentId }], 'not_found');
      await client.refused('list_updates', [{ intentId }], 'not_found');
    }
    const admin = await w.admin();
    await admin.refused('update_gossip', [{ intentId: randomUUID(), status: 'verified' }], 'not_found');
    await w.nothingBefore(member, [member], 2);
  });

  it('an expired intent takes no vote and no comment', async (w) => {
    const client = await w.member();
    const id = await intentIn(w, client);
    await client.vote(id, 'upvote');
    await (await w.admin()).setStatus(id, 'expired');
    for (const action of ['upvote', 'downvote', 'remove']) {
      await client.refused('vote_gossip', [{ intentId: id, action }], 'closed');
    }
    await client.refused('comment_gossip', [{ intentId: id, content: 'late' }], 'closed');
    shapes.includes((await client.get(id)).intent, { status: 'expired', upvotes: 1, downvotes: 0 });
  });

  it('verified and debunked ones still do', async (w) => {
    const client = await w.member();
    const admin = await w.admin();
    for (const status of ['verified', 'debunked']) {
      const { intent } = await client.post(w.room);
      await admin.setStatus(intent.id, status);
      assert.deepEqual(counts(await client.vote(intent.id, 'upvote')), [1, 0]);
      await client.comment(intent.id, 'so there');
    }
  });
});

everyMode('statuses', (it) => {
  it('only admins set them', async (w) => {
    const member = await w.member();
    const id = await intentIn(w, member);
    const service = await w.connect(w.person({ role: 'service' }));
    for (const client of [member, service]) {
      await client.refused('update_gossip', [{ intentId: id, status: 'verified' }], 'forbidden');
    }
    assert.equal((await member.get(id)).intent.status, 'pending');
    await w.nothingBefore(member, [member], 2);
  });

  it('pending, verified and debunked go over into each other; a verdict is announced', async (w) => {
    const client = await w.member();
    const admin = await w.admin();
    const id = await intentIn(w, client);
    let from = 'pending';
    let seq = 1;
    for (const to of ['verified', 'debunked', 'verified', 'pending', 'debunked', 'pending']) {
      const ack = await admin.setStatus(id, to, `now ${to}`);
      assert.equal(ack.intent.status, to);
      shapes.event(await client.nextUpdate(), {
        type: 'status_change', roomId: w.room, seq: ++seq, intent: { status: to },
        update: { userId: admin.id, content: `now ${to}`, metadata: { oldStatus: from, newStatus: to } },
      });
      if (to !== 'pending') {
        shapes.event(await client.nextUpdate(), {
          type: 'verification', roomId: w.room, seq: ++seq, update: { metadata: { verdict: to } },
        });
      }
      assert.equal(ack.seq, seq, "the last event's seq");
      from = to;
    }
    await w.nothingBefore(client, [client], seq + 1);
  });

  it('the same status again is no event', async (w) => {
    const client = await w.member();
    const admin = await w.admin();
    let seq = 0;
    for (const [status, events] of [['pending', 0], ['verified', 2], ['debunked', 2], ['expired', 1]]) {
      const { intent } = await client.post(w.room);
      seq += 1 + events;
      const once = await admin.setStatus(intent.id, status, 'once');
      const again = await admin.setStatus(intent.id, status, 'twice');
      assert.equal(once.seq, seq);
      assert.deepEqual(again, once);
    }
    await client.updatesUpTo(seq, w.room);
    await client.post(w.room);
    shapes.gapless(await client.updatesUpTo(seq + 1, w.room));
  });

  it('expired is final, from wherever it came', async (w) => {
    const client = await w.member();
    const admin = await w.admin();
    for (const before of ['pending', 'verified', 'debunked']) {
      const { intent } = await client.post(w.room);
      if (before !== 'pending') await admin.setStatus(intent.id, before);
      await admin.setStatus(intent.id, 'expired');
      for (const status of ['pending', 'verified', 'debunked']) {
        await admin.refused('update_gossip', [{ intentId: intent.id, status }], 'closed');
      }
      assert.equal((await client.get(intent.id)).intent.status, 'expired');
    }
  });
});
