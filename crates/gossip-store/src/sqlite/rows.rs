//! Rows as SQLite has them, and their way into the contract's types: the only place that knows the columns' spelling.

use gossip_core::command::Fingerprint;
use gossip_proto::id::{IntentId, RoomId, Seq};
use gossip_proto::model::{Intent, Update};
use gossip_proto::timestamp::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::{Error, LogEvent, Position};

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
            upvotes: row.upvotes,
            downvotes: row.downvotes,
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

/// What of `rows` makes sense. One that was written by someone else and does not is logged and left out: it must not
/// take the rest of a page or a batch with it.
pub(super) fn readable<R, T: TryFrom<R, Error = Error>>(rows: Vec<R>) -> Vec<T> {
    let read = |row| T::try_from(row).inspect_err(|error| tracing::warn!(%error, "a row was left out")).ok();
    rows.into_iter().filter_map(read).collect()
}

/// A row of `gossip_log`, of a room that is known.
#[derive(sqlx::FromRow)]
pub(super) struct LogRow {
    position: i64,
    seq: i64,
    payload: String,
}

impl LogRow {
    pub(super) fn event(self, room: RoomId) -> LogEvent {
        LogEvent {
            position: Position(self.position.unsigned_abs()),
            room,
            seq: seq(self.seq),
            payload: self.payload.into(),
        }
    }
}

pub(super) fn seq(column: i64) -> Seq {
    Seq(column.unsigned_abs())
}

pub(super) fn intent_id(column: &str, table: &'static str) -> Result<IntentId, Error> {
    column.parse().map_err(|_| Error::Corrupt { table, column: "intentId" })
}

pub(super) fn fingerprint(column: &str) -> Result<Fingerprint, Error> {
    Uuid::try_parse(column)
        .map(Fingerprint)
        .map_err(|_| Error::Corrupt { table: "gossip_requests", column: "fingerprint" })
}

fn json(column: Option<String>) -> Result<Option<Value>, ()> {
    column.map(|text| serde_json::from_str(&text).map_err(|_| ())).transpose()
}
