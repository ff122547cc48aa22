// The feed as one would write it with socket.io on Node, to measure against: tokens are verified, and rooms, intents
// and votes are in memory alone. It is no part of the product: no store, no rights, no limits, no recovery.
// Node cannot raise its own limit of open files: start it with one that is high enough (`ulimit -n`).
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { Server } from 'socket.io';

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
const secret = process.env.JWT_SECRET;
if (!secret) {
  console.error('usage: JWT_SECRET=… node server.mjs [--port PORT]');
  process.exit(2);
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const DAY_MS = 86_400_000;
const isId = (value) => typeof value === 'string' && UUID.test(value);
const isText = (value) => typeof value === 'string' && value.length > 0;

/** The user of a token in HS256 that has not expired, else undefined. */
function verify(token) {
  const [head, claims, signature, ...more] = typeof token === 'string' ? token.split('.') : [];
  if (!signature || more.length > 0) return undefined;
  const wanted = createHmac('sha256', secret).update(`${head}.${claims}`).digest();
  const given = Buffer.from(signature, 'base64url');
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted)) return undefined;
  try {
    const { alg } = JSON.parse(Buffer.from(head, 'base64url'));
    const { sub, exp } = JSON.parse(Buffer.from(claims, 'base64url'));
    return alg === 'HS256' && isId(sub) && exp * 1000 > Date.now() ? sub : undefined;
  } catch {
    return undefined;
  }
}

/** A UUID of version 7. */
function newId(now) {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

const seqs = new Map();
const intents = new Map();
/** By intent, then by user. */
const votes = new Map();

const http = createServer();
const io = new Server(http);
const gossip = io.of('/gossip');

function tell(type, intent, timestamp, update) {
  const { roomId } = intent;
  const seq = (seqs.get(roomId) ?? 0) + 1;
  seqs.set(roomId, seq);
  gossip.to(roomId).emit('gossip_update', { type, intent, ...(update && { update }), timestamp, roomId, seq });
  return seq;
}

const refusal = (code, message) => ({ status: 'error', code, message });
const BAD_DATA = refusal('invalid_input', 'the data is not what the event takes');
const NO_INTENT = refusal('not_found', 'there is no such intent');

const events = {
  join_room(socket, { roomId }) {
    if (!isId(roomId)) return BAD_DATA;
    socket.join(roomId);
    return { status: 'joined', roomId, seq: seqs.get(roomId) ?? 0 };
  },

  leave_room(socket, { roomId }) {
    if (!isId(roomId)) return BAD_DATA;
    socket.leave(roomId);
    return { status: 'left', roomId };
  },

  new_gossip(socket, { roomId, content }) {
    if (!isId(roomId) || !isText(content)) return BAD_DATA;
    const now = Date.now();
    const createdAt = new Date(now).toISOString();
    const intent = {
      id: newId(now),
      roomId,
      userId: socket.data.userId,
      content,
      status: 'pending',
      metadata: null,
      upvotes: 0,
      downvotes: 0,
      expiresAt: new Date(now + DAY_MS).toISOString(),
      createdAt,
      updatedAt: createdAt,
    };
    intents.set(intent.id, intent);
    votes.set(intent.id, new Map());
    return { status: 'success', intent, seq: tell('new_intent', intent, createdAt) };
  },

  vote_gossip(socket, { intentId, action }) {
    if (!['upvote', 'downvote', 'remove'].includes(action)) return BAD_DATA;
    const intent = intents.get(intentId);
    if (!intent) return NO_INTENT;
    const given = votes.get(intentId);
    const before = given.get(socket.data.userId) ?? 'remove';
    if (before === action) return { status: 'success', intent, seq: seqs.get(intent.roomId) };
    if (action === 'remove') given.delete(socket.data.userId);
    else given.set(socket.data.userId, action);
    if (before !== 'remove') intent[`${before}s`] -= 1;
    if (action !== 'remove') intent[`${action}s`] += 1;
    intent.updatedAt = new Date().toISOString();
    return { status: 'success', intent, seq: tell('vote', intent, intent.updatedAt) };
  },

  comment_gossip(socket, { intentId, content }) {
    if (!isText(content)) return BAD_DATA;
    const intent = intents.get(intentId);
    if (!intent) return NO_INTENT;
    const now = Date.now();
    const createdAt = new Date(now).toISOString();
    const { userId } = socket.data;
    const update = { id: newId(now), intentId, userId, type: 'comment', content, metadata: null, createdAt };
    return { status: 'success', update, seq: tell('comment', intent, createdAt, update) };
  },
};

gossip.use((socket, next) => {
  const userId = verify(socket.handshake.auth.token);
  if (userId) {
    socket.data.userId = userId;
    next();
  } else {
    next(Object.assign(new Error('the token is not valid'), { data: refusal('invalid_token', 'the token is not valid') }));
  }
});

gossip.on('connection', (socket) => {
  for (const [name, handle] of Object.entries(events)) {
    socket.on(name, (data, ack) => {
      const reply = data !== null && typeof data === 'object' ? handle(socket, data) : BAD_DATA;
      if (typeof ack === 'function') ack(reply);
    });
  }
});

http.listen({ port: Number(values.port), host: '127.0.0.1', backlog: 4096 }, () => {
  console.log(`listening on http://127.0.0.1:${http.address().port}`);
});
