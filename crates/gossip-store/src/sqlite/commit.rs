//! The write path: load the rows a batch touches, let [`crate::batch`] decide, write the outcome, commit. One
//! statement a table each way, whatever the size of the batch: the values travel as one JSON array. All that is loaded is
//! one call, and all that is written another ([`super::script`]).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use gossip_core::access::Reach;
use gossip_core::command::{Action, Command, Fingerprint};
use gossip_core::env::Env;
use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::model::{Intent, Vote};
use gossip_proto::reply::Outcome;
use gossip_proto::request::RequestId;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};

use super::rows::{IntentRow, json_text, seq};
use super::writer::{Writer, Writing};
use super::{script, sql};
use crate::batch::{Facts, Writes, decide};
use crate::rows::{column, readable};
use crate::{Committed, Error, Position};

pub(super) async fn commit(writer: &Writer, batch: &[Command], env: &dyn Env) -> Result<Committed, Error> {
    let mut writing = writer.acquire().await.map_err(Error::while_("beginning a batch"))?;
    let committed = attempt(&mut writing, batch, env).await;
    writing.roll_back().await;
    committed
}

async fn attempt(writing: &mut Writing<'_>, batch: &[Command], env: &dyn Env) -> Result<Committed, Error> {
    let facts = load(writing, batch).await?;
    let (committed, writes) = decide(batch, facts, env)?;
    if !writes.is_empty() {
        write(writing, &writes).await?;
    }
    Ok(committed)
}

async fn load(writing: &mut Writing<'_>, batch: &[Command]) -> Result<Facts, Error> {
    let intents: BTreeSet<IntentId> = batch.iter().filter_map(Command::intent).collect();
    let intents = json_text(&intents)?;
    let posted: BTreeSet<RoomId> = batch.iter().filter_map(posted_to).collect();
    let voters: Vec<(IntentId, UserId)> = batch
        .iter()
        .filter_map(|command| match command.action {
            Action::Vote { intent, .. } => Some((intent, command.actor.user)),
            _ => None,
        })
        .collect();
    let keys: HashMap<(UserId, &str), &RequestId> =
        batch.iter().filter_map(|c| c.request_id.as_ref().map(|id| ((c.actor.user, id.as_str()), id))).collect();
    let loading = || Error::while_("loading what a batch touches");
    let mut query = sqlx::query(script::load(!voters.is_empty(), !keys.is_empty()))
        .bind(intents.clone())
        .bind(json_text(&posted)?)
        .bind(intents);
    if !voters.is_empty() {
        query = query.bind(json_text(&voters)?);
    }
    if !keys.is_empty() {
        query = query.bind(json_text(&keys.keys().collect::<Vec<_>>())?);
    }
    let rows = query.fetch_all(writing.begin().map_err(loading())?).await.map_err(loading())?;

    let mut facts = Facts::default();
    let mut has_position = false;
    for row in &rows {
        let kind: i64 = row.try_get(0).map_err(loading())?;
        match kind {
            0 => {
                let position: i64 = row.try_get(1).map_err(loading())?;
                facts.position = Position(position.unsigned_abs());
                has_position = true;
            }
            1 => {
                let intent = IntentRow::from_row(row).map_err(loading())?;
                facts.intents.extend(readable([intent], Intent::try_from).map(|intent| (intent.id, Arc::new(intent))));
            }
            2 => a_room(row, &mut facts)?,
            3 => facts.votes.extend(readable([row], a_vote)),
            _ => facts.requests.extend(readable([row], |row| request(row, &keys))),
        }
    }
    if !has_position {
        return Err(bad("gossip_position", "position"));
    }
    load_rooms_left(writing, &mut facts).await?;
    load_members(writing, batch, &mut facts).await?;
    Ok(facts)
}

/// The rooms of intents that were not found by the intents' own spelling, which is another program's where it is not ours.
/// Most of them have no event yet.
async fn load_rooms_left(writing: &mut Writing<'_>, facts: &mut Facts) -> Result<(), Error> {
    let rooms = facts.intents.values().map(|intent| intent.room_id);
    let left: BTreeSet<RoomId> = rooms.filter(|room| !facts.rooms.contains_key(room)).collect();
    if left.is_empty() {
        return Ok(());
    }
    let loading = || Error::while_("loading rooms");
    let query = sqlx::query(sql::LOAD_ROOMS).bind(json_text(&left)?);
    for row in query.fetch_all(writing.connection().map_err(loading())?).await.map_err(loading())? {
        a_room(&row, facts)?;
    }
    Ok(())
}

/// A room left out would begin anew at 1.
fn a_room(row: &SqliteRow, facts: &mut Facts) -> Result<(), Error> {
    let room = parsed(row, 1).ok_or(bad("gossip_rooms", "roomId"))?;
    let at = row.try_get(2).map_err(Error::while_("loading rooms"))?;
    facts.rooms.insert(room, seq(at));
    Ok(())
}

/// The memberships of those whose access depends on them, now that the intents' rooms are known.
async fn load_members(writing: &mut Writing<'_>, batch: &[Command], facts: &mut Facts) -> Result<(), Error> {
    let room = |command: &Command| match command.intent() {
        Some(intent) => facts.intents.get(&intent).map(|intent| intent.room_id),
        None => posted_to(command),
    };
    let asked: HashSet<(RoomId, UserId)> = batch
        .iter()
        .filter(|command| command.actor.reach == Reach::Members)
        .filter_map(|command| Some((room(command)?, command.actor.user)))
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    let loading = || Error::while_("loading memberships");
    let query = sqlx::query(sql::LOAD_MEMBERS).bind(json_text(&asked)?);
    let rows = query.fetch_all(writing.connection().map_err(loading())?).await.map_err(loading())?;
    facts.members.extend(readable(&rows, |row| {
        let bad = |column| bad("gossip_room_members", column);
        Ok((parsed(row, 0).ok_or(bad("roomId"))?, parsed(row, 1).ok_or(bad("userId"))?))
    }));
    Ok(())
}

fn posted_to(command: &Command) -> Option<RoomId> {
    match &command.action {
        Action::Post { room, .. } => Some(*room),
        _ => None,
    }
}

fn a_vote(row: &SqliteRow) -> Result<((IntentId, UserId), Vote), Error> {
    let bad = |column| bad("gossip_votes", column);
    let key = (parsed(row, 1).ok_or(bad("intentId"))?, parsed(row, 2).ok_or(bad("userId"))?);
    Ok((key, parsed(row, 3).ok_or(bad("action"))?))
}

type Answered = ((UserId, RequestId), (Fingerprint, Outcome));

fn request(row: &SqliteRow, keys: &HashMap<(UserId, &str), &RequestId>) -> Result<Answered, Error> {
    let bad = |column| bad("gossip_requests", column);
    let user = parsed(row, 1).ok_or(bad("userId"))?;
    let id = text(row, 2).and_then(|id| keys.get(&(user, id))).ok_or(bad("requestId"))?;
    let fingerprint = Fingerprint(parsed(row, 3).ok_or(bad("fingerprint"))?);
    let result = text(row, 4).and_then(|text| serde_json::from_str(text).ok()).ok_or(bad("result"))?;
    Ok(((user, RequestId::clone(id)), (fingerprint, result)))
}

fn bad(table: &'static str, column: &'static str) -> Error {
    Error::Corrupt { table, column }
}

fn text(row: &SqliteRow, column: usize) -> Option<&str> {
    row.try_get(column).ok()
}

fn parsed<T: FromStr>(row: &SqliteRow, column: usize) -> Option<T> {
    text(row, column)?.parse().ok()
}

async fn write(writing: &mut Writing<'_>, writes: &Writes) -> Result<(), Error> {
    let intents: Vec<_> = writes
        .new_intents
        .iter()
        .map(|i| {
            let metadata = i.metadata.as_ref().map(ToString::to_string);
            (i.id, i.room_id, i.user_id, &i.content, i.status, metadata, i.expires_at, i.created_at, i.updated_at)
        })
        .collect();
    let (changed, counted) =
        writes.changed_intents.iter().partition::<Vec<_>, _>(|intent| writes.new_statuses.contains(&intent.id));
    let counted: Vec<_> = counted.iter().map(|i| (i.id, i.upvotes, i.downvotes, i.updated_at)).collect();
    let changed: Vec<_> = changed.iter().map(|i| (i.id, i.status, i.upvotes, i.downvotes, i.updated_at)).collect();
    let (standing, removed) = writes.votes.iter().partition::<Vec<&_>, _>(|(.., vote)| vote.is_some());
    let updates: Vec<_> = writes
        .updates
        .iter()
        .map(|u| {
            let metadata = u.metadata.as_ref().map(ToString::to_string);
            (u.id, u.intent_id, u.user_id, u.kind, &u.content, metadata, u.created_at)
        })
        .collect();
    let log: Vec<_> = writes.log.iter().map(|e| (e.position.0, e.room, e.seq, &*e.payload, writes.now)).collect();
    let requests = writes
        .requests
        .iter()
        .map(|r| Ok((r.user, r.id.as_str(), &r.fingerprint.0, serde_json::to_string(&r.result)?, writes.now)))
        .collect::<Result<Vec<_>, Error>>()?;

    // In the order of `script::WRITES`.
    let rows = [
        rows(&intents)?,
        rows(&counted)?,
        rows(&changed)?,
        rows(&standing)?,
        rows(&removed)?,
        rows(&updates)?,
        rows(&writes.rooms)?,
        rows(&log)?,
        rows(&requests)?,
    ];
    let which = rows.iter().enumerate().fold(0, |which, (bit, rows)| which | u16::from(rows.is_some()) << bit);
    let query = rows.into_iter().flatten().fold(sqlx::query(script::write(which)), |query, rows| query.bind(rows));
    let committing = || Error::while_("writing and committing a batch");
    let connection = writing.connection().map_err(committing())?;
    query.bind(column(writes.position.0)).execute(connection).await.map_err(committing())?;
    writing.ended();
    Ok(())
}

/// A JSON array of rows, if there are any.
fn rows<T: Serialize>(rows: &[T]) -> Result<Option<String>, Error> {
    if rows.is_empty() { Ok(None) } else { json_text(rows).map(Some) }
}
