//! One transaction per vote on Postgres. Statements are prepared once a connection, and nothing is asked that need not
//! be: the pool is our own, because sqlx's makes a round trip whenever a connection comes back to it.
//!
//! The intent is locked by a statement of its own before the vote that stands is read. Were both read by one, the vote
//! would come from a snapshot older than the lock, and of two votes that meet one would be counted wrongly.

use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use gossip_core::env::Env as _;
use gossip_hub::SystemEnv;
use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::model::{Intent, Vote};
use gossip_proto::refusal::Refusal;
use gossip_proto::timestamp::Timestamp;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{ConnectOptions as _, Executor as _, Row as _};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{Failure, closed};
use crate::cli::{Transaction, Tuning};
use crate::error::Error;

const LOCK: &str = r#"
  SELECT "status" <> 'expired' AND ("expiresAt" IS NULL OR "expiresAt" > now()) FROM "gossip_intents"
  WHERE "id" = $1 FOR NO KEY UPDATE"#;

const STANDS: &str = r#"SELECT "action" FROM "gossip_votes" WHERE "intentId" = $1 AND "userId" = $2"#;

/// For who holds the lock, and has read in `$5` what stands.
const WRITE: &str = r#"
  WITH "vote" AS (
    INSERT INTO "gossip_votes" ("intentId", "userId", "action") VALUES ($1, $2, $3)
    ON CONFLICT ("intentId", "userId") DO UPDATE SET "action" = excluded."action"
  ), "row" AS (
    INSERT INTO "gossip_updates" ("id", "intentId", "userId", "type", "content") VALUES ($4, $1, $2, 'vote', $3)
  )
  UPDATE "gossip_intents" SET "updatedAt" = now(),
    "upvotes" = "upvotes" + ($3 = 'upvote')::int - ($5::text IS NOT DISTINCT FROM 'upvote')::int,
    "downvotes" = "downvotes" + ($3 = 'downvote')::int - ($5::text IS NOT DISTINCT FROM 'downvote')::int
  WHERE "id" = $1 RETURNING *"#;

/// For who holds the lock: reads what stands, too. No row where that is the same vote.
const READ_AND_WRITE: &str = r#"
  WITH "old" AS (
    SELECT "action" FROM "gossip_votes" WHERE "intentId" = $1 AND "userId" = $2
  ), "vote" AS (
    INSERT INTO "gossip_votes" ("intentId", "userId", "action")
    SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT FROM "old" WHERE "action" = $3)
    ON CONFLICT ("intentId", "userId") DO UPDATE SET "action" = excluded."action" RETURNING 1
  ), "row" AS (
    INSERT INTO "gossip_updates" ("id", "intentId", "userId", "type", "content")
    SELECT $4, $1, $2, 'vote', $3 FROM "vote"
  )
  UPDATE "gossip_intents" SET "updatedAt" = now(),
    "upvotes" = "upvotes" + ($3 = 'upvote')::int - (SELECT count(*) FROM "old" WHERE "action" = 'upvote')::int,
    "downvotes" = "downvotes" + ($3 = 'downvote')::int - (SELECT count(*) FROM "old" WHERE "action" = 'downvote')::int
  WHERE "id" = $1 AND EXISTS (SELECT FROM "vote") RETURNING *"#;

/// Everything. What stood is told by how the vote was written: a new row has no `xmax`, and one that was changed held
/// the other vote. No row where the same vote stood or the intent takes none.
const ALL: &str = r#"
  WITH "intent" AS (
    SELECT "id" FROM "gossip_intents"
    WHERE "id" = $1 AND "status" <> 'expired' AND ("expiresAt" IS NULL OR "expiresAt" > now()) FOR NO KEY UPDATE
  ), "vote" AS (
    INSERT INTO "gossip_votes" AS v ("intentId", "userId", "action") SELECT "id", $2, $3 FROM "intent"
    ON CONFLICT ("intentId", "userId") DO UPDATE SET "action" = excluded."action" WHERE v."action" <> excluded."action"
    RETURNING v.xmax = 0 AS "new"
  ), "row" AS (
    INSERT INTO "gossip_updates" ("id", "intentId", "userId", "type", "content")
    SELECT $4, $1, $2, 'vote', $3 FROM "vote"
  )
  UPDATE "gossip_intents" i SET "updatedAt" = now(),
    "upvotes" = i."upvotes" + CASE WHEN $3 = 'upvote' THEN 1 WHEN "vote"."new" THEN 0 ELSE -1 END,
    "downvotes" = i."downvotes" + CASE WHEN $3 = 'downvote' THEN 1 WHEN "vote"."new" THEN 0 ELSE -1 END
  FROM "vote" WHERE i."id" = $1 RETURNING i.*"#;

const INTENT: &str = r#"SELECT * FROM "gossip_intents" WHERE "id" = $1"#;

pub(super) struct Votes {
    pool: Pool,
    transaction: Transaction,
}

impl Votes {
    /// Connects, and makes the tables.
    pub(super) async fn open(url: &str, tuning: Tuning) -> Result<Votes, Error> {
        let options = PgConnectOptions::from_str(url).map_err(Error::database("reading the database's url"))?;
        let options = options.disable_statement_logging();
        let connecting = || Error::database("connecting to Postgres");
        let mut connections = Vec::with_capacity(tuning.pool);
        for _ in 0..tuning.pool {
            connections.push(options.connect().await.map_err(connecting())?);
        }
        if let Some(first) = connections.first_mut() {
            first.execute(include_str!("postgres.sql")).await.map_err(Error::database("making the tables"))?;
        }
        Ok(Votes { pool: Pool::of(connections), transaction: tuning.transaction })
    }

    pub(super) async fn post(&self, intent: &Intent) -> Result<(), Failure> {
        let time = |at: Timestamp| {
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.as_millis()) * 1_000_000).map_err(|_| Failure::Row)
        };
        let expires_at = intent.expires_at.map(time).transpose()?;
        let mut lease = self.pool.lease().await?;
        sqlx::query(
            r#"INSERT INTO "gossip_intents" ("id", "roomId", "userId", "content", "expiresAt", "createdAt", "updatedAt")
               VALUES ($1, $2, $3, $4, $5, $6, $6)"#,
        )
        .bind(intent.id.0)
        .bind(intent.room_id.0)
        .bind(intent.user_id.0)
        .bind(&intent.content)
        .bind(expires_at)
        .bind(time(intent.created_at)?)
        .execute(lease.connection()?)
        .await?;
        Ok(())
    }

    pub(super) async fn vote(&self, intent: IntentId, user: UserId, vote: Vote) -> Result<Intent, Failure> {
        let mut lease = self.pool.lease().await?;
        let connection = lease.connection()?;
        if self.transaction == Transaction::OneStatement {
            return one_statement(connection, intent, user, vote).await;
        }
        connection.execute("BEGIN").await?;
        let voted = match self.transaction {
            Transaction::Stepwise => stepwise(connection, intent, user, vote).await,
            Transaction::Locked | Transaction::OneStatement => locked(connection, intent, user, vote).await,
        };
        connection.execute(if voted.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
        voted
    }
}

async fn lock(connection: &mut PgConnection, intent: IntentId) -> Result<(), Failure> {
    match sqlx::query_scalar(LOCK).bind(intent.0).fetch_optional(connection).await? {
        Some(true) => Ok(()),
        Some(false) => Err(closed()),
        None => Err(Refusal::intent_not_found().into()),
    }
}

async fn locked(connection: &mut PgConnection, id: IntentId, user: UserId, vote: Vote) -> Result<Intent, Failure> {
    lock(connection, id).await?;
    let written = sqlx::query(READ_AND_WRITE)
        .bind(id.0)
        .bind(user.0)
        .bind(vote.as_str())
        .bind(SystemEnv.new_id())
        .fetch_optional(&mut *connection)
        .await?;
    match written {
        Some(row) => intent(&row),
        None => unchanged(connection, id).await,
    }
}

async fn stepwise(connection: &mut PgConnection, id: IntentId, user: UserId, vote: Vote) -> Result<Intent, Failure> {
    lock(connection, id).await?;
    let stands: Option<String> =
        sqlx::query_scalar(STANDS).bind(id.0).bind(user.0).fetch_optional(&mut *connection).await?;
    if stands.as_deref() == Some(vote.as_str()) {
        return unchanged(connection, id).await;
    }
    let write = sqlx::query(WRITE).bind(id.0).bind(user.0).bind(vote.as_str()).bind(SystemEnv.new_id()).bind(stands);
    intent(&write.fetch_one(connection).await?)
}

async fn one_statement(
    connection: &mut PgConnection,
    id: IntentId,
    user: UserId,
    vote: Vote,
) -> Result<Intent, Failure> {
    let written = sqlx::query(ALL)
        .bind(id.0)
        .bind(user.0)
        .bind(vote.as_str())
        .bind(SystemEnv.new_id())
        .fetch_optional(&mut *connection)
        .await?;
    match written {
        Some(row) => intent(&row),
        None => {
            // To tell apart what wrote nothing.
            lock(connection, id).await?;
            unchanged(connection, id).await
        }
    }
}

async fn unchanged(connection: &mut PgConnection, id: IntentId) -> Result<Intent, Failure> {
    intent(&sqlx::query(INTENT).bind(id.0).fetch_one(connection).await?)
}

fn intent(row: &PgRow) -> Result<Intent, Failure> {
    let time = |at: OffsetDateTime| {
        let millis = i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|_| Failure::Row);
        millis.map(Timestamp::from_millis)
    };
    Ok(Intent {
        id: IntentId(row.try_get("id")?),
        room_id: RoomId(row.try_get("roomId")?),
        user_id: UserId(row.try_get("userId")?),
        content: row.try_get("content")?,
        status: row.try_get::<&str, _>("status")?.parse().map_err(|_| Failure::Row)?,
        // The load test posts none.
        metadata: None,
        upvotes: row.try_get::<i32, _>("upvotes")?.into(),
        downvotes: row.try_get::<i32, _>("downvotes")?.into(),
        expires_at: row.try_get::<Option<_>, _>("expiresAt")?.map(time).transpose()?,
        created_at: time(row.try_get("createdAt")?)?,
        updated_at: time(row.try_get("updatedAt")?)?,
    })
}

/// Connections, and who waits for one, in turn. The one used last is used next: its caches are warm.
struct Pool {
    idle: Mutex<Vec<PgConnection>>,
    free: Semaphore,
}

/// A connection, until dropped.
struct Lease<'a> {
    connection: Option<PgConnection>,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Pool {
    fn of(connections: Vec<PgConnection>) -> Pool {
        Pool { free: Semaphore::new(connections.len()), idle: Mutex::new(connections) }
    }

    async fn lease(&self) -> Result<Lease<'_>, Failure> {
        let permit = self.free.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        let connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(Lease { connection, pool: self, _permit: permit })
    }
}

impl Lease<'_> {
    fn connection(&mut self) -> Result<&mut PgConnection, Failure> {
        self.connection.as_mut().ok_or(Failure::Database(sqlx::Error::PoolClosed))
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // Before the permit goes, so that whoever gets that finds a connection.
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.connection.take());
    }
}
