-- The baseline's tables on Postgres: the seed's two, and the votes that stand, with the constraints and indexes that
-- serve the same questions as gossipd's.

CREATE TABLE "gossip_intents" (
  "id" uuid PRIMARY KEY,
  "roomId" uuid NOT NULL,
  "userId" uuid NOT NULL,
  "content" text NOT NULL,
  "status" varchar(20) NOT NULL DEFAULT 'pending',
  "metadata" jsonb,
  "upvotes" integer NOT NULL DEFAULT 0 CHECK ("upvotes" >= 0),
  "downvotes" integer NOT NULL DEFAULT 0 CHECK ("downvotes" >= 0),
  "expiresAt" timestamptz,
  "createdAt" timestamptz NOT NULL DEFAULT now(),
  "updatedAt" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON "gossip_intents" ("roomId", "createdAt", "id");
CREATE INDEX ON "gossip_intents" ("roomId", "status", "createdAt", "id");
CREATE INDEX ON "gossip_intents" ("expiresAt") WHERE "status" <> 'expired';

CREATE TABLE "gossip_updates" (
  "id" uuid PRIMARY KEY,
  "intentId" uuid NOT NULL REFERENCES "gossip_intents" ("id") ON DELETE CASCADE,
  "userId" uuid NOT NULL,
  "type" varchar(20) NOT NULL,
  "content" text,
  "metadata" jsonb,
  "createdAt" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON "gossip_updates" ("intentId", "createdAt", "id");
CREATE INDEX ON "gossip_updates" ("intentId", "createdAt", "id") WHERE "type" <> 'vote';

CREATE TABLE "gossip_votes" (
  "intentId" uuid NOT NULL REFERENCES "gossip_intents" ("id") ON DELETE CASCADE,
  "userId" uuid NOT NULL,
  "action" varchar(20) NOT NULL,
  PRIMARY KEY ("intentId", "userId")
);
