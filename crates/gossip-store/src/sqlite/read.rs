//! The reads. What must be one snapshot is one transaction; WAL lets it run beside the writer.

use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::model::{Intent, Status, Update, Vote};
use gossip_proto::timestamp::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::log::standings_in;
use super::rows::{IntentRow, UpdateRow, seq};
use super::sql;
use crate::rows::{column, paged, readable};
use crate::{Cursor, Error, JoinQuery, Paged, RoomSnapshot, Seen};

pub(super) async fn room(pool: &SqlitePool, room: RoomId, query: JoinQuery) -> Result<RoomSnapshot, Error> {
    let mut tx = pool.begin().await.map_err(Error::while_("beginning a snapshot"))?;
    let at: Option<i64> = sqlx::query_scalar(sql::ROOM)
        .bind(room.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(Error::while_("reading a room's seq"))?;
    let at = at.map(seq).unwrap_or_default();
    let intents = match query.history {
        Some(limit) => {
            let rows = page_of_intents(&mut tx, room, None, limit, None).await?;
            Some(readable(rows, TryInto::try_into).collect())
        }
        None => None,
    };
    let is_reached = match query.since {
        Some(since) => {
            let standings = standings_in(&mut tx, &[(room, Seen::Seq(since))]).await?;
            Some(standings.iter().all(|standing| standing.after.is_some()))
        }
        None => None,
    };
    tx.commit().await.map_err(Error::while_("ending a snapshot"))?;
    Ok(RoomSnapshot { seq: at, intents, is_reached })
}

pub(super) async fn intent(
    pool: &SqlitePool,
    id: IntentId,
    viewer: UserId,
) -> Result<Option<(Intent, Option<Vote>)>, Error> {
    let doing = || Error::while_("reading an intent");
    let mut tx = pool.begin().await.map_err(doing())?;
    let row: Option<IntentRow> =
        sqlx::query_as(sql::INTENT).bind(id.to_string()).fetch_optional(&mut *tx).await.map_err(doing())?;
    let Some(row) = row else { return Ok(None) };
    let vote: Option<String> = sqlx::query_scalar(sql::VOTE)
        .bind(id.to_string())
        .bind(viewer.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(doing())?;
    tx.commit().await.map_err(doing())?;
    let vote =
        readable(vote, |word| word.parse().map_err(|_| Error::Corrupt { table: "gossip_votes", column: "action" }));
    Ok(Some((row.try_into()?, vote.into_iter().next())))
}

pub(super) async fn intents(
    pool: &SqlitePool,
    room: RoomId,
    status: Option<Status>,
    limit: u64,
    before: Option<Cursor>,
) -> Result<Paged<Intent>, Error> {
    let mut connection = pool.acquire().await.map_err(Error::while_("listing intents"))?;
    let rows = page_of_intents(&mut connection, room, status, limit.saturating_add(1), before).await?;
    Ok(paged(rows, limit, IntentRow::cursor, TryInto::try_into))
}

async fn page_of_intents(
    connection: &mut SqliteConnection,
    room: RoomId,
    status: Option<Status>,
    limit: u64,
    before: Option<Cursor>,
) -> Result<Vec<IntentRow>, Error> {
    let query = if status.is_some() { sql::INTENTS_OF_STATUS } else { sql::INTENTS };
    let (created_at, id) = before_or_end(before);
    let mut query = sqlx::query_as(query).bind(room.to_string()).bind(created_at).bind(id).bind(column(limit));
    if let Some(status) = status {
        query = query.bind(status.as_str());
    }
    query.fetch_all(connection).await.map_err(Error::while_("listing intents"))
}

pub(super) async fn updates(
    pool: &SqlitePool,
    intent: IntentId,
    with_votes: bool,
    limit: u64,
    before: Option<Cursor>,
) -> Result<Paged<Update>, Error> {
    let (created_at, id) = before_or_end(before);
    let rows = sqlx::query_as(if with_votes { sql::UPDATES } else { sql::UPDATES_WITHOUT_VOTES })
        .bind(intent.to_string())
        .bind(created_at)
        .bind(id)
        .bind(column(limit.saturating_add(1)))
        .fetch_all(pool)
        .await
        .map_err(Error::while_("listing updates"))?;
    Ok(paged(rows, limit, UpdateRow::cursor, TryInto::try_into))
}

pub(super) async fn is_member(pool: &SqlitePool, room: RoomId, user: UserId) -> Result<bool, Error> {
    let row: Option<i64> = sqlx::query_scalar(sql::MEMBER)
        .bind(room.to_string())
        .bind(user.to_string())
        .fetch_optional(pool)
        .await
        .map_err(Error::while_("reading a membership"))?;
    Ok(row.is_some())
}

pub(super) async fn due(pool: &SqlitePool, now: Timestamp, limit: u64) -> Result<Vec<IntentId>, Error> {
    let ids: Vec<String> = sqlx::query_scalar(sql::DUE)
        .bind(now.to_string())
        .bind(column(limit))
        .fetch_all(pool)
        .await
        .map_err(Error::while_("looking for what is due"))?;
    let bad = |_| Error::Corrupt { table: "gossip_intents", column: "id" };
    Ok(readable(&ids, |id| id.parse().map_err(bad)).collect())
}

pub(super) async fn ping(pool: &SqlitePool) -> Result<(), Error> {
    sqlx::query("SELECT 1").execute(pool).await.map_err(Error::while_("asking whether it is there"))?;
    Ok(())
}

/// Without a cursor: a place after everything there can be.
fn before_or_end(before: Option<Cursor>) -> (String, String) {
    match before {
        Some(cursor) => (cursor.created_at.to_string(), cursor.id.as_hyphenated().to_string()),
        None => ("~".into(), String::new()),
    }
}
