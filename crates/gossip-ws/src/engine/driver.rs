//! The task of a session: reads, hands messages to the handler one at a time, keeps the heartbeat, waits for a blocked
//! socket, and brings every session to exactly one end. It decides nothing about HTTP.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gossip_proto::engineio::{Message, Packet};
use governor::clock::MonotonicClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::registry::{Registry, Running};
use super::session::Dialect;
use super::{CloseReason, Config, Handler, PacketRate, Session};
use crate::transport::{Incoming, OVERSIZE_FACTOR, WsReader};

/// How long a closed WebSocket may take to end.
pub(super) const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// How much is read of what follows a message that was too large.
const OVERSIZED_REST: usize = 8 * 1024 * 1024;

/// How long a closed polling session waits for the poll that fetches its last packets.
const FAREWELL_WAIT: Duration = Duration::from_secs(5);

/// Where a session's messages come from at first.
pub(super) enum Source {
    WebSocket(Box<WsReader>),
    Polling(mpsc::Receiver<Inbound>),
}

/// What a polling session's requests hand to its driver.
pub(super) enum Inbound {
    /// What one POST brought. `done` is answered when all is handled, and dropped where the session closes first.
    Post { posted: Vec<Posted>, done: oneshot::Sender<()> },
    /// The session goes on here.
    Upgraded(Box<WsReader>),
}

/// A part of a POST.
pub(super) enum Posted {
    Packet(Packet),
    /// A message of this length was over the limit.
    Oversized(usize),
    /// The body, of this length at least, was not read, and the POST is answered so.
    Refused(usize),
}

/// Runs a session to its end.
pub(super) async fn drive<H: Handler>(session: Arc<Session>, running: Running, handler: H, source: Source) {
    let registry = running.registry();
    let open = Open { session: &session, registry, handler: &handler, ended: AtomicBool::new(false) };
    run(&session, &handler, source).await;
    open.end();
    let Some(reason) = session.close_reason() else {
        return;
    };
    if session.has_farewell() {
        let fetched = async {
            while session.has_farewell() {
                session.woken().await;
            }
        };
        // Fetched or not, the session is forgotten.
        let _ = timeout(FAREWELL_WAIT, fetched).await;
    } else if let Some(writer) = session.take_writer()
        && !reason.is_transport_gone()
    {
        // Boxed, so that it costs an open session nothing.
        Box::pin(writer.finish(Instant::now() + CLOSE_WAIT, under_way(session.config(), reason))).await;
    }
    registry.forget(session.id());
}

/// How many bytes a client that takes notice of the end may have under way.
pub(super) fn under_way(config: &Config, reason: CloseReason) -> usize {
    match reason {
        // The rest of what is too large, without which it would not learn that it was.
        CloseReason::TooLarge => OVERSIZED_REST,
        _ => config.max_payload.saturating_mul(OVERSIZE_FACTOR),
    }
}

/// Ends the session when dropped, however that comes about: a panic of the handler must not leave it in the registry.
struct Open<'a, H: Handler> {
    session: &'a Session,
    registry: &'a Registry,
    handler: &'a H,
    ended: AtomicBool,
}

impl<H: Handler> Open<'_, H> {
    fn end(&self) {
        if self.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        self.session.close(CloseReason::Internal);
        if !self.session.has_farewell() {
            self.registry.forget(self.session.id());
        }
        self.registry.left();
        self.handler.closed(self.session.close_reason().unwrap_or(CloseReason::Internal));
    }
}

impl<H: Handler> Drop for Open<'_, H> {
    fn drop(&mut self) {
        self.registry.ended();
        if !self.ended.load(Ordering::Relaxed) {
            self.end();
            self.registry.forget(self.session.id());
            // Others may hold the session for long; nobody would finish its socket.
            drop(self.session.take_writer());
        }
    }
}

/// Returns when the session is closed and the handler has nothing in hand.
async fn run<H: Handler>(session: &Session, handler: &H, source: Source) {
    // The one future that reads, for the whole life of the connection: a read must not be dropped half-way.
    let mut reading = pin!(read(session, handler, source));
    let mut done_reading = false;
    let mut connect_by = Some(Instant::now() + session.config().connect_timeout);
    let mut timer = pin!(sleep_until(Instant::now()));
    loop {
        let closed = session.is_closed();
        if closed && !session.is_busy() {
            return;
        }
        if session.take_restart() {
            connect_by = Some(Instant::now() + session.config().connect_timeout);
        }
        let (heartbeat, blocked) = session.awaits();
        let next = connect_by.map_or(heartbeat, |connect_by| connect_by.min(heartbeat));
        if timer.deadline() != next {
            timer.as_mut().reset(next);
        }
        tokio::select! {
            biased;
            reason = &mut reading, if !done_reading => {
                done_reading = true;
                session.close(reason);
            }
            () = session.woken() => {}
            () = writable(blocked.as_deref()) => session.writable(),
            () = &mut timer, if !closed => {
                let now = Instant::now();
                if connect_by.is_some_and(|connect_by| connect_by <= now) {
                    // Not while the handler has a message in hand, which may be the one that establishes it.
                    connect_by = session.is_busy().then(|| now + session.config().connect_timeout);
                    if connect_by.is_none() && !handler.is_established() {
                        session.close(CloseReason::ConnectTimeout);
                    }
                }
                session.tick(now);
            }
        }
    }
}

async fn writable(socket: Option<&OwnedWriteHalf>) {
    match socket {
        // An error shows at the write that follows.
        Some(socket) => drop(socket.writable().await),
        None => std::future::pending().await,
    }
}

/// Reads until there is a reason to close.
async fn read<H: Handler>(session: &Session, handler: &H, source: Source) -> CloseReason {
    let pace = Pace::new(session.config().packet_rate);
    let mut reader = match source {
        Source::WebSocket(reader) => reader,
        Source::Polling(inbox) => match read_posts(session, handler, &pace, inbox).await {
            Ok(reader) => reader,
            Err(reason) => return reason,
        },
    };
    loop {
        let incoming = match reader.next().await {
            Ok(incoming) => incoming,
            Err(error) => {
                tracing::trace!(session = session.number(), %error, "WebSocket ended");
                let reason = CloseReason::from(&error);
                if reason == CloseReason::TooLarge {
                    // The handler may say so; it cannot keep a connection whose rest cannot be read.
                    let limit = session.config().max_payload.saturating_mul(OVERSIZE_FACTOR);
                    let _ = oversized(session, handler, limit.saturating_add(1));
                }
                return reason;
            }
        };
        let allowed = pace.step(session, handler);
        if let Err(reason) = allowed {
            return reason;
        }
        if let Err(reason) = frame(session, handler, incoming).await {
            return reason;
        }
        // Whoever floods may have sent on and on: what follows the reason to close is not read.
        if let Some(reason) = session.close_reason() {
            return reason;
        }
    }
}

/// Reads POSTs until the session closes or moves to a WebSocket.
async fn read_posts<H: Handler>(
    session: &Session,
    handler: &H,
    pace: &Pace,
    mut inbox: mpsc::Receiver<Inbound>,
) -> Result<Box<WsReader>, CloseReason> {
    loop {
        match inbox.recv().await {
            Some(Inbound::Post { posted, done }) => {
                for each in posted {
                    let outcome = match pace.step(session, handler) {
                        Ok(()) => part(session, handler, each).await,
                        flooding => flooding,
                    };
                    if let Err(reason) = outcome {
                        // Before the POST is answered: whatever the client does next must find the session closed.
                        session.close(reason);
                        if reason == CloseReason::ClientPacket {
                            let _ = done.send(());
                        }
                        return Err(reason);
                    }
                }
                // The client may have given up on its POST; what it sent is handled all the same.
                let _ = done.send(());
            }
            Some(Inbound::Upgraded(reader)) => return Ok(reader),
            // Not reached: the session holds a sender until it moves.
            None => return Err(CloseReason::Internal),
        }
    }
}

/// How fast a client may send.
pub(super) struct Pace(Option<RateLimiter<NotKeyed, InMemoryState, MonotonicClock>>);

impl Pace {
    pub(super) fn new(rate: Option<PacketRate>) -> Pace {
        let quota = |rate: PacketRate| Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Pace(rate.map(|rate| RateLimiter::direct_with_clock(quota(rate), MonotonicClock)))
    }

    /// A packet came. Says whether it is one too many.
    pub(super) fn is_exceeded(&self) -> bool {
        self.0.as_ref().is_some_and(|limiter| limiter.check().is_err())
    }

    fn step<H: Handler>(&self, session: &Session, handler: &H) -> Result<(), CloseReason> {
        if self.is_exceeded() && !session.is_closed() { handler.flooding() } else { Ok(()) }
    }
}

async fn frame<H: Handler>(session: &Session, handler: &H, incoming: Incoming) -> Result<(), CloseReason> {
    match (incoming, session.dialect()) {
        (Incoming::Text(text), Dialect::EngineIo) => match Packet::decode_text(text) {
            Ok(decoded) => packet(session, handler, decoded).await,
            Err(_) => Err(CloseReason::Protocol),
        },
        (Incoming::Text(text), Dialect::Plain) => message(session, handler, Message::Text(text)).await,
        (Incoming::Binary(data), _) => message(session, handler, Message::Binary(data)).await,
        (Incoming::Oversized(len), _) => oversized(session, handler, len),
        (Incoming::Ping(payload), _) => {
            session.pong_frame(&payload);
            Ok(())
        }
        (Incoming::Pong, Dialect::Plain) => {
            session.pong();
            Ok(())
        }
        (Incoming::Pong, Dialect::EngineIo) => Ok(()),
        (Incoming::Close(code), _) => {
            session.close_frame(code);
            Err(CloseReason::ClientClose)
        }
    }
}

async fn part<H: Handler>(session: &Session, handler: &H, part: Posted) -> Result<(), CloseReason> {
    match part {
        Posted::Packet(decoded) => packet(session, handler, decoded).await,
        Posted::Oversized(len) => oversized(session, handler, len),
        Posted::Refused(len) => {
            // The answer tells the client; there is nothing to decide.
            let _ = oversized(session, handler, len);
            Ok(())
        }
    }
}

fn oversized<H: Handler>(session: &Session, handler: &H, len: usize) -> Result<(), CloseReason> {
    if session.is_closed() { Ok(()) } else { handler.oversized(len) }
}

async fn packet<H: Handler>(session: &Session, handler: &H, packet: Packet) -> Result<(), CloseReason> {
    match packet {
        Packet::Message(data) => message(session, handler, data).await,
        Packet::Pong(_) => {
            session.pong();
            Ok(())
        }
        Packet::Close => Err(CloseReason::ClientPacket),
        // In v4 the server pings.
        Packet::Ping(_) => Err(CloseReason::Protocol),
        // Of no meaning from a client here; the reference server passes over them too.
        Packet::Open(_) | Packet::Upgrade | Packet::Noop => Ok(()),
    }
}

async fn message<H: Handler>(session: &Session, handler: &H, message: Message) -> Result<(), CloseReason> {
    // What a closed session still receives is of no interest.
    if session.is_closed() {
        return Ok(());
    }
    session.set_busy(true);
    // Boxed: what a handler needs for a message is many times what a connection needs that waits for one.
    let outcome = Box::pin(handler.message(message)).await;
    session.set_busy(false);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Handler for Nothing {
        async fn message(&self, _: Message) -> Result<(), CloseReason> {
            Ok(())
        }

        fn closed(&self, _: CloseReason) {}
    }

    #[test]
    fn an_idle_session_is_a_small_task() {
        fn size<A, B, C, D, F>(_: fn(A, B, C, D) -> F) -> usize {
            size_of::<F>()
        }
        // What a handler's future needs comes on top.
        let size = size(drive::<Nothing>);
        assert!(size <= 1280, "{size}");
        assert!(size_of::<Session>() <= 256, "{}", size_of::<Session>());
    }
}
