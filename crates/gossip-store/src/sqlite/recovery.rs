//! Connections that can be recovered, and the pruning of all that is kept for a time. What they mean is in
//! [`crate::recovery`].

use gossip_proto::id::{Pid, RoomId, Seq};
use gossip_proto::timestamp::Timestamp;
use serde_json::json;
use sqlx::Connection;
use sqlx::sqlite::SqlitePool;

use super::rows::{bulk, json_text, seq};
use super::sql;
use super::writer::Writer;
use crate::recovery::RecoveryWrites;
use crate::rows::column;
use crate::{Error, Recovery, RecoveryChange};

pub(super) async fn recovery(pool: &SqlitePool, pid: Pid) -> Result<Option<Recovery>, Error> {
    let doing = || Error::while_("reading a recovery");
    let bad = |table, column| Error::Corrupt { table, column };
    let rows: Vec<(String, Option<String>, Option<i64>)> =
        sqlx::query_as(sql::RECOVERY).bind(pid.to_string()).fetch_all(pool).await.map_err(doing())?;
    let Some((user, ..)) = rows.first() else { return Ok(None) };
    let user = user.parse().map_err(|_| bad("gossip_recoveries", "userId"))?;
    let rooms = rows
        .iter()
        .filter_map(|(_, room, at)| Some((room.as_ref()?, seq((*at)?))))
        .map(|(room, at)| Ok((room.parse().map_err(|_| bad("gossip_recovery_rooms", "roomId"))?, at)))
        .collect::<Result<Vec<(RoomId, Seq)>, Error>>()?;
    Ok(Some(Recovery { user, rooms }))
}

pub(super) async fn keep(writer: &Writer, changes: &[RecoveryChange], now: Timestamp) -> Result<(), Error> {
    let writes = RecoveryWrites::of(changes);
    let doing = || Error::while_("beginning to keep recoveries");
    let mut writing = writer.acquire().await.map_err(doing())?;
    let mut tx = writing.connection().map_err(doing())?.begin_with("BEGIN IMMEDIATE").await.map_err(doing())?;
    let opened: Vec<_> = writes.opened.iter().map(|(pid, user)| json!([pid, user, now])).collect();
    bulk(&mut tx, sql::KEEP_OPENED, &opened).await?;
    let (joined, left) = writes.rooms.iter().partition::<Vec<&_>, _>(|(.., seq)| seq.is_some());
    let joined: Vec<_> =
        joined.iter().map(|(pid, room, seq)| json!([pid, room, seq.map(|seq| column(seq.0))])).collect();
    bulk(&mut tx, sql::KEEP_JOINED, &joined).await?;
    bulk(&mut tx, sql::KEEP_LEFT, &left).await?;
    bulk(&mut tx, sql::FORGET_ROOMS, &writes.forgotten).await?;
    bulk(&mut tx, sql::FORGET, &writes.forgotten).await?;
    tx.commit().await.map_err(Error::while_("keeping recoveries"))
}

pub(super) async fn touch(writer: &Writer, pids: &[Pid], now: Timestamp) -> Result<(), Error> {
    let doing = || Error::while_("noting that connections live");
    let mut writing = writer.acquire().await.map_err(doing())?;
    sqlx::query(sql::TOUCH)
        .bind(json_text(pids)?)
        .bind(now.to_string())
        .execute(writing.connection().map_err(doing())?)
        .await
        .map_err(doing())?;
    Ok(())
}

pub(super) async fn prune(writer: &Writer, before: Timestamp, limit: u64) -> Result<u64, Error> {
    let doing = || Error::while_("pruning");
    let mut went = 0;
    for kind in [&[sql::PRUNE_LOG][..], &[sql::PRUNE_REQUESTS], &[sql::PRUNE_RECOVERY_ROOMS, sql::PRUNE_RECOVERIES]] {
        let mut writing = writer.acquire().await.map_err(doing())?;
        let mut tx = writing.connection().map_err(doing())?.begin_with("BEGIN IMMEDIATE").await.map_err(doing())?;
        let mut rows = 0;
        for statement in kind {
            let done = sqlx::query(*statement).bind(before.to_string()).bind(column(limit));
            rows = done.execute(&mut *tx).await.map_err(doing())?.rows_affected();
        }
        tx.commit().await.map_err(doing())?;
        went += rows;
    }
    Ok(went)
}
