// What may be said, and how it is kept: contract §4, "Content" and "Expiry".
import assert from 'node:assert/strict';
import { everyMode } from './support/scenario.mjs';

const CRAB = '🦀';
const E_ACUTE = 'e\u0301';

/** An object `depth` deep; the object itself is 1. */
const nested = (depth) => (depth === 1 ? {} : { a: nested(depth - 1) });

/** Metadata of exactly `size` bytes as compact JSON. */
const sized = (size) => ({ a: 'x'.repeat(size - JSON.stringify({ a: '' }).length) });

const NORMALISED = [
  ['spaces around', '  hush \n', 'hush'],
  ['control characters', 'a\u0000b\u0007c\u001bd\u007fe\u0080f\u0085g\u009fh', 'abcdefgh'],
  ['newline and tab stay', 'one\n\ttwo', 'one\n\ttwo'],
  ['carriage returns go', 'one\r\ntwo', 'one\ntwo'],
  ['composed', `caf${E_ACUTE}`, 'caf\u00e9'],
  ['spaces that controls had hidden', '\u0001 hush \u0001', 'hush'],
  ['markup is text', '<script>alert("1")</script> & {{x}} \'; DROP TABLE', '<script>alert("1")</script> & {{x}} \'; DROP TABLE'],
  ['other scripts', `${CRAB} слух שמועה 噂 \u200d`, `${CRAB} слух שמועה 噂 \u200d`],
];

const EMPTY = ['', ' ', ' \n\t ', '\u0000\u0007', ' \u0001 '];

everyMode('content', (it) => {
  it('is normalised the same way in gossip, comments and reasons', async (w) => {
    const client = await w.member();
    const admin = await w.admin();
    for (const [what, sent, kept] of NORMALISED) {
      const { intent } = await client.post(w.room, sent);
      assert.equal(intent.content, kept, what);
      assert.equal((await client.get(intent.id)).intent.content, kept, what);
      assert.equal((await client.comment(intent.id, sent)).update.content, kept, what);
      const { seq } = await admin.setStatus(intent.id, 'expired', sent);
      const seen = await client.updatesUpTo(seq, w.room);
      assert.equal(seen.at(-1).update.content, kept, what);
    }
  });

  it('is not empty', async (w) => {
    const client = await w.member();
    const { intent } = await client.post(w.room);
    for (const content of [...EMPTY, undefined, null, 5, {}, ['text']]) {
      await client.refused('new_gossip', [{ roomId: w.room, content }], 'invalid_input', 'content');
      await client.refused('comment_gossip', [{ intentId: intent.id, content }], 'invalid_input', 'content');
    }
    await client.nextUpdate();
    await w.nothingBefore(client, [client], 2);
  });

  it('of gossip has at most 2000 characters, however many bytes', async (w) => {
    const client = await w.member();
    for (const character of ['x', '\u00e9', CRAB, E_ACUTE]) {
      const { intent } = await client.post(w.room, character.repeat(2000));
      assert.equal([...intent.content].length, 2000);
      const content = character.repeat(2001);
      await client.refused('new_gossip', [{ roomId: w.room, content }], 'invalid_input', 'content');
    }
    const { intent } = await client.post(w.room, `  ${'x'.repeat(2000)}\u0000  `);
    assert.equal(intent.content, 'x'.repeat(2000), 'what is removed does not count');
  });

  it('of comments has at most 1000', async (w) => {
    const client = await w.member();
    const intentId = (await client.post(w.room)).intent.id;
    for (const character of ['x', CRAB]) {
      const content = character.repeat(1000);
      assert.equal((await client.comment(intentId, content)).update.content, content);
      await client.refused('comment_gossip', [{ intentId, content: character.repeat(1001) }], 'invalid_input', 'content');
    }
  });

  it('of reasons has at most 500', async (w) => {
    const client = await w.member();
    const admin = await w.admin();
    const intentId = (await client.post(w.room)).intent.id;
    for (const reason of ['x'.repeat(501), CRAB.repeat(501), 5, {}]) {
      await admin.refused('update_gossip', [{ intentId, status: 'verified', reason }], 'invalid_input', 'reason');
    }
    const { seq } = await admin.setStatus(intentId, 'verified', CRAB.repeat(500));
    assert.equal((await client.updatesUpTo(seq, w.room)).at(-1).update.content, CRAB.repeat(500));
  });
});

everyMode('metadata', (it) => {
  it('is kept as it was sent', async (w) => {
    const client = await w.member();
    for (const metadata of [{ source: 'anonymous' }, { n: -1.5, big: 2 ** 53 - 1, t: true, nil: null, list: [[], {}] }, { '🦀': '"\\\n' }]) {
      const { intent } = await client.post(w.room, 'psst', { metadata });
      assert.deepEqual(intent.metadata, metadata);
      assert.deepEqual((await client.get(intent.id)).intent.metadata, metadata);
    }
  });

  it('is an object of at most 4 KiB, eight deep', async (w) => {
    const client = await w.member();
    for (const metadata of [sized(4096), nested(8)]) {
      assert.deepEqual((await client.post(w.room, 'psst', { metadata })).intent.metadata, metadata);
    }
    const bytesNotCharacters = { a: '\u00e9'.repeat(2045) };
    for (const metadata of [sized(4097), bytesNotCharacters, nested(9), [], 'text', 5, true]) {
      await client.refused('new_gossip', [{ roomId: w.room, content: 'psst', metadata }], 'invalid_input', 'metadata');
    }
  });
});

everyMode('expiresInMinutes', (it) => {
  it('is a whole number from 1 to 1440', async (w) => {
    const client = await w.member();
    for (const minutes of [1, 60, 1440]) {
      const { intent } = await client.post(w.room, 'psst', { expiresInMinutes: minutes });
      assert.equal(Date.parse(intent.expiresAt) - Date.parse(intent.createdAt), minutes * 60_000);
    }
    for (const expiresInMinutes of [0, -1, 1441, 1.5, '60', 1e308, 2 ** 64, true, {}, []]) {
      const data = { roomId: w.room, content: 'psst', expiresInMinutes };
      await client.refused('new_gossip', [data], 'invalid_input', 'expiresInMinutes');
    }
  });
});
