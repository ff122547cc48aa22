//! Every statement of the Postgres store, in one place so that a test can have each explained. Sets of rows travel as
//! arrays, one for a column, so that a statement's text does not depend on how many there are. A statement reads by key
//! or in the order of an index, never a table as a whole.

/// The rooms that a batch touches, in the order of their ids, which keeps batches from waiting for each other in a
/// circle: `$1` those posted to, `$2` the intents named. What waited for a lock is read again, so the seq is the
/// present one.
///
/// Whoever writes intents, votes, updates or events of a room holds its row. A room that has none yet cannot be held:
/// [`MAKE_ROOMS`] comes before.
pub const LOCK_ROOMS: &str = r#"
SELECT "roomId", "seq" FROM "gossip_rooms"
WHERE "roomId" = ANY (ARRAY(
  SELECT unnest($1::uuid[]) UNION SELECT "roomId" FROM "gossip_intents" WHERE "id" = ANY ($2::uuid[])))
ORDER BY "roomId" FOR UPDATE"#;

/// Rooms that have no row yet, before any is locked: who makes the same ones at once waits here, holding none that
/// others wait for.
pub const MAKE_ROOMS: &str = r#"
INSERT INTO "gossip_rooms" ("roomId", "seq") SELECT k, 0 FROM unnest($1::uuid[]) k ORDER BY 1 ON CONFLICT DO NOTHING"#;

/// The intents `$1`, and the votes by which the users `$3` stand on the intents `$2`: these rows have no room. A
/// statement after [`LOCK_ROOMS`], for in that one the votes would be as they were before it waited.
///
/// The rooms' locks do for us; the intents' own are for others who write to these tables, whose change of a count would
/// else be lost between reading and writing. They cost 3 µs for one intent and 0.3 ms for 256 different ones.
pub const LOAD: &str = r#"
WITH i AS (
  SELECT "id", "roomId", "userId", "content", "status", "metadata"::text AS "metadata", "upvotes", "downvotes",
         "expiresAt", "createdAt", "updatedAt"
  FROM "gossip_intents" WHERE "id" = ANY ($1::uuid[]) FOR NO KEY UPDATE
)
SELECT * FROM i
UNION ALL
SELECT v."intentId", NULL, v."userId", NULL, v."action", NULL, NULL, NULL, NULL, NULL, NULL
FROM unnest($2::uuid[], $3::uuid[]) k ("intent", "user")
JOIN "gossip_votes" v ON v."intentId" = k."intent" AND v."userId" = k."user""#;

/// Which of these rooms `$1` and users `$2` are memberships.
pub const LOAD_MEMBERS: &str = r#"
SELECT m."roomId", m."userId" FROM unnest($1::uuid[], $2::uuid[]) k ("room", "user")
JOIN "gossip_room_members" m ON m."roomId" = k."room" AND m."userId" = k."user""#;

/// The request ids `$2` of users `$1` that were used before.
pub const LOAD_REQUESTS: &str = r#"
SELECT r."userId", r."requestId", r."fingerprint", r."result" FROM unnest($1::uuid[], $2::text[]) k ("user", "id")
JOIN "gossip_requests" r ON r."userId" = k."user" AND r."requestId" = k."id""#;

/// All that a batch writes; answers the position before its first event.
///
/// The position's lock makes other batches wait until the commit, so it comes last but for the log, which needs it: the
/// counts of what is written before are asked in its condition.
pub const WRITE: &str = r#"
WITH
"intents" AS (
  INSERT INTO "gossip_intents"
    ("id", "roomId", "userId", "content", "status", "metadata", "expiresAt", "createdAt", "updatedAt")
  SELECT k."id", k."room", k."user", k."content", k."status", k."metadata"::jsonb, k."expires", $1, $1
  FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
    k ("id", "room", "user", "content", "status", "metadata", "expires")
  RETURNING 1
),
"changed" AS (
  UPDATE "gossip_intents" i
  SET "status" = k."status", "upvotes" = k."up", "downvotes" = k."down", "updatedAt" = k."updated"
  FROM unnest($9::uuid[], $10::text[], $11::integer[], $12::integer[], $13::timestamptz[])
    k ("id", "status", "up", "down", "updated")
  WHERE i."id" = k."id" RETURNING 1
),
"voted" AS (
  INSERT INTO "gossip_votes" ("intentId", "userId", "action")
  SELECT * FROM unnest($14::uuid[], $15::uuid[], $16::text[])
  ON CONFLICT ("intentId", "userId") DO UPDATE SET "action" = excluded."action" RETURNING 1
),
"unvoted" AS (
  DELETE FROM "gossip_votes" v USING unnest($17::uuid[], $18::uuid[]) k ("intent", "user")
  WHERE v."intentId" = k."intent" AND v."userId" = k."user" RETURNING 1
),
"updates" AS (
  INSERT INTO "gossip_updates" ("id", "intentId", "userId", "type", "content", "metadata", "createdAt")
  SELECT k."id", k."intent", k."user", k."type", k."content", k."metadata"::jsonb, $1
  FROM unnest($19::uuid[], $20::uuid[], $21::uuid[], $22::text[], $23::text[], $24::text[])
    k ("id", "intent", "user", "type", "content", "metadata")
  RETURNING 1
),
"rooms" AS (
  UPDATE "gossip_rooms" r SET "seq" = k."seq" FROM unnest($25::uuid[], $26::bigint[]) k ("room", "seq")
  WHERE r."roomId" = k."room" RETURNING 1
),
"requests" AS (
  INSERT INTO "gossip_requests" ("userId", "requestId", "fingerprint", "result", "createdAt")
  SELECT k.*, $1 FROM unnest($27::uuid[], $28::text[], $29::uuid[], $30::text[]) k ORDER BY 1, 2 RETURNING 1
),
"p" AS (
  UPDATE "gossip_position" SET "position" = "position" + cardinality($31::uuid[])
  WHERE "one" = 1
    AND (SELECT count(*) FROM "intents") + (SELECT count(*) FROM "changed") + (SELECT count(*) FROM "voted")
      + (SELECT count(*) FROM "unvoted") + (SELECT count(*) FROM "updates") + (SELECT count(*) FROM "rooms")
      + (SELECT count(*) FROM "requests") >= 0
  RETURNING "position" - cardinality($31::uuid[]) AS "base"
),
"log" AS (
  INSERT INTO "gossip_log" ("position", "roomId", "seq", "payload", "createdAt")
  SELECT p."base" + k."nth", k."room", k."seq", k."payload", $1
  FROM p, unnest($31::uuid[], $32::bigint[], $33::text[]) WITH ORDINALITY k ("room", "seq", "payload", "nth")
)
SELECT "base" FROM p"#;

/// Waits for the commits that are under way, then answers the last position given.
pub const POSITION: &str = r#"SELECT "position" FROM "gossip_position" WHERE "one" = 1 FOR UPDATE"#;

/// Whether the batch that made this intent was committed.
pub const WITNESS_INTENT: &str = r#"SELECT count(*) FROM "gossip_intents" WHERE "id" = $1"#;

/// Whether the batch that made this update was committed.
pub const WITNESS_UPDATE: &str = r#"SELECT count(*) FROM "gossip_updates" WHERE "id" = $1"#;

/// Whether the batch that made this request id was committed.
pub const WITNESS_REQUEST: &str =
    r#"SELECT count(*) FROM "gossip_requests" WHERE "userId" = $1 AND "requestId" = $2 AND "fingerprint" = $3"#;

/// The log after position `$1`.
pub const LOG: &str = r#"
SELECT "position", "roomId", "seq", "payload" FROM "gossip_log" WHERE "position" > $1 ORDER BY "position" LIMIT $2"#;

/// The events of rooms `$1` after the seqs `$2`. Each room's share is found in the index alone; only what is returned
/// is read in full.
pub const REPLAY: &str = r#"
SELECT l."position", l."roomId", l."seq", l."payload"
FROM (
  SELECT m."position" FROM unnest($1::uuid[], $2::bigint[]) k ("room", "after")
  CROSS JOIN LATERAL (
    SELECT m."position" FROM "gossip_log" m WHERE m."roomId" = k."room" AND m."seq" > k."after"
    ORDER BY m."seq" LIMIT $3) m
  ORDER BY m."position" LIMIT $3
) k JOIN "gossip_log" l ON l."position" = k."position" ORDER BY l."position""#;

/// Where the rooms `$1` stand, for clients that saw all up to the positions `$2` (NULL: not asked). The last event up
/// to a position is looked for from the room's end back: the index has the positions too.
pub const STANDINGS: &str = r#"
SELECT coalesce(r."seq", 0) AS "last",
       (SELECT l."seq" FROM "gossip_log" l WHERE l."roomId" = k."room" ORDER BY l."seq" LIMIT 1) AS "first",
       CASE WHEN k."position" IS NOT NULL THEN
         (SELECT l."seq" FROM "gossip_log" l WHERE l."roomId" = k."room" AND l."position" <= k."position"
          ORDER BY l."seq" DESC LIMIT 1)
       END AS "seen",
       (SELECT "position" FROM "gossip_log" ORDER BY "position" LIMIT 1) AS "log_first",
       (SELECT "position" FROM "gossip_position" WHERE "one" = 1) AS "log_last"
FROM unnest($1::uuid[], $2::bigint[]) WITH ORDINALITY k ("room", "position", "nth")
LEFT JOIN "gossip_rooms" r ON r."roomId" = k."room" ORDER BY k."nth""#;

/// Room `$1` as a joining client finds it, with its newest `$2` intents: one statement, and so one snapshot.
pub const ROOM: &str = r#"
SELECT coalesce((SELECT "seq" FROM "gossip_rooms" WHERE "roomId" = $1), 0) AS "last",
       (SELECT l."seq" FROM "gossip_log" l WHERE l."roomId" = $1 ORDER BY l."seq" LIMIT 1) AS "first", i.*
FROM (SELECT 1) one LEFT JOIN LATERAL (
  SELECT "id", "roomId", "userId", "content", "status", "metadata"::text AS "metadata", "upvotes", "downvotes",
         "expiresAt", "createdAt", "updatedAt"
  FROM "gossip_intents" WHERE "roomId" = $1 ORDER BY "createdAt" DESC, "id" DESC LIMIT $2) i ON true
ORDER BY i."createdAt" DESC, i."id" DESC"#;

/// Intent `$1`, and the vote of user `$2` on it.
pub const INTENT: &str = r#"
SELECT i."id", i."roomId", i."userId", i."content", i."status", i."metadata"::text AS "metadata", i."upvotes",
       i."downvotes", i."expiresAt", i."createdAt", i."updatedAt", v."action"
FROM "gossip_intents" i LEFT JOIN "gossip_votes" v ON v."intentId" = i."id" AND v."userId" = $2 WHERE i."id" = $1"#;

/// A page of room `$1`, from after the intent `$3`. Rows that were adopted have microseconds, which a cursor has not:
/// its time counts only where its row is gone.
pub const INTENTS: &str = r#"
SELECT "id", "roomId", "userId", "content", "status", "metadata"::text AS "metadata", "upvotes", "downvotes",
       "expiresAt", "createdAt", "updatedAt"
FROM "gossip_intents"
WHERE "roomId" = $1
  AND ("createdAt", "id") < (coalesce((SELECT "createdAt" FROM "gossip_intents" WHERE "id" = $3), $2, 'infinity'), $3)
ORDER BY "createdAt" DESC, "id" DESC LIMIT $4"#;

/// As [`INTENTS`], of those with status `$5`.
pub const INTENTS_OF_STATUS: &str = r#"
SELECT "id", "roomId", "userId", "content", "status", "metadata"::text AS "metadata", "upvotes", "downvotes",
       "expiresAt", "createdAt", "updatedAt"
FROM "gossip_intents"
WHERE "roomId" = $1 AND "status" = $5
  AND ("createdAt", "id") < (coalesce((SELECT "createdAt" FROM "gossip_intents" WHERE "id" = $3), $2, 'infinity'), $3)
ORDER BY "createdAt" DESC, "id" DESC LIMIT $4"#;

/// A page of the updates of intent `$1`, from after the update `$3`; see [`INTENTS`].
pub const UPDATES: &str = r#"
SELECT "id", "intentId", "userId", "type", "content", "metadata"::text AS "metadata", "createdAt"
FROM "gossip_updates"
WHERE "intentId" = $1
  AND ("createdAt", "id") < (coalesce((SELECT "createdAt" FROM "gossip_updates" WHERE "id" = $3), $2, 'infinity'), $3)
ORDER BY "createdAt" DESC, "id" DESC LIMIT $4"#;

/// As [`UPDATES`], without those of votes.
pub const UPDATES_WITHOUT_VOTES: &str = r#"
SELECT "id", "intentId", "userId", "type", "content", "metadata"::text AS "metadata", "createdAt"
FROM "gossip_updates"
WHERE "intentId" = $1 AND "type" <> 'vote'
  AND ("createdAt", "id") < (coalesce((SELECT "createdAt" FROM "gossip_updates" WHERE "id" = $3), $2, 'infinity'), $3)
ORDER BY "createdAt" DESC, "id" DESC LIMIT $4"#;

/// Whether user `$2` is a member of room `$1`.
pub const MEMBER: &str = r#"SELECT count(*) FROM "gossip_room_members" WHERE "roomId" = $1 AND "userId" = $2"#;

/// What is past its time at `$1`. Several nodes may find the same: the room's lock and the status make it expire once.
pub const DUE: &str = r#"
SELECT "id" FROM "gossip_intents"
WHERE "expiresAt" <= $1 AND "status" IN ('pending', 'verified', 'debunked') ORDER BY "expiresAt" LIMIT $2"#;

/// What was kept of connection `$1`.
pub const RECOVERY: &str = r#"
SELECT r."userId", m."roomId", m."seq" FROM "gossip_recoveries" r
LEFT JOIN "gossip_recovery_rooms" m ON m."pid" = r."pid" WHERE r."pid" = $1 ORDER BY m."roomId""#;

/// Connections `$2` opened, rooms joined and left, and connections forgotten. Rooms of a connection that is gone would
/// stay for ever, so it is held while they are written.
pub const KEEP: &str = r#"
WITH
"opened" AS (
  INSERT INTO "gossip_recoveries" ("pid", "userId", "seenAt")
  SELECT k."pid", k."user", $1 FROM unnest($2::uuid[], $3::uuid[]) k ("pid", "user") ORDER BY 1
  ON CONFLICT ("pid") DO NOTHING RETURNING "pid"
),
"living" AS (
  SELECT "pid" FROM "gossip_recoveries" WHERE "pid" = ANY ($4::uuid[]) ORDER BY "pid" FOR KEY SHARE
),
"joined" AS (
  INSERT INTO "gossip_recovery_rooms" ("pid", "roomId", "seq")
  SELECT k."pid", k."room", k."seq" FROM unnest($4::uuid[], $5::uuid[], $6::bigint[]) k ("pid", "room", "seq")
  WHERE k."pid" IN (SELECT "pid" FROM "opened" UNION ALL SELECT "pid" FROM "living") ORDER BY 1, 2
  ON CONFLICT ("pid", "roomId") DO UPDATE SET "seq" = excluded."seq"
),
"left" AS (
  DELETE FROM "gossip_recovery_rooms" m USING unnest($7::uuid[], $8::uuid[]) k ("pid", "room")
  WHERE m."pid" = k."pid" AND m."roomId" = k."room"
),
"forgotten" AS (
  DELETE FROM "gossip_recoveries" WHERE "pid" = ANY ($9::uuid[])
)
DELETE FROM "gossip_recovery_rooms" WHERE "pid" = ANY ($9::uuid[])"#;

/// Connections `$1` live at `$2`.
pub const TOUCH: &str = r#"UPDATE "gossip_recoveries" SET "seenAt" = $2 WHERE "pid" = ANY ($1::uuid[])"#;

/// The oldest of the log, up to the first that is not before `$1`: what is left of a room's log has no hole. Nodes that
/// prune at once go the same way, so that one waits for the other.
pub const PRUNE_LOG: &str = r#"
WITH "oldest" AS MATERIALIZED (SELECT "position", "createdAt" FROM "gossip_log" ORDER BY "position" LIMIT $2)
DELETE FROM "gossip_log" WHERE "position" <= (
  SELECT max("position") FROM "oldest"
  WHERE "position" < coalesce((SELECT min("position") FROM "oldest" WHERE "createdAt" >= $1), 9223372036854775807))"#;

/// Request ids from before `$1`. What another node is deleting is left to it.
pub const PRUNE_REQUESTS: &str = r#"
DELETE FROM "gossip_requests" WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM "gossip_requests" WHERE "createdAt" < $1 ORDER BY "createdAt" LIMIT $2 FOR UPDATE SKIP LOCKED))"#;

/// Connections not seen since `$1`, with their rooms; answers how many. See [`PRUNE_REQUESTS`].
pub const PRUNE_RECOVERIES: &str = r#"
WITH "gone" AS (
  DELETE FROM "gossip_recoveries" WHERE "pid" = ANY (ARRAY(
    SELECT "pid" FROM "gossip_recoveries" WHERE "seenAt" < $1 ORDER BY "seenAt" LIMIT $2 FOR UPDATE SKIP LOCKED))
  RETURNING "pid"
),
"rooms" AS (
  DELETE FROM "gossip_recovery_rooms" WHERE "pid" = ANY (ARRAY(SELECT "pid" FROM "gone"))
)
SELECT count(*) FROM "gone""#;

/// The members of room `$1` from user `$2` on, without `$3`.
pub const MEMBERS: &str = r#"
SELECT "userId", "addedAt" FROM "gossip_room_members"
WHERE "roomId" = $1 AND "userId" >= $2 AND "userId" IS DISTINCT FROM $3 ORDER BY "userId" LIMIT $4"#;

/// A membership.
pub const ADD_MEMBER: &str = r#"
INSERT INTO "gossip_room_members" ("roomId", "userId", "addedAt") VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"#;

/// No membership.
pub const REMOVE_MEMBER: &str = r#"DELETE FROM "gossip_room_members" WHERE "roomId" = $1 AND "userId" = $2"#;

/// The first transaction that may not have ended: what it and later ones write has not been seen.
pub const UNSEEN: &str = r#"SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"#;

/// The changes of access by transactions from `$1` on, after the id `$2` of that one, and as [`UNSEEN`] with each.
pub const ACCESS_CHANGES: &str = r#"
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS "unseen", c.*
FROM (SELECT 1) one LEFT JOIN LATERAL (
  SELECT "xid", "id", "userId", "roomId" FROM "gossip_access_changes"
  WHERE ("xid", "id") > ($1, $2) ORDER BY "xid", "id" LIMIT $3) c ON true
ORDER BY c."xid", c."id""#;

/// The connections of user `$1` are to end, and not to be recovered; with `$2` tokens issued before that are revoked.
pub const REVOKE: &str = r#"
WITH
"revoked" AS (
  INSERT INTO "gossip_revocations" ("userId", "notBefore", "createdAt") SELECT $1, $2::timestamptz, $3
  WHERE $2::timestamptz IS NOT NULL
  ON CONFLICT ("userId")
  DO UPDATE SET "notBefore" = greatest("gossip_revocations"."notBefore", excluded."notBefore")
),
"pids" AS MATERIALIZED (
  SELECT "pid" FROM "gossip_recoveries" WHERE "userId" = $1 ORDER BY "pid" FOR UPDATE
),
"rooms" AS (
  DELETE FROM "gossip_recovery_rooms" WHERE "pid" = ANY (ARRAY(SELECT "pid" FROM "pids"))
),
"gone" AS (
  DELETE FROM "gossip_recoveries" WHERE "pid" = ANY (ARRAY(SELECT "pid" FROM "pids"))
)
INSERT INTO "gossip_access_changes" ("userId") VALUES ($1)"#;

/// Revocations from user `$1` on, without `$2`.
pub const REVOCATIONS: &str = r#"
SELECT "userId", "notBefore" FROM "gossip_revocations"
WHERE "userId" >= $1 AND "userId" IS DISTINCT FROM $2 ORDER BY "userId" LIMIT $3"#;

/// Revocations of the users `$1`.
pub const REVOCATIONS_OF: &str =
    r#"SELECT "userId", "notBefore" FROM "gossip_revocations" WHERE "userId" = ANY ($1::uuid[])"#;

/// Changes of access from more than an hour ago; see [`PRUNE_REQUESTS`].
pub const PRUNE_ACCESS_CHANGES: &str = r#"
DELETE FROM "gossip_access_changes" WHERE "id" = ANY (ARRAY(
  SELECT "id" FROM "gossip_access_changes" WHERE "createdAt" < now() - interval '1 hour'
  ORDER BY "createdAt" LIMIT $1 FOR UPDATE SKIP LOCKED))"#;

/// All of them, by name.
pub const ALL: &[(&str, &str)] = &[
    ("LOCK_ROOMS", LOCK_ROOMS),
    ("MAKE_ROOMS", MAKE_ROOMS),
    ("LOAD", LOAD),
    ("LOAD_MEMBERS", LOAD_MEMBERS),
    ("LOAD_REQUESTS", LOAD_REQUESTS),
    ("WRITE", WRITE),
    ("POSITION", POSITION),
    ("WITNESS_INTENT", WITNESS_INTENT),
    ("WITNESS_UPDATE", WITNESS_UPDATE),
    ("WITNESS_REQUEST", WITNESS_REQUEST),
    ("LOG", LOG),
    ("REPLAY", REPLAY),
    ("STANDINGS", STANDINGS),
    ("ROOM", ROOM),
    ("INTENT", INTENT),
    ("INTENTS", INTENTS),
    ("INTENTS_OF_STATUS", INTENTS_OF_STATUS),
    ("UPDATES", UPDATES),
    ("UPDATES_WITHOUT_VOTES", UPDATES_WITHOUT_VOTES),
    ("MEMBER", MEMBER),
    ("DUE", DUE),
    ("RECOVERY", RECOVERY),
    ("KEEP", KEEP),
    ("TOUCH", TOUCH),
    ("PRUNE_LOG", PRUNE_LOG),
    ("PRUNE_REQUESTS", PRUNE_REQUESTS),
    ("PRUNE_RECOVERIES", PRUNE_RECOVERIES),
    ("MEMBERS", MEMBERS),
    ("ADD_MEMBER", ADD_MEMBER),
    ("REMOVE_MEMBER", REMOVE_MEMBER),
    ("UNSEEN", UNSEEN),
    ("ACCESS_CHANGES", ACCESS_CHANGES),
    ("REVOKE", REVOKE),
    ("REVOCATIONS", REVOCATIONS),
    ("REVOCATIONS_OF", REVOCATIONS_OF),
    ("PRUNE_ACCESS_CHANGES", PRUNE_ACCESS_CHANGES),
];
