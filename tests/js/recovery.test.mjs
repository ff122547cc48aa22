// Socket.IO's connection state recovery as the stock client does it, with `recover: true` and no other code: contract
// §4. Here the server is killed: rooms come back and nothing is missed or repeated, over several rooms and again.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { DATABASES } from './support/databases.mjs';
import { Chatter, exactly, recovering } from './support/recovering.mjs';
import { crash, gone, joinAll, recovered, rememberedBy, rooms, server, setup } from './support/returning.mjs';
import { everyMode } from './support/scenario.mjs';

for (const [database, make] of Object.entries(DATABASES)) {
  everyMode(`kill -9 on ${database}`, (it) => {
    it('brings rooms back with what was missed, twice in a row', async (w) => {
      const one = await setup(w);
      const { client, ids } = one;
      let poster = await server(w);
      for (const roomId of ids) await poster.post(roomId, 'before');
      for (const roomId of ids) await client.upTo(roomId, 1);
      const { pid } = await rememberedBy(client);
      for (let round = 1; round <= 2; round += 1) {
        await crash(w, one, async () => {
          poster = await server(w);
          for (const roomId of [...ids, ...ids]) {
            const { intent } = await poster.post(roomId, 'missed');
            await poster.vote(intent.id, 'upvote');
            await poster.comment(intent.id);
          }
        });
        assert.equal((await recovered(client)).pid, pid);
        for (const roomId of ids) await poster.post(roomId, 'after');
      }
      await exactly(w, client, ids);
    });

    it('without one event before, nor between two', async (w) => {
      const one = await setup(w);
      for (let round = 1; round <= 2; round += 1) {
        await crash(w, one);
        await recovered(one.client);
      }
      await crash(w, one, async () => {
        const poster = await server(w);
        for (const roomId of one.ids) await poster.post(roomId, 'missed');
      });
      await recovered(one.client);
      await exactly(w, one.client, one.ids);
    });

    it('in the middle of a conversation, twice in a row', async (w) => {
      const ids = rooms(3);
      const client = await recovering(w, w.person({ rooms: ids }));
      await joinAll(client, ids);
      const chatter = await Chatter.start(w, w.person({ rooms: ids }), ids);
      for (let round = 1; round <= 2; round += 1) {
        await chatter.more(20);
        await w.server.crash();
        await gone(client);
        await w.server.start();
        await recovered(client);
      }
      await chatter.more(20);
      await chatter.stop();
      await exactly(w, client, ids);
    });

    it('rooms that were left stay left', async (w) => {
      const one = await setup(w);
      const [left, ...ids] = one.ids;
      await one.client.ok('leave_room', { roomId: left });
      await crash(w, one, async () => {
        const poster = await server(w);
        for (const roomId of one.ids) await poster.post(roomId, 'missed');
      });
      await recovered(one.client);
      await exactly(w, one.client, ids);
      assert.equal(one.client.events(left).length, 0);
    });

    it('an end in good order is no different', async (w) => {
      const one = await setup(w);
      const poster = await server(w);
      const late = randomUUID();
      for (const roomId of [...one.ids, late, late]) await poster.post(roomId, 'before');
      const who = w.person({ id: one.who.id, rooms: [...one.ids, late] });
      await one.client.ok('authenticate', { token: who.token });
      one.client.socket.auth = { token: who.token, recover: true };
      await one.client.join(late, { since: 0 });
      await one.client.upTo(late, 2);
      await w.server.drain();
      await gone(one.client);
      assert.equal(one.client.inbox('server_draining').all.length, 1);
      await w.server.start();
      await recovered(one.client);
      await exactly(w, one.client, [...one.ids, late]);
    });
  }, { database: make, lasting: true });
}
