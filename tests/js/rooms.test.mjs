// Joining, resuming, leaving, and who may: contract §4, "Join", "Resume" and "Access to rooms".
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { everyMode } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';

/** Five events of every kind in the room, as its first member saw them. */
async function eventful(w) {
  const member = await w.member();
  const admin = await w.admin();
  const { intent } = await member.post(w.room, 'first', { metadata: { source: 'anonymous' } });
  await member.vote(intent.id, 'upvote');
  await member.comment(intent.id, 'Really?');
  await admin.setStatus(intent.id, 'verified', 'Yes');
  return { member, seen: [...(await member.updatesUpTo(5, w.room))] };
}

everyMode('joining', (it) => {
  it('tells the present seq; live starts right after it', async (w) => {
    const { member } = await eventful(w);
    const late = await w.connect();
    assert.deepEqual(await late.call('join_room', { roomId: w.room }), { status: 'joined', roomId: w.room, seq: 5 });
    await member.post(w.room, 'live');
    assert.equal((await late.nextUpdate()).seq, 6);
  });

  it('gives the newest intents as they are, newest first', async (w) => {
    const client = await w.member();
    const posted = [];
    for (const content of ['one', 'two', 'three']) posted.unshift((await client.post(w.room, content)).intent);
    posted[1] = (await client.vote(posted[1].id, 'upvote')).intent;
    const late = await w.connect();
    for (const [history, intents] of [[100, posted], [2, posted.slice(0, 2)], [1, posted.slice(0, 1)]]) {
      assert.deepEqual(await late.call('join_room', { roomId: w.room, history }), {
        status: 'joined', roomId: w.room, seq: 4, intents,
      });
    }
  });

  it('a snapshot under fire is consistent: history, then every event after seq', async (w) => {
    const poster = await w.member();
    const posts = Array.from({ length: 20 }, (_, index) => poster.post(w.room, `number ${index}`));
    const joins = Array.from({ length: 5 }, async () => {
      const client = await w.connect();
      return { client, ack: await client.join(w.room, { history: 100 }) };
    });
    await Promise.all(posts);
    for (const { client, ack } of await Promise.all(joins)) {
      assert.equal(ack.intents.length, ack.seq, 'every event here is a post');
      if (ack.seq < 20) shapes.gapless(await client.updatesUpTo(20, w.room), ack.seq + 1);
      const known = new Set([...ack.intents, ...client.updates.map((each) => each.intent)].map((each) => each.id));
      assert.equal(known.size, 20);
    }
  });

  it('twice is joined once', async (w) => {
    const client = await w.member();
    await client.join(w.room);
    await client.post(w.room);
    assert.equal((await client.nextUpdate()).seq, 1);
    await w.nothingBefore(client, [client], 2);
  });

  it('leaving stops the events, and may be repeated', async (w) => {
    const [staying, leaving] = await w.members(2);
    await staying.post(w.room);
    await leaving.nextUpdate();
    await leaving.ok('leave_room', { roomId: w.room });
    await leaving.ok('leave_room', { roomId: w.room });
    await staying.post(w.room);
    await leaving.join(w.room);
    await w.nothingBefore(staying, [leaving], 3);
  });

  it('posting needs access, not membership', async (w) => {
    const member = await w.member();
    const passing = await w.connect();
    const { intent } = await passing.post(w.room);
    assert.equal((await member.nextUpdate()).intent.id, intent.id);
    assert.equal(passing.updates.length, 0);
  });
});

everyMode('resuming', (it) => {
  it('replays what was missed exactly as it was sent, before anything live', async (w) => {
    const { member, seen } = await eventful(w);
    for (const since of [0, 2, 4, 5]) {
      const client = await w.connect();
      // Ack and replay may arrive together, so what came first is asked in the callback itself.
      const { ack, before } = await new Promise((resolve) => {
        client.socket.emit('join_room', { roomId: w.room, since }, (ack) => resolve({ ack, before: client.updates.length }));
      });
      assert.deepEqual(ack, { status: 'joined', roomId: w.room, seq: seen.length, recovered: true });
      assert.equal(before, 0, 'the ack comes first');
      const { seq } = await member.post(w.room, `after ${since}`);
      const got = await client.updatesUpTo(seq, w.room);
      seen.push((await member.updatesUpTo(seq, w.room)).at(-1));
      assert.deepEqual(got, seen.slice(since));
    }
  });

  it('beyond the end recovers nothing, and says so', async (w) => {
    const { member } = await eventful(w);
    const client = await w.connect();
    assert.deepEqual(await client.call('join_room', { roomId: w.room, since: 6 }), {
      status: 'joined', roomId: w.room, seq: 5, recovered: false,
    });
    await w.nothingBefore(member, [client], 6);
  });

  it('of an empty room is recovered', async (w) => {
    const client = await w.connect();
    assert.deepEqual(await client.call('join_room', { roomId: w.room, since: 0 }), {
      status: 'joined', roomId: w.room, seq: 0, recovered: true,
    });
  });

  it('goes together with history', async (w) => {
    const { seen } = await eventful(w);
    const client = await w.connect();
    const ack = await client.call('join_room', { roomId: w.room, since: 3, history: 10 });
    assert.deepEqual(ack, {
      status: 'joined', roomId: w.room, seq: 5, recovered: true, intents: [seen.at(-1).intent],
    });
    assert.deepEqual(await client.updatesUpTo(5, w.room), seen.slice(3));
  });

  it('while others post misses nothing and repeats nothing', async (w) => {
    const poster = await w.member();
    await Promise.all(Array.from({ length: 20 }, () => poster.post(w.room)));
    const client = await w.connect();
    const posts = Array.from({ length: 20 }, () => poster.post(w.room));
    await client.join(w.room, { since: 10 });
    await Promise.all(posts);
    const got = await client.updatesUpTo(40, w.room);
    shapes.gapless(got, 11);
    assert.deepEqual(got, (await poster.updatesUpTo(40, w.room)).slice(10));
  });
});

everyMode('access by claims', (it) => {
  const closedTo = async (w, client, intentId) => {
    for (const [name, data] of [
      ['join_room', { roomId: w.room }],
      ['join_room', { roomId: w.room, since: 0, history: 10 }],
      ['new_gossip', { roomId: w.room, content: 'psst' }],
      ['list_gossip', { roomId: w.room }],
    ]) {
      await client.refused(name, [data], 'forbidden');
    }
    await client.refused('get_gossip', [{ intentId }], 'not_found');
  };

  it('refuses a room that the token does not name, and says which policy did', async (w) => {
    const member = await w.member();
    const { intent } = await member.post(w.room);
    for (const rooms of [[randomUUID()], [], undefined]) {
      const client = await w.connect(w.person({ rooms }));
      const { message } = await client.call('join_room', { roomId: w.room });
      assert.match(message, /claim/i);
      await closedTo(w, client, intent.id);
    }
    await member.nextUpdate();
    await w.nothingBefore(member, [member], 2);
  });

  it('lets in by a list, by "*", and by the roles that may go anywhere', async (w) => {
    for (const claims of [
      { rooms: [randomUUID(), w.room] }, { rooms: '*' }, { rooms: undefined, role: 'admin' },
      { rooms: [], role: 'service' }, { role: 'user' },
    ]) {
      await w.member(claims);
    }
  });

  it('follows a refreshed token', async (w) => {
    const who = w.person({ rooms: [] });
    const client = await w.connect(who);
    await client.refused('join_room', [{ roomId: w.room }], 'forbidden');
    await client.ok('authenticate', { token: w.person({ id: who.id }).token });
    await client.join(w.room);
  });
});

everyMode('a limit of rooms', (it) => {
  it('holds for each socket', async (w) => {
    const who = w.person({ rooms: '*' });
    const client = await w.connect(who);
    const rooms = Array.from({ length: 3 }, () => randomUUID());
    for (const roomId of rooms) await client.join(roomId);
    const ack = await client.call('join_room', { roomId: w.room });
    assert.equal(ack.status, 'error', JSON.stringify(ack));
    await client.join(rooms[0]);
    await (await w.connect(who)).join(w.room);

    await client.ok('leave_room', { roomId: rooms[0] });
    await client.join(w.room);
    await client.post(w.room);
    assert.equal((await client.nextUpdate()).roomId, w.room);
  });
}, { env: { MAX_ROOMS_PER_SOCKET: '3' } });
