-- Withdrawn access, as every process has to hear of it: one that takes a row out of gossip_room_members, by hand too,
-- leaves a row here. Without a room: all connections of the user are to end. Kept for an hour.
CREATE TABLE "gossip_access_changes" (
  "id" integer PRIMARY KEY AUTOINCREMENT,
  "userId" text NOT NULL,
  "roomId" text,
  "createdAt" text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);
CREATE INDEX "gossip_access_changes_created" ON "gossip_access_changes" ("createdAt");

CREATE TRIGGER "gossip_room_members_deleted" AFTER DELETE ON "gossip_room_members" BEGIN
  INSERT INTO "gossip_access_changes" ("userId", "roomId") VALUES (old."userId", old."roomId");
END;
CREATE TRIGGER "gossip_room_members_moved" AFTER UPDATE OF "roomId", "userId" ON "gossip_room_members"
WHEN old."roomId" <> new."roomId" OR old."userId" <> new."userId" BEGIN
  INSERT INTO "gossip_access_changes" ("userId", "roomId") VALUES (old."userId", old."roomId");
END;

-- Tokens of a user that were issued before this time are refused, and those that do not say when.
CREATE TABLE "gossip_revocations" (
  "userId" text NOT NULL PRIMARY KEY,
  "notBefore" text NOT NULL,
  "createdAt" text NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) WITHOUT ROWID;

CREATE INDEX "gossip_recoveries_user" ON "gossip_recoveries" ("userId");
