//! The way out to one socket, whatever protocol it speaks. The hub queues and flushes; the implementation encodes,
//! writes without blocking, and bounds what it holds.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;

use crate::access::revoked;
use crate::event::Event;
use crate::limits::{FLOODING_WAIT, rate_limited};
use crate::offset::Offset;
use crate::run::Run;

/// Whom an answer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyTo {
    /// The event that was asked; none where no event caused what is told.
    pub event: Option<Box<str>>,
    /// The id of its ack callback. Without one a success is silent and a failure is an `exception` (contract §2).
    pub ack: Option<u64>,
}

/// A request as it waits for its answer.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) to: ReplyTo,
    /// When it came.
    pub(crate) arrived: Instant,
    /// Which of the connection's requests it is: 1, 2, 3…
    pub(crate) number: u64,
    /// The client's own id for it, where the log tells of requests.
    pub(crate) request_id: Option<Box<str>>,
}

impl Asked {
    pub(crate) fn new(to: ReplyTo, number: u64) -> Asked {
        Asked { to, arrived: Instant::now(), number, request_id: None }
    }
}

impl ReplyTo {
    /// No event: for an `exception` out of the blue.
    pub const NOBODY: ReplyTo = ReplyTo { event: None, ack: None };
}

/// What a client is spoken to in: for figures and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Socket.IO.
    SocketIo,
    /// The plain WebSocket.
    Plain,
    /// Server-sent events.
    Sse,
    /// An embedder's own.
    Custom,
}

impl Protocol {
    pub(crate) const COUNT: usize = 4;
    pub(crate) const ALL: [Protocol; Self::COUNT] =
        [Protocol::SocketIo, Protocol::Plain, Protocol::Sse, Protocol::Custom];

    /// A word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::SocketIo => "socketio",
            Protocol::Plain => "plain",
            Protocol::Sse => "sse",
            Protocol::Custom => "custom",
        }
    }
}

/// Why the hub ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// The token's time is over.
    TokenExpired,
    /// It did not authenticate within `AUTH_TIMEOUT`.
    AuthTimeout,
    /// The server is going away.
    Draining,
    /// The client has come back on another connection.
    Replaced,
    /// What the client missed could not be sent.
    NotRecovered,
    /// The client did not take what it was sent, and the log has not got it any more.
    SlowReader,
    /// The client went on sending more than it may.
    Flooding,
    /// The user's connections were ended, perhaps with their tokens revoked.
    Revoked,
}

impl Close {
    /// Whether the client should stay away (a Socket.IO DISCONNECT) or come back (a plain close of the transport),
    /// as contract §3 has it.
    #[must_use]
    pub fn stay_away(self) -> bool {
        match self {
            Close::TokenExpired | Close::AuthTimeout | Close::Flooding | Close::Revoked => true,
            Close::Draining | Close::Replaced | Close::NotRecovered | Close::SlowReader => false,
        }
    }

    /// What the client is told before.
    #[must_use]
    pub fn refusal(self) -> Option<Refusal> {
        match self {
            Close::TokenExpired => Some(Refusal::new(Code::TokenExpired, "the token has expired")),
            Close::AuthTimeout => {
                Some(Refusal::new(Code::NotAuthenticated, "there was no authentication within the time for it"))
            }
            Close::Flooding => Some(rate_limited("too much was sent in a short time", FLOODING_WAIT)),
            Close::Revoked => Some(revoked()),
            Close::Draining | Close::Replaced | Close::NotRecovered | Close::SlowReader => None,
        }
    }

    /// A word for logs and close frames.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Close::TokenExpired => "token_expired",
            Close::AuthTimeout => "not_authenticated",
            Close::Draining => "server_draining",
            Close::Replaced => "replaced",
            Close::NotRecovered => "not_recovered",
            Close::SlowReader => "slow_reader",
            Close::Flooding => "rate_limited",
            Close::Revoked => "revoked",
        }
    }
}

/// One socket, seen from the hub. No method may block or wait; each may be called from any thread.
pub trait Outbox: Send + Sync + 'static {
    /// What its client is spoken to in.
    fn protocol(&self) -> Protocol {
        Protocol::Custom
    }

    /// The id by which its client knows the connection, if there is one and it is no secret: for the log.
    fn sid(&self) -> Option<String> {
        None
    }

    /// Queues an event.
    fn event(&self, event: &Arc<Event>);

    /// Queues an event for a client that asked to be recovered: `offset` is what it has seen once it has this one too.
    /// Where a protocol knows no recovery, as [`Outbox::event`].
    fn tracked(&self, event: &Arc<Event>, offset: &Offset) {
        let _ = offset;
        self.event(event);
    }

    /// Queues events that come right after one another.
    fn run(&self, run: &Run) {
        run.events().iter().for_each(|event| self.event(event));
    }

    /// As [`Outbox::run`] and [`Outbox::tracked`]: of each event the offset is its own position.
    fn tracked_run(&self, run: &Run) {
        for event in run.events() {
            self.tracked(event, &Offset { position: event.position().unwrap_or_default(), behind: Vec::new() });
        }
    }

    /// Queues a run and flushes, for where nothing else is to go with it; with `tracked` as [`Outbox::tracked_run`].
    fn send_run(&self, run: &Run, tracked: bool) {
        if tracked {
            self.tracked_run(run)
        } else {
            self.run(run)
        }
        self.flush();
    }

    /// Queues the answer to a request.
    fn reply(&self, to: &ReplyTo, reply: &Result<Reply, Refusal>);

    /// Sends what is queued, as far as the socket takes it now; the rest follows when it can.
    fn flush(&self);

    /// Whether so much waits for the client that events should be left in the log until [`Outbox::drained`]. Asked before
    /// each run is queued: a look at a flag, no more. An outbox that never says so must bound what it holds by closing.
    fn is_behind(&self) -> bool {
        false
    }

    /// Resolves when little waits to be sent, or the client is gone: then is the time to queue more of what is not live.
    /// Two may wait at once.
    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Ends the connection after what is queued.
    fn close(&self, close: Close);

    /// Whether the client is gone, or told to go: nothing more will reach it.
    fn is_closed(&self) -> bool;
}
