// Server-sent events (contract §6) with a stock EventSource, which comes back by itself and tells what it has.
import assert from 'node:assert/strict';
import { EventSource } from 'eventsource';
import { Inbox } from './support/client.mjs';
import { post } from './support/http.mjs';
import { withServer } from './support/scenario.mjs';
import * as shapes from './support/shapes.mjs';
import { person } from './support/tokens.mjs';

const NAMES = ['joined', 'gossip_update', 'note', 'server_draining'];

/** A stream of the scenario's room; what comes on it is in `came`, as `[name, id, data]`. */
function listen(w, { token } = w.person()) {
  const stream = new EventSource(`${w.url}/v1/rooms/${w.room}/events`, {
    fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
  });
  w.t.after(() => stream.close());
  const came = new Inbox();
  for (const name of NAMES) {
    stream.addEventListener(name, ({ data, lastEventId }) => came.push([name, lastEventId, JSON.parse(data)]));
  }
  stream.addEventListener('error', ({ code }) => code && came.push(['refused', code]));
  return { stream, came };
}

async function broadcast(w, data) {
  const service = person({ role: 'service' });
  const answer = await post(`${w.url}/v1/rooms/${w.room}/broadcast`, service.token, { event: 'note', data });
  assert.equal(answer.status, 202);
}

const joined = (w, seq, more = {}) => ['joined', String(seq), { status: 'joined', roomId: w.room, seq, ...more }];

withServer('server-sent events', (it) => {
  it('brings what sockets get, and custom events between', async (w) => {
    const { came } = listen(w);
    assert.deepEqual(await came.next('joined'), joined(w, 0));
    const member = await w.member();
    await member.post(w.room, 'one\n\ndata: two\u2028🦀');
    await broadcast(w, { a: '\r\n' });
    await member.post(w.room, 'three');
    const updates = await member.updatesUpTo(2, w.room);
    assert.deepEqual(await came.next('first'), ['gossip_update', '1', updates[0]]);
    assert.deepEqual(await came.next('note'), ['note', '', { a: '\r\n' }]);
    assert.deepEqual(await came.next('second'), ['gossip_update', '2', updates[1]]);
  });

  it('is refused for good without access', async (w) => {
    const { stream, came } = listen(w, person({ rooms: [] }));
    assert.deepEqual(await came.next('refusal'), ['refused', 403]);
    assert.equal(stream.readyState, EventSource.CLOSED);
  });
});

withServer('server-sent events of a server that is killed', (it) => {
  it('comes back by itself and misses nothing', async (w) => {
    const who = w.person();
    const { came } = listen(w, who);
    assert.deepEqual(await came.next('joined'), joined(w, 0));
    const updates = [];
    for (let round = 1; round <= 3; round += 1) {
      const member = await w.member();
      await member.post(w.room, `round ${round}`);
      const [name, id, data] = await came.next('update');
      assert.deepEqual([name, id], ['gossip_update', String(round * 2 - 1)]);
      updates.push(data);
      // What has no id does not change where it goes on.
      await broadcast(w, round);
      assert.deepEqual(await came.next('note'), ['note', '', round]);
      await w.server.crash();
      await w.server.start();
      // Posted before it is back or after, it comes once.
      const other = await w.member();
      await other.post(w.room, 'meanwhile');
      const seq = round * 2;
      const again = await came.next('joined again');
      assert.deepEqual([again[0], again[1], again[2].recovered], ['joined', String(seq - 1), true]);
      updates.push((await came.next('missed'))[2]);
      for (const client of [member, other]) client.close();
    }
    shapes.gapless(updates);
    assert.equal(updates.length, 6);
  });
}, { lasting: true });
