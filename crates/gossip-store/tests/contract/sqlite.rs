//! What is SQLite's own.

use std::time::Duration;

use gossip_proto::id::Seq;
use gossip_proto::model::VoteAction;
use gossip_store::sqlite::{SqliteStore, sql};
use gossip_store::{Error, JoinQuery, Store};
use sqlx::{AssertSqlSafe, Row};

use crate::support::seed::{self, nth};
use crate::support::{Fixture, SqliteDatabase, statements_in};

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
            let is_table = !["k", "wanted", "json_each", "oldest", "CONSTANT"].contains(&table) && !table.is_empty();
            if is_table && !is_ordered_end || line.contains("TEMP B-TREE") && line.contains("LAST TERM") {
                wrong.push(format!("{name}, line {at}: {line}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
