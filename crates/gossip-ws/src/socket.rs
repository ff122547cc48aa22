//! Socket.IO v5 (<https://socket.io/docs/v4/socket-io-protocol/>) on Engine.IO sessions: namespaces, events, acks,
//! binary attachments. Which namespaces exist, and what events mean, is an [`App`]'s business. There are no rooms here.

mod client;
mod handle;
mod request;

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::Response;
use hyper::header::HeaderMap;

pub use client::Client;
pub use gossip_proto::socketio::{Args, Event, Limits};
pub use handle::Socket;
pub use request::ConnectRequest;

use crate::engine::{self, CloseReason, Pass, Session};
use crate::http::Body;

/// The most namespaces one session may be connected to.
pub const MAX_NAMESPACES: usize = 16;

/// What the namespaces are for.
pub trait App: Send + Sync + 'static {
    /// What handles one connection to a namespace.
    type Handler: Handler;

    /// A client asks for a namespace. Answer with [`ConnectRequest::accept`] and return the socket's handler, or with
    /// [`ConnectRequest::refuse`] and return `None`. The session's next message is read when the future is done; it runs
    /// to its end also when the session closes meanwhile, and the handler is told so then.
    fn connect(&self, request: ConnectRequest) -> impl Future<Output = Option<Self::Handler>> + Send;

    /// See [`engine::App::admit`].
    ///
    /// # Errors
    /// The answer to a client that may not connect.
    fn admit(&self, headers: &HeaderMap, peer: SocketAddr) -> Result<Pass, Box<Response<Body>>> {
        let _ = (headers, peer);
        Ok(Pass::default())
    }
}

/// Receives what happens to one connection to a namespace. The calls never overlap, and
/// [`disconnected`](Handler::disconnected) is the last.
pub trait Handler: Send + Sync + 'static {
    /// The client emitted an event, and wants an answer under `ack` if that is there. The session's next message is read
    /// when the future is done.
    fn event(&self, event: Event, ack: Option<u64>) -> impl Future<Output = ()> + Send;

    /// The client answered an event of ours.
    fn ack(&self, id: u64, args: Args) {
        let _ = (id, args);
    }

    /// A message of the session was over the limit, and is lost. It may have been for another namespace: all are told.
    fn oversized(&self, len: usize) {
        let _ = len;
    }

    /// See [`engine::Handler::flooding`]. Says whether the session is to be closed.
    fn flooding(&self) -> bool {
        true
    }

    /// The connection is over. Called exactly once.
    fn disconnected(&self, reason: DisconnectReason);
}

/// Why a connection to a namespace ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The client left the namespace; its session is still open.
    Left,
    /// The session closed.
    Closed(CloseReason),
}

/// The Socket.IO side of an engine server: `engine::Server::new(config, Sockets::new(app, limits))`.
pub struct Sockets<A> {
    app: Arc<A>,
    limits: Limits,
}

impl<A: App> Sockets<A> {
    /// Serves `app`.
    #[must_use]
    pub fn new(app: A, limits: Limits) -> Sockets<A> {
        Sockets { app: Arc::new(app), limits }
    }

    /// The application.
    #[must_use]
    pub fn app(&self) -> &Arc<A> {
        &self.app
    }
}

impl<A: App> engine::App for Sockets<A> {
    type Handler = Client<A>;

    fn open(&self, session: Arc<Session>) -> Client<A> {
        Client::new(Arc::clone(&self.app), session, self.limits)
    }

    fn admit(&self, headers: &HeaderMap, peer: SocketAddr) -> Result<Pass, Box<Response<Body>>> {
        self.app.admit(headers, peer)
    }
}
