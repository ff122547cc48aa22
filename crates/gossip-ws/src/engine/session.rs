//! The handle to one session: what may be done with it from any thread. All of it is immediate; what takes time is the
//! driver's, which is woken for it.

mod queue;
mod requests;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gossip_proto::frame::{Opcode, encode_close, encode_frame};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, ORIGIN};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;
use uuid::Uuid;

use super::link::Link;
use super::{CloseReason, Config, Frame};
use crate::transport::{Flush, WsWriter};
pub(super) use requests::Polled;

/// A session's id: random, unguessable, 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    pub(crate) fn random() -> SessionId {
        SessionId(Uuid::new_v4())
    }

    /// Reads 32 hexadecimal digits; none of the other ways to write a UUID.
    pub(super) fn parse(text: &str) -> Option<SessionId> {
        (text.len() == 32).then(|| Uuid::try_parse(text).ok().map(SessionId))?
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

/// What is kept of the request that opened a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// The `Authorization` header.
    pub authorization: Option<Box<str>>,
    /// The `Origin` header.
    pub origin: Option<Box<str>>,
}

impl Headers {
    pub(super) fn of(request: &HeaderMap) -> Headers {
        let get = |name: HeaderName| request.get(name).and_then(|value| value.to_str().ok()).map(Box::from);
        Headers { authorization: get(AUTHORIZATION), origin: get(ORIGIN) }
    }
}

/// What the frames on a session's WebSocket mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// Text frames are Engine.IO packets, the heartbeat too.
    EngineIo,
    /// Frames are messages, and the heartbeat is WebSocket's own.
    Plain,
}

/// The last session's number.
static LAST_NUMBER: AtomicU64 = AtomicU64::new(0);

/// An open, or recently closed, session.
pub struct Session {
    id: SessionId,
    number: u64,
    peer: SocketAddr,
    config: Arc<Config>,
    dialect: Dialect,
    /// A copy of `state.closed.is_some()`.
    closed: AtomicBool,
    /// As [`Session::is_behind`] has it.
    behind: AtomicBool,
    /// The handler has a message in hand.
    busy: AtomicBool,
    /// The time to establish the session is to start again.
    restart: AtomicBool,
    /// The driver has something to look at.
    wake: Notify,
    state: Mutex<State>,
}

struct State {
    link: Link,
    closed: Option<CloseReason>,
    heartbeat: Heartbeat,
    /// What most sessions do without most of the time.
    rare: Option<Box<Rare>>,
}

#[derive(Default)]
struct Rare {
    headers: Headers,
    /// Are told when less waits to be sent than did: the handler, and who sends what the client missed.
    waiting: Vec<oneshot::Sender<()>>,
    /// Is told when somebody begins to wait for that.
    posting: Option<oneshot::Sender<()>>,
}

/// When the next step is due: a ping, or (`awaiting` a pong) the end.
#[derive(Debug, Clone, Copy)]
struct Heartbeat {
    due: Instant,
    awaiting: bool,
}

impl Session {
    pub(super) fn new(
        peer: SocketAddr,
        headers: Headers,
        config: Arc<Config>,
        dialect: Dialect,
        link: Link,
    ) -> Arc<Session> {
        let heartbeat = Heartbeat { due: Instant::now() + config.ping_interval, awaiting: false };
        Arc::new(Session {
            id: SessionId::random(),
            number: LAST_NUMBER.fetch_add(1, Ordering::Relaxed) + 1,
            peer,
            config,
            dialect,
            closed: AtomicBool::new(false),
            behind: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            restart: AtomicBool::new(false),
            wake: Notify::new(),
            state: Mutex::new(State {
                link,
                closed: None,
                heartbeat,
                rare: Some(Box::new(Rare { headers, ..Rare::default() })),
            }),
        })
    }

    /// The session's id. On polling it is all a request needs to be the session's, so it is not to be logged:
    /// [`number`](Self::number) is.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// Which session of this process it is, for logs: 1, 2, 3…
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The address of the connection that opened the session.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// What is kept of the opening request; empty after [`forget_headers`](Self::forget_headers).
    #[must_use]
    pub fn headers(&self) -> Headers {
        self.lock().rare.as_ref().map(|rare| rare.headers.clone()).unwrap_or_default()
    }

    /// Gives the memory of the headers back.
    pub fn forget_headers(&self) {
        let mut state = self.lock();
        if let Some(rare) = &mut state.rare {
            rare.headers = Headers::default();
        }
        state.rare = state.rare.take().filter(|rare| !rare.waiting.is_empty() || rare.posting.is_some());
    }

    /// Sends what is queued, as far as the socket takes it without waiting; the driver sends the rest. On polling it
    /// answers the poll that waits, if one does.
    pub fn flush(&self) {
        let mut state = self.lock();
        match &mut state.link {
            Link::WebSocket(writer) if writer.is_blocked() || writer.queued() == 0 => {}
            Link::WebSocket(_) => self.flush_websocket(&mut state),
            Link::Polling(polling) => {
                polling.flush();
                self.drained_some(&mut state);
            }
            Link::Gone => {}
        }
    }

    /// [`queue`](Self::queue) and [`flush`](Self::flush).
    pub fn send(&self, frames: &[Frame]) -> bool {
        let queued = self.queue(frames);
        if queued {
            self.flush();
        }
        queued
    }

    /// Closes the session after what is queued. Of several reasons the first counts.
    pub fn close(&self, reason: CloseReason) {
        self.close_locked(&mut self.lock(), reason, None);
    }

    /// Gives the client [`Config::connect_timeout`] anew, from now: what it opened the session for is over, and
    /// [`Handler::is_established`](super::Handler::is_established) is asked again then.
    pub fn restart_connect_timeout(&self) {
        self.restart.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Whether the session is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    fn flush_websocket(&self, state: &mut State) {
        let Link::WebSocket(writer) = &mut state.link else {
            return;
        };
        let flush = writer.try_flush();
        self.flushed(state, flush);
    }

    /// What follows from an attempt to send.
    fn flushed(&self, state: &mut State, flush: Flush) {
        self.drained_some(state);
        match flush {
            Flush::Flushed => {}
            Flush::Blocked => self.wake.notify_one(),
            Flush::Failed => self.close_locked(state, CloseReason::TransportError, None),
        }
    }

    /// `echo` is the code of a close frame to be answered.
    fn close_locked(&self, state: &mut State, reason: CloseReason, echo: Option<u16>) {
        if state.closed.is_some() {
            return;
        }
        state.closed = Some(reason);
        self.closed.store(true, Ordering::Release);
        self.drained_some(state);
        tracing::trace!(session = self.number, %reason, "session closed");
        match &mut state.link {
            Link::WebSocket(_) if reason.is_transport_gone() => {}
            Link::WebSocket(writer) => {
                if reason == CloseReason::SlowReader {
                    writer.drop_queued();
                }
                writer.push(encode_close(echo.unwrap_or(reason.code()), reason.as_str()));
                if !writer.is_blocked() {
                    // The driver finishes what this leaves.
                    let _ = writer.try_flush();
                }
            }
            Link::Polling(polling) => polling.close(reason),
            Link::Gone => {}
        }
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For the driver.
impl Session {
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(super) fn is_busy(&self) -> bool {
        self.busy.load(Ordering::Relaxed)
    }

    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::Relaxed);
        if !busy && self.is_closed() {
            self.wake.notify_one();
        }
    }

    pub(super) fn take_restart(&self) -> bool {
        self.restart.swap(false, Ordering::AcqRel)
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        self.lock().closed
    }

    /// When the heartbeat is due, and the socket if its becoming writable is to be awaited.
    pub(super) fn awaits(&self) -> (Instant, Option<Arc<OwnedWriteHalf>>) {
        let state = self.lock();
        let socket = match &state.link {
            Link::WebSocket(writer) if writer.is_blocked() => Some(writer.socket()),
            _ => None,
        };
        (state.heartbeat.due, socket)
    }

    /// The socket became writable.
    pub(super) fn writable(&self) {
        self.flush_websocket(&mut self.lock());
    }

    /// Sends a ping, or closes the session, if it is time.
    pub(super) fn tick(&self, now: Instant) {
        let mut state = self.lock();
        if state.closed.is_some() || now < state.heartbeat.due {
            return;
        }
        if !state.heartbeat.awaiting {
            // From the deadline, not from now: a late timer must not stretch the client's time.
            let due = state.heartbeat.due + self.config.ping_timeout;
            state.heartbeat = Heartbeat { due, awaiting: true };
            match (&mut state.link, self.dialect) {
                (Link::WebSocket(writer), Dialect::EngineIo) => writer.push(Frame::PING.wire().clone()),
                (Link::WebSocket(writer), Dialect::Plain) => writer.push(encode_frame(Opcode::Ping, b"").0),
                (Link::Polling(polling), _) => polling.push(Frame::PING),
                (Link::Gone, _) => {}
            }
            drop(state);
            self.flush();
        } else if self.is_busy() {
            // Its pong may be waiting behind the message in hand; that is not the client's fault.
            state.heartbeat.due = now + self.config.ping_timeout;
        } else {
            // Its ping may be behind what it does not take.
            let reason = if self.is_behind() { CloseReason::SlowReader } else { CloseReason::PingTimeout };
            self.close_locked(&mut state, reason, None);
        }
    }

    pub(super) fn pong(&self) {
        self.lock().heartbeat = Heartbeat { due: Instant::now() + self.config.ping_interval, awaiting: false };
        self.wake.notify_one();
    }

    /// Answers a ping of WebSocket's own.
    pub(super) fn pong_frame(&self, payload: &[u8]) {
        let (frame, _) = encode_frame(Opcode::Pong, payload);
        let mut state = self.lock();
        let Link::WebSocket(writer) = &mut state.link else {
            return;
        };
        writer.push_pong(frame);
        if !writer.is_blocked() {
            self.flush_websocket(&mut state);
        }
    }

    /// The client sent a close frame; it gets its own code back.
    pub(super) fn close_frame(&self, code: Option<u16>) {
        self.close_locked(&mut self.lock(), CloseReason::ClientClose, code);
    }

    /// Takes the WebSocket out, to end it. Nothing is sent by the session any more.
    pub(super) fn take_writer(&self) -> Option<WsWriter> {
        match std::mem::replace(&mut self.lock().link, Link::Gone) {
            Link::WebSocket(writer) => Some(writer),
            _ => None,
        }
    }

    /// Whether a closed polling session still has an answer for one more poll.
    pub(super) fn has_farewell(&self) -> bool {
        matches!(&self.lock().link, Link::Polling(polling) if polling.has_farewell())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("number", &self.number).field("peer", &self.peer).finish_non_exhaustive()
    }
}
