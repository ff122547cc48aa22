-- The seed's two tables and what the rules need beside them. SQLite has no uuid, jsonb or timestamptz: ids are their
-- hyphenated text, JSON is text, times are RFC 3339 UTC with milliseconds and Z, which sort as they are.

CREATE TABLE IF NOT EXISTS "gossip_intents" (
  "id" text NOT NULL PRIMARY KEY,
  "roomId" text NOT NULL,
  "userId" text NOT NULL,
  "content" text NOT NULL,
  "status" text NOT NULL DEFAULT 'pending' CHECK ("status" IN ('pending', 'verified', 'debunked', 'expired')),
  "metadata" text CHECK ("metadata" IS NULL OR json_valid("metadata")),
  "upvotes" integer NOT NULL DEFAULT 0 CHECK ("upvotes" >= 0),
  "downvotes" integer NOT NULL DEFAULT 0 CHECK ("downvotes" >= 0),
  "expiresAt" text,
  "createdAt" text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  "updatedAt" text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE INDEX IF NOT EXISTS "gossip_intents_room" ON "gossip_intents" ("roomId", "createdAt", "id");
CREATE INDEX IF NOT EXISTS "gossip_intents_room_status" ON "gossip_intents" ("roomId", "status", "createdAt", "id");
CREATE INDEX IF NOT EXISTS "gossip_intents_due" ON "gossip_intents" ("expiresAt") WHERE "status" <> 'expired';

CREATE TABLE IF NOT EXISTS "gossip_updates" (
  "id" text NOT NULL PRIMARY KEY,
  "intentId" text NOT NULL REFERENCES "gossip_intents" ("id") ON DELETE CASCADE,
  "userId" text NOT NULL,
  "type" text NOT NULL CHECK ("type" IN ('vote', 'comment', 'status_change', 'verification')),
  "content" text,
  "metadata" text CHECK ("metadata" IS NULL OR json_valid("metadata")),
  "createdAt" text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE INDEX IF NOT EXISTS "gossip_updates_intent" ON "gossip_updates" ("intentId", "createdAt", "id");
-- Pages without the rows of votes, which may outnumber the others by far.
CREATE INDEX IF NOT EXISTS "gossip_updates_intent_public" ON "gossip_updates" ("intentId", "createdAt", "id")
  WHERE "type" <> 'vote';

-- The votes that stand: one per user and intent.
CREATE TABLE "gossip_votes" (
  "intentId" text NOT NULL REFERENCES "gossip_intents" ("id") ON DELETE CASCADE,
  "userId" text NOT NULL,
  "action" text NOT NULL CHECK ("action" IN ('upvote', 'downvote')),
  PRIMARY KEY ("intentId", "userId")
) WITHOUT ROWID;

-- The seq of the last event of each room.
CREATE TABLE "gossip_rooms" (
  "roomId" text NOT NULL PRIMARY KEY,
  "seq" integer NOT NULL
) WITHOUT ROWID;

-- Every event as it was sent, kept for LOG_RETENTION. "position" counts over all rooms in the order of commits.
CREATE TABLE "gossip_log" (
  "position" integer NOT NULL PRIMARY KEY,
  "roomId" text NOT NULL,
  "seq" integer NOT NULL,
  "payload" text NOT NULL,
  "createdAt" text NOT NULL,
  UNIQUE ("roomId", "seq")
);

-- The last position given, which outlives the pruning of the log.
CREATE TABLE "gossip_position" (
  "one" integer NOT NULL PRIMARY KEY CHECK ("one" = 1),
  "position" integer NOT NULL
);
INSERT INTO "gossip_position" ("one", "position") VALUES (1, 0);

CREATE TABLE "gossip_room_members" (
  "roomId" text NOT NULL,
  "userId" text NOT NULL,
  "addedAt" text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
  PRIMARY KEY ("roomId", "userId")
) WITHOUT ROWID;

-- Commands that carried a requestId, with their first result, kept for LOG_RETENTION.
CREATE TABLE "gossip_requests" (
  "userId" text NOT NULL,
  "requestId" text NOT NULL,
  "fingerprint" text NOT NULL,
  "result" text NOT NULL,
  "createdAt" text NOT NULL,
  PRIMARY KEY ("userId", "requestId")
) WITHOUT ROWID;
CREATE INDEX "gossip_requests_created" ON "gossip_requests" ("createdAt");
