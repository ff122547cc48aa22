//! What a shard is asked to do. Values only; what becomes of them is in [`super::Shard`].

use std::sync::Arc;

use gossip_core::access::Reach;
use gossip_proto::id::{RoomId, Seq, UserId};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_proto::timestamp::Timestamp;
use tokio::sync::oneshot;

use super::lag::{Missing, Refill};
use super::peer::{ConnectionId, Peer};
use crate::event::Event;
use crate::outbox::{Asked, Close};
use crate::run::RoomRun;

/// The answer to a command under way.
pub(crate) struct Answer {
    pub(crate) peer: Arc<Peer>,
    pub(crate) asked: Asked,
    pub(crate) reply: Result<Reply, Refusal>,
    /// The transaction that carried it out.
    pub(crate) commit: Option<u64>,
}

/// What became of the first half of a join.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Subscribed {
    /// The room was live here: the join is answered.
    Done,
    /// Events are being kept; a snapshot is wanted.
    Loading {
        /// The room was live here: the client has it up to this event.
        before: Option<Seq>,
    },
    /// The connection is in as many rooms as it may.
    TooManyRooms,
}

/// The second half of a join.
pub(crate) struct Snapshot {
    /// The member has everything up to here, or wants what comes after it replayed.
    pub(crate) after: Seq,
    pub(crate) reply: Reply,
    pub(crate) is_replayed: bool,
}

/// In which order missed events of several rooms come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Those of one room, while the connection's other rooms are live.
    OneRoom,
    /// By position over all rooms of the connection, none of which is live yet.
    AllRooms,
}

/// A missed event.
pub(crate) struct Replayed {
    pub(crate) room: RoomId,
    pub(crate) seq: Seq,
    pub(crate) event: Arc<Event>,
}

/// How far a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Events reach it as they come.
    Live,
    /// The log must be read on.
    Behind,
    /// It is not there any more.
    Gone,
}

/// Whom a custom event is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Audience {
    Room(RoomId),
    User(UserId),
    Authenticated,
    Everybody,
}

/// What a shard is asked to do.
pub(crate) enum Item {
    Open {
        peer: Arc<Peer>,
        authenticate_by: Timestamp,
    },
    Authenticated {
        id: ConnectionId,
        user: UserId,
        reach: Reach,
        expires_at: Timestamp,
    },
    Subscribe {
        id: ConnectionId,
        room: RoomId,
        /// Whom to answer if it is answered at once.
        asked: Option<Asked>,
        needs_snapshot: bool,
        done: oneshot::Sender<Subscribed>,
    },
    /// Begins to keep the events of rooms for a connection that is in none yet; says which are too many.
    Expect {
        id: ConnectionId,
        rooms: Vec<RoomId>,
        done: oneshot::Sender<Vec<RoomId>>,
    },
    Joined {
        id: ConnectionId,
        room: RoomId,
        asked: Asked,
        snapshot: Box<Result<Snapshot, Refusal>>,
        done: oneshot::Sender<Progress>,
    },
    /// Missed events; with `live_after` they were the last, and each room goes live after this.
    Replay {
        id: ConnectionId,
        events: Vec<Replayed>,
        order: Order,
        live_after: Vec<(RoomId, Seq)>,
        done: oneshot::Sender<Progress>,
    },
    /// Says what a connection that lags is missing; none where it is gone, or does not lag.
    Missing {
        id: ConnectionId,
        done: oneshot::Sender<Option<Missing>>,
    },
    /// What was read of that.
    Refill {
        id: ConnectionId,
        refill: Refill,
        done: oneshot::Sender<Progress>,
    },
    /// Ends a membership, and tells the client of it.
    CloseRoom {
        id: ConnectionId,
        room: RoomId,
        code: Code,
    },
    /// The user is no member of the room any more: ends what hung on that.
    Withdraw {
        user: UserId,
        room: RoomId,
    },
    /// Closes to the user's connections what they do not reach any more; answers the rooms that hang on a membership.
    Recheck {
        user: UserId,
        done: oneshot::Sender<Vec<RoomId>>,
    },
    /// Ends all connections of a user.
    CloseUser {
        user: UserId,
    },
    Leave {
        id: ConnectionId,
        room: RoomId,
        asked: Asked,
    },
    Committed {
        runs: Arc<[RoomRun]>,
        answers: Vec<Answer>,
    },
    /// An event for one connection.
    Tell {
        id: ConnectionId,
        event: Arc<Event>,
    },
    Emit {
        audience: Audience,
        event: Arc<Event>,
    },
    /// Ends at most so many connections that were not ended before, and says when that is done.
    CloseSome {
        count: usize,
        close: Close,
        done: oneshot::Sender<()>,
    },
    Closed(ConnectionId),
}
