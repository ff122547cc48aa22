//! What a batch writes, as the columns of one statement.

use std::sync::Arc;

use gossip_proto::model::Intent;
use serde_json::Value;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::rows::Time;
use super::sql;
use crate::Error;
use crate::batch::Writes;
use crate::rows::column;

/// Writes all of it; every room has a row. Returns the position before the first event.
pub(super) async fn write(connection: &mut PgConnection, writes: &Writes) -> Result<u64, Error> {
    let Writes { now, new_intents, changed_intents, votes, updates, rooms, log, requests, .. } = writes;
    let text = |metadata: &Option<Value>| metadata.as_ref().map(ToString::to_string);
    let count = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
    let (standing, removed) = votes.iter().partition::<Vec<&_>, _>(|(.., vote)| vote.is_some());
    let results: Vec<String> = requests.iter().map(|r| serde_json::to_string(&r.result)).collect::<Result<_, _>>()?;
    let intent_ids = |intents: &[Arc<Intent>]| intents.iter().map(|i| i.id.0).collect::<Vec<Uuid>>();

    let base: i64 = sqlx::query_scalar(sql::WRITE)
        .bind(Time(*now))
        .bind(intent_ids(new_intents))
        .bind(new_intents.iter().map(|i| i.room_id.0).collect::<Vec<_>>())
        .bind(new_intents.iter().map(|i| i.user_id.0).collect::<Vec<_>>())
        .bind(new_intents.iter().map(|i| i.content.as_str()).collect::<Vec<_>>())
        .bind(new_intents.iter().map(|i| i.status.as_str()).collect::<Vec<_>>())
        .bind(new_intents.iter().map(|i| text(&i.metadata)).collect::<Vec<_>>())
        .bind(new_intents.iter().map(|i| i.expires_at.map(Time)).collect::<Vec<_>>())
        .bind(intent_ids(changed_intents))
        .bind(changed_intents.iter().map(|i| i.status.as_str()).collect::<Vec<_>>())
        .bind(changed_intents.iter().map(|i| count(i.upvotes)).collect::<Vec<_>>())
        .bind(changed_intents.iter().map(|i| count(i.downvotes)).collect::<Vec<_>>())
        .bind(changed_intents.iter().map(|i| Time(i.updated_at)).collect::<Vec<_>>())
        .bind(standing.iter().map(|(intent, ..)| intent.0).collect::<Vec<_>>())
        .bind(standing.iter().map(|(_, user, _)| user.0).collect::<Vec<_>>())
        .bind(standing.iter().map(|(.., vote)| vote.map(|vote| vote.as_str())).collect::<Vec<_>>())
        .bind(removed.iter().map(|(intent, ..)| intent.0).collect::<Vec<_>>())
        .bind(removed.iter().map(|(_, user, _)| user.0).collect::<Vec<_>>())
        .bind(updates.iter().map(|u| u.id.0).collect::<Vec<_>>())
        .bind(updates.iter().map(|u| u.intent_id.0).collect::<Vec<_>>())
        .bind(updates.iter().map(|u| u.user_id.0).collect::<Vec<_>>())
        .bind(updates.iter().map(|u| u.kind.as_str()).collect::<Vec<_>>())
        .bind(updates.iter().map(|u| u.content.as_deref()).collect::<Vec<_>>())
        .bind(updates.iter().map(|u| text(&u.metadata)).collect::<Vec<_>>())
        .bind(rooms.iter().map(|(room, _)| room.0).collect::<Vec<_>>())
        .bind(rooms.iter().map(|(_, seq)| column(seq.0)).collect::<Vec<_>>())
        .bind(requests.iter().map(|r| r.user.0).collect::<Vec<_>>())
        .bind(requests.iter().map(|r| r.id.as_str()).collect::<Vec<_>>())
        .bind(requests.iter().map(|r| r.fingerprint.0).collect::<Vec<_>>())
        .bind(results)
        .bind(log.iter().map(|e| e.room.0).collect::<Vec<_>>())
        .bind(log.iter().map(|e| column(e.seq.0)).collect::<Vec<_>>())
        .bind(log.iter().map(|e| &*e.payload).collect::<Vec<_>>())
        .fetch_one(connection)
        .await
        .map_err(Error::while_("writing a batch"))?;
    Ok(base.unsigned_abs())
}
