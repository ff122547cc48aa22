-- Withdrawn access and revoked tokens. As before: every statement may run again, each is atomic by itself, and none
-- begins or ends a transaction.

-- What every node has to hear of: whoever takes a row out of gossip_room_members, by hand too, leaves a row here. Without
-- a room: all connections of the user are to end. Kept for an hour. Rows become visible in another order than their ids
-- were given in, so "xid" says which transaction wrote them: those that had not ended when a node last looked are the
-- ones to look for.
CREATE TABLE IF NOT EXISTS "gossip_access_changes" (
  "id" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  "xid" bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
  "userId" uuid NOT NULL,
  "roomId" uuid,
  "createdAt" timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS "gossip_access_changes_xid" ON "gossip_access_changes" ("xid", "id");
CREATE INDEX IF NOT EXISTS "gossip_access_changes_created" ON "gossip_access_changes" ("createdAt");

CREATE OR REPLACE FUNCTION "gossip_room_members_deleted"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "gossip_access_changes" ("userId", "roomId") SELECT d."userId", d."roomId" FROM "deleted" d;
  RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION "gossip_room_members_moved"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "gossip_access_changes" ("userId", "roomId")
  SELECT b."userId", b."roomId" FROM "before" b EXCEPT SELECT a."userId", a."roomId" FROM "after" a;
  RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION "gossip_room_members_emptied"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "gossip_access_changes" ("userId", "roomId") SELECT m."userId", m."roomId" FROM "gossip_room_members" m;
  RETURN NULL;
END
$$;
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_trigger
                 WHERE tgrelid = '"gossip_room_members"'::regclass AND tgname = 'gossip_room_members_deleted') THEN
    CREATE TRIGGER "gossip_room_members_deleted" AFTER DELETE ON "gossip_room_members"
      REFERENCING OLD TABLE AS "deleted" FOR EACH STATEMENT EXECUTE FUNCTION "gossip_room_members_deleted"();
    CREATE TRIGGER "gossip_room_members_moved" AFTER UPDATE ON "gossip_room_members"
      REFERENCING OLD TABLE AS "before" NEW TABLE AS "after"
      FOR EACH STATEMENT EXECUTE FUNCTION "gossip_room_members_moved"();
    CREATE TRIGGER "gossip_room_members_emptied" BEFORE TRUNCATE ON "gossip_room_members"
      FOR EACH STATEMENT EXECUTE FUNCTION "gossip_room_members_emptied"();
  END IF;
END
$$;

-- Tokens of a user that were issued before this time are refused, and those that do not say when.
CREATE TABLE IF NOT EXISTS "gossip_revocations" (
  "userId" uuid PRIMARY KEY,
  "notBefore" timestamptz NOT NULL,
  "createdAt" timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX IF NOT EXISTS "gossip_recoveries_user" ON "gossip_recoveries" ("userId");
