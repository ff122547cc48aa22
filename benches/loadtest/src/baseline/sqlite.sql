-- The baseline's tables on SQLite: the seed's two, and the votes that stand, with gossipd's indexes.

CREATE TABLE "gossip_intents" (
  "id" text NOT NULL PRIMARY KEY,
  "roomId" text NOT NULL,
  "userId" text NOT NULL,
  "content" text NOT NULL,
  "status" text NOT NULL DEFAULT 'pending',
  "metadata" text,
  "upvotes" integer NOT NULL DEFAULT 0 CHECK ("upvotes" >= 0),
  "downvotes" integer NOT NULL DEFAULT 0 CHECK ("downvotes" >= 0),
  "expiresAt" text,
  "createdAt" text NOT NULL,
  "updatedAt" text NOT NULL
);
CREATE INDEX "gossip_intents_room" ON "gossip_intents" ("roomId", "createdAt", "id");
CREATE INDEX "gossip_intents_room_status" ON "gossip_intents" ("roomId", "status", "createdAt", "id");
CREATE INDEX "gossip_intents_due" ON "gossip_intents" ("expiresAt") WHERE "status" <> 'expired';

CREATE TABLE "gossip_updates" (
  "id" text NOT NULL PRIMARY KEY,
  "intentId" text NOT NULL REFERENCES "gossip_intents" ("id") ON DELETE CASCADE,
  "userId" text NOT NULL,
  "type" text NOT NULL,
  "content" text,
  "metadata" text,
  "createdAt" text NOT NULL
);
CREATE INDEX "gossip_updates_intent" ON "gossip_updates" ("intentId", "createdAt", "id");
CREATE INDEX "gossip_updates_intent_public" ON "gossip_updates" ("intentId", "createdAt", "id")
  WHERE "type" <> 'vote';

CREATE TABLE "gossip_votes" (
  "intentId" text NOT NULL REFERENCES "gossip_intents" ("id") ON DELETE CASCADE,
  "userId" text NOT NULL,
  "action" text NOT NULL,
  PRIMARY KEY ("intentId", "userId")
) WITHOUT ROWID;
