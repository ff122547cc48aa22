//! The write path: load the rows a batch touches, let [`crate::batch`] decide, write the outcome, commit. One
//! statement a table each way, whatever the size of the batch: the values travel as one JSON array.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use gossip_core::access::Reach;
use gossip_core::command::{Action, Command, Fingerprint};
use gossip_core::env::Env;
use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::model::Intent;
use gossip_proto::request::RequestId;
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::rows::{IntentRow, bulk, json_text, seq};
use super::sql;
use crate::batch::{Facts, Writes, decide};
use crate::rows::{column, readable};
use crate::{Committed, Error, Position};

pub(super) async fn commit(pool: &SqlitePool, batch: &[Command], env: &dyn Env) -> Result<Committed, Error> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(Error::while_("beginning a batch"))?;
    let facts = load(&mut tx, batch).await?;
    let (committed, writes) = decide(batch, facts, env)?;
    if !writes.is_empty() {
        write(&mut tx, &writes).await?;
    }
    tx.commit().await.map_err(Error::while_("committing a batch"))?;
    Ok(committed)
}

async fn load(tx: &mut SqliteConnection, batch: &[Command]) -> Result<Facts, Error> {
    let bad = |table, column| Error::Corrupt { table, column };
    let position: i64 =
        sqlx::query_scalar(sql::POSITION).fetch_one(&mut *tx).await.map_err(Error::while_("reading the position"))?;
    let mut facts = Facts { position: Position(position.unsigned_abs()), ..Facts::default() };

    let intents: BTreeSet<IntentId> = batch.iter().filter_map(Command::intent).collect();
    let rows: Vec<IntentRow> = sqlx::query_as(sql::LOAD_INTENTS)
        .bind(json_text(&intents)?)
        .fetch_all(&mut *tx)
        .await
        .map_err(Error::while_("loading intents"))?;
    facts.intents.extend(readable(rows, Intent::try_from).map(|intent| (intent.id, Arc::new(intent))));

    let voters: Vec<(IntentId, UserId)> = batch
        .iter()
        .filter_map(|command| match command.action {
            Action::Vote { intent, .. } => Some((intent, command.actor.user)),
            _ => None,
        })
        .collect();
    let rows = fetch_keys(tx, sql::LOAD_VOTES, &voters).await?;
    facts.votes.extend(readable(&rows, |row| {
        let bad = |column| bad("gossip_votes", column);
        let key = (parsed(row, 0).ok_or(bad("intentId"))?, parsed(row, 1).ok_or(bad("userId"))?);
        Ok((key, parsed(row, 2).ok_or(bad("action"))?))
    }));

    let room_of: HashMap<IntentId, RoomId> = facts.intents.values().map(|i| (i.id, i.room_id)).collect();
    let room = |command: &Command| match &command.action {
        Action::Post { room, .. } => Some(*room),
        _ => command.intent().and_then(|intent| room_of.get(&intent).copied()),
    };
    let rooms: BTreeSet<RoomId> = batch.iter().filter_map(room).collect();
    // A room left out would begin anew at 1.
    for row in &fetch_keys(tx, sql::LOAD_ROOMS, &rooms.into_iter().collect::<Vec<_>>()).await? {
        let at = row.try_get(1).map_err(Error::while_("reading a room's seq"))?;
        facts.rooms.insert(parsed(row, 0).ok_or(bad("gossip_rooms", "roomId"))?, seq(at));
    }

    let asked: HashSet<(RoomId, UserId)> = batch
        .iter()
        .filter(|command| command.actor.reach == Reach::Members)
        .filter_map(|command| Some((room(command)?, command.actor.user)))
        .collect();
    let rows = fetch_keys(tx, sql::LOAD_MEMBERS, &asked.into_iter().collect::<Vec<_>>()).await?;
    facts.members.extend(readable(&rows, |row| {
        let bad = |column| bad("gossip_room_members", column);
        Ok((parsed(row, 0).ok_or(bad("roomId"))?, parsed(row, 1).ok_or(bad("userId"))?))
    }));

    let keys: HashMap<(UserId, &str), &RequestId> =
        batch.iter().filter_map(|c| c.request_id.as_ref().map(|id| ((c.actor.user, id.as_str()), id))).collect();
    let rows = fetch_keys(tx, sql::LOAD_REQUESTS, &keys.keys().collect::<Vec<_>>()).await?;
    facts.requests.extend(readable(&rows, |row| {
        let bad = |column| bad("gossip_requests", column);
        let user = parsed(row, 0).ok_or(bad("userId"))?;
        let id = text(row, 1).and_then(|id| keys.get(&(user, id))).ok_or(bad("requestId"))?;
        let fingerprint = Fingerprint(parsed(row, 2).ok_or(bad("fingerprint"))?);
        let result = text(row, 3).and_then(|text| serde_json::from_str(text).ok()).ok_or(bad("result"))?;
        Ok(((user, RequestId::clone(id)), (fingerprint, result)))
    }));
    Ok(facts)
}

async fn fetch_keys<K: Serialize>(
    tx: &mut SqliteConnection,
    query: &'static str,
    keys: &[K],
) -> Result<Vec<SqliteRow>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query(query).bind(json_text(keys)?).fetch_all(tx).await.map_err(Error::while_("loading rows by their keys"))
}

fn text(row: &SqliteRow, column: usize) -> Option<&str> {
    row.try_get(column).ok()
}

fn parsed<T: FromStr>(row: &SqliteRow, column: usize) -> Option<T> {
    text(row, column)?.parse().ok()
}

async fn write(tx: &mut SqliteConnection, writes: &Writes) -> Result<(), Error> {
    let intents: Vec<_> = writes
        .new_intents
        .iter()
        .map(|i| {
            let metadata = i.metadata.as_ref().map(ToString::to_string);
            json!([i.id, i.room_id, i.user_id, i.content, i.status, metadata, i.expires_at, i.created_at, i.updated_at])
        })
        .collect();
    bulk(tx, sql::WRITE_INTENTS, &intents).await?;

    let changed: Vec<_> =
        writes.changed_intents.iter().map(|i| json!([i.id, i.status, i.upvotes, i.downvotes, i.updated_at])).collect();
    bulk(tx, sql::CHANGE_INTENTS, &changed).await?;

    let (standing, removed) = writes.votes.iter().partition::<Vec<&_>, _>(|(.., vote)| vote.is_some());
    bulk(tx, sql::WRITE_VOTES, &standing).await?;
    bulk(tx, sql::DELETE_VOTES, &removed).await?;

    let updates: Vec<_> = writes
        .updates
        .iter()
        .map(|u| {
            let metadata = u.metadata.as_ref().map(ToString::to_string);
            json!([u.id, u.intent_id, u.user_id, u.kind, u.content, metadata, u.created_at])
        })
        .collect();
    bulk(tx, sql::WRITE_UPDATES, &updates).await?;

    bulk(tx, sql::WRITE_ROOMS, &writes.rooms).await?;

    let log: Vec<_> =
        writes.log.iter().map(|e| json!([e.position.0, e.room, e.seq, &*e.payload, writes.now])).collect();
    bulk(tx, sql::WRITE_LOG, &log).await?;

    let requests = writes
        .requests
        .iter()
        .map(|r| Ok(json!([r.user, r.id.as_str(), r.fingerprint.0, serde_json::to_string(&r.result)?, writes.now])))
        .collect::<Result<Vec<_>, Error>>()?;
    bulk(tx, sql::WRITE_REQUESTS, &requests).await?;

    sqlx::query(sql::WRITE_POSITION)
        .bind(column(writes.position.0))
        .execute(tx)
        .await
        .map_err(Error::while_("writing the position"))?;
    Ok(())
}
