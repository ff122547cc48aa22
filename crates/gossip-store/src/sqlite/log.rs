//! The log, read: where rooms stand, what a client missed, what came after a position. Each is one statement or one
//! read transaction, and so one snapshot.

use gossip_proto::id::{RoomId, Seq};
use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::rows::{LogRow, json_text, seq};
use super::sql;
use super::writer::Writer;
use crate::rows::column;
use crate::standing::{self, Found, LogEnds};
use crate::{Error, LogEvent, Position, Seen, Standing};

/// Read where commits are made: all that were begun before have ended by then.
pub(super) async fn position(writer: &Writer) -> Result<Position, Error> {
    let doing = || Error::while_("reading the position");
    let mut writing = writer.acquire().await.map_err(doing())?;
    let connection = writing.connection().map_err(doing())?;
    let position: i64 = sqlx::query_scalar(sql::POSITION).fetch_one(connection).await.map_err(doing())?;
    Ok(Position(position.unsigned_abs()))
}

pub(super) async fn log(pool: &SqlitePool, after: Position, limit: u64) -> Result<Vec<LogEvent>, Error> {
    let rows: Vec<LogRow> = sqlx::query_as(sql::LOG)
        .bind(column(after.0))
        .bind(column(limit))
        .fetch_all(pool)
        .await
        .map_err(Error::while_("reading the log"))?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(super) async fn replay(pool: &SqlitePool, after: &[(RoomId, Seq)], limit: u64) -> Result<Vec<LogEvent>, Error> {
    let after: Vec<_> = after.iter().map(|(room, seq)| json!([room, column(seq.0)])).collect();
    let rows: Vec<LogRow> = sqlx::query_as(sql::REPLAY)
        .bind(json_text(&after)?)
        .bind(column(limit))
        .fetch_all(pool)
        .await
        .map_err(Error::while_("reading the log of rooms"))?;
    rows.into_iter().map(TryInto::try_into).collect()
}

pub(super) async fn standings(pool: &SqlitePool, rooms: &[(RoomId, Seen)]) -> Result<Vec<Standing>, Error> {
    let mut tx = pool.begin().await.map_err(Error::while_("beginning a snapshot"))?;
    let standings = standings_in(&mut tx, rooms).await?;
    tx.commit().await.map_err(Error::while_("ending a snapshot"))?;
    Ok(standings)
}

/// As [`standings`], in a transaction that has begun.
pub(super) async fn standings_in(tx: &mut SqliteConnection, rooms: &[(RoomId, Seen)]) -> Result<Vec<Standing>, Error> {
    let (first, last): (Option<i64>, i64) =
        sqlx::query_as(sql::ENDS).fetch_one(&mut *tx).await.map_err(Error::while_("reading the log's ends"))?;
    let position = |column: i64| Position(column.unsigned_abs());
    let ends = LogEnds { first: first.map(position), last: position(last) };
    let asked = |(room, seen): &(RoomId, Seen)| match seen {
        Seen::Seq(_) => json!([room, null]),
        Seen::Position { position, .. } => json!([room, column(position.0)]),
    };
    let asked: Vec<_> = rooms.iter().map(asked).collect();
    let found: Vec<(i64, Option<i64>, Option<i64>)> = sqlx::query_as(sql::STANDINGS)
        .bind(json_text(&asked)?)
        .fetch_all(tx)
        .await
        .map_err(Error::while_("reading where rooms stand"))?;
    let found = found.into_iter().map(|(last, first, seen)| Found {
        last: seq(last),
        first: first.map(seq),
        seen: seen.map(seq),
    });
    Ok(rooms.iter().zip(found).map(|((_, seen), found)| standing::of(*seen, found, ends)).collect())
}
