-- Connections that can be recovered (Socket.IO's connection state recovery), kept for LOG_RETENTION after they were
-- last seen. What they have seen of the log, the client knows.

CREATE TABLE "gossip_recoveries" (
  "pid" text NOT NULL PRIMARY KEY,
  "userId" text NOT NULL,
  "seenAt" text NOT NULL
) WITHOUT ROWID;
CREATE INDEX "gossip_recoveries_seen" ON "gossip_recoveries" ("seenAt");

-- The rooms they are in, each with the last event before they came in.
CREATE TABLE "gossip_recovery_rooms" (
  "pid" text NOT NULL,
  "roomId" text NOT NULL,
  "seq" integer NOT NULL,
  PRIMARY KEY ("pid", "roomId")
) WITHOUT ROWID;
