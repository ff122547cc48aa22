-- A file that already held the seed's two tables, made by hand: what was left empty gets what the seed would have put
-- there, ids and times get the spelling that everything compares by, and votes recorded so far stand as those users'
-- votes. In a file that gossipd made, nothing changes.

UPDATE "gossip_intents"
SET "status" = coalesce("status", 'pending'),
    "upvotes" = coalesce("upvotes", 0),
    "downvotes" = coalesce("downvotes", 0),
    "createdAt" = coalesce("createdAt", "updatedAt", strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    "updatedAt" = coalesce("updatedAt", "createdAt", strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
WHERE "status" IS NULL OR "upvotes" IS NULL OR "downvotes" IS NULL OR "createdAt" IS NULL OR "updatedAt" IS NULL;
UPDATE "gossip_updates" SET "createdAt" = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE "createdAt" IS NULL;

-- What is not a time stays as it is.
UPDATE "gossip_intents"
SET "expiresAt" = coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', "expiresAt"), "expiresAt"),
    "createdAt" = coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', "createdAt"), "createdAt"),
    "updatedAt" = coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', "updatedAt"), "updatedAt")
WHERE "expiresAt" NOT GLOB '????-??-??T??:??:??.???Z'
   OR "createdAt" NOT GLOB '????-??-??T??:??:??.???Z'
   OR "updatedAt" NOT GLOB '????-??-??T??:??:??.???Z';
UPDATE "gossip_updates" SET "createdAt" = coalesce(strftime('%Y-%m-%dT%H:%M:%fZ', "createdAt"), "createdAt")
WHERE "createdAt" NOT GLOB '????-??-??T??:??:??.???Z';

UPDATE "gossip_intents" SET "id" = lower("id"), "roomId" = lower("roomId"), "userId" = lower("userId")
WHERE "id" <> lower("id") OR "roomId" <> lower("roomId") OR "userId" <> lower("userId");
UPDATE "gossip_updates" SET "id" = lower("id"), "intentId" = lower("intentId"), "userId" = lower("userId")
WHERE "id" <> lower("id") OR "intentId" <> lower("intentId") OR "userId" <> lower("userId");

-- Each user's last vote on an intent that is there.
INSERT INTO "gossip_votes" ("intentId", "userId", "action")
SELECT v."intentId", v."userId", v."content"
FROM (SELECT u."intentId", u."userId", u."content",
             row_number() OVER (PARTITION BY u."intentId", u."userId" ORDER BY u."createdAt" DESC, u."id" DESC) AS "nth"
      FROM "gossip_updates" u
      WHERE u."type" = 'vote' AND u."content" IN ('upvote', 'downvote', 'remove')) v
JOIN "gossip_intents" i ON i."id" = v."intentId"
WHERE v."nth" = 1 AND v."content" <> 'remove'
ON CONFLICT ("intentId", "userId") DO NOTHING;
