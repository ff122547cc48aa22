//! What becomes of one connection, told at debug, a line for each thing, all of this module: with
//! `RUST_LOG=info,gossip_hub::story=debug` the log has these lines and no others of that level. Where debug is off a line
//! costs a look at a flag. They are in no span, since they say all that one would. Names and texts of clients are not
//! told, but for a `requestId`, escaped.

use std::fmt::Debug;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use gossip_core::access::{Identity, Role};
use gossip_proto::id::RoomId;
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use tracing::{Level, enabled};

use crate::metrics::counts::{event_label, outcome_label};
use crate::outbox::{Asked, Outbox};
use crate::shard::ConnectionId;

/// `address` is where its client is.
pub(crate) fn opened(id: ConnectionId, outbox: &dyn Outbox, address: Option<IpAddr>) {
    tracing::debug!(
        parent: None,
        connection = id.0,
        protocol = outbox.protocol().name(),
        sid = outbox.sid().map(tracing::field::display),
        address = address.map(tracing::field::display),
        "opened"
    );
}

pub(crate) fn authenticated(id: ConnectionId, identity: &Identity) {
    let role = match identity.role {
        Role::User => "user",
        Role::Admin => "admin",
        Role::Service => "service",
    };
    tracing::debug!(parent: None, connection = id.0, user = %identity.user, role, "authenticated");
}

/// An event was answered; `commit` is the transaction that carried it out.
pub(crate) fn answered(
    id: ConnectionId,
    asked: &Asked,
    reply: &Result<Reply, Refusal>,
    commit: Option<u64>,
    now: Instant,
) {
    if !enabled!(Level::DEBUG) {
        return;
    }
    let refusal = reply.as_ref().err();
    let (room, seq) = place(reply);
    tracing::debug!(
        parent: None,
        connection = id.0,
        request = asked.number,
        request_id = asked.request_id.as_deref().map(tracing::field::debug),
        event = event_label(asked.to.event.as_deref()),
        outcome = outcome_label(refusal.map(|refusal| refusal.code)),
        field = refusal.and_then(|refusal| refusal.field),
        room = room.map(tracing::field::display),
        seq,
        commit,
        ms = millis(now.saturating_duration_since(asked.arrived)),
        "answered"
    );
}

/// The room that an answer tells of, and where that is.
fn place(reply: &Result<Reply, Refusal>) -> (Option<RoomId>, Option<u64>) {
    match reply {
        Ok(Reply::Joined { room_id, seq, .. }) => (Some(*room_id), Some(seq.0)),
        Ok(Reply::Left { room_id }) => (Some(*room_id), None),
        Ok(Reply::Intent { intent, seq }) => (Some(intent.room_id), Some(seq.0)),
        Ok(Reply::Update { seq, .. }) => (None, Some(seq.0)),
        Ok(Reply::OneIntent { intent, .. }) => (Some(intent.room_id), None),
        Ok(_) | Err(_) => (None, None),
    }
}

/// To the microsecond.
fn millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1000.0
}

/// A room was closed to it, which it had or asked for.
pub(crate) fn room_closed(id: ConnectionId, room: RoomId, code: Code) {
    tracing::debug!(parent: None, connection = id.0, %room, code = outcome_label(Some(code)), "room closed");
}

/// It goes on in so many rooms that it was in before.
pub(crate) fn resumed(id: ConnectionId, rooms: usize) {
    tracing::debug!(parent: None, connection = id.0, rooms, "resumed");
}

pub(crate) fn lags(id: ConnectionId) {
    tracing::debug!(parent: None, connection = id.0, "lags: its client does not take what it is sent");
}

pub(crate) fn caught_up(id: ConnectionId) {
    tracing::debug!(parent: None, connection = id.0, "does not lag any more");
}

pub(crate) fn ended(
    id: ConnectionId,
    protocol: &'static str,
    address: Option<IpAddr>,
    identity: Option<&Identity>,
    opened: Instant,
    reason: impl Debug,
) {
    tracing::debug!(
        parent: None,
        connection = id.0,
        protocol,
        address = address.map(tracing::field::display),
        user = identity.map(|identity| tracing::field::display(identity.user)),
        seconds = opened.elapsed().as_secs(),
        ?reason,
        "ended"
    );
}
