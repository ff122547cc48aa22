//! Members, withdrawals and revocations. What they mean is in [`crate::access`].

use std::collections::HashSet;

use gossip_proto::id::{RoomId, UserId};
use gossip_proto::timestamp::Timestamp;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::failure::is_conflict;
use super::pool::Pool;
use super::read::ask;
use super::rows::{Time, get};
use super::sql;
use crate::rows::{column, readable};
use crate::{AccessChange, AccessCursor, AccessPage, Error, Member, Revocation};

pub(super) async fn memberships(pool: &Pool, pairs: &[(RoomId, UserId)]) -> Result<HashSet<(RoomId, UserId)>, Error> {
    let (rooms, users): (Vec<Uuid>, Vec<Uuid>) = pairs.iter().map(|(room, user)| (room.0, user.0)).unzip();
    let query = sqlx::query_as(sql::LOAD_MEMBERS).bind(rooms).bind(users);
    let rows: Vec<(Uuid, Uuid)> = ask!(pool, "reading memberships", query, fetch_all);
    Ok(rows.into_iter().map(|(room, user)| (RoomId(room), UserId(user))).collect())
}

pub(super) async fn members(
    pool: &Pool,
    room: RoomId,
    after: Option<UserId>,
    limit: u64,
) -> Result<Vec<Member>, Error> {
    let (from, without) = after_user(after);
    let query = sqlx::query(sql::MEMBERS).bind(room.0).bind(from).bind(without).bind(column(limit));
    let rows = ask!(pool, "listing members", query, fetch_all);
    let read = |row: PgRow| {
        let bad = |column| Error::Corrupt { table: "gossip_room_members", column };
        let user = UserId(get(&row, "userId").ok_or(bad("userId"))?);
        Ok(Member { user, added_at: get::<Time>(&row, "addedAt").ok_or(bad("addedAt"))?.0 })
    };
    Ok(readable(rows, read).collect())
}

pub(super) async fn add_member(pool: &Pool, room: RoomId, user: UserId, now: Timestamp) -> Result<(), Error> {
    let query = sqlx::query(sql::ADD_MEMBER).bind(room.0).bind(user.0).bind(Time(now));
    ask!(pool, "adding a member", query, execute);
    Ok(())
}

pub(super) async fn remove_member(pool: &Pool, room: RoomId, user: UserId) -> Result<(), Error> {
    let query = sqlx::query(sql::REMOVE_MEMBER).bind(room.0).bind(user.0);
    ask!(pool, "removing a member", query, execute);
    Ok(())
}

pub(super) async fn cursor(pool: &Pool) -> Result<AccessCursor, Error> {
    let unseen: i64 = ask!(pool, "looking for the last change of access", sqlx::query_scalar(sql::UNSEEN), fetch_one);
    Ok(AccessCursor { after: (unseen, 0), next: None })
}

/// A reading goes over all that transactions wrote which had not ended when the reading before it began: so some rows
/// come again while a transaction is open for long, and none is missed.
pub(super) async fn changes(pool: &Pool, after: AccessCursor, limit: u64) -> Result<AccessPage, Error> {
    let query = sqlx::query(sql::ACCESS_CHANGES).bind(after.after.0).bind(after.after.1).bind(column(limit));
    let rows = ask!(pool, "reading changes of access", query, fetch_all);
    let unseen: i64 = rows.first().and_then(|row| get(row, "unseen")).unwrap_or(after.after.0);
    let next = after.next.unwrap_or(unseen);
    let place = |row: &PgRow| Some((get::<i64>(row, "xid")?, get::<i64>(row, "id")?));
    let last = rows.last().and_then(place);
    let next = match last {
        Some(last) if rows.len() as u64 >= limit => AccessCursor { after: last, next: Some(next) },
        _ => AccessCursor { after: (next, 0), next: None },
    };
    let changes = rows.iter().filter_map(|row| {
        let (id, user) = (get(row, "id")?, UserId(get(row, "userId")?));
        Some(AccessChange { id, user, room: get(row, "roomId").map(RoomId) })
    });
    Ok(AccessPage { changes: changes.collect(), next, is_last: next.next.is_none() })
}

/// One statement. A connection may be kept at the same moment: whoever is told that it was in the way tries again.
pub(super) async fn revoke(
    pool: &Pool,
    user: UserId,
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Error> {
    for _ in 0..2 {
        match revoke_once(pool, user, not_before, now).await {
            Err(Error::Database { source, .. }) if is_conflict(&source) => {}
            done => return done,
        }
    }
    revoke_once(pool, user, not_before, now).await
}

async fn revoke_once(pool: &Pool, user: UserId, not_before: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    let query = sqlx::query(sql::REVOKE).bind(user.0).bind(not_before.map(Time)).bind(Time(now));
    ask!(pool, "revoking tokens", query, execute);
    Ok(())
}

pub(super) async fn revocations(pool: &Pool, after: Option<UserId>, limit: u64) -> Result<Vec<Revocation>, Error> {
    let (from, without) = after_user(after);
    let query = sqlx::query(sql::REVOCATIONS).bind(from).bind(without).bind(column(limit));
    let rows = ask!(pool, "reading revocations", query, fetch_all);
    Ok(readable(&rows, revocation).collect())
}

pub(super) async fn revocations_of(pool: &Pool, users: &[UserId]) -> Result<Vec<Revocation>, Error> {
    let query = sqlx::query(sql::REVOCATIONS_OF).bind(users.iter().map(|user| user.0).collect::<Vec<_>>());
    let rows = ask!(pool, "reading revocations", query, fetch_all);
    Ok(readable(&rows, revocation).collect())
}

pub(super) async fn prune(pool: &Pool, limit: u64) -> Result<u64, Error> {
    let query = sqlx::query(sql::PRUNE_ACCESS_CHANGES).bind(column(limit));
    Ok(ask!(pool, "pruning changes of access", query, execute).rows_affected())
}

/// From which id on, and without which.
fn after_user(after: Option<UserId>) -> (Uuid, Option<Uuid>) {
    (after.map_or(Uuid::nil(), |user| user.0), after.map(|user| user.0))
}

fn revocation(row: &PgRow) -> Result<Revocation, Error> {
    let bad = |column| Error::Corrupt { table: "gossip_revocations", column };
    let user = UserId(get(row, "userId").ok_or(bad("userId"))?);
    Ok(Revocation { user, not_before: get::<Time>(row, "notBefore").ok_or(bad("notBefore"))?.0 })
}
