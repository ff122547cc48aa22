//! Every statement of the SQLite store, in one place so that a test can have each explained. Sets of rows travel as one
//! JSON array. A statement reads by key or in the order of an index, never a table as a whole. What a commit writes is
//! `OR ROLLBACK`: nothing of it stays if any fails, so that SQLite need not be able to take a single statement back, which
//! would cost a copy of each page that it touches.

/// The last position given, while loading a batch. Rows that are loaded together say first what they are.
pub const LOAD_POSITION: &str = r#"SELECT 0, "position" FROM "gossip_position" WHERE "one" = 1"#;

/// The last position given.
pub const POSITION: &str = r#"SELECT "position" FROM "gossip_position" WHERE "one" = 1"#;

/// The intents `?1`.
pub const LOAD_INTENTS: &str =
    r#"SELECT 1, i.* FROM json_each(?1) k CROSS JOIN "gossip_intents" i ON i."id" = k."value""#;

/// The seqs of the rooms `?1`.
pub const LOAD_ROOMS: &str = r#"
SELECT 2, r."roomId", r."seq" FROM json_each(?1) k CROSS JOIN "gossip_rooms" r ON r."roomId" = k."value""#;

/// The seqs of the rooms of the intents `?1`.
pub const LOAD_ROOMS_OF: &str = r#"
SELECT 2, r."roomId", r."seq" FROM json_each(?1) k CROSS JOIN "gossip_intents" i ON i."id" = k."value"
CROSS JOIN "gossip_rooms" r ON r."roomId" = i."roomId""#;

/// The votes of pairs of intent and user.
pub const LOAD_VOTES: &str = r#"
SELECT 3, v."intentId", v."userId", v."action" FROM json_each(?1) k CROSS JOIN "gossip_votes" v
  ON v."intentId" = k."value" ->> 0 AND v."userId" = k."value" ->> 1"#;

/// The request ids, by pairs of user and id, that were used before.
pub const LOAD_REQUESTS: &str = r#"
SELECT 4, r."userId", r."requestId", r."fingerprint", r."result" FROM json_each(?1) k
CROSS JOIN "gossip_requests" r ON r."userId" = k."value" ->> 0 AND r."requestId" = k."value" ->> 1"#;

/// Which pairs of room and user are memberships.
pub const LOAD_MEMBERS: &str = r#"
SELECT m."roomId", m."userId" FROM json_each(?1) k CROSS JOIN "gossip_room_members" m
  ON m."roomId" = k."value" ->> 0 AND m."userId" = k."value" ->> 1"#;

/// New intents.
pub const WRITE_INTENTS: &str = r#"
INSERT OR ROLLBACK INTO "gossip_intents"
  ("id", "roomId", "userId", "content", "status", "metadata", "expiresAt", "createdAt", "updatedAt")
SELECT "value" ->> 0, "value" ->> 1, "value" ->> 2, "value" ->> 3, "value" ->> 4, "value" ->> 5, "value" ->> 6,
       "value" ->> 7, "value" ->> 8 FROM json_each(?1)"#;

/// Intents whose counts changed. A column that is set is written in all its indexes, changed or not; here there are none.
pub const COUNT_INTENTS: &str = r#"
UPDATE OR ROLLBACK "gossip_intents" SET "upvotes" = k."value" ->> 1, "downvotes" = k."value" ->> 2, "updatedAt" = k."value" ->> 3
FROM json_each(?1) k WHERE "gossip_intents"."id" = k."value" ->> 0"#;

/// Intents of which more changed.
pub const CHANGE_INTENTS: &str = r#"
UPDATE OR ROLLBACK "gossip_intents" SET "status" = k."value" ->> 1, "upvotes" = k."value" ->> 2, "downvotes" = k."value" ->> 3,
  "updatedAt" = k."value" ->> 4
FROM json_each(?1) k WHERE "gossip_intents"."id" = k."value" ->> 0"#;

/// Votes that stand.
pub const WRITE_VOTES: &str = r#"
INSERT OR ROLLBACK INTO "gossip_votes" ("intentId", "userId", "action")
SELECT "value" ->> 0, "value" ->> 1, "value" ->> 2 FROM json_each(?1) WHERE true
ON CONFLICT ("intentId", "userId") DO UPDATE SET "action" = excluded."action""#;

/// Votes taken back.
pub const DELETE_VOTES: &str = r#"
DELETE FROM "gossip_votes" WHERE ("intentId", "userId") IN
  (SELECT "value" ->> 0, "value" ->> 1 FROM json_each(?1))"#;

/// New updates.
pub const WRITE_UPDATES: &str = r#"
INSERT OR ROLLBACK INTO "gossip_updates" ("id", "intentId", "userId", "type", "content", "metadata", "createdAt")
SELECT "value" ->> 0, "value" ->> 1, "value" ->> 2, "value" ->> 3, "value" ->> 4, "value" ->> 5, "value" ->> 6
FROM json_each(?1)"#;

/// The seqs of rooms.
pub const WRITE_ROOMS: &str = r#"
INSERT OR ROLLBACK INTO "gossip_rooms" ("roomId", "seq") SELECT "value" ->> 0, "value" ->> 1 FROM json_each(?1) WHERE true
ON CONFLICT ("roomId") DO UPDATE SET "seq" = excluded."seq""#;

/// Events.
pub const WRITE_LOG: &str = r#"
INSERT OR ROLLBACK INTO "gossip_log" ("position", "roomId", "seq", "payload", "createdAt")
SELECT "value" ->> 0, "value" ->> 1, "value" ->> 2, "value" ->> 3, "value" ->> 4 FROM json_each(?1)"#;

/// Request ids with their first results.
pub const WRITE_REQUESTS: &str = r#"
INSERT OR ROLLBACK INTO "gossip_requests" ("userId", "requestId", "fingerprint", "result", "createdAt")
SELECT "value" ->> 0, "value" ->> 1, "value" ->> 2, "value" ->> 3, "value" ->> 4 FROM json_each(?1)"#;

/// The last position given.
pub const WRITE_POSITION: &str = r#"UPDATE "gossip_position" SET "position" = ?1 WHERE "one" = 1"#;

/// The log after position `?1`.
pub const LOG: &str = r#"
SELECT "position", "roomId", "seq", "payload" FROM "gossip_log" WHERE "position" > ?1 ORDER BY "position" LIMIT ?2"#;

/// The events of rooms, each after a seq. Each room's share is found in the index alone; only what is returned is read
/// in full.
pub const REPLAY: &str = r#"
SELECT "position", "roomId", "seq", "payload" FROM "gossip_log" WHERE "position" IN
  (SELECT l."position" FROM json_each(?1) k CROSS JOIN "gossip_log" l WHERE l."position" IN
     (SELECT m."position" FROM "gossip_log" m
      WHERE m."roomId" = k."value" ->> 0 AND m."seq" > k."value" ->> 1 ORDER BY m."seq" LIMIT ?2)
   ORDER BY l."position" LIMIT ?2)
ORDER BY "position""#;

/// Where rooms stand, for clients that saw all up to a position (null: not asked). The last event up to a position is
/// looked for from the room's end back: the index has the positions too, which are the rows' own numbers.
pub const STANDINGS: &str = r#"
SELECT coalesce(r."seq", 0),
       (SELECT l."seq" FROM "gossip_log" l WHERE l."roomId" = k."value" ->> 0 ORDER BY l."seq" LIMIT 1),
       CASE WHEN k."value" ->> 1 IS NOT NULL THEN
         (SELECT l."seq" FROM "gossip_log" l WHERE l."roomId" = k."value" ->> 0 AND l."position" <= k."value" ->> 1
          ORDER BY l."seq" DESC LIMIT 1)
       END
FROM json_each(?1) k LEFT JOIN "gossip_rooms" r ON r."roomId" = k."value" ->> 0 ORDER BY k."key""#;

/// The first position that the log has, and the last one given.
pub const ENDS: &str = r#"
SELECT (SELECT "position" FROM "gossip_log" ORDER BY "position" LIMIT 1), "position"
FROM "gossip_position" WHERE "one" = 1"#;

/// The seq of room `?1`.
pub const ROOM: &str = r#"SELECT "seq" FROM "gossip_rooms" WHERE "roomId" = ?1"#;

/// Intent `?1`.
pub const INTENT: &str = r#"SELECT * FROM "gossip_intents" WHERE "id" = ?1"#;

/// The vote of user `?2` on intent `?1`.
pub const VOTE: &str = r#"SELECT "action" FROM "gossip_votes" WHERE "intentId" = ?1 AND "userId" = ?2"#;

/// A page of room `?1`, from after the time `?2` and id `?3`.
pub const INTENTS: &str = r#"
SELECT * FROM "gossip_intents" WHERE "roomId" = ?1 AND ("createdAt", "id") < (?2, ?3)
ORDER BY "createdAt" DESC, "id" DESC LIMIT ?4"#;

/// As [`INTENTS`], of those with status `?5`.
pub const INTENTS_OF_STATUS: &str = r#"
SELECT * FROM "gossip_intents" WHERE "roomId" = ?1 AND ("createdAt", "id") < (?2, ?3) AND "status" = ?5
ORDER BY "createdAt" DESC, "id" DESC LIMIT ?4"#;

/// A page of the updates of intent `?1`; see [`INTENTS`].
pub const UPDATES: &str = r#"
SELECT * FROM "gossip_updates" WHERE "intentId" = ?1 AND ("createdAt", "id") < (?2, ?3)
ORDER BY "createdAt" DESC, "id" DESC LIMIT ?4"#;

/// As [`UPDATES`], without those of votes.
pub const UPDATES_WITHOUT_VOTES: &str = r#"
SELECT * FROM "gossip_updates" WHERE "intentId" = ?1 AND ("createdAt", "id") < (?2, ?3) AND "type" <> 'vote'
ORDER BY "createdAt" DESC, "id" DESC LIMIT ?4"#;

/// Whether user `?2` is a member of room `?1`.
pub const MEMBER: &str = r#"SELECT 1 FROM "gossip_room_members" WHERE "roomId" = ?1 AND "userId" = ?2"#;

/// What is past its time at `?1`. Words that we do not know never come due; the first condition is the index's own.
pub const DUE: &str = r#"
SELECT "id" FROM "gossip_intents"
WHERE "status" <> 'expired' AND "expiresAt" <= ?1 AND "status" IN ('pending', 'verified', 'debunked')
ORDER BY "expiresAt" LIMIT ?2"#;

/// What was kept of connection `?1`.
pub const RECOVERY: &str = r#"
SELECT r."userId", m."roomId", m."seq" FROM "gossip_recoveries" r
LEFT JOIN "gossip_recovery_rooms" m ON m."pid" = r."pid" WHERE r."pid" = ?1 ORDER BY m."roomId""#;

/// Connections opened.
pub const KEEP_OPENED: &str = r#"
INSERT INTO "gossip_recoveries" ("pid", "userId", "seenAt")
SELECT "value" ->> 0, "value" ->> 1, "value" ->> 2 FROM json_each(?1) WHERE true ON CONFLICT ("pid") DO NOTHING"#;

/// Rooms joined. Those of a connection that was forgotten or pruned would stay for ever.
pub const KEEP_JOINED: &str = r#"
INSERT INTO "gossip_recovery_rooms" ("pid", "roomId", "seq")
SELECT r."pid", k."value" ->> 1, k."value" ->> 2 FROM json_each(?1) k
CROSS JOIN "gossip_recoveries" r ON r."pid" = k."value" ->> 0 WHERE true
ON CONFLICT ("pid", "roomId") DO UPDATE SET "seq" = excluded."seq""#;

/// Rooms left.
pub const KEEP_LEFT: &str = r#"
DELETE FROM "gossip_recovery_rooms" WHERE ("pid", "roomId") IN
  (SELECT "value" ->> 0, "value" ->> 1 FROM json_each(?1))"#;

/// Rooms of connections forgotten.
pub const FORGET_ROOMS: &str =
    r#"DELETE FROM "gossip_recovery_rooms" WHERE "pid" IN (SELECT "value" FROM json_each(?1))"#;

/// Connections forgotten.
pub const FORGET: &str = r#"DELETE FROM "gossip_recoveries" WHERE "pid" IN (SELECT "value" FROM json_each(?1))"#;

/// Connections `?1` live at `?2`.
pub const TOUCH: &str =
    r#"UPDATE "gossip_recoveries" SET "seenAt" = ?2 WHERE "pid" IN (SELECT "value" FROM json_each(?1))"#;

/// The oldest of the log, up to the first that is not before `?1`: what is left of a room's log has no hole.
pub const PRUNE_LOG: &str = r#"
WITH "oldest" AS MATERIALIZED (SELECT "position", "createdAt" FROM "gossip_log" ORDER BY "position" LIMIT ?2)
DELETE FROM "gossip_log" WHERE "position" <= (
  SELECT max("position") FROM "oldest"
  WHERE "position" < coalesce((SELECT min("position") FROM "oldest" WHERE "createdAt" >= ?1), 9223372036854775807))"#;

/// Request ids from before `?1`.
pub const PRUNE_REQUESTS: &str = r#"
DELETE FROM "gossip_requests" WHERE ("userId", "requestId") IN
  (SELECT "userId", "requestId" FROM "gossip_requests" WHERE "createdAt" < ?1 ORDER BY "createdAt" LIMIT ?2)"#;

/// Rooms of connections not seen since `?1`, before the connections themselves, by the same choice.
pub const PRUNE_RECOVERY_ROOMS: &str = r#"
DELETE FROM "gossip_recovery_rooms" WHERE "pid" IN
  (SELECT "pid" FROM "gossip_recoveries" WHERE "seenAt" < ?1 ORDER BY "seenAt", "pid" LIMIT ?2)"#;

/// Connections not seen since `?1`.
pub const PRUNE_RECOVERIES: &str = r#"
DELETE FROM "gossip_recoveries" WHERE "pid" IN
  (SELECT "pid" FROM "gossip_recoveries" WHERE "seenAt" < ?1 ORDER BY "seenAt", "pid" LIMIT ?2)"#;

/// The members of room `?1` after user `?2`.
pub const MEMBERS: &str = r#"
SELECT "userId", "addedAt" FROM "gossip_room_members" WHERE "roomId" = ?1 AND "userId" > ?2 ORDER BY "userId" LIMIT ?3"#;

/// A membership.
pub const ADD_MEMBER: &str = r#"
INSERT INTO "gossip_room_members" ("roomId", "userId", "addedAt") VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING"#;

/// No membership.
pub const REMOVE_MEMBER: &str = r#"DELETE FROM "gossip_room_members" WHERE "roomId" = ?1 AND "userId" = ?2"#;

/// The last change of access.
pub const LAST_ACCESS_CHANGE: &str = r#"SELECT coalesce(max("id"), 0) FROM "gossip_access_changes""#;

/// The changes of access after `?1`.
pub const ACCESS_CHANGES: &str = r#"
SELECT "id", "userId", "roomId" FROM "gossip_access_changes" WHERE "id" > ?1 ORDER BY "id" LIMIT ?2"#;

/// The connections of user `?1` are to end.
pub const END_CONNECTIONS: &str = r#"INSERT INTO "gossip_access_changes" ("userId") VALUES (?1)"#;

/// Tokens of user `?1` issued before `?2` are revoked.
pub const REVOKE: &str = r#"
INSERT INTO "gossip_revocations" ("userId", "notBefore", "createdAt") VALUES (?1, ?2, ?3)
ON CONFLICT ("userId") DO UPDATE SET "notBefore" = max("notBefore", excluded."notBefore")"#;

/// Rooms of the connections of user `?1`, before the connections themselves.
pub const FORGET_ROOMS_OF_USER: &str = r#"
DELETE FROM "gossip_recovery_rooms" WHERE "pid" IN (SELECT "pid" FROM "gossip_recoveries" WHERE "userId" = ?1)"#;

/// The connections of user `?1`.
pub const FORGET_USER: &str = r#"DELETE FROM "gossip_recoveries" WHERE "userId" = ?1"#;

/// Revocations after user `?1`.
pub const REVOCATIONS: &str = r#"
SELECT "userId", "notBefore" FROM "gossip_revocations" WHERE "userId" > ?1 ORDER BY "userId" LIMIT ?2"#;

/// Revocations of users.
pub const REVOCATIONS_OF: &str = r#"
SELECT r."userId", r."notBefore" FROM json_each(?1) k CROSS JOIN "gossip_revocations" r ON r."userId" = k."value""#;

/// Changes of access from more than an hour ago.
pub const PRUNE_ACCESS_CHANGES: &str = r#"
DELETE FROM "gossip_access_changes" WHERE "id" IN
  (SELECT "id" FROM "gossip_access_changes" WHERE "createdAt" < strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour')
   ORDER BY "createdAt" LIMIT ?1)"#;

/// All of them, by name.
pub const ALL: &[(&str, &str)] = &[
    ("LOAD_POSITION", LOAD_POSITION),
    ("POSITION", POSITION),
    ("LOAD_INTENTS", LOAD_INTENTS),
    ("LOAD_VOTES", LOAD_VOTES),
    ("LOAD_ROOMS", LOAD_ROOMS),
    ("LOAD_ROOMS_OF", LOAD_ROOMS_OF),
    ("LOAD_MEMBERS", LOAD_MEMBERS),
    ("LOAD_REQUESTS", LOAD_REQUESTS),
    ("WRITE_INTENTS", WRITE_INTENTS),
    ("COUNT_INTENTS", COUNT_INTENTS),
    ("CHANGE_INTENTS", CHANGE_INTENTS),
    ("WRITE_VOTES", WRITE_VOTES),
    ("DELETE_VOTES", DELETE_VOTES),
    ("WRITE_UPDATES", WRITE_UPDATES),
    ("WRITE_ROOMS", WRITE_ROOMS),
    ("WRITE_LOG", WRITE_LOG),
    ("WRITE_REQUESTS", WRITE_REQUESTS),
    ("WRITE_POSITION", WRITE_POSITION),
    ("LOG", LOG),
    ("REPLAY", REPLAY),
    ("STANDINGS", STANDINGS),
    ("ENDS", ENDS),
    ("ROOM", ROOM),
    ("INTENT", INTENT),
    ("VOTE", VOTE),
    ("INTENTS", INTENTS),
    ("INTENTS_OF_STATUS", INTENTS_OF_STATUS),
    ("UPDATES", UPDATES),
    ("UPDATES_WITHOUT_VOTES", UPDATES_WITHOUT_VOTES),
    ("MEMBER", MEMBER),
    ("DUE", DUE),
    ("RECOVERY", RECOVERY),
    ("KEEP_OPENED", KEEP_OPENED),
    ("KEEP_JOINED", KEEP_JOINED),
    ("KEEP_LEFT", KEEP_LEFT),
    ("FORGET_ROOMS", FORGET_ROOMS),
    ("FORGET", FORGET),
    ("TOUCH", TOUCH),
    ("PRUNE_LOG", PRUNE_LOG),
    ("PRUNE_REQUESTS", PRUNE_REQUESTS),
    ("PRUNE_RECOVERY_ROOMS", PRUNE_RECOVERY_ROOMS),
    ("PRUNE_RECOVERIES", PRUNE_RECOVERIES),
    ("MEMBERS", MEMBERS),
    ("ADD_MEMBER", ADD_MEMBER),
    ("REMOVE_MEMBER", REMOVE_MEMBER),
    ("LAST_ACCESS_CHANGE", LAST_ACCESS_CHANGE),
    ("ACCESS_CHANGES", ACCESS_CHANGES),
    ("END_CONNECTIONS", END_CONNECTIONS),
    ("REVOKE", REVOKE),
    ("FORGET_ROOMS_OF_USER", FORGET_ROOMS_OF_USER),
    ("FORGET_USER", FORGET_USER),
    ("REVOCATIONS", REVOCATIONS),
    ("REVOCATIONS_OF", REVOCATIONS_OF),
    ("PRUNE_ACCESS_CHANGES", PRUNE_ACCESS_CHANGES),
];
