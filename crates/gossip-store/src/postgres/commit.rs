//! The write path: lock and load what a batch touches, let [`crate::batch`] decide, write the outcome, commit. And what
//! to say when the server vanishes meanwhile: before the COMMIT was sent nothing was written; after it, the database
//! itself is asked.

use std::collections::HashSet;
use std::time::Duration;

use gossip_core::command::{Command, Fingerprint};
use gossip_core::env::Env;
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::request::RequestId;
use sqlx::Connection;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use super::failure::{is_conflict, is_lost, timed_out};
use super::load::load;
use super::pool::{Lease, Pool, Server};
use super::sql;
use super::write::write;
use crate::batch::{Writes, decide};
use crate::{Committed, Error, Position};

/// How often a batch is carried out anew when another transaction was in the way.
const TRIES: u32 = 3;

/// A batch that is written and not committed.
struct Written<'a> {
    lease: Lease<'a>,
    committed: Committed,
    witness: Option<Witness>,
}

/// A row that only this batch can have written.
enum Witness {
    Intent(Uuid),
    Update(Uuid),
    Request(UserId, RequestId, Fingerprint),
}

impl Witness {
    fn of(writes: &Writes) -> Option<Witness> {
        let intent = writes.new_intents.first().map(|intent| Witness::Intent(intent.id.0));
        let update = || writes.updates.first().map(|update| Witness::Update(update.id.0));
        let request = || writes.requests.first().map(|r| Witness::Request(r.user, r.id.clone(), r.fingerprint));
        intent.or_else(update).or_else(request)
    }
}

/// `limit`: half of it is for all up to the COMMIT, half for the COMMIT, and the rest of it for asking where that remains
/// in doubt.
pub(super) async fn commit(
    pool: &Pool,
    server: &Server,
    limit: Duration,
    batch: &[Command],
    env: &dyn Env,
) -> Result<Committed, Error> {
    let deadline = Instant::now() + limit / 2;
    let (mut conflicts, mut lost) = (0, 0);
    let written = loop {
        let lease = pool.lease_until(deadline).await.map_err(Error::while_("connecting"))?;
        let error = match timeout_at(deadline, carry_out(lease, batch, env)).await {
            Ok(Ok(written)) => break written,
            Ok(Err(error)) => error,
            Err(_) => return Err(Error::Database { doing: "carrying out a batch", source: timed_out() }),
        };
        match &error {
            Error::Database { source, .. } if is_conflict(source) => conflicts += 1,
            // A connection may have been dead since before; so may be all that the pool has.
            Error::Database { source, .. } if is_lost(source) => lost += 1,
            _ => return Err(error),
        }
        if conflicts >= TRIES || lost > pool.max() {
            return Err(error);
        }
        tracing::debug!(%error, "a batch is carried out anew");
    };
    let Written { mut lease, committed, witness } = written;
    let Some(witness) = witness else {
        lease.give_back();
        return Ok(committed);
    };
    let resolved_by = Instant::now() + limit;
    let source = match timeout(limit / 2, sqlx::raw_sql("COMMIT").execute(&mut *lease)).await {
        Ok(Ok(_)) => {
            lease.give_back();
            return Ok(committed);
        }
        Ok(Err(source)) if is_lost(&source) => source,
        Ok(Err(source)) => return Err(Error::Database { doing: "committing a batch", source }),
        Err(_) => timed_out(),
    };
    drop(lease);
    match timeout_at(resolved_by, was_committed(server, limit, &witness)).await {
        Ok(true) => {
            tracing::warn!(error = %source, "the connection was lost during a commit, which was done");
            Ok(committed)
        }
        Ok(false) => Err(Error::Database { doing: "committing a batch", source }),
        Err(_) => Err(Error::Unresolved(source)),
    }
}

/// All up to the COMMIT. An error closes the connection, and so undoes what was done on it.
async fn carry_out<'a>(mut lease: Lease<'a>, batch: &[Command], env: &dyn Env) -> Result<Written<'a>, Error> {
    run(&mut lease, "BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let (mut committed, writes) = loop {
        let facts = load(&mut lease, batch).await?;
        let known: HashSet<RoomId> = facts.rooms.keys().copied().collect();
        let (committed, writes) = decide(batch, facts, env)?;
        let new: Vec<Uuid> =
            writes.rooms.iter().filter(|(room, _)| !known.contains(room)).map(|(room, _)| room.0).collect();
        if new.is_empty() {
            break (committed, writes);
        }
        // The rooms' first events: nobody holds those rooms, so what was read of them counts for nothing.
        run(&mut lease, "ROLLBACK; BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        sqlx::query(sql::MAKE_ROOMS).bind(new).execute(&mut *lease).await.map_err(Error::while_("making rooms"))?;
    };
    if writes.is_empty() {
        run(&mut lease, "ROLLBACK").await?;
        return Ok(Written { lease, committed, witness: None });
    }
    let base = write(&mut lease, &writes).await?;
    for event in &mut committed.events {
        event.position = Position(event.position.0 + base);
    }
    Ok(Written { lease, committed, witness: Witness::of(&writes) })
}

async fn run(lease: &mut Lease<'_>, control: &'static str) -> Result<(), Error> {
    sqlx::raw_sql(control).execute(&mut **lease).await.map_err(Error::while_("beginning or ending a batch"))?;
    Ok(())
}

/// Asks until there is an answer. Every batch holds the position's lock when its COMMIT is sent: once that lock was
/// ours, the batch has ended one way or the other.
async fn was_committed(server: &Server, limit: Duration, witness: &Witness) -> bool {
    let mut pause = Duration::from_millis(20);
    loop {
        // A server that takes a connection and says nothing must not use up all the time.
        match timeout(limit / 2, ask(server, witness)).await {
            Ok(Ok(found)) => return found,
            Ok(Err(error)) => tracing::debug!(%error, "asking for a commit in doubt"),
            Err(_) => tracing::debug!("asking for a commit in doubt took too long"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(200));
    }
}

async fn ask(server: &Server, witness: &Witness) -> Result<bool, sqlx::Error> {
    let mut connection = server.connect().await?;
    sqlx::query(sql::POSITION).execute(&mut connection).await?;
    let query = match witness {
        Witness::Intent(id) => sqlx::query_scalar(sql::WITNESS_INTENT).bind(id),
        Witness::Update(id) => sqlx::query_scalar(sql::WITNESS_UPDATE).bind(id),
        Witness::Request(user, id, fingerprint) => {
            sqlx::query_scalar(sql::WITNESS_REQUEST).bind(user.0).bind(id.as_str()).bind(fingerprint.0)
        }
    };
    let found: i64 = query.fetch_one(&mut connection).await?;
    connection.close().await.unwrap_or_default();
    Ok(found > 0)
}
