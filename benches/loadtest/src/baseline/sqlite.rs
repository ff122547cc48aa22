//! One transaction per vote on SQLite, which has one writer: one connection, used in turn, with gossipd's settings (WAL,
//! each commit flushed to disk). Whoever holds the write lock reads what is true, so one statement reads all.

use std::str::FromStr;

use gossip_core::env::Env as _;
use gossip_hub::SystemEnv;
use gossip_proto::id::{IntentId, UserId};
use gossip_proto::model::{Intent, Vote};
use gossip_proto::refusal::Refusal;
use gossip_proto::timestamp::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Executor as _, Row as _};
use tokio::sync::Mutex;

use super::{Failure, closed};
use crate::error::Error;

const READ: &str = r#"
  SELECT i.*, v."action" AS "stands" FROM "gossip_intents" i
  LEFT JOIN "gossip_votes" v ON v."intentId" = i."id" AND v."userId" = ?2 WHERE i."id" = ?1"#;

/// Three statements, sent as one.
const WRITE: &str = r#"
  INSERT INTO "gossip_votes" ("intentId", "userId", "action") VALUES (?1, ?2, ?3)
    ON CONFLICT ("intentId", "userId") DO UPDATE SET "action" = excluded."action";
  INSERT INTO "gossip_updates" ("id", "intentId", "userId", "type", "content", "createdAt")
    VALUES (?4, ?1, ?2, 'vote', ?3, ?5);
  UPDATE "gossip_intents" SET "upvotes" = ?6, "downvotes" = ?7, "updatedAt" = ?5 WHERE "id" = ?1"#;

pub(super) struct Votes(Mutex<SqliteConnection>);

impl Votes {
    /// Opens the file, and makes the tables.
    pub(super) async fn open(url: &str) -> Result<Votes, Error> {
        let options = SqliteConnectOptions::from_str(url).map_err(Error::database("reading the database's url"))?;
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .disable_statement_logging();
        let mut connection = options.connect().await.map_err(Error::database("opening the database"))?;
        connection.execute(include_str!("sqlite.sql")).await.map_err(Error::database("making the tables"))?;
        Ok(Votes(Mutex::new(connection)))
    }

    pub(super) async fn post(&self, intent: &Intent) -> Result<(), Failure> {
        let mut connection = self.0.lock().await;
        sqlx::query(
            r#"INSERT INTO "gossip_intents" ("id", "roomId", "userId", "content", "expiresAt", "createdAt", "updatedAt")
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)"#,
        )
        .bind(intent.id.to_string())
        .bind(intent.room_id.to_string())
        .bind(intent.user_id.to_string())
        .bind(&intent.content)
        .bind(intent.expires_at.map(|at| at.to_string()))
        .bind(intent.created_at.to_string())
        .execute(&mut *connection)
        .await?;
        Ok(())
    }

    pub(super) async fn vote(&self, intent: IntentId, user: UserId, vote: Vote) -> Result<Intent, Failure> {
        let mut connection = self.0.lock().await;
        connection.execute("BEGIN IMMEDIATE").await?;
        let voted = in_transaction(&mut connection, intent, user, vote).await;
        connection.execute(if voted.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        voted
    }
}

async fn in_transaction(
    connection: &mut SqliteConnection,
    id: IntentId,
    user: UserId,
    vote: Vote,
) -> Result<Intent, Failure> {
    let (id, user) = (id.to_string(), user.to_string());
    let row = sqlx::query(READ).bind(&id).bind(&user).fetch_optional(&mut *connection).await?;
    let row = row.ok_or_else(Refusal::intent_not_found)?;
    let mut intent = intent(&row)?;
    let now = SystemEnv.now();
    if row.try_get::<&str, _>("status")? == "expired" || intent.expires_at.is_some_and(|at| at <= now) {
        return Err(closed());
    }
    let stands: Option<Vote> =
        row.try_get::<Option<&str>, _>("stands")?.map(str::parse).transpose().map_err(|_| Failure::Row)?;
    if stands == Some(vote) {
        return Ok(intent);
    }
    let counted = |kind| i64::from(vote == kind) - i64::from(stands == Some(kind));
    intent.upvotes += counted(Vote::Up);
    intent.downvotes += counted(Vote::Down);
    intent.updated_at = now;
    sqlx::query(WRITE)
        .bind(&id)
        .bind(&user)
        .bind(vote.as_str())
        .bind(SystemEnv.new_id().to_string())
        .bind(now.to_string())
        .bind(intent.upvotes)
        .bind(intent.downvotes)
        .execute(connection)
        .await?;
    Ok(intent)
}

fn intent(row: &SqliteRow) -> Result<Intent, Failure> {
    let text = |column| row.try_get::<&str, _>(column);
    let time = |text: &str| Timestamp::parse(text).ok_or(Failure::Row);
    Ok(Intent {
        id: text("id")?.parse().map_err(|_| Failure::Row)?,
        room_id: text("roomId")?.parse().map_err(|_| Failure::Row)?,
        user_id: text("userId")?.parse().map_err(|_| Failure::Row)?,
        content: text("content")?.to_owned(),
        status: text("status")?.parse().map_err(|_| Failure::Row)?,
        // The load test posts none.
        metadata: None,
        upvotes: row.try_get("upvotes")?,
        downvotes: row.try_get("downvotes")?,
        expires_at: row.try_get::<Option<&str>, _>("expiresAt")?.map(time).transpose()?,
        created_at: time(text("createdAt")?)?,
        updated_at: time(text("updatedAt")?)?,
    })
}
