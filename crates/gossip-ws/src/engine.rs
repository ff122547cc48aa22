//! Engine.IO v4 sessions (<https://socket.io/docs/v4/engine-io-protocol/>): a message stream that lives on a WebSocket,
//! on HTTP long-polling, or first on one and then on the other, with a heartbeat. What the messages mean is an [`App`]'s
//! business. [`Server::handle_plain`] serves the same sessions to WebSocket clients that speak no Engine.IO.
//!
//! Each session has one task, the driver. It calls its [`Handler`] for one message after the other, and is the only one
//! that reads. Anyone may write: [`Session::queue`] and [`Session::flush`] never wait.

mod close;
mod config;
mod driver;
mod frame;
mod link;
mod polling;
mod probe;
mod registry;
mod server;
mod session;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Response;
use hyper::header::HeaderMap;

pub use close::CloseReason;
pub use config::{Config, PacketRate};
pub use frame::Frame;
pub use gossip_proto::engineio::Message;
pub use server::Server;
pub use session::{Headers, Session, SessionId};

use crate::http::Body;

/// What the sessions are for.
pub trait App: Send + Sync + 'static {
    /// What handles one session.
    type Handler: Handler;

    /// A session opened. What is queued here follows the handshake.
    fn open(&self, session: Arc<Session>) -> Self::Handler;

    /// Lets a request open a session, whose task keeps what is returned to its end. Requests of open sessions are not
    /// asked about.
    ///
    /// # Errors
    /// The answer to one that may not, for example 503 while the server drains.
    fn admit(&self, headers: &HeaderMap, peer: SocketAddr) -> Result<Pass, Box<Response<Body>>> {
        let _ = (headers, peer);
        Ok(Pass::default())
    }
}

/// What an [`App`] has for as long as a session lives, such as the session's place in a count: it is dropped with it.
#[derive(Default)]
pub struct Pass(Option<Box<dyn Send + Sync>>);

impl Pass {
    /// With something to be kept.
    #[must_use]
    pub fn holding(kept: impl Send + Sync + 'static) -> Pass {
        Pass(Some(Box::new(kept)))
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pass").field(&self.0.is_some()).finish()
    }
}

/// Receives what happens to one session. The calls never overlap, and [`closed`](Handler::closed) is the last.
pub trait Handler: Send + Sync + 'static {
    /// A message came. The next one is read when the future is done: that is the backpressure. It runs to its end also
    /// when the session closes meanwhile, so it should not wait for long.
    ///
    /// # Errors
    /// A reason to close the session.
    fn message(&self, message: Message) -> impl Future<Output = Result<(), CloseReason>> + Send;

    /// A message of `len` bytes was over [`Config::max_payload`] and is lost.
    ///
    /// `len` is what is known of it: of a message over four times the limit, only that. On a WebSocket the rest of such
    /// a message cannot be read past, and the session closes whatever the outcome; a POST is answered 413, and the
    /// session lives whatever the outcome.
    ///
    /// # Errors
    /// A reason to close the session, by default [`CloseReason::TooLarge`].
    fn oversized(&self, len: usize) -> Result<(), CloseReason> {
        let _ = len;
        Err(CloseReason::TooLarge)
    }

    /// The client sends more packets than [`Config::packet_rate`]. Asked for each that is too many.
    ///
    /// # Errors
    /// A reason to close the session, by default [`CloseReason::Flooding`].
    fn flooding(&self) -> Result<(), CloseReason> {
        Err(CloseReason::Flooding)
    }

    /// Whether the client is doing what it opened the session for. One that is not after [`Config::connect_timeout`] is
    /// closed; it is asked once, at that time, and again after each [`Session::restart_connect_timeout`].
    fn is_established(&self) -> bool {
        true
    }

    /// The session is over. Called exactly once, whatever the reason.
    fn closed(&self, reason: CloseReason);
}
