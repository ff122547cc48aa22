// Socket.IO's connection state recovery (contract §4) of many clients and of long absences, and of connections that are
// dead without a word.
import assert from 'node:assert/strict';
import { MODES } from './support/client.mjs';
import { startProxy } from './support/proxy.mjs';
import { Chatter, exactly, recovering } from './support/recovering.mjs';
import {
  LONG_MS, active, crash, fillAll, gone, joinAll, memory, recovered, rooms, server, setup,
} from './support/returning.mjs';
import { withServer } from './support/scenario.mjs';

withServer('a dead connection', (it) => {
  it('that nobody is told of is noticed by both, and recovered', async (w) => {
    await Promise.all(Object.values(MODES).map(async (transports) => {
      const one = await setup(Object.assign(Object.create(w), { transports }));
      await fillAll(w, one.ids, 2);
      one.proxy.stall();
      await fillAll(w, one.ids, 2);
      await gone(one.client);
      one.proxy.restore();
      await recovered(one.client);
      await exactly(w, one.client, one.ids);
      one.client.close();
    }));
    await active(w, 0);
  });
}, { env: { PING_INTERVAL: '1s', PING_TIMEOUT: '1s' } });

withServer('many', (it) => {
  it('clients at once after kill -9: all recovered, each event once', async (w) => {
    const ids = rooms(3);
    const clients = await Promise.all(Array.from({ length: 50 }, async (_, index) => {
      const transports = Object.values(MODES)[index % 3];
      const client = await recovering(Object.assign(Object.create(w), { transports }), w.person({ rooms: ids }));
      await joinAll(client, ids);
      return client;
    }));
    const chatter = await Chatter.start(w, w.person({ rooms: ids }), ids);
    await chatter.more(10);
    await w.server.crash();
    await Promise.all(clients.map(gone));
    await w.server.start();
    for (const client of clients) assert.equal((await client.connected()).recovered, true);
    await chatter.more(10);
    await chatter.stop();
    await exactly(w, clients, ids);
  });
}, { lasting: true });

withServer('a long log', (it) => {
  const ids = rooms(5);
  const each = Number(process.env.LONG_LOG ?? 3_000);
  const content = 'long '.repeat(200);
  let filling;
  const filled = (w) => (filling ??= fillAll(w, ids, each, content));

  it('of missed events comes whole and in order, and not all of it is in memory', async (w) => {
    const who = w.person({ rooms: ids });
    const ones = await Promise.all(Object.values(MODES).map((transports) => {
      return setup(Object.assign(Object.create(w), { transports }), { ids, who });
    }));
    for (const one of ones) one.proxy.cut();
    await Promise.all(ones.map((one) => gone(one.client)));
    await filled(w);
    const before = memory(w);
    for (const one of ones) one.proxy.restore();
    await Promise.all(ones.map(async ({ client }) => {
      assert.equal((await client.connected(LONG_MS)).recovered, true);
      for (const roomId of ids) await client.upTo(roomId, each, LONG_MS);
    }));
    const grown = memory(w) - before;
    const missed = each * ids.length * content.length;
    assert.ok(grown < (missed * ones.length) / 2, `${grown} bytes more, for ${ones.length} times ${missed}`);
    await exactly(w, ones.map((one) => one.client), ids);
  });

  it('that a dead connection does not take is not waited for', async (w) => {
    await filled(w);
    await w.server.crash();
    await w.server.start({ PING_INTERVAL: '1s', PING_TIMEOUT: '1s' });
    const who = w.person({ rooms: ids });
    for (const recover of [true, false]) {
      const proxy = await startProxy(w.t, w.server.port);
      const options = { url: proxy.url, reconnection: false };
      const client = recover ? await recovering(w, who, options) : await w.connect(who, options);
      for (const roomId of ids) client.call('join_room', { roomId, since: 0 }).catch(() => {});
      await client.inbox('gossip_update').until('the first of the replay', () => client.updates.length > 0);
      proxy.stall();
      await client.disconnected();
    }
    await active(w, 0);
  });
}, { lasting: true });
