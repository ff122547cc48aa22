//! Members, withdrawals and revocations. What they mean is in [`crate::access`].

use std::collections::HashSet;

use gossip_proto::id::{RoomId, UserId};
use gossip_proto::timestamp::Timestamp;
use sqlx::Connection;
use sqlx::sqlite::SqlitePool;

use super::rows::json_text;
use super::sql;
use super::writer::Writer;
use crate::rows::{column, readable};
use crate::{AccessChange, AccessCursor, AccessPage, Error, Member, Revocation};

pub(super) async fn memberships(
    pool: &SqlitePool,
    pairs: &[(RoomId, UserId)],
) -> Result<HashSet<(RoomId, UserId)>, Error> {
    let rows: Vec<(String, String)> = sqlx::query_as(sql::LOAD_MEMBERS)
        .bind(json_text(pairs)?)
        .fetch_all(pool)
        .await
        .map_err(Error::while_("reading memberships"))?;
    let bad = |column| Error::Corrupt { table: "gossip_room_members", column };
    let read = |(room, user): (String, String)| {
        Ok((room.parse().map_err(|_| bad("roomId"))?, user.parse().map_err(|_| bad("userId"))?))
    };
    Ok(readable(rows, read).collect())
}

pub(super) async fn members(
    pool: &SqlitePool,
    room: RoomId,
    after: Option<UserId>,
    limit: u64,
) -> Result<Vec<Member>, Error> {
    let rows: Vec<(String, String)> = sqlx::query_as(sql::MEMBERS)
        .bind(room.to_string())
        .bind(after_user(after))
        .bind(column(limit))
        .fetch_all(pool)
        .await
        .map_err(Error::while_("listing members"))?;
    let read = |(user, added_at): (String, String)| {
        let bad = |column| Error::Corrupt { table: "gossip_room_members", column };
        let user = user.parse().map_err(|_| bad("userId"))?;
        // Whoever wrote another time: it is a membership all the same, and must be seen.
        Ok(Member { user, added_at: Timestamp::parse(&added_at).unwrap_or(Timestamp::from_millis(0)) })
    };
    Ok(readable(rows, read).collect())
}

pub(super) async fn add_member(writer: &Writer, room: RoomId, user: UserId, now: Timestamp) -> Result<(), Error> {
    let doing = || Error::while_("adding a member");
    let mut writing = writer.acquire().await.map_err(doing())?;
    sqlx::query(sql::ADD_MEMBER)
        .bind(room.to_string())
        .bind(user.to_string())
        .bind(now.to_string())
        .execute(writing.connection().map_err(doing())?)
        .await
        .map_err(doing())?;
    Ok(())
}

pub(super) async fn remove_member(writer: &Writer, room: RoomId, user: UserId) -> Result<(), Error> {
    let doing = || Error::while_("removing a member");
    let mut writing = writer.acquire().await.map_err(doing())?;
    sqlx::query(sql::REMOVE_MEMBER)
        .bind(room.to_string())
        .bind(user.to_string())
        .execute(writing.connection().map_err(doing())?)
        .await
        .map_err(doing())?;
    Ok(())
}

pub(super) async fn cursor(pool: &SqlitePool) -> Result<AccessCursor, Error> {
    let last: i64 = sqlx::query_scalar(sql::LAST_ACCESS_CHANGE)
        .fetch_one(pool)
        .await
        .map_err(Error::while_("looking for the last change of access"))?;
    Ok(AccessCursor { after: (0, last), next: None })
}

/// Who writes is alone, so ids become visible in their order.
pub(super) async fn changes(pool: &SqlitePool, after: AccessCursor, limit: u64) -> Result<AccessPage, Error> {
    let rows: Vec<(i64, String, Option<String>)> = sqlx::query_as(sql::ACCESS_CHANGES)
        .bind(after.after.1)
        .bind(column(limit))
        .fetch_all(pool)
        .await
        .map_err(Error::while_("reading changes of access"))?;
    let is_last = (rows.len() as u64) < limit;
    let last = rows.last().map_or(after.after.1, |(id, ..)| *id);
    let read = |(id, user, room): (i64, String, Option<String>)| {
        let bad = |column| Error::Corrupt { table: "gossip_access_changes", column };
        let room = room.map(|room| room.parse().map_err(|_| bad("roomId"))).transpose()?;
        Ok(AccessChange { id, user: user.parse().map_err(|_| bad("userId"))?, room })
    };
    let changes = readable(rows, read).collect();
    Ok(AccessPage { changes, next: AccessCursor { after: (0, last), next: None }, is_last })
}

pub(super) async fn revoke(
    writer: &Writer,
    user: UserId,
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Error> {
    let doing = || Error::while_("revoking tokens");
    let mut writing = writer.acquire().await.map_err(doing())?;
    let mut tx = writing.connection().map_err(doing())?.begin_with("BEGIN IMMEDIATE").await.map_err(doing())?;
    let user = user.to_string();
    if let Some(not_before) = not_before {
        let query = sqlx::query(sql::REVOKE).bind(&user).bind(not_before.to_string()).bind(now.to_string());
        query.execute(&mut *tx).await.map_err(doing())?;
    }
    for statement in [sql::FORGET_ROOMS_OF_USER, sql::FORGET_USER, sql::END_CONNECTIONS] {
        sqlx::query(statement).bind(&user).execute(&mut *tx).await.map_err(doing())?;
    }
    tx.commit().await.map_err(doing())
}

pub(super) async fn revocations(
    pool: &SqlitePool,
    after: Option<UserId>,
    limit: u64,
) -> Result<Vec<Revocation>, Error> {
    let query = sqlx::query_as(sql::REVOCATIONS).bind(after_user(after)).bind(column(limit));
    Ok(readable(query.fetch_all(pool).await.map_err(Error::while_("reading revocations"))?, revocation).collect())
}

pub(super) async fn revocations_of(pool: &SqlitePool, users: &[UserId]) -> Result<Vec<Revocation>, Error> {
    let query = sqlx::query_as(sql::REVOCATIONS_OF).bind(json_text(users)?);
    Ok(readable(query.fetch_all(pool).await.map_err(Error::while_("reading revocations"))?, revocation).collect())
}

pub(super) async fn prune(writer: &Writer, limit: u64) -> Result<u64, Error> {
    let doing = || Error::while_("pruning changes of access");
    let mut writing = writer.acquire().await.map_err(doing())?;
    let pruned = sqlx::query(sql::PRUNE_ACCESS_CHANGES)
        .bind(column(limit))
        .execute(writing.connection().map_err(doing())?)
        .await
        .map_err(doing())?;
    Ok(pruned.rows_affected())
}

/// Before every id where none is given.
fn after_user(after: Option<UserId>) -> String {
    after.map(|user| user.to_string()).unwrap_or_default()
}

fn revocation((user, not_before): (String, String)) -> Result<Revocation, Error> {
    let bad = |column| Error::Corrupt { table: "gossip_revocations", column };
    let not_before = Timestamp::parse(&not_before).ok_or_else(|| bad("notBefore"))?;
    Ok(Revocation { user: user.parse().map_err(|_| bad("userId"))?, not_before })
}
