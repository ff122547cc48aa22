// Generated from the server's types by `cargo xtask types`. Do not edit.

/** Events without acks, for `Socket<ServerToClientEvents, WithoutAcks<ClientToServerEvents>>`: failures come as `exception`. */
export type WithoutAcks<Events> = {
  [Name in keyof Events]: Events[Name] extends (data: infer Data, ...ack: never[]) => void ? (data: Data) => void : never;
};

/** What a client emits. The `status` of an answer tells whether it is a `Refusal`. */
export interface ClientToServerEvents {
  /** Says who one is */
  authenticate: (data: Authenticate, ack: (answer: Authenticated | Refusal) => void) => void;
  /** Comments */
  comment_gossip: (data: CommentGossip, ack: (answer: UpdateReply | Refusal) => void) => void;
  /** One intent, and the asking user's vote */
  get_gossip: (data: GetGossip, ack: (answer: OneIntent | Refusal) => void) => void;
  /** Subscribes to the events of a room */
  join_room: (data: JoinRoom, ack: (answer: Joined | Refusal) => void) => void;
  /** Ends the subscription to a room */
  leave_room: (data: LeaveRoom, ack: (answer: Left | Refusal) => void) => void;
  /** A page of a room's intents, newest first */
  list_gossip: (data: ListGossip, ack: (answer: IntentPage | Refusal) => void) => void;
  /** A page of what happened to an intent, newest first */
  list_updates: (data: ListUpdates, ack: (answer: UpdatePage | Refusal) => void) => void;
  /** Posts */
  new_gossip: (data: NewGossip, ack: (answer: IntentReply | Refusal) => void) => void;
  /** Changes an intent's status; admins only */
  update_gossip: (data: UpdateGossip, ack: (answer: IntentReply | Refusal) => void) => void;
  /** Votes, or takes the vote back */
  vote_gossip: (data: VoteGossip, ack: (answer: IntentReply | Refusal) => void) => void;
}

/** What a client is sent, beside events of your own: add those by declaring the interface once more. */
export interface ServerToClientEvents {
  /** An event without an ack failed, or the token expired. */
  exception: (data: Exception) => void;
  /** Something happened in a room one is in. */
  gossip_update: (data: GossipUpdate) => void;
  /** After a handshake with `resume`: what became of its rooms. */
  resumed: (data: Resumed) => void;
  /** Access to a room was withdrawn, or refused on resume. */
  room_closed: (data: RoomClosed) => void;
  /** The server ends: come back after that time. */
  server_draining: (data: ServerDraining) => void;
}

/** The data of `authenticate`. */
export interface Authenticate {
  /** The JWT. */
  token: string;
  /** Must equal the token's `sub`. */
  userId?: string | null;
}

/** The answer to `authenticate`. */
export interface Authenticated {
  status: 'authenticated';
  /** Whom the token names. */
  userId: string;
  /** When the token ends. */
  expiresAt: string;
}

/** Why a request was refused. */
export type Code =
  /** The socket has not authenticated. */
  | 'not_authenticated'
  /** The token is not one we accept. */
  | 'invalid_token'
  /** The token's time is over. */
  | 'token_expired'
  /** Authenticated, but not allowed. */
  | 'forbidden'
  /** No such thing, or none in a room one may see. */
  | 'not_found'
  /** A member of the data is wrong; `field` names it. */
  | 'invalid_input'
  /** A frame or body over the limit. */
  | 'too_large'
  /** Too often; `retryAfterMs` says when it may be tried again. */
  | 'rate_limited'
  /** The intent no longer takes it. */
  | 'closed'
  /** The `requestId` was used for another command. */
  | 'conflict'
  /** No event of that name. */
  | 'unknown_event'
  /** The store did not answer; nothing was written. */
  | 'unavailable'
  /** The store vanished during the commit: repeat with the same `requestId`. */
  | 'unresolved'
  /** A fault of ours. */
  | 'internal';

/** The data of `comment_gossip`. */
export interface CommentGossip {
  /** On which intent. */
  intentId: string;
  /** The text: not empty, and with a maximum that is configured (1000 characters if it is not). */
  content: string;
  /** The client's own id for the command: a repetition is answered with the first result. */
  requestId?: string | null;
}

/** A failure of an event that asked for no ack, or of none. */
export interface Exception {
  status: 'error';
  code: Code;
  /** The reason, for people. */
  message: string;
  /** The event that failed; absent where none did. */
  event?: string;
  /** The offending member. */
  field?: string;
  /** Milliseconds to wait before another try. */
  retryAfterMs?: number;
}

/** The data of `get_gossip`. */
export interface GetGossip {
  /** Which intent. */
  intentId: string;
}

/** The data of a `gossip_update` event. */
export interface GossipUpdate {
  /** What happened. */
  type: GossipUpdateType;
  /** The intent as it is after it. */
  intent: Intent;
  /** When it was committed. */
  timestamp: string;
  /** Where. */
  roomId: string;
  /** Its place in the room. */
  seq: number;
  /** The row that tells more; left out for `new_intent` and `vote`. */
  update?: Update;
}

/** The kinds of `gossip_update`. */
export type GossipUpdateType =
  /** Gossip was posted. */
  | 'new_intent'
  /** Any change of status, expiry included. */
  | 'status_change'
  /** A vote changed the counts. */
  | 'vote'
  /** A comment was added. */
  | 'comment'
  /** The verdict, right after a change to `verified` or `debunked`. */
  | 'verification';

/** The `auth` of a connection: `io(url, { auth })`. */
export interface Handshake {
  /** The client asks for Socket.IO's connection state recovery. */
  recover?: boolean | null;
  /** The rooms to go on in, each with the last event the client has. */
  resume?: Record<string, number> | null;
  /** The JWT; without one the socket may still send `authenticate`. */
  token?: string | null;
  /** Must equal the token's `sub`. */
  userId?: string | null;
}

/** One piece of gossip. Every key is always on the wire, `null` where empty. */
export interface Intent {
  /** UUID v7 when made here. */
  id: string;
  /** The room it was posted in; never changes. */
  roomId: string;
  /** Who posted it. */
  userId: string;
  /** Normalised text, never interpreted. */
  content: string;
  /** Where it stands. */
  status: Status;
  /** The poster's own JSON object. */
  metadata: Record<string, unknown> | null;
  /** Votes for it. */
  upvotes: number;
  /** Votes against it. */
  downvotes: number;
  /** When it expires. */
  expiresAt: string | null;
  /** When it was posted. */
  createdAt: string;
  /** When a vote or a change of status last touched it. */
  updatedAt: string;
}

/** The answer to `list_gossip`. */
export interface IntentPage {
  status: 'success';
  /** Newest first. */
  intents: Array<Intent>;
  /** Where the next page begins; `null` at the end. */
  nextBefore: string | null;
}

/** The answer to `new_gossip`, `update_gossip`, `vote_gossip`. */
export interface IntentReply {
  status: 'success';
  /** As it is after the command. */
  intent: Intent;
  /** The last event the command caused, or the room's present one. */
  seq: number;
}

/** The data of `join_room`. */
export interface JoinRoom {
  /** Which room. */
  roomId: string;
  /** How many of the newest intents to send along. */
  history?: number | null;
  /** The last event the client has. */
  since?: number | null;
}

/** The answer to `join_room`. */
export interface Joined {
  status: 'joined';
  /** Which room. */
  roomId: string;
  /** The room's present seq: the first live event is the next one. */
  seq: number;
  /** With `history`: the newest intents, newest first. */
  intents?: Array<Intent>;
  /** With `since`: whether all that was missed is delivered. */
  recovered?: boolean;
}

/** The data of `leave_room`. */
export interface LeaveRoom {
  /** Which room. */
  roomId: string;
}

/** The answer to `leave_room`. */
export interface Left {
  status: 'left';
  /** Which room. */
  roomId: string;
}

/** The data of `list_gossip`. */
export interface ListGossip {
  /** In which room. */
  roomId: string;
  /** The `nextBefore` of the page before. */
  before?: string | null;
  /** How many at most. */
  limit?: number | null;
  /** Only intents of this status. */
  status?: Status | null;
}

/** The data of `list_updates`. */
export interface ListUpdates {
  /** Of which intent. */
  intentId: string;
  /** The `nextBefore` of the page before. */
  before?: string | null;
  /** How many at most. */
  limit?: number | null;
}

/** The data of `new_gossip`. */
export interface NewGossip {
  /** In which room. */
  roomId: string;
  /** The text: not empty, and with a maximum that is configured (2000 characters if it is not). */
  content: string;
  /** After how long it expires; the maximum and the default are configured (1440 both if they are not). */
  expiresInMinutes?: number | null;
  /** Stored and sent as it is; at most 4 KiB as compact JSON, 8 deep, unless configured otherwise. */
  metadata?: Record<string, unknown> | null;
  /** The client's own id for the command: a repetition is answered with the first result. */
  requestId?: string | null;
}

/** The answer to `get_gossip`. */
export interface OneIntent {
  status: 'success';
  /** The intent. */
  intent: Intent;
  /** The asking user's vote. */
  myVote: Vote | null;
}

/** The answer to what failed. */
export interface Refusal {
  status: 'error';
  code: Code;
  /** The reason, for people. */
  message: string;
  /** The offending member. */
  field?: string;
  /** Milliseconds to wait before another try. */
  retryAfterMs?: number;
}

/** The data of `resumed`, after a handshake with `resume`. */
export interface Resumed {
  /** The rooms that one is in again. */
  rooms: Record<string, ResumedRoom>;
}

/** How one is in a room again. */
export interface ResumedRoom {
  /** Whether all that was missed is delivered; nothing of it is where not. */
  recovered: boolean;
  /** The room's present seq. */
  seq: number;
}

/** The data of `room_closed`: access to a room was withdrawn, or refused on resume. */
export interface RoomClosed {
  /** Why. */
  code: Code;
  /** Which room. */
  roomId: string;
}

/** The data of `server_draining`: the server ends, and the connection soon. */
export interface ServerDraining {
  /** Milliseconds to wait before coming back. */
  retryAfterMs: number;
}

/** Where an intent stands. */
export type Status =
  /** Nobody has judged it yet. */
  | 'pending'
  /** An admin found it true. */
  | 'verified'
  /** An admin found it false. */
  | 'debunked'
  /** Its time is over. Final. */
  | 'expired';

/** One row of what happened to an intent. Every key is always on the wire, `null` where empty. */
export interface Update {
  /** UUID v7 when made here. */
  id: string;
  /** What it happened to. */
  intentId: string;
  /** Who did it; the nil UUID for the server itself. */
  userId: string;
  /** What it was. */
  type: UpdateType;
  /** The comment, the reason or the vote's action. */
  content: string | null;
  /** `{oldStatus, newStatus}` or `{verdict}`. */
  metadata: Record<string, unknown> | null;
  /** When. */
  createdAt: string;
}

/** The data of `update_gossip`. */
export interface UpdateGossip {
  /** Which intent. */
  intentId: string;
  /** Its new status. */
  status: Status;
  /** Why; at most 500 characters, unless configured otherwise. */
  reason?: string | null;
  /** The client's own id for the command: a repetition is answered with the first result. */
  requestId?: string | null;
}

/** The answer to `list_updates`. */
export interface UpdatePage {
  status: 'success';
  /** Newest first. */
  updates: Array<Update>;
  /** Where the next page begins; `null` at the end. */
  nextBefore: string | null;
}

/** The answer to `comment_gossip`. */
export interface UpdateReply {
  status: 'success';
  /** The comment. */
  update: Update;
  /** Its event. */
  seq: number;
}

/** The kinds of rows in `gossip_updates`: as those of `gossip_update`, without the post itself. */
export type UpdateType =
  /** A change of status. */
  | 'status_change'
  /** A vote; `content` is the action. */
  | 'vote'
  /** A comment; `content` is its text. */
  | 'comment'
  /** A verdict; `content` is the reason. */
  | 'verification';

/** A vote that stands. */
export type Vote =
  /** For. */
  | 'upvote'
  /** Against. */
  | 'downvote';

/** What a user does with their vote. */
export type VoteAction =
  /** Stand for it. */
  | 'upvote'
  /** Stand against it. */
  | 'downvote'
  /** Take the vote back. */
  | 'remove';

/** The data of `vote_gossip`. */
export interface VoteGossip {
  /** On which intent. */
  intentId: string;
  /** In which way. */
  action: VoteAction;
}
