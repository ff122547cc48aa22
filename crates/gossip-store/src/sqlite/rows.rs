//! Rows as SQLite has them, and their way into the contract's types: the only place that knows the columns' spelling.

use gossip_proto::id::Seq;
use gossip_proto::model::{Intent, Update};
use gossip_proto::timestamp::Timestamp;
use serde::Serialize;
use serde_json::Value;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use crate::{Cursor, Error, LogEvent, Position};

/// A row of `gossip_intents`.
#[derive(sqlx::FromRow)]
#[sqlx(rename_all = "camelCase")]
pub(super) struct IntentRow {
    id: String,
    room_id: String,
    user_id: String,
    content: String,
    status: String,
    metadata: Option<String>,
    upvotes: i64,
    downvotes: i64,
    expires_at: Option<String>,
    created_at: String,
    updated_at: String,
}

impl IntentRow {
    /// Where a page ended that ended with this row.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        cursor(&self.created_at, &self.id)
    }
}

impl TryFrom<IntentRow> for Intent {
    type Error = Error;

    fn try_from(row: IntentRow) -> Result<Self, Error> {
        let bad = |column| Error::Corrupt { table: "gossip_intents", column };
        Ok(Intent {
            id: row.id.parse().map_err(|_| bad("id"))?,
            room_id: row.room_id.parse().map_err(|_| bad("roomId"))?,
            user_id: row.user_id.parse().map_err(|_| bad("userId"))?,
            content: row.content,
            status: row.status.parse().map_err(|_| bad("status"))?,
            metadata: json(row.metadata).map_err(|()| bad("metadata"))?,
            // Below zero only an adopted row can be (contract §4, Votes).
            upvotes: row.upvotes.max(0),
            downvotes: row.downvotes.max(0),
            expires_at: row
                .expires_at
                .map(|text| Timestamp::parse(&text).ok_or_else(|| bad("expiresAt")))
                .transpose()?,
            created_at: Timestamp::parse(&row.created_at).ok_or_else(|| bad("createdAt"))?,
            updated_at: Timestamp::parse(&row.updated_at).ok_or_else(|| bad("updatedAt"))?,
        })
    }
}

/// A row of `gossip_updates`.
#[derive(sqlx::FromRow)]
#[sqlx(rename_all = "camelCase")]
pub(super) struct UpdateRow {
    id: String,
    intent_id: String,
    user_id: String,
    #[sqlx(rename = "type")]
    kind: String,
    content: Option<String>,
    metadata: Option<String>,
    created_at: String,
}

impl UpdateRow {
    /// Where a page ended that ended with this row.
    pub(super) fn cursor(&self) -> Option<Cursor> {
        cursor(&self.created_at, &self.id)
    }
}

impl TryFrom<UpdateRow> for Update {
    type Error = Error;

    fn try_from(row: UpdateRow) -> Result<Self, Error> {
        let bad = |column| Error::Corrupt { table: "gossip_updates", column };
        Ok(Update {
            id: row.id.parse().map_err(|_| bad("id"))?,
            intent_id: row.intent_id.parse().map_err(|_| bad("intentId"))?,
            user_id: row.user_id.parse().map_err(|_| bad("userId"))?,
            kind: row.kind.parse().map_err(|_| bad("type"))?,
            content: row.content,
            metadata: json(row.metadata).map_err(|()| bad("metadata"))?,
            created_at: Timestamp::parse(&row.created_at).ok_or_else(|| bad("createdAt"))?,
        })
    }
}

/// A row of `gossip_log`.
#[derive(sqlx::FromRow)]
#[sqlx(rename_all = "camelCase")]
pub(super) struct LogRow {
    position: i64,
    room_id: String,
    seq: i64,
    payload: String,
}

impl TryFrom<LogRow> for LogEvent {
    type Error = Error;

    fn try_from(row: LogRow) -> Result<Self, Error> {
        let bad = |column| Error::Corrupt { table: "gossip_log", column };
        Ok(LogEvent {
            position: Position(row.position.unsigned_abs()),
            room: row.room_id.parse().map_err(|_| bad("roomId"))?,
            seq: seq(row.seq),
            payload: row.payload.into(),
        })
    }
}

pub(super) fn json_text<T: Serialize + ?Sized>(values: &T) -> Result<String, Error> {
    Ok(serde_json::to_string(values)?)
}

/// Writes many rows with one statement, which finds them in the JSON array `?1`.
pub(super) async fn bulk<T: Serialize>(
    tx: &mut SqliteConnection,
    statement: &'static str,
    rows: &[T],
) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(statement).bind(json_text(rows)?).execute(tx).await.map_err(Error::while_("writing rows"))?;
    Ok(())
}

pub(super) fn seq(column: i64) -> Seq {
    Seq(column.unsigned_abs())
}

fn cursor(created_at: &str, id: &str) -> Option<Cursor> {
    Some(Cursor { created_at: Timestamp::parse(created_at)?, id: Uuid::try_parse(id).ok()? })
}

fn json(column: Option<String>) -> Result<Option<Value>, ()> {
    column.map(|text| serde_json::from_str(&text).map_err(|_| ())).transpose()
}
