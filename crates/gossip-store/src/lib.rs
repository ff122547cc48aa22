//! The store: what outlives the process. A trait ([`Store`]), the queue that turns many commands into one transaction
//! ([`queue::CommitQueue`]), what a batch of commands comes to ([`batch`], the same for every database), and the
//! databases. Rules are not here: [`batch`] asks gossip-core.
//!
//! To add a query: a method of [`Store`], its implementation in each database's folder, its test in
//! `tests/contract.rs`, which runs against all of them.

pub mod batch;
mod cursor;
mod error;
pub mod queue;
pub mod sqlite;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gossip_core::command::Command;
use gossip_core::env::Env;
use gossip_proto::id::{IntentId, RoomId, Seq, UserId};
use gossip_proto::model::{Intent, Status, Update, Vote};
use gossip_proto::refusal::Refusal;
use gossip_proto::reply::Outcome;
use gossip_proto::timestamp::Timestamp;

pub use cursor::Cursor;
pub use error::Error;

/// What every method of [`Store`] returns: boxed, since a store is used as `Arc<dyn Store>`; beside a query the box
/// costs nothing.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// The number of an event over all rooms, in the order of commits: 1, 2, 3…
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// An event as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// Over all rooms.
    pub position: Position,
    /// Where.
    pub room: RoomId,
    /// Within the room.
    pub seq: Seq,
    /// The data of the `gossip_update`, JSON: what is sent live is these bytes.
    pub payload: Arc<str>,
}

/// What a transaction did.
#[derive(Debug, Default)]
pub struct Committed {
    /// One for each command, in their order.
    pub results: Vec<Result<Outcome, Refusal>>,
    /// The events, in the order of their positions.
    pub events: Vec<LogEvent>,
}

/// What joining a room asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JoinQuery {
    /// The events after this one.
    pub since: Option<Seq>,
    /// So many of the newest intents.
    pub history: Option<u64>,
    /// With `since`: bytes of payload that may be replayed, where [`MAX_REPLAY_BYTES`] is too many.
    pub budget: Option<usize>,
}

/// A room at one moment.
#[derive(Debug, Default, PartialEq)]
pub struct RoomSnapshot {
    /// Its last event.
    pub seq: Seq,
    /// With `history`: newest first.
    pub intents: Option<Vec<Intent>>,
    /// With `since`: all events after it, or none if the log cannot give all.
    pub missed: Option<Missed>,
}

/// The events after a `since`.
#[derive(Debug, PartialEq)]
pub enum Missed {
    /// All of them, in order.
    All(Vec<LogEvent>),
    /// The log does not reach back so far, `since` is beyond its end, or they are too many to send at once.
    Unrecoverable,
}

/// The most events one replay brings, and the most bytes of them: a client further behind starts anew from
/// `history`, which is cheaper for both sides.
pub const MAX_REPLAY_EVENTS: usize = 4096;
/// See [`MAX_REPLAY_EVENTS`]; bytes of payload.
pub const MAX_REPLAY_BYTES: usize = 2 * 1024 * 1024;

/// One page of a list, newest first.
#[derive(Debug, PartialEq)]
pub struct Paged<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins.
    pub next: Option<Cursor>,
}

/// A database that keeps gossip. `None` is absence; an [`Error`] is failure. Cheap to share: every method takes
/// `&self`.
pub trait Store: Send + Sync + 'static {
    /// Carries out a batch in one transaction, durable when this returns. A refused command fails alone. On an error
    /// nothing was written.
    fn commit<'a>(&'a self, batch: &'a [Command], env: &'a dyn Env) -> StoreFuture<'a, Committed>;

    /// What a joining client needs, as one consistent snapshot. A room without events has seq 0.
    fn room(&self, room: RoomId, query: JoinQuery) -> StoreFuture<'_, RoomSnapshot>;

    /// An intent, and how `viewer` votes on it.
    fn intent(&self, id: IntentId, viewer: UserId) -> StoreFuture<'_, Option<(Intent, Option<Vote>)>>;

    /// The intents of a room, newest first, from after `before`.
    fn intents(
        &self,
        room: RoomId,
        status: Option<Status>,
        limit: u64,
        before: Option<Cursor>,
    ) -> StoreFuture<'_, Paged<Intent>>;

    /// The updates of an intent, newest first, from after `before`; those of votes only `with_votes`.
    fn updates(
        &self,
        intent: IntentId,
        with_votes: bool,
        limit: u64,
        before: Option<Cursor>,
    ) -> StoreFuture<'_, Paged<Update>>;

    /// Whether `user` has a row of membership in `room`.
    fn is_member(&self, room: RoomId, user: UserId) -> StoreFuture<'_, bool>;

    /// Intents whose time is over at `now` and which are not marked so, those due first, at most `limit`.
    fn due(&self, now: Timestamp, limit: u64) -> StoreFuture<'_, Vec<IntentId>>;

    /// Removes what is older than `before` from the log and the request ids, at most `limit` rows of each; returns
    /// how many went.
    fn prune(&self, before: Timestamp, limit: u64) -> StoreFuture<'_, u64>;

    /// Whether the database answers.
    fn ping(&self) -> StoreFuture<'_, ()>;

    /// Closes the connections. What was committed stays.
    fn close(&self) -> StoreFuture<'_, ()>;
}
