// The contract's shapes: exact key sets, identifiers and times.
import assert from 'node:assert/strict';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

const INTENT_KEYS = [
  'id', 'roomId', 'userId', 'content', 'status', 'metadata',
  'upvotes', 'downvotes', 'expiresAt', 'createdAt', 'updatedAt',
];
const UPDATE_KEYS = ['id', 'intentId', 'userId', 'type', 'content', 'metadata', 'createdAt'];
const STATUSES = ['pending', 'verified', 'debunked', 'expired'];

export function keys(object, expected) {
  assert.equal(Object.prototype.toString.call(object), '[object Object]', `an object, not ${JSON.stringify(object)}`);
  assert.deepEqual(Object.keys(object).sort(), [...expected].sort());
}

export const uuid = (value) => assert.match(value, UUID);
export const ownUuid = (value) => assert.match(value, UUID_V7);
export const time = (value) => assert.match(value, TIME);

/** Checks that `object` has these members with these values, whatever else it has. */
export function includes(object, expected) {
  for (const [key, value] of Object.entries(expected)) assert.deepEqual(object[key], value, key);
}

export function intent(value, expected = {}) {
  keys(value, INTENT_KEYS);
  ownUuid(value.id);
  uuid(value.roomId);
  uuid(value.userId);
  assert.equal(typeof value.content, 'string');
  assert.ok(STATUSES.includes(value.status), value.status);
  for (const count of [value.upvotes, value.downvotes]) assert.ok(Number.isInteger(count) && count >= 0);
  for (const at of [value.expiresAt, value.createdAt, value.updatedAt]) time(at);
  includes(value, expected);
}

export function update(value, expected = {}) {
  keys(value, UPDATE_KEYS);
  ownUuid(value.id);
  uuid(value.intentId);
  uuid(value.userId);
  time(value.createdAt);
  includes(value, expected);
}

/** A `gossip_update`; `expected.update` is checked if given, and must be absent if not. */
export function event(value, { update: expectedUpdate, intent: expectedIntent, ...expected }) {
  const base = ['type', 'intent', 'timestamp', 'roomId', 'seq'];
  keys(value, expectedUpdate ? [...base, 'update'] : base);
  time(value.timestamp);
  assert.ok(Number.isInteger(value.seq) && value.seq > 0, `seq ${value.seq}`);
  intent(value.intent, { roomId: value.roomId, ...expectedIntent });
  if (expectedUpdate) update(value.update, { intentId: value.intent.id, type: value.type, ...expectedUpdate });
  includes(value, expected);
}

/** A refusal, as an ack; `field` may be a list of acceptable names. */
export function refusal(body, code, field, extraKeys = []) {
  assert.equal(body?.status, 'error', `a refusal, not ${JSON.stringify(body)}`);
  const { retryAfterMs, field: named, ...rest } = body;
  keys(rest, ['status', 'code', 'message', ...extraKeys]);
  assert.equal(body.code, code, body.message);
  assert.ok(typeof body.message === 'string' && body.message.length > 0);
  if (code === 'invalid_input') assert.equal(typeof named, 'string', 'invalid_input names a field');
  if (field !== undefined) assert.ok([field].flat().includes(named), `field ${named}, not ${field}: ${body.message}`);
  assert.equal(retryAfterMs !== undefined, code === 'rate_limited', 'retryAfterMs belongs to rate_limited');
}

/** The same, as an `exception`; `name` is the event that failed, if there was one. */
export function exception(body, code, field, name) {
  refusal(body, code, field, name === undefined ? [] : ['event']);
  assert.equal(body.event, name);
}

/** The events of a room as one client saw them: 1, 2, 3… from `first`. */
export function gapless(events, first = 1) {
  assert.deepEqual(events.map((each) => each.seq), events.map((_, index) => first + index));
}
