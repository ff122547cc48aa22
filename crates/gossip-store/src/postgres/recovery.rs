//! Connections that can be recovered, and the pruning of all that is kept for a time. What they mean is in
//! [`crate::recovery`].

use std::collections::HashSet;

use gossip_proto::id::{Pid, RoomId, UserId};
use gossip_proto::timestamp::Timestamp;
use uuid::Uuid;

use super::failure::is_conflict;
use super::pool::Pool;
use super::read::ask;
use super::rows::{Time, get, seq};
use super::sql;
use crate::recovery::RecoveryWrites;
use crate::rows::column;
use crate::{Error, Recovery, RecoveryChange};

pub(super) async fn recovery(pool: &Pool, pid: Pid) -> Result<Option<Recovery>, Error> {
    let rows = ask!(pool, "reading a recovery", sqlx::query(sql::RECOVERY).bind(pid.0), fetch_all);
    let Some(user) = rows.first().and_then(|row| get(row, "userId")) else { return Ok(None) };
    let rooms = rows.iter().filter_map(|row| Some((RoomId(get(row, "roomId")?), seq(get(row, "seq")?)))).collect();
    Ok(Some(Recovery { user: UserId(user), rooms }))
}

/// One statement. Rows are written in the order of their keys; should two nodes yet be in each other's way, the one
/// that is told so tries again.
pub(super) async fn keep(pool: &Pool, changes: &[RecoveryChange], now: Timestamp) -> Result<(), Error> {
    let writes = RecoveryWrites::of(changes);
    for _ in 0..2 {
        match keep_once(pool, &writes, now).await {
            Err(Error::Database { source, .. }) if is_conflict(&source) => {}
            done => return done,
        }
    }
    keep_once(pool, &writes, now).await
}

async fn keep_once(pool: &Pool, writes: &RecoveryWrites, now: Timestamp) -> Result<(), Error> {
    // A statement does not see what it writes itself: what it would delete again is not written.
    let forgotten: HashSet<Pid> = writes.forgotten.iter().copied().collect();
    let stays = |pid: &Pid| !forgotten.contains(pid);
    let (pids, users): (Vec<Uuid>, Vec<Uuid>) =
        writes.opened.iter().filter(|(pid, _)| stays(pid)).map(|(pid, user)| (pid.0, user.0)).unzip();
    let (mut joined, mut left) = ((vec![], vec![], vec![]), (vec![], vec![]));
    for (pid, room, seq) in writes.rooms.iter().filter(|(pid, ..)| stays(pid)) {
        if let Some(seq) = seq {
            joined.0.push(pid.0);
            joined.1.push(room.0);
            joined.2.push(column(seq.0));
        } else {
            left.0.push(pid.0);
            left.1.push(room.0);
        }
    }
    let query = sqlx::query(sql::KEEP)
        .bind(Time(now))
        .bind(pids)
        .bind(users)
        .bind(joined.0)
        .bind(joined.1)
        .bind(joined.2)
        .bind(left.0)
        .bind(left.1)
        .bind(forgotten.iter().map(|pid| pid.0).collect::<Vec<_>>());
    ask!(pool, "keeping recoveries", query, execute);
    Ok(())
}

pub(super) async fn touch(pool: &Pool, pids: &[Pid], now: Timestamp) -> Result<(), Error> {
    let query = sqlx::query(sql::TOUCH).bind(pids.iter().map(|pid| pid.0).collect::<Vec<_>>()).bind(Time(now));
    ask!(pool, "noting that connections live", query, execute);
    Ok(())
}

pub(super) async fn prune(pool: &Pool, before: Timestamp, limit: u64) -> Result<u64, Error> {
    let mut went = 0;
    for statement in [sql::PRUNE_LOG, sql::PRUNE_REQUESTS] {
        let query = sqlx::query(statement).bind(Time(before)).bind(column(limit));
        went += ask!(pool, "pruning", query, execute).rows_affected();
    }
    let query = sqlx::query_scalar(sql::PRUNE_RECOVERIES).bind(Time(before)).bind(column(limit));
    let recoveries: i64 = ask!(pool, "pruning recoveries", query, fetch_one);
    Ok(went + recoveries.unsigned_abs())
}
