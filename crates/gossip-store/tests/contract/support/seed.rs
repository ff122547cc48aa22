//! Databases as they were before gossipd: the seed's two tables, with rows that are not all as one would wish.

use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_store::Store;
use uuid::Uuid;

/// The seed's tables.
pub(crate) const TABLES: &str = r#"
CREATE TABLE "gossip_intents" (
  "id" uuid PRIMARY KEY, "roomId" uuid NOT NULL, "userId" uuid NOT NULL, "content" text NOT NULL,
  "status" varchar(20) DEFAULT 'pending', "metadata" jsonb, "upvotes" integer DEFAULT 0, "downvotes" integer DEFAULT 0,
  "expiresAt" timestamptz, "createdAt" timestamptz DEFAULT CURRENT_TIMESTAMP,
  "updatedAt" timestamptz DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE "gossip_updates" (
  "id" uuid PRIMARY KEY, "intentId" uuid NOT NULL, "userId" uuid NOT NULL, "type" varchar(20) NOT NULL, "content" text,
  "metadata" jsonb, "createdAt" timestamptz DEFAULT CURRENT_TIMESTAMP);"#;

/// As TypeORM makes them of columns with fixed values.
pub(crate) const TABLES_WITH_ENUMS: &str = r#"
CREATE TYPE "gossip_intents_status_enum" AS ENUM ('pending', 'verified', 'debunked', 'expired', 'archived');
CREATE TYPE "gossip_updates_type_enum" AS ENUM ('status_change', 'vote', 'comment', 'verification', 'reaction');
CREATE TABLE "gossip_intents" (
  "id" uuid PRIMARY KEY, "roomId" uuid NOT NULL, "userId" uuid NOT NULL, "content" text NOT NULL,
  "status" "gossip_intents_status_enum" DEFAULT 'pending', "metadata" jsonb, "upvotes" integer DEFAULT 0,
  "downvotes" integer DEFAULT 0, "expiresAt" timestamptz, "createdAt" timestamptz DEFAULT now(),
  "updatedAt" timestamptz DEFAULT now());
CREATE INDEX "IDX_status" ON "gossip_intents" ("status");
CREATE TABLE "gossip_updates" (
  "id" uuid PRIMARY KEY, "intentId" uuid NOT NULL, "userId" uuid NOT NULL, "type" "gossip_updates_type_enum" NOT NULL,
  "content" text, "metadata" jsonb, "createdAt" timestamptz DEFAULT now());"#;

/// Rows of the same room; [`check`] says what must become of them.
pub(crate) const ROWS: &str = r#"
INSERT INTO "gossip_intents" ("id", "roomId", "userId", "content", "status", "metadata", "upvotes", "downvotes",
  "expiresAt", "createdAt", "updatedAt") VALUES
('00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-0000000000ff', '00000000-0000-0000-0000-000000000001',
  'nothing given', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
('00000000-0000-0000-0000-0000000000a2', '00000000-0000-0000-0000-0000000000ff', '00000000-0000-0000-0000-000000000001',
  'counted', 'verified', '{"a": [1, null]}', 7, 3, '2020-01-02T00:00:00.123456+00:00',
  '2020-01-01T00:00:00.123456+00:00', NULL),
('00000000-0000-0000-0000-0000000000a3', '00000000-0000-0000-0000-0000000000ff', '00000000-0000-0000-0000-000000000001',
  'unknown', 'archived', NULL, 1, 1, '2020-01-02T00:00:00+00:00', '2020-01-01T00:00:01+00:00', NULL),
('00000000-0000-0000-0000-0000000000a4', '00000000-0000-0000-0000-0000000000ff', '00000000-0000-0000-0000-000000000001',
  'below zero', 'pending', NULL, -2, 5, NULL, NULL, '2020-01-01T00:00:02+00:00');
INSERT INTO "gossip_updates" ("id", "intentId", "userId", "type", "content", "createdAt") VALUES
('00000000-0000-0000-0000-000000000b01', '00000000-0000-0000-0000-0000000000a4', '00000000-0000-0000-0000-000000000001',
  'vote', 'upvote', '2020-01-01T00:00:03+00:00'),
('00000000-0000-0000-0000-000000000b02', '00000000-0000-0000-0000-0000000000a4', '00000000-0000-0000-0000-000000000001',
  'vote', 'downvote', '2020-01-01T00:00:04+00:00'),
('00000000-0000-0000-0000-000000000b03', '00000000-0000-0000-0000-0000000000a4', '00000000-0000-0000-0000-000000000002',
  'vote', 'upvote', '2020-01-01T00:00:03+00:00'),
('00000000-0000-0000-0000-000000000b04', '00000000-0000-0000-0000-0000000000a4', '00000000-0000-0000-0000-000000000002',
  'vote', 'remove', '2020-01-01T00:00:03+00:00'),
('00000000-0000-0000-0000-000000000b05', '00000000-0000-0000-0000-0000000000a4', '00000000-0000-0000-0000-000000000003',
  'vote', 'upvote', NULL),
('00000000-0000-0000-0000-000000000b06', '00000000-0000-0000-0000-0000000000a4', '00000000-0000-0000-0000-000000000004',
  'vote', 'sideways', '2020-01-01T00:00:03+00:00'),
('00000000-0000-0000-0000-000000000b07', '00000000-0000-0000-0000-0000000000a4', '00000000-0000-0000-0000-000000000004',
  'comment', 'hm', '2020-01-01T00:00:03.000400+00:00'),
('00000000-0000-0000-0000-000000000b08', '00000000-0000-0000-0000-0000000000a4', '00000000-0000-0000-0000-000000000004',
  'reaction', 'wow', '2020-01-01T00:00:03.000300+00:00'),
('00000000-0000-0000-0000-000000000b09', '00000000-0000-0000-0000-0000000000a9', '00000000-0000-0000-0000-000000000005',
  'vote', 'upvote', '2020-01-01T00:00:03+00:00');"#;

pub(crate) const ROOM: RoomId = RoomId(Uuid::from_u128(0xff));

/// The nth row of [`ROWS`].
pub(crate) fn nth(n: u128) -> IntentId {
    IntentId(Uuid::from_u128(0xa0 + n))
}

/// What a store finds of [`ROWS`].
pub(crate) async fn check(store: &dyn Store) {
    use gossip_proto::model::{Status, Vote};
    let find = async |n, user: u128| store.intent(nth(n), UserId(Uuid::from_u128(user))).await;
    let (first, _) = find(1, 1).await.unwrap().unwrap();
    assert_eq!((first.status, first.upvotes, first.downvotes), (Status::Pending, 0, 0));
    assert_eq!(first.created_at, first.updated_at);
    let (second, _) = find(2, 1).await.unwrap().unwrap();
    assert_eq!((second.status, second.upvotes, second.downvotes), (Status::Verified, 7, 3));
    assert_eq!(second.metadata, Some(serde_json::json!({ "a": [1, null] })));
    assert_eq!(second.created_at.to_string(), "2020-01-01T00:00:00.123Z");
    assert_eq!(second.updated_at, second.created_at);
    assert!(find(3, 1).await.is_err(), "a status that nobody knows");
    let mut votes = Vec::new();
    for user in 1..6 {
        let (fourth, vote) = find(4, user).await.unwrap().unwrap();
        assert_eq!((fourth.upvotes, fourth.downvotes), (0, 5), "what is below zero is shown as none");
        votes.push(vote);
    }
    assert_eq!(votes, [Some(Vote::Down), None, Some(Vote::Up), None, None]);
    let listed = store.intents(ROOM, None, 10, None).await.unwrap().items;
    assert_eq!(listed.iter().map(|intent| intent.id).collect::<Vec<_>>(), [nth(1), nth(4), nth(2)]);
    let updates = store.updates(nth(4), false, 10, None).await.unwrap().items;
    assert_eq!(updates.iter().map(|update| update.content.as_deref()).collect::<Vec<_>>(), [Some("hm")]);
    let late = gossip_proto::timestamp::Timestamp::from_millis(1_900_000_000_000);
    assert_eq!(store.due(late, 10).await.unwrap(), [nth(2)]);
}
