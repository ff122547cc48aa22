//! The store: what outlives the process. A trait ([`Store`]), the queue that turns many commands into one transaction
//! ([`queue::CommitQueue`]), what a batch of commands comes to ([`batch`], the same for every database), and the
//! databases. Rules are not here: [`batch`] asks gossip-core.
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::Duration;
//! use gossip_proto::id::RoomId;
//! use gossip_store::sqlite::SqliteStore;
//! use gossip_store::{JoinQuery, Position, Store};
//! # use uuid::Uuid;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//!
//! let store: Arc<dyn Store> =
//!     Arc::new(SqliteStore::open_path(&dir.path().join("gossip.db"), Duration::from_secs(2)).await?);
//! assert_eq!(store.position().await?, Position(0));
//! let query = JoinQuery { history: Some(10), ..JoinQuery::default() };
//! let room = store.room(RoomId(Uuid::from_u128(1)), query).await?;
//! assert_eq!(room.intents, Some(Vec::new()));
//! store.close().await?;
//! # Ok(()) }
//! ```
//!
//! To have another database, or something around one: `examples/custom_store.rs` beside this crate's sources. To add a
//! query: a method of [`Store`], its implementation in each database's folder, its test in
//! `tests/contract`, which runs against all of them.

mod access;
pub mod batch;
mod cursor;
mod error;
pub mod postgres;
pub mod queue;
pub mod recovery;
mod rows;
pub mod sqlite;
pub mod standing;

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use gossip_core::command::Command;
use gossip_core::env::Env;
use gossip_proto::id::{IntentId, Pid, RoomId, Seq, UserId};
use gossip_proto::model::{Intent, Status, Update, Vote};
use gossip_proto::refusal::Refusal;
use gossip_proto::reply::Outcome;
use gossip_proto::timestamp::Timestamp;

pub use access::{AccessChange, AccessCursor, AccessPage, Member, Revocation};
pub use cursor::Cursor;
pub use error::Error;
pub use recovery::{Recovery, RecoveryChange};

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
    /// The events after this one are wanted.
    pub since: Option<Seq>,
    /// So many of the newest intents.
    pub history: Option<u64>,
}

/// A room at one moment.
#[derive(Debug, Default, PartialEq)]
pub struct RoomSnapshot {
    /// Its last event.
    pub seq: Seq,
    /// With `history`: newest first.
    pub intents: Option<Vec<Intent>>,
    /// With `since`: whether the log has all events after it.
    pub is_reached: Option<bool>,
}

/// What a returning client has seen of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Every event up to this one.
    Seq(Seq),
    /// Of the events after `joined`, those up to `position`.
    Position {
        /// Where it came into the room.
        joined: Seq,
        /// The last event that it saw in any room.
        position: Position,
    },
}

/// A room as a returning client finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its last event.
    pub seq: Seq,
    /// What the client has seen, if the log has all that came after it; see [`standing::of`].
    pub after: Option<Seq>,
}

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
    /// Carries out a batch in one transaction, durable when this returns. A refused command fails alone.
    ///
    /// # Errors
    /// After [`Error::Unresolved`] the batch may have been written, after any other nothing was.
    fn commit<'a>(&'a self, batch: &'a [Command], env: &'a dyn Env) -> StoreFuture<'a, Committed>;

    /// The last position given, once no commit is under way that began before this call.
    fn position(&self) -> StoreFuture<'_, Position>;

    /// The events after a position, over all rooms and in order, at most `limit`.
    fn log(&self, after: Position, limit: u64) -> StoreFuture<'_, Vec<LogEvent>>;

    /// What a joining client needs, as one consistent snapshot. A room without events has seq 0.
    fn room(&self, room: RoomId, query: JoinQuery) -> StoreFuture<'_, RoomSnapshot>;

    /// Where each of these rooms stands for a client that returns, in their order, as one consistent snapshot.
    fn standings<'a>(&'a self, rooms: &'a [(RoomId, Seen)]) -> StoreFuture<'a, Vec<Standing>>;

    /// The events of these rooms after the seq beside each, over all of them in the order of positions, at most `limit`.
    fn replay<'a>(&'a self, after: &'a [(RoomId, Seq)], limit: u64) -> StoreFuture<'a, Vec<LogEvent>>;

    /// What was kept of a connection that can be recovered.
    fn recovery(&self, pid: Pid) -> StoreFuture<'_, Option<Recovery>>;

    /// Keeps what connections that can be recovered have done, durable when this returns.
    fn keep<'a>(&'a self, changes: &'a [RecoveryChange], now: Timestamp) -> StoreFuture<'a, ()>;

    /// These connections live: [`Store::prune`] takes their age from now on.
    fn touch<'a>(&'a self, pids: &'a [Pid], now: Timestamp) -> StoreFuture<'a, ()>;

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

    /// Which of these pairs have a row of membership.
    fn memberships<'a>(&'a self, pairs: &'a [(RoomId, UserId)]) -> StoreFuture<'a, HashSet<(RoomId, UserId)>>;

    /// The members of a room in the order of their ids, from after `after`, at most `limit`.
    fn members(&self, room: RoomId, after: Option<UserId>, limit: u64) -> StoreFuture<'_, Vec<Member>>;

    /// Makes `user` a member of `room`, durable when this returns; nothing if they are.
    fn add_member(&self, room: RoomId, user: UserId, now: Timestamp) -> StoreFuture<'_, ()>;

    /// Ends the membership of `user` in `room`, durable when this returns; nothing if there is none. However a row of
    /// membership goes, also by another program, [`Store::access_changes`] tells of it.
    fn remove_member(&self, room: RoomId, user: UserId) -> StoreFuture<'_, ()>;

    /// From where on to read changes: what is committed after this call is after it.
    fn access_cursor(&self) -> StoreFuture<'_, AccessCursor>;

    /// What was withdrawn after a cursor, at most `limit`: each at least once, however long ago its transaction began.
    fn access_changes(&self, after: AccessCursor, limit: u64) -> StoreFuture<'_, AccessPage>;

    /// Forgets the connections of `user` that could be recovered, and tells of it as an [`AccessChange`] without a room.
    /// With `not_before` tokens issued before that are revoked, or before a later time that was given earlier. Durable
    /// when this returns.
    fn revoke(&self, user: UserId, not_before: Option<Timestamp>, now: Timestamp) -> StoreFuture<'_, ()>;

    /// Whose tokens are revoked, in the order of their ids, from after `after`, at most `limit`.
    fn revocations(&self, after: Option<UserId>, limit: u64) -> StoreFuture<'_, Vec<Revocation>>;

    /// Those of these users.
    fn revocations_of<'a>(&'a self, users: &'a [UserId]) -> StoreFuture<'a, Vec<Revocation>>;

    /// Removes changes that are more than an hour old by the database's clock, at most `limit`; returns how many went.
    fn prune_access_changes(&self, limit: u64) -> StoreFuture<'_, u64>;

    /// Intents whose time is over at `now` and which are not marked so, those due first, at most `limit`.
    fn due(&self, now: Timestamp, limit: u64) -> StoreFuture<'_, Vec<IntentId>>;

    /// Removes what is older than `before` from the log (in the order of positions), the request ids and the
    /// connections that can be recovered, at most `limit` of each; returns how many went.
    fn prune(&self, before: Timestamp, limit: u64) -> StoreFuture<'_, u64>;

    /// What kind of database it is, in a word: for figures.
    fn kind(&self) -> &'static str {
        "other"
    }

    /// Whether the database answers.
    fn ping(&self) -> StoreFuture<'_, ()>;

    /// Closes the connections. What was committed stays.
    fn close(&self) -> StoreFuture<'_, ()>;
}
