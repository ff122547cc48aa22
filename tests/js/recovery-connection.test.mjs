// Socket.IO's connection state recovery (contract §4) where the connection ends and the server lives, and what must not
// be recovered.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { startProxy } from './support/proxy.mjs';
import { Chatter, exactly, fill, recovering } from './support/recovering.mjs';
import {
  LONG_MS, active, anew, crash, drop, eventually, gone, joinAll, recovered, rememberedBy, rooms, server, setup, stats,
} from './support/returning.mjs';
import { everyMode, withServer } from './support/scenario.mjs';

everyMode('a dropped connection', (it) => {
  it('comes back by itself and has missed nothing, several times', async (w) => {
    const one = await setup(w);
    const poster = await server(w);
    for (let round = 1; round <= 3; round += 1) {
      await drop(one, async () => {
        for (const roomId of [...one.ids, ...one.ids]) await poster.post(roomId, 'missed');
      });
      await recovered(one.client);
      if (round > 1) for (const roomId of one.ids) await poster.post(roomId, 'live');
    }
    await exactly(w, one.client, one.ids);
  });

  it('in the middle of a conversation', async (w) => {
    const one = await setup(w);
    const chatter = await Chatter.start(w, w.person({ rooms: one.ids }), one.ids);
    for (let round = 1; round <= 4; round += 1) {
      await chatter.more(15);
      await drop(one, () => chatter.more(15));
      await recovered(one.client);
    }
    await chatter.stop();
    await exactly(w, one.client, one.ids);
  });

  it('in the middle of a long replay: each event once, in other rooms too', async (w) => {
    const one = await setup(w, { ids: rooms(4) });
    const [long, ...ids] = one.ids;
    await one.client.ok('leave_room', { roomId: long });
    const poster = await server(w);
    const total = 1_500;
    await fill(poster, long, total, 'long '.repeat(200));
    const chatter = await Chatter.start(w, w.person({ rooms: one.ids }), ids);
    await chatter.more(3);
    // The ack may be lost with the connection.
    one.client.call('join_room', { roomId: long, since: 0 }).catch(() => {});
    for (const enough of [100, 600]) {
      await one.client.count(long, enough);
      one.proxy.cut();
      await gone(one.client);
      if (enough === 100) assert.ok(one.client.events(long).length < total, 'cut too late to tell');
      await chatter.more(5);
      one.proxy.restore();
      await recovered(one.client);
    }
    await one.client.upTo(long, total, LONG_MS);
    await chatter.stop();
    await exactly(w, one.client, one.ids);
  });

  it('after a replay that is over, the replay does not come again', async (w) => {
    const one = await setup(w);
    const [first, second] = one.ids;
    for (const roomId of [first, second]) await one.client.ok('leave_room', { roomId });
    const poster = await server(w);
    for (const roomId of [first, second]) await fill(poster, roomId, 20);
    await one.client.join(first, { since: 0 });
    await one.client.upTo(first, 20);
    await drop(one);
    await recovered(one.client);
    await one.client.join(second, { since: 10 });
    await one.client.upTo(second, 20);
    await drop(one);
    await recovered(one.client);
    await exactly(w, one.client, one.ids, new Map([...one.ids.map((id) => [id, 0]), [second, 10]]));
  });

  it('rooms left stay left, rooms joined meanwhile stay joined', async (w) => {
    const one = await setup(w);
    const poster = await server(w);
    const [left, again, stays] = one.ids;
    await fill(poster, again, 5);
    await one.client.upTo(again, 5);
    await one.client.ok('leave_room', { roomId: left });
    await one.client.ok('leave_room', { roomId: again });
    await fill(poster, again, 5);
    await drop(one, () => fill(poster, stays, 3));
    await recovered(one.client);
    await one.client.join(again, { since: 5 });
    await drop(one, () => fill(poster, left, 3));
    await recovered(one.client);
    await exactly(w, one.client, [again, stays]);
    assert.equal(one.client.events(left).length, 0);
  });

  it('access is checked anew: what was lost is closed, and stays closed', async (w) => {
    const ids = rooms(3);
    const id = randomUUID();
    const all = w.person({ id, rooms: ids });
    const fewer = w.person({ id, rooms: [ids[0], ids[2]] });
    let now = all;
    const auth = (give) => give({ token: now.token, recover: true });
    const one = await setup(w, { ids, auth });
    const { client } = one;
    const poster = await server(w);
    const post = async () => {
      for (const roomId of ids) await poster.post(roomId, 'missed');
    };
    now = fewer;
    await drop(one, post);
    await recovered(client);
    assert.deepEqual(await client.inbox('room_closed').next('room_closed'), { roomId: ids[1], code: 'forbidden' });
    now = all;
    await drop(one, post);
    await recovered(client);
    await exactly(w, client, [ids[0], ids[2]]);
    assert.equal(client.events(ids[1]).length, 0);
    assert.equal(client.inbox('room_closed').all.length, 1);
  });

  it('access lost by a new token on the live socket stays lost', async (w) => {
    const ids = rooms(3);
    const id = randomUUID();
    const all = w.person({ id, rooms: ids });
    const one = await setup(w, { ids, auth: { token: all.token, recover: true } });
    const { client } = one;
    await client.ok('authenticate', { token: w.person({ id, rooms: [ids[0], ids[2]] }).token });
    assert.deepEqual(await client.inbox('room_closed').next('room_closed'), { roomId: ids[1], code: 'forbidden' });
    const poster = await server(w);
    for (const roomId of ids) await poster.post(roomId, 'heard by two');
    await drop(one, async () => {
      for (const roomId of ids) await poster.post(roomId, 'missed');
    });
    await recovered(client);
    await exactly(w, client, [ids[0], ids[2]]);
    assert.deepEqual(client.events(ids[1]), [], 'a room that was closed comes back with a hole');
  });

  it("another user's is not gone on with, and stays its owner's", async (w) => {
    const one = await setup(w);
    const thief = w.person({ rooms: one.ids });
    const poster = await server(w);
    const { pid } = await rememberedBy(one.client);
    one.client.socket.auth = { token: thief.token, recover: true };
    await drop(one, () => poster.post(one.ids[0], 'private'));
    const stolen = await anew(one.client);
    assert.notEqual(stolen.pid, pid);
    await poster.post(one.ids[0], 'still private');
    await one.client.ok('list_gossip', { roomId: one.ids[0] });
    assert.equal(one.client.updates.length, 0);

    one.client.socket.auth = { token: one.who.token, recover: true };
    await drop(one);
    await anew(one.client);
    const owner = await recovering(w, one.who, { auth: { token: one.who.token, recover: true, pid, offset: '0' } });
    assert.equal((await rememberedBy(owner)).pid, pid);
  });

  it('whose client said goodbye is not gone on with', async (w) => {
    const one = await setup(w);
    const poster = await server(w);
    for (let round = 1; round <= 5; round += 1) {
      const { pid } = await rememberedBy(one.client);
      await joinAll(one.client, one.ids);
      const before = (await stats(w)).activeConnections;
      one.client.close();
      await one.client.disconnected();
      // A client that does not wait for its own goodbye may overtake it.
      await eventually('the goodbye', async () => {
        const { activeConnections } = await stats(w);
        return [activeConnections < before, activeConnections];
      });
      one.client.socket.connect();
      const { pid: next } = await anew(one.client);
      assert.notEqual(next, pid);
    }
    const before = one.client.updates.length;
    for (const roomId of one.ids) await poster.post(roomId, 'not for it');
    await one.client.ok('list_gossip', { roomId: one.ids[0] });
    assert.equal(one.client.updates.length, before);
    // And the new one can be gone on with in its turn.
    await one.client.join(one.ids[0]);
    await drop(one, () => poster.post(one.ids[0], 'missed'));
    await recovered(one.client);
    await one.client.upTo(one.ids[0], 2);
  });

  it('brings an offset first, and with every event', async (w) => {
    const one = await setup(w);
    const { client } = one;
    assert.equal(client.names[0], 'recovery');
    assert.deepEqual(client.inbox('recovery').all[0], {});
    assert.match(client.offset, /^\d+$/);
    const poster = await server(w);
    const other = randomUUID();
    const causes = [
      ['exception', () => client.emit('join_room', { roomId: other })],
      ['exception', () => client.emit('nonsense', 'a string', 'and another')],
      ['gossip_update', () => poster.post(one.ids[0])],
      ['exception', () => client.emit('join_room', 'x')],
    ];
    for (const [name, cause] of causes) {
      cause();
      await client.inbox(name).next(name);
      await drop(one, () => poster.post(one.ids[1], name));
      await recovered(client);
    }
    await exactly(w, client, one.ids);
  });

  it('nobody who did not ask gets a pid or an offset', async (w) => {
    const ids = rooms(2);
    const who = w.person({ rooms: ids });
    // Every event of these is looked at: it must have one argument.
    for (const more of [{}, { recover: false }, { resume: { [ids[0]]: 0, [randomUUID()]: 0 } }]) {
      const client = await w.connect(who, { auth: { token: who.token, ...more } });
      assert.equal(client.socket._pid, undefined);
      assert.equal(Boolean(client.socket.recovered), false);
      await joinAll(client, ids);
      client.emit('join_room', { roomId: randomUUID() });
      await client.nextException();
      await client.post(ids[0]);
      await client.nextUpdate();
      await client.ok('authenticate', { token: w.person({ id: who.id, rooms: [ids[0]] }).token });
      const closed = client.inbox('room_closed');
      await closed.until('room_closed', () => closed.all.some(({ roomId }) => roomId === ids[1]));
      assert.equal(client.inbox('recovery').all.length, 0);
    }
  });

  it('goes together with `resume`', async (w) => {
    const ids = rooms(3);
    const who = w.person({ rooms: ids });
    const poster = await server(w);
    for (const roomId of ids) await fill(poster, roomId, 4);
    const proxy = await startProxy(w.t, w.server.port);
    const auth = { token: who.token, recover: true, resume: Object.fromEntries(ids.map((roomId) => [roomId, 2])) };
    const client = await recovering(w, who, { url: proxy.url, auth });
    for (const roomId of ids) await client.upTo(roomId, 4);
    await drop({ client, proxy }, async () => {
      for (const roomId of ids) await poster.post(roomId, 'missed');
    });
    await recovered(client);
    await exactly(w, client, ids, 2);
  });
}, { env: { MAX_SOCKETS_PER_USER: '1000' } });

everyMode('a connection that only the client knows to be gone', (it) => {
  it('is closed by the server when the client returns', async (w) => {
    await active(w, 0);
    const one = await setup(w);
    const poster = await server(w);
    await active(w, 2);
    for (let round = 1; round <= 3; round += 1) {
      one.proxy.abandon();
      await gone(one.client);
      for (const roomId of one.ids) await poster.post(roomId, 'missed');
      one.proxy.restore();
      await recovered(one.client);
      await active(w, 2);
    }
    await exactly(w, one.client, one.ids);
    poster.close();
    one.client.close();
    await active(w, 0);
  });
}, { lasting: true });

withServer('what is made up', (it) => {
  it('begins anew, or is no more than a look at its own rooms', async (w) => {
    const ids = rooms(2);
    const who = w.person({ rooms: ids });
    const poster = await server(w);
    for (const roomId of ids) await fill(poster, roomId, 3);
    const mine = await recovering(w, who);
    await joinAll(mine, ids);
    const { pid } = await rememberedBy(mine);
    const offset = async () => {
      const { seq } = await poster.post(ids[0]);
      await mine.upTo(ids[0], seq);
      return mine.offset;
    };
    const good = await offset();
    const other = await recovering(w, w.person({ rooms: ids }));
    const theirs = await rememberedBy(other);

    const bad = [
      ...['', 'x', 5, {}, [], null, true, randomUUID(), `${pid}x`, 'x'.repeat(30_000), '0'.repeat(32), theirs.pid,
        '__proto__', "' OR 1=1 --", '\0'].map((pid) => ({ pid, offset: good })),
      ...['', 'x', '-1', '1.5', '1e3', ' 1', `${good};`, `${good};x:1`, `${good};${ids[0]}:x`, `${good};${ids[0]}:-1`,
        `${good};${ids[0]}:999999`, `${good};${ids[0]}:18446744073709551615`, '999999999', '9223372036854775807',
        '18446744073709551615', '18446744073709551616', '9'.repeat(30_000), 'x'.repeat(50_000),
        `${good};${`${randomUUID()}:1;`.repeat(1_000)}x`, '0\0', '💥'].map((offset) => ({ pid, offset })),
    ];
    for (const made of bad) {
      const client = await recovering(w, who, { auth: { token: who.token, recover: true, ...made } });
      const shown = JSON.stringify(made).slice(0, 100);
      assert.notEqual(client.socket._pid, made.pid, `gone on with: ${shown}`);
      assert.equal(client.names[0], 'recovery', shown);
      await client.ok('list_gossip', { roomId: ids[0] });
      assert.deepEqual(client.names, ['recovery'], shown);
      client.close();
    }

    // Of no harm to whom it was not theirs.
    assert.equal(mine.socket.connected && other.socket.connected, true);
    await offset();
    // Rooms that are none of the connection's are of no meaning.
    const odd = `${good};${randomUUID()}:7;${ids[1]}:3`;
    const client = await recovering(w, who, { auth: { token: who.token, recover: true, pid, offset: odd } });
    assert.equal(client.socket._pid, pid);
    await client.count(ids[0], 1);
    await client.ok('list_gossip', { roomId: ids[0] });
    assert.equal(client.updates.length, 1);
  });

  it('is refused where `recover` is not for it', async (w) => {
    const who = w.person();
    for (const recover of [1, 'true', {}, []]) {
      await assert.rejects(w.connect(who, { auth: { token: who.token, recover } }), (error) => {
        assert.deepEqual([error.data.code, error.data.field], ['invalid_input', 'recover']);
        return true;
      });
    }
  });
}, { env: { MAX_PAYLOAD: '1048576' } });

withServer('what the log has no more', (it) => {
  it('is not recovered, and nothing of it is replayed', async (w) => {
    const one = await setup(w);
    const poster = await server(w);
    for (const roomId of one.ids) await poster.post(roomId, 'before');
    const [lost] = one.ids;
    await one.client.upTo(lost, 1);
    one.proxy.cut();
    await gone(one.client);
    const { pid } = await rememberedBy(one.client);
    for (const roomId of one.ids) await poster.post(roomId, 'missed');
    await w.server.crash();
    // At its start the server prunes what is older than this.
    await pause(1_100);
    await w.server.start({ LOG_RETENTION: '1s' });
    const reader = await server(w);
    await eventually('pruning', async () => {
      const ack = await reader.join(lost, { since: 0 });
      return [ack.recovered === false, ack];
    });
    const seen = one.client.updates.length;
    one.proxy.restore();
    assert.notEqual((await anew(one.client)).pid, pid);
    await one.client.ok('list_gossip', { roomId: lost });
    assert.equal(one.client.updates.length, seen);

    // A connection that is known, with an offset of before: not the part that is left.
    await one.client.join(lost);
    const next = await rememberedBy(one.client);
    const post = async () => one.client.upTo(lost, (await (await server(w)).post(lost, 'kept')).seq);
    await post();
    const auth = { token: one.who.token, recover: true, pid: next.pid, offset: `${next.offset};${lost}:0` };
    const client = await recovering(w, one.who, { auth });
    assert.notEqual(client.socket._pid, next.pid);
    await client.ok('list_gossip', { roomId: lost });
    assert.equal(client.updates.length, 0);
  });
}, { lasting: true });
