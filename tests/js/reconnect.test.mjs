// A connection that is cut comes back by itself and has missed nothing: contract §4, "Resume".
import assert from 'node:assert/strict';
import { startProxy } from './support/proxy.mjs';
import { everyMode } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';

/** A client as an application would write it: on every connect it rejoins from where it was. */
async function resilient(w, proxy) {
  const who = w.person();
  const client = w.client({
    url: proxy.url, auth: { token: who.token }, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 100,
  });
  client.joins = [];
  client.joined = (count) => client.inbox('joined').until(`join ${count}`, () => client.joins[count - 1]);
  client.socket.on('connect', async () => {
    const since = client.updates.at(-1)?.seq ?? 0;
    const ack = await client.join(w.room, { since });
    client.joins.push({ since, ...ack });
    client.inbox('joined').wake();
  });
  await client.open();
  await client.joined(1);
  return client;
}

everyMode('reconnecting', (it) => {
  it('sees every event once, in order, over several cuts', async (w) => {
    const proxy = await startProxy(w.t, w.server.port);
    const steady = await w.member();
    const client = await resilient(w, proxy);
    let seq = 0;
    for (let round = 1; round <= 3; round += 1) {
      ({ seq } = await steady.post(w.room, `before cut ${round}`));
      await client.updatesUpTo(seq, w.room);

      proxy.cut();
      assert.notEqual(await client.disconnected(), 'io server disconnect');
      const missed = Array.from({ length: 5 }, (_, index) => steady.post(w.room, `missed ${round}.${index}`));
      await Promise.all(missed);
      proxy.restore();

      const rejoined = await client.joined(round + 1);
      assert.deepEqual([rejoined.since, rejoined.seq, rejoined.recovered], [seq, seq + 5, true]);
    }
    ({ seq } = await steady.post(w.room, 'the end'));
    const seen = await client.updatesUpTo(seq, w.room);
    shapes.gapless(seen);
    assert.deepEqual(seen, await steady.updatesUpTo(seq, w.room));
  });

  it('while events keep coming', async (w) => {
    const proxy = await startProxy(w.t, w.server.port);
    const steady = await w.member();
    const client = await resilient(w, proxy);
    const last = 60;
    for (let count = 1; count <= last; count += 1) {
      await steady.post(w.room, `number ${count}`);
      if (count === 20) proxy.cut();
      if (count === 40) proxy.restore();
    }
    const seen = await client.updatesUpTo(last, w.room);
    shapes.gapless(seen);
    assert.deepEqual(seen, await steady.updatesUpTo(last, w.room));
  });

  it('a command cut off before its ack is repeated safely', async (w) => {
    const proxy = await startProxy(w.t, w.server.port);
    const steady = await w.member();
    const client = await resilient(w, proxy);
    const command = { roomId: w.room, content: 'said once', requestId: 'said once' };
    client.emit('new_gossip', command);
    await steady.nextUpdate();
    proxy.cut();
    await client.disconnected();
    proxy.restore();
    await client.joined(2);
    const again = await client.ok('new_gossip', command);
    assert.equal(again.seq, 1);
    await w.nothingBefore(steady, [steady], 2);
    const seen = await client.updatesUpTo(2, w.room);
    shapes.gapless(seen);
  });

  it('a client that vanished hears nothing and holds nothing up', async (w) => {
    const proxy = await startProxy(w.t, w.server.port);
    const steady = await w.member();
    const gone = await w.member({}, { url: proxy.url });
    await gone.settled();
    proxy.cut();
    await gone.disconnected();
    await steady.post(w.room);
    assert.equal((await steady.nextUpdate()).seq, 1);
    assert.equal(gone.updates.length, 0);
  });
});
