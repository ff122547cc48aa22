//! The write path: load the rows a batch touches, let [`crate::batch`] decide, write the outcome, commit. One
//! statement a table each way, whatever the size of the batch: the values travel as one JSON array.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use gossip_core::access::Reach;
use gossip_core::command::{Action, Command};
use gossip_core::env::Env;
use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::model::Intent;
use gossip_proto::timestamp::Timestamp;
use serde::Serialize;
use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::rows::{IntentRow, fingerprint, intent_id, readable, seq};
use crate::batch::{Facts, Writes, decide};
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
    let mut facts = Facts { position: position(tx).await?, ..Facts::default() };

    let intents: BTreeSet<IntentId> = batch.iter().filter_map(Command::intent).collect();
    let rows: Vec<IntentRow> =
        sqlx::query_as(r#"SELECT i.* FROM json_each(?1) k CROSS JOIN "gossip_intents" i ON i."id" = k."value""#)
            .bind(json_text(&intents)?)
            .fetch_all(&mut *tx)
            .await
            .map_err(Error::while_("loading intents"))?;
    let intents: Vec<Intent> = readable(rows);
    facts.intents.extend(intents.into_iter().map(|intent| (intent.id, Arc::new(intent))));

    let voters: Vec<(IntentId, UserId)> = batch
        .iter()
        .filter_map(|command| match command.action {
            Action::Vote { intent, .. } => Some((intent, command.actor.user)),
            _ => None,
        })
        .collect();
    let rows = fetch_pairs(
        tx,
        r#"SELECT v."intentId", v."userId", v."action" FROM json_each(?1) k CROSS JOIN "gossip_votes" v
           ON v."intentId" = k."value" ->> 0 AND v."userId" = k."value" ->> 1"#,
        &voters,
    )
    .await?;
    for row in rows {
        let bad = |column| Error::Corrupt { table: "gossip_votes", column };
        let intent = intent_id(text(&row, 0)?, "gossip_votes")?;
        let user = text(&row, 1)?.parse().map_err(|_| bad("userId"))?;
        facts.votes.insert((intent, user), text(&row, 2)?.parse().map_err(|_| bad("action"))?);
    }

    let room_of: HashMap<IntentId, RoomId> = facts.intents.values().map(|i| (i.id, i.room_id)).collect();
    let room = |command: &Command| match &command.action {
        Action::Post { room, .. } => Some(*room),
        _ => command.intent().and_then(|intent| room_of.get(&intent).copied()),
    };
    let rooms: BTreeSet<RoomId> = batch.iter().filter_map(room).collect();
    for row in sqlx::query(
        r#"SELECT r."roomId", r."seq" FROM json_each(?1) k CROSS JOIN "gossip_rooms" r ON r."roomId" = k."value""#,
    )
    .bind(json_text(&rooms)?)
    .fetch_all(&mut *tx)
    .await
    .map_err(Error::while_("loading rooms"))?
    {
        let bad = || Error::Corrupt { table: "gossip_rooms", column: "roomId" };
        let at: i64 = row.try_get(1).map_err(Error::while_("reading a room's seq"))?;
        facts.rooms.insert(text(&row, 0)?.parse().map_err(|_| bad())?, seq(at));
    }

    let asked: HashSet<(RoomId, UserId)> = batch
        .iter()
        .filter(|command| command.actor.reach == Reach::Members)
        .filter_map(|command| Some((room(command)?, command.actor.user)))
        .collect();
    let rows = fetch_pairs(
        tx,
        r#"SELECT m."roomId", m."userId" FROM json_each(?1) k CROSS JOIN "gossip_room_members" m
           ON m."roomId" = k."value" ->> 0 AND m."userId" = k."value" ->> 1"#,
        &asked.into_iter().collect::<Vec<_>>(),
    )
    .await?;
    for row in rows {
        let bad = |column| Error::Corrupt { table: "gossip_room_members", column };
        let room = text(&row, 0)?.parse().map_err(|_| bad("roomId"))?;
        facts.members.insert((room, text(&row, 1)?.parse().map_err(|_| bad("userId"))?));
    }

    let keys: HashMap<(String, String), &Command> = batch
        .iter()
        .filter_map(|c| Some(((c.actor.user.to_string(), c.request_id.as_ref()?.as_str().to_owned()), c)))
        .collect();
    let rows = fetch_pairs(
        tx,
        r#"SELECT r."userId", r."requestId", r."fingerprint", r."result" FROM json_each(?1) k
           CROSS JOIN "gossip_requests" r ON r."userId" = k."value" ->> 0 AND r."requestId" = k."value" ->> 1"#,
        &keys.keys().collect::<Vec<_>>(),
    )
    .await?;
    for row in rows {
        let key = (text(&row, 0)?.to_owned(), text(&row, 1)?.to_owned());
        let Some(command) = keys.get(&key) else { continue };
        let Some(request_id) = command.request_id.clone() else {
            continue;
        };
        let result = serde_json::from_str(text(&row, 3)?)?;
        facts.requests.insert((command.actor.user, request_id), (fingerprint(text(&row, 2)?)?, result));
    }
    Ok(facts)
}

async fn position(tx: &mut SqliteConnection) -> Result<Position, Error> {
    let position: i64 = sqlx::query_scalar(r#"SELECT "position" FROM "gossip_position""#)
        .fetch_one(tx)
        .await
        .map_err(Error::while_("reading the position"))?;
    Ok(Position(position.unsigned_abs()))
}

async fn fetch_pairs<K: Serialize>(
    tx: &mut SqliteConnection,
    query: &'static str,
    keys: &[K],
) -> Result<Vec<SqliteRow>, Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query(query).bind(json_text(keys)?).fetch_all(tx).await.map_err(Error::while_("loading rows by two keys"))
}

fn text(row: &SqliteRow, column: usize) -> Result<&str, Error> {
    row.try_get(column).map_err(Error::while_("reading a column"))
}

fn json_text<T: Serialize + ?Sized>(values: &T) -> Result<String, Error> {
    Ok(serde_json::to_string(values)?)
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
    bulk(
        tx,
        r#"INSERT INTO "gossip_intents"
             ("id", "roomId", "userId", "content", "status", "metadata", "expiresAt", "createdAt", "updatedAt")
           SELECT "value" ->> 0, "value" ->> 1, "value" ->> 2, "value" ->> 3, "value" ->> 4, "value" ->> 5,
                  "value" ->> 6, "value" ->> 7, "value" ->> 8 FROM json_each(?1)"#,
        &intents,
    )
    .await?;

    let changed: Vec<_> =
        writes.changed_intents.iter().map(|i| json!([i.id, i.status, i.upvotes, i.downvotes, i.updated_at])).collect();
    bulk(
        tx,
        r#"UPDATE "gossip_intents" SET "status" = k."value" ->> 1, "upvotes" = k."value" ->> 2,
             "downvotes" = k."value" ->> 3, "updatedAt" = k."value" ->> 4
           FROM json_each(?1) k WHERE "gossip_intents"."id" = k."value" ->> 0"#,
        &changed,
    )
    .await?;

    let (standing, removed) = writes.votes.iter().partition::<Vec<&_>, _>(|(.., vote)| vote.is_some());
    bulk(
        tx,
        r#"INSERT INTO "gossip_votes" ("intentId", "userId", "action")
           SELECT "value" ->> 0, "value" ->> 1, "value" ->> 2 FROM json_each(?1) WHERE true
           ON CONFLICT ("intentId", "userId") DO UPDATE SET "action" = excluded."action""#,
        &standing,
    )
    .await?;
    bulk(
        tx,
        r#"DELETE FROM "gossip_votes" WHERE ("intentId", "userId") IN
             (SELECT "value" ->> 0, "value" ->> 1 FROM json_each(?1))"#,
        &removed,
    )
    .await?;

    let updates: Vec<_> = writes
        .updates
        .iter()
        .map(|u| {
            let metadata = u.metadata.as_ref().map(ToString::to_string);
            json!([u.id, u.intent_id, u.user_id, u.kind, u.content, metadata, u.created_at])
        })
        .collect();
    bulk(
        tx,
        r#"INSERT INTO "gossip_updates" ("id", "intentId", "userId", "type", "content", "metadata", "createdAt")
           SELECT "value" ->> 0, "value" ->> 1, "value" ->> 2, "value" ->> 3, "value" ->> 4, "value" ->> 5,
                  "value" ->> 6 FROM json_each(?1)"#,
        &updates,
    )
    .await?;

    bulk(
        tx,
        r#"INSERT INTO "gossip_rooms" ("roomId", "seq") SELECT "value" ->> 0, "value" ->> 1 FROM json_each(?1)
           WHERE true ON CONFLICT ("roomId") DO UPDATE SET "seq" = excluded."seq""#,
        &writes.rooms,
    )
    .await?;

    let log: Vec<_> =
        writes.log.iter().map(|e| json!([e.position.0, e.room, e.seq, &*e.payload, writes.now])).collect();
    bulk(
        tx,
        r#"INSERT INTO "gossip_log" ("position", "roomId", "seq", "payload", "createdAt")
           SELECT "value" ->> 0, "value" ->> 1, "value" ->> 2, "value" ->> 3, "value" ->> 4 FROM json_each(?1)"#,
        &log,
    )
    .await?;

    let requests = writes
        .requests
        .iter()
        .map(|r| Ok(json!([r.user, r.id.as_str(), r.fingerprint.0, serde_json::to_string(&r.result)?, writes.now])))
        .collect::<Result<Vec<_>, Error>>()?;
    bulk(
        tx,
        r#"INSERT INTO "gossip_requests" ("userId", "requestId", "fingerprint", "result", "createdAt")
           SELECT "value" ->> 0, "value" ->> 1, "value" ->> 2, "value" ->> 3, "value" ->> 4 FROM json_each(?1)"#,
        &requests,
    )
    .await?;

    sqlx::query(r#"UPDATE "gossip_position" SET "position" = ?1"#)
        .bind(i64::try_from(writes.position.0).unwrap_or(i64::MAX))
        .execute(tx)
        .await
        .map_err(Error::while_("writing the position"))?;
    Ok(())
}

async fn bulk<T: Serialize>(tx: &mut SqliteConnection, statement: &'static str, rows: &[T]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(statement).bind(json_text(rows)?).execute(tx).await.map_err(Error::while_("writing rows"))?;
    Ok(())
}

pub(super) async fn prune(pool: &SqlitePool, before: Timestamp, limit: u64) -> Result<u64, Error> {
    let doing = || Error::while_("pruning");
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    // From the oldest position on: what is left of a room's log has no hole.
    let log = sqlx::query(
        r#"DELETE FROM "gossip_log" WHERE "position" IN
             (SELECT "position" FROM (SELECT "position", "createdAt" FROM "gossip_log" ORDER BY "position" LIMIT ?2)
              WHERE "createdAt" < ?1)"#,
    )
    .bind(before.to_string())
    .bind(limit)
    .execute(pool)
    .await
    .map_err(doing())?;
    let requests = sqlx::query(
        r#"DELETE FROM "gossip_requests" WHERE ("userId", "requestId") IN
             (SELECT "userId", "requestId" FROM "gossip_requests" WHERE "createdAt" < ?1 ORDER BY "createdAt" LIMIT ?2)"#,
    )
    .bind(before.to_string())
    .bind(limit)
    .execute(pool)
    .await
    .map_err(doing())?;
    Ok(log.rows_affected() + requests.rows_affected())
}
