//! What is SQLite's own.

use std::time::Duration;

use gossip_proto::id::Seq;
use gossip_proto::model::VoteAction;
use gossip_store::sqlite::{SqliteStore, sql};
use gossip_store::{Error, JoinQuery, Position, Store};
use sqlx::{AssertSqlSafe, Row};

use crate::support::seed::{self, nth};
use crate::support::{Fixture, SqliteDatabase, seq_of, statements_in};

#[tokio::test]
async fn a_locked_file_is_an_error_and_nothing_is_written() {
    let (f, database) = (Fixture::sqlite().await, SqliteDatabase::default());
    let store = SqliteStore::open_path(&database.path(), Duration::from_secs(2)).await.unwrap();
    let room = f.room();
    let mut other = database.connection().await;
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    let refused = store.commit(&[f.new_gossip(1, room, "x")], &*f.env).await;
    assert!(matches!(refused, Err(Error::Database { .. })));
    drop(other);
    assert_eq!(store.room(room, JoinQuery::default()).await.unwrap().seq, Seq(0));
    store.commit(&[f.new_gossip(1, room, "x")], &*f.env).await.unwrap();
}

#[tokio::test]
async fn what_fails_in_the_middle_or_at_the_end_leaves_nothing_and_no_lock() {
    let (f, database) = (Fixture::sqlite().await, SqliteDatabase::default());
    let (store, another) = (database.open().await, database.open().await);
    let room = f.room();
    let post = [f.new_gossip(1, room, "x")];
    // Nobody is owed what is written, which SQLite looks at when all is written.
    let owing = r#"
        CREATE TABLE "owed" ("to" text REFERENCES "gossip_rooms" ("roomId") DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER "trap" AFTER INSERT ON "gossip_log" BEGIN INSERT INTO "owed" VALUES ('nobody'); END;"#;
    let refusing = r#"CREATE TRIGGER "trap" BEFORE INSERT ON "gossip_log" BEGIN SELECT raise(ABORT, 'no'); END;"#;
    for trap in [owing, refusing] {
        database.execute(trap).await;
        let refused = store.commit(&post, &*f.env).await;
        assert!(matches!(refused, Err(Error::Database { .. })), "{refused:?}");
        database.execute(r#"DROP TRIGGER "trap""#).await;
        assert_eq!(store.room(room, JoinQuery::default()).await.unwrap().seq, Seq(0));
        assert_eq!(another.position().await.unwrap(), Position(0));
    }
    for (nth, store) in [(1, &another), (2, &store), (3, &another)] {
        let events = store.commit(&post, &*f.env).await.unwrap().events;
        assert_eq!(events.iter().map(|event| (event.position.0, event.seq.0)).collect::<Vec<_>>(), [(nth, nth)]);
    }
}

#[tokio::test]
async fn a_commit_that_is_given_up_is_there_as_a_whole_or_not_at_all() {
    let f = Fixture::sqlite().await;
    let room = f.room();
    for nth in 0..60 {
        let batch: Vec<_> = (0..5).map(|_| f.new_gossip(1, room, "x")).collect();
        // Ever later: before the begin, between the two calls, after the end.
        let _ = tokio::time::timeout(Duration::from_micros(nth * 20), f.store.commit(&batch, &*f.env)).await;
        f.commit(&[f.new_gossip(1, room, "y")]).await;
    }
    let log = f.log().await;
    let places: Vec<_> = log.iter().map(|event| (event.position.0, event.seq.0)).collect();
    assert_eq!(places, (1..=log.len() as u64).map(|at| (at, at)).collect::<Vec<_>>());
    assert_eq!((log.len() - 60) % 5, 0);
}

#[tokio::test]
async fn a_room_goes_on_for_an_intent_that_spells_it_in_another_way() {
    let database = SqliteDatabase::default();
    database.open().await.close().await.unwrap();
    // Written by another program since.
    database
        .execute(
            r#"INSERT INTO "gossip_intents" ("id", "roomId", "userId", "content") VALUES
                 ('00000000-0000-0000-0000-0000000000a1', '00000000-0000-0000-0000-0000000000FF',
                  '00000000-0000-0000-0000-000000000001', 'odd')"#,
        )
        .await;
    let f = Fixture::of_sqlite(database).await;
    f.post(seed::ROOM, 1, "x").await;
    for (user, seq) in [(1, 2), (2, 3)] {
        let committed = f.commit(&[f.vote(user, nth(1), VoteAction::Upvote)]).await;
        assert_eq!(seq_of(&committed.results[0]), Ok(seq));
    }
    assert_eq!(f.store.room(seed::ROOM, JoinQuery::default()).await.unwrap().seq, Seq(3));
}

#[tokio::test]
async fn the_seeds_tables_are_adopted() {
    let database = SqliteDatabase::default();
    database.execute(seed::TABLES).await;
    database.execute(seed::ROWS).await;
    // SQLite's own spelling, and another one of an id.
    database
        .execute(
            r#"UPDATE "gossip_intents" SET "updatedAt" = '2020-01-01 00:00:02', "roomId" = upper("roomId"),
                 "id" = upper("id") WHERE "content" = 'below zero'"#,
        )
        .await;
    let f = Fixture::of_sqlite(database).await.reopen().await;
    seed::check(&*f.store).await;
    let committed = f.commit(&[f.vote(1, nth(4), VoteAction::Downvote)]).await;
    assert_eq!(committed.events, [], "who voted before cannot vote twice");
    f.commit(&[f.vote(1, nth(4), VoteAction::Upvote)]).await;
    let (intent, _) = f.store.intent(nth(4), f.user(1)).await.unwrap().unwrap();
    assert_eq!((intent.upvotes, intent.downvotes), (1, 4));
}

#[tokio::test]
async fn no_statement_reads_a_big_table_as_a_whole() {
    assert_eq!(sql::ALL.len(), statements_in(include_str!("../../src/sqlite/sql.rs")));
    let database = SqliteDatabase::default();
    database.open().await;
    let mut connection = database.connection().await;
    let mut wrong = Vec::new();
    for (name, statement) in sql::ALL {
        let explain = format!("EXPLAIN QUERY PLAN {statement}");
        let plan = sqlx::raw_sql(AssertSqlSafe(explain)).fetch_all(&mut connection).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|row| row.get("detail")).collect();
        println!("{name}\n  {}", plan.join("\n  "));
        for (at, line) in plan.iter().enumerate() {
            // A scan from the end of an index, for the few that a limit lets through.
            let is_ordered_end = ["PRUNE_LOG", "ENDS"].contains(name) && line == "SCAN gossip_log";
            let table = line.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next()).unwrap_or_default();
            let is_table = !["k", "json_each", "oldest", "CONSTANT"].contains(&table) && !table.is_empty();
            if is_table && !is_ordered_end || line.contains("TEMP B-TREE") && line.contains("LAST TERM") {
                wrong.push(format!("{name}, line {at}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
