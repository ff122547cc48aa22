// An application as its author would write it, never run: that it compiles is the test. What must not compile says so.
import { io, type Socket } from 'socket.io-client';
import type {
  ClientToServerEvents,
  Code,
  GossipUpdate,
  Handshake,
  Intent,
  ServerToClientEvents,
  WithoutAcks,
} from '@gossipd/types';

declare module '@gossipd/types' {
  interface ServerToClientEvents {
    weather: (data: { degrees: number }) => void;
  }
}

const auth: Handshake = { token: 'a token', resume: {} };
const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io('http://localhost:3000/gossip', { auth });
const roomId = '018f2a3e-0000-7000-8000-000000000000';

export async function post(content: string): Promise<Intent> {
  const joined = await socket.emitWithAck('join_room', { roomId, since: 7, history: 20 });
  if (joined.status === 'joined') {
    const seq: number = joined.seq;
    const missed: boolean | undefined = joined.recovered;
    console.log(seq, missed, joined.intents?.[0]?.metadata?.['source']);
  }
  const answer = await socket.timeout(5_000).emitWithAck('new_gossip', { roomId, content, metadata: { source: 'me' } });
  if (answer.status === 'error') {
    const code: Code = answer.code;
    throw new Error(`${code} ${answer.field ?? ''} ${answer.retryAfterMs ?? 0}`);
  }
  return answer.intent;
}

socket.emit('vote_gossip', { intentId: roomId, action: 'upvote' }, (answer) => {
  if (answer.status === 'success') console.log(answer.intent.upvotes + 1);
});
socket.timeout(5_000).emit('get_gossip', { intentId: roomId }, (error, answer) => {
  if (!error && answer.status === 'success') console.log(answer.myVote === 'downvote');
});

const shouting: Socket<ServerToClientEvents, WithoutAcks<ClientToServerEvents>> = io('http://localhost:3000/gossip');
shouting.emit('comment_gossip', { intentId: roomId, content: 'so they say' });

function told(update: GossipUpdate): string {
  switch (update.type) {
    case 'comment':
      return update.update?.content ?? '';
    case 'status_change':
      return update.intent.status;
    default:
      return `${update.seq} ${update.timestamp}`;
  }
}
socket.on('gossip_update', (update) => console.log(told(update)));
socket.on('exception', (failure) => console.log(failure.code === 'token_expired', failure.event?.length));
socket.on('room_closed', ({ roomId, code }) => console.log(roomId, code));
socket.on('resumed', ({ rooms }) => console.log(rooms[roomId]?.recovered));
socket.on('server_draining', ({ retryAfterMs }) => console.log(retryAfterMs / 1000));
socket.on('weather', ({ degrees }) => console.log(degrees.toFixed()));

// @ts-expect-error a room is named by a string
socket.emit('join_room', { roomId: 5 }, () => {});
// @ts-expect-error content is missing
socket.emit('new_gossip', { roomId }, () => {});
// @ts-expect-error no such action
socket.emit('vote_gossip', { intentId: roomId, action: 'up' }, () => {});
// @ts-expect-error no such event
socket.emit('shout', {}, () => {});
// @ts-expect-error an answer may be a refusal, which has no intent
socket.emit('vote_gossip', { intentId: roomId, action: 'remove' }, (answer) => answer.intent);
// @ts-expect-error the server sends no such event
socket.on('gossip', () => {});
// @ts-expect-error no such status
socket.on('gossip_update', ({ intent }) => intent.status === 'false');
