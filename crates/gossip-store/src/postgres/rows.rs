//! Rows as Postgres has them, and their way into the contract's types.

use gossip_proto::id::{IntentId, RoomId, Seq, UpdateId, UserId};
use gossip_proto::model::{Intent, Update, Vote};
use gossip_proto::timestamp::Timestamp;
use serde_json::Value;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgRow, PgTypeInfo, PgValueFormat, PgValueRef, Postgres};
use sqlx::types::time::OffsetDateTime;
use sqlx::{Decode, Encode, Row, Type};
use uuid::Uuid;

use crate::{Cursor, Error, LogEvent, Position};

/// Microseconds from 1970 to 2000, where Postgres begins to count.
const EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A timestamptz. Not `OffsetDateTime`, which panics on what Postgres can hold and it cannot: `infinity`, far years.
#[derive(Debug, Clone, Copy)]
pub(super) struct Time(pub(super) Timestamp);

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        <OffsetDateTime as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for Time {
    fn array_type_info() -> PgTypeInfo {
        <OffsetDateTime as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <i64 as Encode<Postgres>>::encode(self.0.as_millis() * 1000 - EPOCH_MICROS, buf)
    }
}

impl<'r> Decode<'r, Postgres> for Time {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("a time came as text".into());
        }
        let micros = <i64 as Decode<Postgres>>::decode(value)?;
        Ok(Time(Timestamp::from_millis(micros.div_euclid(1000) + EPOCH_MICROS / 1000)))
    }
}

/// A column's value; `None` for NULL and for what does not fit the type.
pub(super) fn get<'r, T: Decode<'r, Postgres> + Type<Postgres>>(row: &'r PgRow, column: &'static str) -> Option<T> {
    row.try_get::<Option<T>, _>(column).ok().flatten()
}

/// An intent. Counts below zero, which only an adopted row can have, are none (contract §4, Votes).
pub(super) fn intent(row: &PgRow) -> Result<Intent, Error> {
    let bad = |column| Error::Corrupt { table: "gossip_intents", column };
    let time = |column| get::<Time>(row, column).map(|time| time.0);
    let count = |column| get::<i32>(row, column).map(|count| i64::from(count.max(0))).ok_or(bad(column));
    Ok(Intent {
        id: IntentId(get(row, "id").ok_or(bad("id"))?),
        room_id: RoomId(get(row, "roomId").ok_or(bad("roomId"))?),
        user_id: UserId(get(row, "userId").ok_or(bad("userId"))?),
        content: get(row, "content").ok_or(bad("content"))?,
        status: get::<&str>(row, "status").and_then(|word| word.parse().ok()).ok_or(bad("status"))?,
        metadata: json(row).map_err(|()| bad("metadata"))?,
        upvotes: count("upvotes")?,
        downvotes: count("downvotes")?,
        expires_at: time("expiresAt"),
        created_at: time("createdAt").ok_or(bad("createdAt"))?,
        updated_at: time("updatedAt").ok_or(bad("updatedAt"))?,
    })
}

/// An update.
pub(super) fn update(row: &PgRow) -> Result<Update, Error> {
    let bad = |column| Error::Corrupt { table: "gossip_updates", column };
    Ok(Update {
        id: UpdateId(get(row, "id").ok_or(bad("id"))?),
        intent_id: IntentId(get(row, "intentId").ok_or(bad("intentId"))?),
        user_id: UserId(get(row, "userId").ok_or(bad("userId"))?),
        kind: get::<&str>(row, "type").and_then(|word| word.parse().ok()).ok_or(bad("type"))?,
        content: get(row, "content"),
        metadata: json(row).map_err(|()| bad("metadata"))?,
        created_at: get::<Time>(row, "createdAt").ok_or(bad("createdAt"))?.0,
    })
}

/// A vote, where there is one and it makes sense.
pub(super) fn vote(row: &PgRow, column: &'static str) -> Option<Vote> {
    let word: &str = get(row, column)?;
    let vote = word.parse().ok();
    if vote.is_none() {
        tracing::warn!(error = %Error::Corrupt { table: "gossip_votes", column: "action" }, "a row was left out");
    }
    vote
}

/// What was sent once.
pub(super) fn event(row: &PgRow) -> Result<LogEvent, Error> {
    let bad = |column| Error::Corrupt { table: "gossip_log", column };
    Ok(LogEvent {
        position: position(get(row, "position").ok_or(bad("position"))?),
        room: RoomId(get(row, "roomId").ok_or(bad("roomId"))?),
        seq: seq(get(row, "seq").ok_or(bad("seq"))?),
        payload: get::<&str>(row, "payload").ok_or(bad("payload"))?.into(),
    })
}

/// Where a page ended that ended with this row.
pub(super) fn cursor(row: &PgRow) -> Option<Cursor> {
    Some(Cursor { created_at: get::<Time>(row, "createdAt")?.0, id: get::<Uuid>(row, "id")? })
}

pub(super) fn seq(column: i64) -> Seq {
    Seq(column.unsigned_abs())
}

pub(super) fn position(column: i64) -> Position {
    Position(column.unsigned_abs())
}

fn json(row: &PgRow) -> Result<Option<Value>, ()> {
    get::<&str>(row, "metadata").map(|text| serde_json::from_str(text).map_err(|_| ())).transpose()
}
