//! Socket.IO clients: the namespace `/gossip`, its handshake, and its events in both directions.

use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use gossip_core::access::Identity;
use gossip_hub::{
    Close, Connection, Event as HubEvent, Gateway, Offset, Outbox, Protocol, RECOVERY, ReplyTo, Run, Wire,
};
use gossip_proto::id::{RoomId, Seq};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_proto::request::{Handshake, Recover, refuse_binary};
use gossip_proto::socketio::{encode_ack, encode_event};
use hyper::Response;
use hyper::header::HeaderMap;
use serde::Serialize;

use super::{frame, frames, joined, json, too_large};
use crate::engine::{CloseReason, Frame, Pass};
use crate::http::Body;
use crate::socket::{App, ConnectRequest, DisconnectReason, Event, Handler, Socket};

/// The only namespace (contract §1).
pub const NAMESPACE: &str = "/gossip";

/// Lets Socket.IO clients into a gateway.
pub struct GossipSockets {
    gateway: Gateway,
    max_payload: usize,
}

impl GossipSockets {
    /// For `gateway`; `max_payload` is told to clients that send more.
    #[must_use]
    pub fn new(gateway: Gateway, max_payload: usize) -> Self {
        GossipSockets { gateway, max_payload }
    }
}

/// What a refused handshake is told: the stock client makes an `Error` of it, with `data`.
#[derive(Serialize)]
struct ConnectError<'a> {
    message: &'a str,
    data: &'a Refusal,
}

impl App for GossipSockets {
    type Handler = GossipSocket;

    async fn connect(&self, request: ConnectRequest) -> Option<GossipSocket> {
        if &*request.nsp != NAMESPACE {
            request.refuse(r#"{"message":"Invalid namespace"}"#);
            return None;
        }
        if self.gateway.is_draining() {
            request.session.close(CloseReason::Shutdown);
            return None;
        }
        let address = request.session.peer().ip();
        let Handshake { token, user_id, resume, recover } = match Handshake::parse(request.auth.as_deref()) {
            Ok(handshake) => handshake,
            Err(refusal) => return turn_away(request, &refusal),
        };
        let identity = match token.map(|token| self.gateway.verify(&token, user_id, Some(address))).transpose() {
            Ok(identity) => identity,
            Err(refusal) => {
                // Bad tokens are few, or the address has too many and is told so: that is not to fill the log.
                if refusal.code != Code::RateLimited {
                    tracing::info!(peer = %request.session.peer(), code = ?refusal.code, "handshake refused");
                }
                return turn_away(request, &refusal);
            }
        };
        request.session.forget_headers();
        let connection = match (identity, recover) {
            (Some(identity), Some(recover)) => self.tracked(request, identity, recover, resume).await?,
            (identity, _) => self.untracked(request, identity, resume).await?,
        };
        Some(GossipSocket { connection, max_payload: self.max_payload })
    }

    fn admit(&self, _: &HeaderMap, peer: SocketAddr) -> Result<Pass, Box<Response<Body>>> {
        super::service::admit(&self.gateway, peer)
    }
}

fn turn_away<T>(request: ConnectRequest, refusal: &Refusal) -> Option<T> {
    tracing::debug!(peer = %request.session.peer(), code = ?refusal.code, "turned away");
    request.refuse(&json(&ConnectError { message: &refusal.message, data: refusal }));
    None
}

impl GossipSockets {
    async fn untracked(
        &self,
        request: ConnectRequest,
        identity: Option<Identity>,
        resume: Vec<(RoomId, Seq)>,
    ) -> Option<Connection> {
        let address = Some(request.session.peer().ip());
        let seated = match identity.map(|identity| self.gateway.seat(identity, None, address)).transpose() {
            Ok(seated) => seated,
            Err(refusal) => return turn_away(request, &refusal),
        };
        // The answer is queued before the gateway knows the socket, so that no event can come before it.
        let socket = request.accept_queued(None);
        let outbox = SocketOutbox { socket: socket.clone() };
        let connection = self.gateway.connect(Box::new(outbox), address);
        if let Some(seated) = seated {
            connection.authenticate(seated);
        }
        socket.flush();
        connection.resume(resume).await;
        Some(connection)
    }

    /// For a client that asked to be recovered. The same `pid` as before tells it that it is.
    async fn tracked(
        &self,
        request: ConnectRequest,
        identity: Identity,
        recover: Recover,
        resume: Vec<(RoomId, Seq)>,
    ) -> Option<Connection> {
        let again = match recover.pid {
            None => None,
            Some(pid) => match self.gateway.recoverable(&identity, pid, recover.offset.as_deref()).await {
                Ok(again) => again,
                Err(_) => {
                    // A refusal would keep the stock client away, a close has it try again.
                    request.session.close(CloseReason::Shutdown);
                    return None;
                }
            },
        };
        let pid = again.as_ref().map_or_else(|| self.gateway.new_pid(), |again| again.pid);
        let address = Some(request.session.peer().ip());
        let seated = match self.gateway.seat(identity, Some(pid), address) {
            Ok(seated) => seated,
            Err(refusal) => return turn_away(request, &refusal),
        };
        let socket = request.accept_queued(Some(&format!(r#""pid":"{pid}""#)));
        if again.is_none() {
            // The client must have an offset before anything happens, or it could not come back.
            let offset = format!(r#""{}""#, Offset::default());
            socket.queue(&[Frame::text(&encode_event(NAMESPACE, RECOVERY, &["{}", &offset], 0))]);
        }
        let outbox = Box::new(SocketOutbox { socket: socket.clone() });
        let connection = self.gateway.connect_tracked(outbox, address, seated, pid, again.as_ref());
        socket.flush();
        match again {
            Some(again) => connection.recover(again).await,
            None => connection.resume(resume).await,
        }
        Some(connection)
    }
}

/// One client in the namespace.
pub struct GossipSocket {
    connection: Connection,
    max_payload: usize,
}

impl Handler for GossipSocket {
    async fn event(&self, event: Event, ack: Option<u64>) {
        let data = event.args.raw().first().map(|raw| &**raw);
        if event.args.is_binary() {
            let refusal = refuse_binary(&event.name, data);
            return self.connection.refuse(ReplyTo { event: Some(event.name), ack }, refusal);
        }
        self.connection.receive(&event.name, data, ack).await;
    }

    fn oversized(&self, _len: usize) {
        self.connection.refuse(ReplyTo::NOBODY, too_large(self.max_payload));
    }

    fn flooding(&self) -> bool {
        self.connection.too_many_packets()
    }

    fn disconnected(&self, reason: DisconnectReason) {
        self.connection.log_end("socket.io", reason);
        if reason == DisconnectReason::Closed(CloseReason::SlowReader) {
            self.connection.was_slow();
        }
        if reason == DisconnectReason::Left {
            self.connection.forget();
        }
    }
}

struct SocketOutbox {
    socket: Socket,
}

fn text(event: &HubEvent) -> String {
    encode_event(NAMESPACE, event.name(), &[event.data()], 0)
}

fn text_at(event: &HubEvent, offset: &impl Display) -> String {
    encode_event(NAMESPACE, event.name(), &[event.data(), &format!(r#""{offset}""#)], 0)
}

/// With an offset that is just the event's position: the same for everybody.
fn text_at_position(event: &HubEvent) -> String {
    text_at(event, &event.position().unwrap_or_default().0)
}

impl SocketOutbox {
    fn queue(&self, run: &Run, tracked: bool, flush: bool) {
        if tracked {
            let wire = Wire::SocketIoOffset;
            self.socket.queue_joined(
                || joined(run, wire, text_at_position),
                || frames(run, wire, text_at_position),
                flush,
            );
        } else {
            self.socket.queue_joined(|| joined(run, Wire::SocketIo, text), || frames(run, Wire::SocketIo, text), flush);
        }
    }
}

impl Outbox for SocketOutbox {
    fn protocol(&self) -> Protocol {
        Protocol::SocketIo
    }

    fn sid(&self) -> Option<String> {
        Some(self.socket.id().to_string())
    }

    fn event(&self, event: &Arc<HubEvent>) {
        self.socket.queue(&[frame(event, Wire::SocketIo, text)]);
    }

    fn tracked(&self, event: &Arc<HubEvent>, offset: &Offset) {
        let frame = if offset.is_just(event.position()) {
            frame(event, Wire::SocketIoOffset, text_at_position)
        } else {
            Frame::text(&text_at(event, offset))
        };
        self.socket.queue(&[frame]);
    }

    fn run(&self, run: &Run) {
        self.queue(run, false, false);
    }

    fn tracked_run(&self, run: &Run) {
        self.queue(run, true, false);
    }

    fn send_run(&self, run: &Run, tracked: bool) {
        self.queue(run, tracked, true);
    }

    fn reply(&self, to: &ReplyTo, reply: &Result<Reply, Refusal>) {
        let text = match (to.ack, reply) {
            (Some(id), Ok(reply)) => encode_ack(NAMESPACE, id, &[&json(reply)], 0),
            (Some(id), Err(refusal)) => encode_ack(NAMESPACE, id, &[&json(refusal)], 0),
            (None, Ok(_)) => return,
            (None, Err(refusal)) => {
                let body = json(&refusal.exception(to.event.as_deref()));
                encode_event(NAMESPACE, "exception", &[&body], 0)
            }
        };
        self.socket.queue(&[Frame::text(&text)]);
    }

    fn flush(&self) {
        self.socket.flush();
    }

    fn is_behind(&self) -> bool {
        self.socket.session().is_behind()
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.socket.session().drained())
    }

    fn close(&self, close: Close) {
        if close.stay_away() {
            self.socket.disconnect();
        } else if close == Close::SlowReader {
            self.socket.close(CloseReason::SlowReader);
        } else {
            self.socket.close(CloseReason::Shutdown);
        }
    }

    fn is_closed(&self) -> bool {
        !self.socket.is_connected()
    }
}
