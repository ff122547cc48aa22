// Contract §4, Resume: many rooms at once, in the handshake.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { everyMode } from './support/scenario.mjs';

/** Connects as `person` would after an absence, and tells all that arrives in order. */
async function returning(w, person, resume) {
  const client = await w.connect(person, { auth: { token: person.token, resume } });
  const resumed = await client.inbox('resumed').next('resumed');
  return { client, resumed };
}

everyMode('resuming in the handshake', (it) => {
  it('brings every room what it missed, exactly as it was sent, and goes on', async (w) => {
    const [here, there] = [randomUUID(), randomUUID()];
    const person = w.person({ rooms: [here, there] });
    const witness = await w.connect(person);
    for (const roomId of [here, there]) await witness.join(roomId);
    for (const roomId of [here, there, here]) await witness.post(roomId);
    const before = await witness.updatesUpTo(2, here);

    const { client, resumed } = await returning(w, person, { [here]: 1, [there]: 1 });
    assert.deepEqual(resumed, { rooms: { [here]: { seq: 2, recovered: true }, [there]: { seq: 1, recovered: true } } });
    await witness.post(here);
    await witness.post(there);
    assert.deepEqual(await client.updatesUpTo(3, here), [before[1], (await witness.updatesUpTo(3, here))[2]]);
    assert.deepEqual(await client.updatesUpTo(2, there), [(await witness.updatesUpTo(2, there))[1]]);
  });

  it('beyond the end says so and goes on from there', async (w) => {
    const witness = await w.member();
    await witness.post(w.room);
    const { client, resumed } = await returning(w, w.person({ rooms: [w.room] }), { [w.room]: 5 });
    assert.deepEqual(resumed, { rooms: { [w.room]: { seq: 1, recovered: false } } });
    await witness.post(w.room);
    assert.deepEqual((await client.updatesUpTo(2, w.room)).map(({ seq }) => seq), [2]);
  });

  it('closes rooms without access and opens the others', async (w) => {
    const [closed, person] = [randomUUID(), w.person({ rooms: [w.room] })];
    const { client, resumed } = await returning(w, person, { [closed]: 0, [w.room]: 0 });
    assert.deepEqual(resumed, { rooms: { [w.room]: { seq: 0, recovered: true } } });
    const told = await client.inbox('room_closed').next('room_closed');
    assert.deepEqual(told, { roomId: closed, code: 'forbidden' });
  });

  it('refuses what is no resume', async (w) => {
    const person = w.person({ rooms: [w.room] });
    for (const resume of [5, [], 'x', { x: 1 }, { [w.room]: -1 }, { [w.room]: '1' }]) {
      await assert.rejects(w.connect(person, { auth: { token: person.token, resume } }), (error) => {
        assert.equal(error.data.code, 'invalid_input');
        assert.equal(error.data.field, 'resume');
        return true;
      });
    }
  });
});
