//! The reads. What must be one snapshot is one transaction; WAL lets it run beside the writer.

use gossip_proto::id::{IntentId, RoomId, Seq, UserId};
use gossip_proto::model::{Intent, Status, Update, Vote};
use gossip_proto::timestamp::Timestamp;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::rows::{IntentRow, LogRow, UpdateRow, intent_id, readable, seq};
use crate::{Cursor, Error, JoinQuery, LogEvent, MAX_REPLAY_BYTES, MAX_REPLAY_EVENTS, Missed, Paged, RoomSnapshot};

pub(super) async fn room(pool: &SqlitePool, room: RoomId, query: JoinQuery) -> Result<RoomSnapshot, Error> {
    let mut tx = pool.begin().await.map_err(Error::while_("beginning a snapshot"))?;
    let at: Option<i64> = sqlx::query_scalar(r#"SELECT "seq" FROM "gossip_rooms" WHERE "roomId" = ?1"#)
        .bind(room.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(Error::while_("reading a room's seq"))?;
    let at = at.map(seq).unwrap_or_default();
    let intents = match query.history {
        Some(limit) => Some(page_of_intents(&mut tx, room, None, limit, None).await?),
        None => None,
    };
    let missed = match query.since {
        Some(since) => Some(missed(&mut tx, room, since, at, query.budget.unwrap_or(MAX_REPLAY_BYTES)).await?),
        None => None,
    };
    tx.commit().await.map_err(Error::while_("ending a snapshot"))?;
    Ok(RoomSnapshot { seq: at, intents, missed })
}

/// The events after `since`, up to `at`: all or none. Pruning goes by position, so if the first one is there, all are.
async fn missed(tx: &mut SqliteConnection, room: RoomId, since: Seq, at: Seq, budget: usize) -> Result<Missed, Error> {
    let count = match at.0.checked_sub(since.0).map(usize::try_from) {
        Some(Ok(count)) if count <= MAX_REPLAY_EVENTS => count,
        _ => return Ok(Missed::Unrecoverable),
    };
    // `since` is at most `at`, which came from this column's type.
    let since = i64::try_from(since.0).unwrap_or(i64::MAX);
    // Asked first, so that what is too much is not loaded to be thrown away.
    let (found, bytes): (i64, i64) = sqlx::query_as(
        r#"SELECT count(*), coalesce(sum(octet_length("payload")), 0) FROM "gossip_log"
           WHERE "roomId" = ?1 AND "seq" > ?2"#,
    )
    .bind(room.to_string())
    .bind(since)
    .fetch_one(&mut *tx)
    .await
    .map_err(Error::while_("measuring the log"))?;
    if usize::try_from(found) != Ok(count) || usize::try_from(bytes).unwrap_or(usize::MAX) > budget {
        return Ok(Missed::Unrecoverable);
    }
    let rows: Vec<LogRow> = sqlx::query_as(
        r#"SELECT "position", "seq", "payload" FROM "gossip_log" WHERE "roomId" = ?1 AND "seq" > ?2 ORDER BY "seq""#,
    )
    .bind(room.to_string())
    .bind(since)
    .fetch_all(tx)
    .await
    .map_err(Error::while_("reading the log"))?;
    let events: Vec<LogEvent> = rows.into_iter().map(|row| row.event(room)).collect();
    Ok(Missed::All(events))
}

pub(super) async fn intent(
    pool: &SqlitePool,
    id: IntentId,
    viewer: UserId,
) -> Result<Option<(Intent, Option<Vote>)>, Error> {
    let doing = || Error::while_("reading an intent");
    let mut tx = pool.begin().await.map_err(doing())?;
    let row: Option<IntentRow> = sqlx::query_as(r#"SELECT * FROM "gossip_intents" WHERE "id" = ?1"#)
        .bind(id.to_string())
        .fetch_optional(&mut *tx)
        .await
        .map_err(doing())?;
    let Some(row) = row else { return Ok(None) };
    let vote: Option<String> =
        sqlx::query_scalar(r#"SELECT "action" FROM "gossip_votes" WHERE "intentId" = ?1 AND "userId" = ?2"#)
            .bind(id.to_string())
            .bind(viewer.to_string())
            .fetch_optional(&mut *tx)
            .await
            .map_err(doing())?;
    tx.commit().await.map_err(doing())?;
    let corrupt = |_| Error::Corrupt { table: "gossip_votes", column: "action" };
    Ok(Some((row.try_into()?, vote.map(|word| word.parse()).transpose().map_err(corrupt)?)))
}

pub(super) async fn intents(
    pool: &SqlitePool,
    room: RoomId,
    status: Option<Status>,
    limit: u64,
    before: Option<Cursor>,
) -> Result<Paged<Intent>, Error> {
    let mut connection = pool.acquire().await.map_err(Error::while_("listing intents"))?;
    let items = page_of_intents(&mut connection, room, status, limit + 1, before).await?;
    Ok(paged(items, limit, |intent| Cursor { created_at: intent.created_at, id: intent.id.0 }))
}

/// Every text of this query has its index: with and without a status.
async fn page_of_intents(
    connection: &mut SqliteConnection,
    room: RoomId,
    status: Option<Status>,
    limit: u64,
    before: Option<Cursor>,
) -> Result<Vec<Intent>, Error> {
    let query = match status {
        None => {
            r#"SELECT * FROM "gossip_intents" WHERE "roomId" = ?1 AND ("createdAt", "id") < (?2, ?3)
               ORDER BY "createdAt" DESC, "id" DESC LIMIT ?4"#
        }
        Some(_) => {
            r#"SELECT * FROM "gossip_intents" WHERE "roomId" = ?1 AND ("createdAt", "id") < (?2, ?3) AND "status" = ?5
               ORDER BY "createdAt" DESC, "id" DESC LIMIT ?4"#
        }
    };
    let (created_at, id) = before_or_end(before);
    let mut query = sqlx::query_as(query).bind(room.to_string()).bind(created_at).bind(id).bind(bind_limit(limit));
    if let Some(status) = status {
        query = query.bind(status.as_str());
    }
    let rows: Vec<IntentRow> = query.fetch_all(connection).await.map_err(Error::while_("listing intents"))?;
    Ok(readable(rows))
}

pub(super) async fn updates(
    pool: &SqlitePool,
    intent: IntentId,
    with_votes: bool,
    limit: u64,
    before: Option<Cursor>,
) -> Result<Paged<Update>, Error> {
    let query = if with_votes {
        r#"SELECT * FROM "gossip_updates" WHERE "intentId" = ?1 AND ("createdAt", "id") < (?2, ?3)
           ORDER BY "createdAt" DESC, "id" DESC LIMIT ?4"#
    } else {
        r#"SELECT * FROM "gossip_updates" WHERE "intentId" = ?1 AND ("createdAt", "id") < (?2, ?3) AND "type" <> 'vote'
           ORDER BY "createdAt" DESC, "id" DESC LIMIT ?4"#
    };
    let (created_at, id) = before_or_end(before);
    let rows: Vec<UpdateRow> = sqlx::query_as(query)
        .bind(intent.to_string())
        .bind(created_at)
        .bind(id)
        .bind(bind_limit(limit + 1))
        .fetch_all(pool)
        .await
        .map_err(Error::while_("listing updates"))?;
    let items = readable(rows);
    Ok(paged(items, limit, |update| Cursor { created_at: update.created_at, id: update.id.0 }))
}

pub(super) async fn is_member(pool: &SqlitePool, room: RoomId, user: UserId) -> Result<bool, Error> {
    let row: Option<i64> =
        sqlx::query_scalar(r#"SELECT 1 FROM "gossip_room_members" WHERE "roomId" = ?1 AND "userId" = ?2"#)
            .bind(room.to_string())
            .bind(user.to_string())
            .fetch_optional(pool)
            .await
            .map_err(Error::while_("reading a membership"))?;
    Ok(row.is_some())
}

pub(super) async fn due(pool: &SqlitePool, now: Timestamp, limit: u64) -> Result<Vec<IntentId>, Error> {
    let ids: Vec<String> = sqlx::query_scalar(
        r#"SELECT "id" FROM "gossip_intents" WHERE "expiresAt" <= ?1 AND "status" <> 'expired'
           ORDER BY "expiresAt" LIMIT ?2"#,
    )
    .bind(now.to_string())
    .bind(bind_limit(limit))
    .fetch_all(pool)
    .await
    .map_err(Error::while_("looking for what is due"))?;
    ids.iter().map(|id| intent_id(id, "gossip_intents")).collect()
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

fn bind_limit(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// One more was asked for than a page holds: if it came, there is a next page.
fn paged<T>(mut items: Vec<T>, limit: u64, cursor: impl Fn(&T) -> Cursor) -> Paged<T> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(cursor) } else { None };
    Paged { items, next }
}
