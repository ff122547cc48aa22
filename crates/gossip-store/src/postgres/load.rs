//! What a batch touches, locked and read. The rooms are locked first; what is in them is read in later statements, whose
//! snapshots come after the wait.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use gossip_core::access::Reach;
use gossip_core::command::{Action, Command, Fingerprint};
use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::request::RequestId;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

use super::rows::{get, intent, seq, vote};
use super::sql;
use crate::Error;
use crate::batch::Facts;
use crate::rows::readable;

pub(super) async fn load(connection: &mut PgConnection, batch: &[Command]) -> Result<Facts, Error> {
    let mut facts = Facts::default();
    let intents: BTreeSet<Uuid> = batch.iter().filter_map(Command::intent).map(|intent| intent.0).collect();
    let intents: Vec<Uuid> = intents.into_iter().collect();
    lock_rooms(connection, batch, &intents, &mut facts).await?;
    if !intents.is_empty() {
        load_intents(connection, batch, &intents, &mut facts).await?;
    }
    load_members(connection, batch, &mut facts).await?;
    load_requests(connection, batch, &mut facts).await?;
    Ok(facts)
}

async fn lock_rooms(
    connection: &mut PgConnection,
    batch: &[Command],
    intents: &[Uuid],
    facts: &mut Facts,
) -> Result<(), Error> {
    let posts: BTreeSet<Uuid> = batch
        .iter()
        .filter_map(|command| match command.action {
            Action::Post { room, .. } => Some(room.0),
            _ => None,
        })
        .collect();
    let posts: Vec<Uuid> = posts.into_iter().collect();
    let rooms: Vec<(Uuid, i64)> = sqlx::query_as(sql::LOCK_ROOMS)
        .bind(posts)
        .bind(intents)
        .fetch_all(connection)
        .await
        .map_err(Error::while_("locking rooms"))?;
    facts.rooms.extend(rooms.into_iter().map(|(room, at)| (RoomId(room), seq(at))));
    Ok(())
}

async fn load_intents(
    connection: &mut PgConnection,
    batch: &[Command],
    intents: &[Uuid],
    facts: &mut Facts,
) -> Result<(), Error> {
    let votes: (Vec<Uuid>, Vec<Uuid>) = batch
        .iter()
        .filter_map(|command| match command.action {
            Action::Vote { intent, .. } => Some((intent.0, command.actor.user.0)),
            _ => None,
        })
        .unzip();
    let rows = sqlx::query(sql::LOAD)
        .bind(intents)
        .bind(votes.0)
        .bind(votes.1)
        .fetch_all(connection)
        .await
        .map_err(Error::while_("loading intents and votes"))?;
    let (votes, intents) = rows.iter().partition::<Vec<&PgRow>, _>(|row| get::<Uuid>(row, "roomId").is_none());
    facts.intents.extend(readable(intents, intent).map(|intent| (intent.id, Arc::new(intent))));
    for row in votes {
        if let (Some(intent), Some(user), Some(vote)) = (get(row, "id"), get(row, "userId"), vote(row, "status")) {
            facts.votes.insert((IntentId(intent), UserId(user)), vote);
        }
    }
    Ok(())
}

async fn load_members(connection: &mut PgConnection, batch: &[Command], facts: &mut Facts) -> Result<(), Error> {
    let room = |command: &Command| match &command.action {
        Action::Post { room, .. } => Some(*room),
        _ => command.intent().and_then(|id| facts.intents.get(&id)).map(|intent| intent.room_id),
    };
    let asked: (Vec<Uuid>, Vec<Uuid>) = batch
        .iter()
        .filter(|command| command.actor.reach == Reach::Members)
        .filter_map(|command| Some((room(command)?.0, command.actor.user.0)))
        .unzip();
    if asked.0.is_empty() {
        return Ok(());
    }
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(sql::LOAD_MEMBERS)
        .bind(asked.0)
        .bind(asked.1)
        .fetch_all(connection)
        .await
        .map_err(Error::while_("loading memberships"))?;
    facts.members.extend(rows.into_iter().map(|(room, user)| (RoomId(room), UserId(user))));
    Ok(())
}

async fn load_requests(connection: &mut PgConnection, batch: &[Command], facts: &mut Facts) -> Result<(), Error> {
    let keys: HashMap<(Uuid, &str), &RequestId> = batch
        .iter()
        .filter_map(|command| command.request_id.as_ref().map(|id| ((command.actor.user.0, id.as_str()), id)))
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    let (users, ids): (Vec<Uuid>, Vec<&str>) = keys.keys().copied().unzip();
    let rows = sqlx::query(sql::LOAD_REQUESTS)
        .bind(users)
        .bind(ids)
        .fetch_all(connection)
        .await
        .map_err(Error::while_("loading request ids"))?;
    let bad = |column| Error::Corrupt { table: "gossip_requests", column };
    let read = |row: &PgRow| {
        let user: Uuid = get(row, "userId").ok_or(bad("userId"))?;
        let id = get::<&str>(row, "requestId").and_then(|id| keys.get(&(user, id))).ok_or(bad("requestId"))?;
        let fingerprint = Fingerprint(get(row, "fingerprint").ok_or(bad("fingerprint"))?);
        let result =
            get::<&str>(row, "result").and_then(|text| serde_json::from_str(text).ok()).ok_or(bad("result"))?;
        Ok(((UserId(user), RequestId::clone(id)), (fingerprint, result)))
    };
    facts.requests.extend(readable(&rows, read));
    Ok(())
}
