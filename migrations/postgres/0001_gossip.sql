-- The seed's two tables and what the rules need beside them, made new or adopted with the rows they hold. Every
-- statement may run again, each is atomic by itself, and none begins or ends a transaction: `gossipd migrate` and
-- `psql -v ON_ERROR_STOP=1 -d DB -f` do the same, in any order and more than once.

-- Counts change far more often than anything else of a row: the free space keeps those updates within their page, so
-- that no index is touched.
CREATE TABLE IF NOT EXISTS "gossip_intents" (
  "id" uuid PRIMARY KEY,
  "roomId" uuid NOT NULL,
  "userId" uuid NOT NULL,
  "content" text NOT NULL,
  "status" varchar(20) DEFAULT 'pending',
  "metadata" jsonb,
  "upvotes" integer DEFAULT 0,
  "downvotes" integer DEFAULT 0,
  "expiresAt" timestamptz,
  "createdAt" timestamptz DEFAULT now(),
  "updatedAt" timestamptz DEFAULT now()
) WITH (fillfactor = 85);

CREATE TABLE IF NOT EXISTS "gossip_updates" (
  "id" uuid PRIMARY KEY,
  "intentId" uuid NOT NULL,
  "userId" uuid NOT NULL,
  "type" varchar(20) NOT NULL,
  "content" text,
  "metadata" jsonb,
  "createdAt" timestamptz DEFAULT now()
);

-- Adoption, once: as long as there is no table of votes. Tables that were just made go the same way.
DO $$
DECLARE
  col record;
  rule record;
BEGIN
  IF to_regclass('"gossip_votes"') IS NOT NULL THEN
    RETURN;
  END IF;
  PERFORM set_config('work_mem', '128MB', true), set_config('maintenance_work_mem', '256MB', true);
  LOCK TABLE "gossip_intents", "gossip_updates" IN ACCESS EXCLUSIVE MODE;

  -- TypeORM makes an enum of a column with a fixed list of values; the seed's tables have words.
  FOR col IN
    SELECT a.attrelid::regclass AS "table", a.attname AS "name",
           greatest(20, (SELECT max(length(e.enumlabel)) FROM pg_enum e WHERE e.enumtypid = a.atttypid)) AS "length"
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid AND t.typtype = 'e'
    WHERE (a.attrelid = '"gossip_intents"'::regclass AND a.attname = 'status')
       OR (a.attrelid = '"gossip_updates"'::regclass AND a.attname = 'type')
  LOOP
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', col."table", col."name");
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I TYPE varchar(%s) USING %I::text',
                   col."table", col."name", col."length", col."name");
  END LOOP;

  -- What was left empty gets what the seed would have put there.
  UPDATE "gossip_intents"
  SET "status" = coalesce("status", 'pending'),
      "upvotes" = coalesce("upvotes", 0),
      "downvotes" = coalesce("downvotes", 0),
      "createdAt" = coalesce("createdAt", "updatedAt", now()),
      "updatedAt" = coalesce("updatedAt", "createdAt", now())
  WHERE "status" IS NULL OR "upvotes" IS NULL OR "downvotes" IS NULL OR "createdAt" IS NULL OR "updatedAt" IS NULL;
  UPDATE "gossip_updates" SET "createdAt" = now() WHERE "createdAt" IS NULL;
  ALTER TABLE "gossip_intents"
    ALTER COLUMN "status" SET DEFAULT 'pending', ALTER COLUMN "status" SET NOT NULL,
    ALTER COLUMN "upvotes" SET DEFAULT 0, ALTER COLUMN "upvotes" SET NOT NULL,
    ALTER COLUMN "downvotes" SET DEFAULT 0, ALTER COLUMN "downvotes" SET NOT NULL,
    ALTER COLUMN "createdAt" SET DEFAULT now(), ALTER COLUMN "createdAt" SET NOT NULL,
    ALTER COLUMN "updatedAt" SET DEFAULT now(), ALTER COLUMN "updatedAt" SET NOT NULL,
    SET (fillfactor = 85);
  ALTER TABLE "gossip_updates"
    ALTER COLUMN "createdAt" SET DEFAULT now(), ALTER COLUMN "createdAt" SET NOT NULL;

  -- Rows that were here before and break a rule stay as they are: the rule then holds for what comes.
  FOR rule IN
    SELECT * FROM (VALUES
      ('gossip_intents', 'gossip_intents_status_known',
       $c$"status" IN ('pending', 'verified', 'debunked', 'expired')$c$),
      ('gossip_intents', 'gossip_intents_upvotes_counted', $c$"upvotes" >= 0$c$),
      ('gossip_intents', 'gossip_intents_downvotes_counted', $c$"downvotes" >= 0$c$),
      ('gossip_updates', 'gossip_updates_type_known',
       $c$"type" IN ('vote', 'comment', 'status_change', 'verification')$c$)
    ) AS rules ("table", "name", "condition")
  LOOP
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (%s) NOT VALID', rule."table", rule."name", rule."condition");
    BEGIN
      EXECUTE format('ALTER TABLE %I VALIDATE CONSTRAINT %I', rule."table", rule."name");
    EXCEPTION WHEN check_violation THEN
      RAISE WARNING '% has rows that break %', rule."table", rule."name";
    END;
  END LOOP;

  -- The votes that stand: one per user and intent. Of those recorded so far, each user's last.
  CREATE TABLE "gossip_votes" (
    "intentId" uuid NOT NULL,
    "userId" uuid NOT NULL,
    "action" varchar(20) NOT NULL CHECK ("action" IN ('upvote', 'downvote'))
  ) WITH (fillfactor = 90);
  INSERT INTO "gossip_votes" ("intentId", "userId", "action")
  SELECT v."intentId", v."userId", v."content"
  FROM (SELECT DISTINCT ON (u."intentId", u."userId") u."intentId", u."userId", u."content"
        FROM "gossip_updates" u
        WHERE u."type" = 'vote' AND u."content" IN ('upvote', 'downvote', 'remove')
        ORDER BY u."intentId", u."userId", u."createdAt" DESC, u."id" DESC) v
  JOIN "gossip_intents" i ON i."id" = v."intentId"
  WHERE v."content" <> 'remove';
  ALTER TABLE "gossip_votes" ADD PRIMARY KEY ("intentId", "userId");

  CREATE INDEX IF NOT EXISTS "gossip_intents_room" ON "gossip_intents" ("roomId", "createdAt", "id");
  CREATE INDEX IF NOT EXISTS "gossip_intents_room_status"
    ON "gossip_intents" ("roomId", "status", "createdAt", "id");
  -- Words that we do not know never come due.
  CREATE INDEX IF NOT EXISTS "gossip_intents_due" ON "gossip_intents" ("expiresAt")
    WHERE "status" IN ('pending', 'verified', 'debunked');
  CREATE INDEX IF NOT EXISTS "gossip_updates_intent" ON "gossip_updates" ("intentId", "createdAt", "id");
  -- Pages without the rows of votes, which may outnumber the others by far.
  CREATE INDEX IF NOT EXISTS "gossip_updates_intent_public" ON "gossip_updates" ("intentId", "createdAt", "id")
    WHERE "type" <> 'vote';
  -- Not of empty tables: plans would be made as if they stayed so.
  IF EXISTS (SELECT FROM "gossip_intents") THEN
    ANALYZE "gossip_intents", "gossip_updates", "gossip_votes";
  END IF;
END
$$;

-- No foreign key from votes and updates: it would cost a look-up for each row of the busiest tables, and nothing here
-- deletes an intent. Where someone does so by hand, this takes what belongs to it.
CREATE OR REPLACE FUNCTION "gossip_intents_deleted"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM "gossip_votes" v USING "deleted" d WHERE v."intentId" = d."id";
  DELETE FROM "gossip_updates" u USING "deleted" d WHERE u."intentId" = d."id";
  RETURN NULL;
END
$$;
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_trigger
                 WHERE tgrelid = '"gossip_intents"'::regclass AND tgname = 'gossip_intents_deleted') THEN
    CREATE TRIGGER "gossip_intents_deleted" AFTER DELETE ON "gossip_intents"
      REFERENCING OLD TABLE AS "deleted" FOR EACH STATEMENT EXECUTE FUNCTION "gossip_intents_deleted"();
  END IF;
END
$$;

-- The seq of the last event of each room. Who writes to a room holds its row.
CREATE TABLE IF NOT EXISTS "gossip_rooms" (
  "roomId" uuid PRIMARY KEY,
  "seq" bigint NOT NULL
) WITH (fillfactor = 50);

-- Every event as it was sent, to the byte, kept for LOG_RETENTION. "position" counts over all rooms in the order of
-- commits.
CREATE TABLE IF NOT EXISTS "gossip_log" (
  "position" bigint PRIMARY KEY,
  "roomId" uuid NOT NULL,
  "seq" bigint NOT NULL,
  "payload" text NOT NULL,
  "createdAt" timestamptz NOT NULL,
  UNIQUE ("roomId", "seq") INCLUDE ("position")
);

-- The last position given, which outlives the pruning of the log. Its lock puts commits in order.
CREATE TABLE IF NOT EXISTS "gossip_position" (
  "one" integer PRIMARY KEY CHECK ("one" = 1),
  "position" bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO "gossip_position" ("one", "position") VALUES (1, 0) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS "gossip_room_members" (
  "roomId" uuid NOT NULL,
  "userId" uuid NOT NULL,
  "addedAt" timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY ("roomId", "userId")
);

-- Commands that carried a requestId, with their first result, kept for LOG_RETENTION.
CREATE TABLE IF NOT EXISTS "gossip_requests" (
  "userId" uuid NOT NULL,
  "requestId" text NOT NULL,
  "fingerprint" uuid NOT NULL,
  "result" text NOT NULL,
  "createdAt" timestamptz NOT NULL,
  PRIMARY KEY ("userId", "requestId")
);
CREATE INDEX IF NOT EXISTS "gossip_requests_created" ON "gossip_requests" ("createdAt");

-- Connections that can be recovered (Socket.IO's connection state recovery), kept for LOG_RETENTION after they were
-- last seen. What they have seen of the log, the client knows.
CREATE TABLE IF NOT EXISTS "gossip_recoveries" (
  "pid" uuid PRIMARY KEY,
  "userId" uuid NOT NULL,
  "seenAt" timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS "gossip_recoveries_seen" ON "gossip_recoveries" ("seenAt");

-- The rooms they are in, each with the last event before they came in.
CREATE TABLE IF NOT EXISTS "gossip_recovery_rooms" (
  "pid" uuid NOT NULL,
  "roomId" uuid NOT NULL,
  "seq" bigint NOT NULL,
  PRIMARY KEY ("pid", "roomId")
);
