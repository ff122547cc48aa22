//! The reads. Each is one statement, and so one snapshot and one round trip.

use gossip_proto::id::{IntentId, RoomId, Seq, UserId};
use gossip_proto::model::{Intent, Status, Update, Vote};
use gossip_proto::timestamp::Timestamp;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::pool::Pool;
use super::rows::{Time, cursor, event, get, intent as read_intent, position, seq, update, vote};
use super::sql;
use crate::rows::{column, paged, readable};
use crate::standing::{self, Found, LogEnds};
use crate::{Cursor, Error, JoinQuery, LogEvent, Paged, Position, RoomSnapshot, Seen, Standing};

/// One statement on a connection of the pool.
macro_rules! ask {
    ($pool:expr, $doing:literal, $query:expr, $fetch:ident) => {{
        let mut lease = $pool.lease().await.map_err(Error::while_($doing))?;
        let answer = $query.$fetch(&mut *lease).await.map_err(Error::while_($doing))?;
        lease.give_back();
        answer
    }};
}
pub(super) use ask;

pub(super) async fn last_position(pool: &Pool) -> Result<Position, Error> {
    let last: i64 = ask!(pool, "reading the position", sqlx::query_scalar(sql::POSITION), fetch_one);
    Ok(position(last))
}

pub(super) async fn log(pool: &Pool, after: Position, limit: u64) -> Result<Vec<LogEvent>, Error> {
    let query = sqlx::query(sql::LOG).bind(column(after.0)).bind(column(limit));
    ask!(pool, "reading the log", query, fetch_all).iter().map(event).collect()
}

pub(super) async fn replay(pool: &Pool, after: &[(RoomId, Seq)], limit: u64) -> Result<Vec<LogEvent>, Error> {
    let (rooms, seqs): (Vec<Uuid>, Vec<i64>) = after.iter().map(|(room, seq)| (room.0, column(seq.0))).unzip();
    let query = sqlx::query(sql::REPLAY).bind(rooms).bind(seqs).bind(column(limit));
    ask!(pool, "reading the log of rooms", query, fetch_all).iter().map(event).collect()
}

pub(super) async fn standings(pool: &Pool, rooms: &[(RoomId, Seen)]) -> Result<Vec<Standing>, Error> {
    let position = |seen: &Seen| match seen {
        Seen::Seq(_) => None,
        Seen::Position { position, .. } => Some(column(position.0)),
    };
    let (ids, positions): (Vec<Uuid>, Vec<Option<i64>>) =
        rooms.iter().map(|(room, seen)| (room.0, position(seen))).unzip();
    let query = sqlx::query(sql::STANDINGS).bind(ids).bind(positions);
    let found = ask!(pool, "reading where rooms stand", query, fetch_all);
    Ok(rooms.iter().zip(&found).map(|((_, seen), row)| standing::of(*seen, room_found(row), log_ends(row))).collect())
}

fn room_found(row: &PgRow) -> Found {
    let at = |column| get(row, column).map(seq);
    Found { last: at("last").unwrap_or_default(), first: at("first"), seen: at("seen") }
}

fn log_ends(row: &PgRow) -> LogEnds {
    let at = |column| get(row, column).map(position);
    LogEnds { first: at("log_first"), last: at("log_last").unwrap_or_default() }
}

pub(super) async fn room(pool: &Pool, room: RoomId, query: JoinQuery) -> Result<RoomSnapshot, Error> {
    let asked = sqlx::query(sql::ROOM).bind(room.0).bind(column(query.history.unwrap_or(0)));
    let rows = ask!(pool, "reading a room", asked, fetch_all);
    let found = rows.first().map(room_found).unwrap_or_default();
    let is_reached = |since| standing::of(Seen::Seq(since), found, LogEnds::default()).after.is_some();
    let intents = rows.iter().filter(|row| get::<Uuid>(row, "id").is_some());
    Ok(RoomSnapshot {
        seq: found.last,
        intents: query.history.map(|_| readable(intents, read_intent).collect()),
        is_reached: query.since.map(is_reached),
    })
}

pub(super) async fn intent(pool: &Pool, id: IntentId, viewer: UserId) -> Result<Option<(Intent, Option<Vote>)>, Error> {
    let query = sqlx::query(sql::INTENT).bind(id.0).bind(viewer.0);
    let row = ask!(pool, "reading an intent", query, fetch_optional);
    row.map(|row| Ok((read_intent(&row)?, vote(&row, "action")))).transpose()
}

pub(super) async fn intents(
    pool: &Pool,
    room: RoomId,
    status: Option<Status>,
    limit: u64,
    before: Option<Cursor>,
) -> Result<Paged<Intent>, Error> {
    let (time, id) = before_or_end(before);
    let query = match status {
        None => sqlx::query(sql::INTENTS).bind(room.0).bind(time).bind(id).bind(one_more(limit)),
        Some(status) => sqlx::query(sql::INTENTS_OF_STATUS)
            .bind(room.0)
            .bind(time)
            .bind(id)
            .bind(one_more(limit))
            .bind(status.as_str()),
    };
    let rows = ask!(pool, "listing intents", query, fetch_all);
    Ok(paged(rows, limit, cursor, |row| read_intent(&row)))
}

pub(super) async fn updates(
    pool: &Pool,
    intent: IntentId,
    with_votes: bool,
    limit: u64,
    before: Option<Cursor>,
) -> Result<Paged<Update>, Error> {
    let (time, id) = before_or_end(before);
    let query = sqlx::query(if with_votes { sql::UPDATES } else { sql::UPDATES_WITHOUT_VOTES });
    let query = query.bind(intent.0).bind(time).bind(id).bind(one_more(limit));
    let rows = ask!(pool, "listing updates", query, fetch_all);
    Ok(paged(rows, limit, cursor, |row| update(&row)))
}

pub(super) async fn is_member(pool: &Pool, room: RoomId, user: UserId) -> Result<bool, Error> {
    let query = sqlx::query_scalar(sql::MEMBER).bind(room.0).bind(user.0);
    let count: i64 = ask!(pool, "reading a membership", query, fetch_one);
    Ok(count > 0)
}

pub(super) async fn due(pool: &Pool, now: Timestamp, limit: u64) -> Result<Vec<IntentId>, Error> {
    let query = sqlx::query_scalar(sql::DUE).bind(Time(now)).bind(column(limit));
    let ids: Vec<Uuid> = ask!(pool, "looking for what is due", query, fetch_all);
    Ok(ids.into_iter().map(IntentId).collect())
}

pub(super) async fn ping(pool: &Pool) -> Result<(), Error> {
    ask!(pool, "asking whether it is there", sqlx::query("SELECT 1"), execute);
    Ok(())
}

/// Without a cursor: a place after everything there can be.
fn before_or_end(before: Option<Cursor>) -> (Option<Time>, Uuid) {
    (before.map(|cursor| Time(cursor.created_at)), before.map_or(Uuid::max(), |cursor| cursor.id))
}

fn one_more(limit: u64) -> i64 {
    column(limit.saturating_add(1))
}
