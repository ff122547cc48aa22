//! Databases that held gossip before: nothing is lost, and the rules hold from then on.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use gossip_proto::id::UserId;
use gossip_proto::model::VoteAction;
use gossip_store::{Cursor, Store};
use uuid::Uuid;

use crate::support::seed::{self, nth};
use crate::support::{Fixture, PostgresDatabase, seq_of};

const INTENT_COLUMNS: &str = r#"
SELECT string_agg(column_name || ' ' || data_type || coalesce('(' || character_maximum_length || ')', ''), ', '
                  ORDER BY ordinal_position)
FROM information_schema.columns WHERE table_name = 'gossip_intents'"#;

async fn old(tables: &str) -> PostgresDatabase {
    let database = PostgresDatabase::create().await;
    database.execute(tables).await;
    database.execute(seed::ROWS).await;
    database
}

fn psql(database: &PostgresDatabase) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/postgres");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let files = files.into_iter().flat_map(|file| ["-f".into(), file.into_os_string()]);
    let psql = gossip_test_postgres::find_programs().unwrap().join("psql");
    let psql = if psql.exists() { psql } else { "psql".into() };
    let url = database.url();
    let output = Command::new(psql).args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &url]).args(files).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn counts(database: &PostgresDatabase) -> (i64, i64, i64, i64, i64) {
    database
        .row(
            r#"SELECT (SELECT count(*) FROM "gossip_intents"), (SELECT count(*) FROM "gossip_updates"),
                      (SELECT count(*) FROM "gossip_votes"), (SELECT sum("upvotes") FROM "gossip_intents"),
                      (SELECT sum("downvotes") FROM "gossip_intents")"#,
        )
        .await
}

#[tokio::test]
async fn the_seeds_tables_are_adopted_whatever_the_way() {
    for tables in [seed::TABLES, seed::TABLES_WITH_ENUMS] {
        for ways in ["open", "psql psql open", "open open psql", "psql open open"] {
            let database = old(tables).await;
            for way in ways.split(' ') {
                if way == "psql" { psql(&database) } else { database.open().await.close().await.unwrap() }
            }
            // 7 + 1 - 2 and 3 + 1 + 5: what the tables had counted, to the last one.
            assert_eq!(counts(&database).await, (4, 9, 2, 6, 9), "{ways}");
            let f = Fixture::of_postgres(database).await;
            seed::check(&*f.store).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_at_once_adopt_once() {
    let database = old(seed::TABLES).await;
    let stores = tokio::join!(database.open(), database.open(), database.open());
    assert_eq!(counts(&database).await, (4, 9, 2, 6, 9));
    seed::check(&stores.0).await;
}

#[tokio::test]
async fn a_new_database_has_the_seeds_columns() {
    let (one, two, enums) =
        (PostgresDatabase::create().await, PostgresDatabase::create().await, old(seed::TABLES_WITH_ENUMS).await);
    one.open().await;
    psql(&two);
    psql(&enums);
    let columns = "id uuid, roomId uuid, userId uuid, content text, status character varying(20), metadata jsonb, \
                   upvotes integer, downvotes integer, expiresAt timestamp with time zone, \
                   createdAt timestamp with time zone, updatedAt timestamp with time zone";
    for database in [&one, &two, &enums] {
        assert_eq!(database.row::<(String,)>(INTENT_COLUMNS).await.0, columns);
    }
}

#[tokio::test]
async fn who_voted_before_cannot_vote_twice() {
    let f = Fixture::of_postgres(old(seed::TABLES).await).await;
    // User 1 stands against it already.
    let committed = f.commit(&[f.vote(1, nth(4), VoteAction::Downvote)]).await;
    assert_eq!((seq_of(&committed.results[0]), committed.events.len()), (Ok(0), 0));
    f.commit(&[f.vote(1, nth(4), VoteAction::Upvote), f.vote(9, nth(4), VoteAction::Upvote)]).await;
    let (intent, _) = f.store.intent(nth(4), f.user(1)).await.unwrap().unwrap();
    assert_eq!((intent.upvotes, intent.downvotes), (2, 4));
    // What is past its time expires, and what has a status that nobody knows is left alone.
    let committed = f.commit(&[f.expire(nth(2)), f.expire(nth(3)), f.comment(1, nth(1), "late, but here")]).await;
    assert_eq!(committed.results.iter().map(|result| result.is_ok()).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(f.store.due(gossip_proto::timestamp::Timestamp::MAX, 10).await.unwrap(), []);
}

#[tokio::test]
async fn pages_lose_no_row_within_a_millisecond() {
    let database = PostgresDatabase::create().await;
    database.execute(seed::TABLES).await;
    let rows = r#"INSERT INTO "gossip_intents" ("id", "roomId", "userId", "content", "createdAt")
        SELECT md5(n::text)::uuid, '00000000-0000-0000-0000-0000000000ff', md5('u')::uuid, n::text,
               '2020-01-01T00:00:00Z'::timestamptz + n * interval '300 us' FROM generate_series(1, 20) n"#;
    database.execute(rows).await;
    database
        .execute(
            r#"INSERT INTO "gossip_updates" ("id", "intentId", "userId", "type", "content", "createdAt")
        SELECT "id", md5('1')::uuid, "userId", 'comment', "content", "createdAt" FROM "gossip_intents""#,
        )
        .await;
    let f = Fixture::of_postgres(database).await;
    let expected: Vec<String> = (1..=20).rev().map(|n| n.to_string()).collect();
    let (mut intents, mut updates, mut before) = (Vec::new(), Vec::new(), None::<Cursor>);
    loop {
        let page = f.store.intents(seed::ROOM, None, 3, before).await.unwrap();
        intents.extend(page.items.into_iter().map(|intent| intent.content));
        // As a client hands it back.
        before = page.next.map(|cursor| cursor.to_string().parse().unwrap());
        if before.is_none() {
            break;
        }
    }
    let first = gossip_proto::id::IntentId(f.postgres_row::<(Uuid,)>("SELECT md5('1')::uuid").await.0);
    loop {
        let page = f.store.updates(first, false, 3, before).await.unwrap();
        updates.extend(page.items.into_iter().filter_map(|update| update.content));
        before = page.next.map(|cursor| cursor.to_string().parse().unwrap());
        if before.is_none() {
            break;
        }
    }
    assert_eq!((intents, updates), (expected.clone(), expected));
}

#[tokio::test]
async fn an_intent_deleted_by_hand_takes_its_votes_and_updates() {
    let f = Fixture::postgres().await;
    let (kept, gone) = (f.post(f.room(), 1, "kept").await.id, f.post(f.room(), 1, "gone").await.id);
    for id in [kept, gone] {
        f.commit(&[f.vote(1, id, VoteAction::Upvote), f.comment(2, id, "hm")]).await;
    }
    f.postgres_row::<(i64,)>(&format!(
        r#"WITH gone AS (DELETE FROM "gossip_intents" WHERE "id" = '{gone}' RETURNING 1) SELECT count(*) FROM gone"#
    ))
    .await;
    assert_eq!(f.store.updates(gone, true, 10, None).await.unwrap().items, []);
    assert_eq!(f.store.updates(kept, true, 10, None).await.unwrap().items.len(), 2);
    assert_eq!(f.postgres_row::<(i64,)>(r#"SELECT count(*) FROM "gossip_votes""#).await, (1,));
    assert_eq!(f.store.intent(kept, UserId(Uuid::from_u128(1))).await.unwrap().unwrap().0.upvotes, 1);
}

#[tokio::test]
async fn a_big_database_is_adopted_within_a_minute() {
    let database = PostgresDatabase::create().await;
    database.execute(seed::TABLES).await;
    // One in ten updates is a comment, and votes are cast about ten times an intent, some by the same user.
    database
        .execute(
            r#"INSERT INTO "gossip_intents" SELECT md5(n::text)::uuid, md5((n % 100)::text)::uuid, md5('u')::uuid,
                 'gossip ' || n, NULL, '{"a": 1}', 7, 3, now(), NULL, now() - n * interval '1 second'
               FROM generate_series(1, 100000) n;
               INSERT INTO "gossip_updates" SELECT md5('u' || n)::uuid, md5((1 + n % 100000)::text)::uuid,
                 md5('x' || (n % 997))::uuid, CASE WHEN n % 10 = 0 THEN 'comment' ELSE 'vote' END,
                 CASE WHEN n % 10 = 0 THEN 'hm' WHEN n % 3 = 0 THEN 'downvote' WHEN n % 7 = 0 THEN 'remove'
                      ELSE 'upvote' END, NULL, now() - n * interval '1 ms'
               FROM generate_series(1, 1000000) n"#,
        )
        .await;
    let begun = Instant::now();
    let store = database.open().await;
    let took = begun.elapsed();
    println!("100000 intents and 1000000 updates were adopted in {took:?}");
    let (intents, updates, votes, up, down) = counts(&database).await;
    assert_eq!((intents, updates, up, down), (100_000, 1_000_000, 700_000, 300_000));
    assert!(votes > 700_000, "{votes}");
    assert!(took.as_secs() < 60);
    store.close().await.unwrap();
}
