// Whether a server speaks the feed as the load test needs it: two stock clients join, post, vote and comment, and the
// keys come in the contract's order. `JWT_SECRET=… npm run check -- URL [--posts-only]`, the latter for the bare loop.
import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { io } from 'socket.io-client';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { 'posts-only': { type: 'boolean' } } });
const [url] = positionals;
const secret = process.env.JWT_SECRET;
if (!url || !secret) {
  console.error('usage: JWT_SECRET=… node check.mjs URL [--posts-only]');
  process.exit(2);
}

const INTENT = 'id roomId userId content status metadata upvotes downvotes expiresAt createdAt updatedAt';
const UPDATE = 'id intentId userId type content metadata createdAt';
const keys = (value, wanted) => assert.equal(Object.keys(value).join(' '), wanted);

const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
function token(sub) {
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub, exp: Math.ceil(Date.now() / 1000) + 60, rooms: '*' })}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

function connect(auth) {
  const socket = io(`${url}/gossip`, { transports: ['websocket'], forceNew: true, reconnection: false, auth });
  const seen = [];
  let look = () => {};
  socket.on('gossip_update', (event) => {
    seen.push(event);
    look();
  });
  const nth = (n) =>
    new Promise((resolve) => {
      look = () => seen.length > n && resolve(seen[n]);
      look();
    });
  const ask = (name, data) => socket.timeout(5000).emitWithAck(name, data);
  return new Promise((resolve, reject) => {
    socket.once('connect', () => resolve({ socket, seen, nth, ask }));
    socket.once('connect_error', reject);
  });
}

const watchdog = setTimeout(() => {
  console.error('not done within 20 s');
  process.exit(1);
}, 20_000);

const users = [randomUUID(), randomUUID()];
const [a, b] = await Promise.all(users.map((user) => connect({ token: token(user) })));
if (!values['posts-only']) await assert.rejects(connect({ token: `${token(users[0])}x` }));

const roomId = randomUUID();
for (const { ask } of [a, b]) assert.deepEqual(await ask('join_room', { roomId }), { status: 'joined', roomId, seq: 0 });
let seq = 0;
/** The event of what was just done, the same for both. */
async function event(type, update) {
  const [first, second] = await Promise.all([a.nth(seq), b.nth(seq)]);
  seq += 1;
  assert.deepEqual(first, second);
  keys(first, update ? 'type intent update timestamp roomId seq' : 'type intent timestamp roomId seq');
  keys(first.intent, INTENT);
  assert.deepEqual([first.type, first.roomId, first.seq], [type, roomId, seq]);
  return first;
}

const content = 'it is said that \\ and " come back';
const posted = await a.ask('new_gossip', { roomId, content });
keys(posted, 'status intent seq');
const { intent } = await event('new_intent');
assert.deepEqual(posted, { status: 'success', intent, seq });
assert.deepEqual([intent.userId, intent.content, intent.status, intent.metadata], [users[0], content, 'pending', null]);
assert.equal(Date.parse(intent.expiresAt) - Date.parse(intent.createdAt), 86_400_000);

// Many at once, from both: each member has all of them, in order.
await Promise.all(Array.from({ length: 500 }, (_, n) => [a, b][n % 2].ask('new_gossip', { roomId, content: `post ${n}` })));
for (let n = 0; n < 500; n += 1) await event('new_intent');

if (!values['posts-only']) {
  for (const [action, upvotes, downvotes, changes] of [
    ['upvote', 1, 0, true],
    ['upvote', 1, 0, false],
    ['downvote', 0, 1, true],
    ['remove', 0, 0, true],
  ]) {
    const reply = await b.ask('vote_gossip', { intentId: intent.id, action });
    if (changes) assert.deepEqual((await event('vote')).intent, reply.intent);
    assert.deepEqual([reply.status, reply.intent.upvotes, reply.intent.downvotes], ['success', upvotes, downvotes]);
    assert.equal(reply.seq, seq);
  }
  const commented = await a.ask('comment_gossip', { intentId: intent.id, content: 'a comment' });
  keys(commented, 'status update seq');
  keys(commented.update, UPDATE);
  assert.deepEqual((await event('comment', true)).update, commented.update);
  const nowhere = await a.ask('vote_gossip', { intentId: roomId, action: 'upvote' });
  assert.deepEqual([nowhere.status, nowhere.code], ['error', 'not_found']);
}

await b.ask('leave_room', { roomId });
await a.ask('new_gossip', { roomId, content: 'for one alone' });
await a.nth(seq);
assert.deepEqual([a.seen.length, b.seen.length], [seq + 1, seq]);
a.socket.close();
b.socket.close();
clearTimeout(watchdog);
console.log(`${url}: as agreed`);
