//! Socket.IO clients: the namespace `/gossip`, its handshake, and its events in both directions.

use std::sync::Arc;

use gossip_hub::{Close, Connection, Event as HubEvent, Gateway, Outbox, ReplyTo, Wire};
use gossip_proto::refusal::Refusal;
use gossip_proto::reply::Reply;
use gossip_proto::request::{Handshake, refuse_binary};
use gossip_proto::socketio::{encode_ack, encode_event};
use hyper::Response;
use hyper::header::HeaderMap;
use serde::Serialize;

use super::{frame, json, too_large};
use crate::engine::{CloseReason, Frame};
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
        let handshake = Handshake::parse(request.auth.as_deref()).and_then(|handshake| {
            let verify = |token| self.gateway.verify(&token, handshake.user_id);
            Ok((handshake.token.map(verify).transpose()?, handshake.resume))
        });
        let (identity, resume) = match handshake {
            Ok(handshake) => handshake,
            Err(refusal) => {
                tracing::info!(peer = %request.session.peer(), code = ?refusal.code, "handshake refused");
                request.refuse(&json(&ConnectError { message: &refusal.message, data: &refusal }));
                return None;
            }
        };
        request.session.forget_headers();
        // The answer is queued before the gateway knows the socket, so that no event can come before it.
        let socket = request.accept_queued(None);
        let connection = self.gateway.connect(Box::new(SocketOutbox(socket.clone())));
        if let Some(identity) = identity {
            connection.authenticate(identity);
        }
        socket.flush();
        connection.resume(resume).await;
        Some(GossipSocket { connection, max_payload: self.max_payload })
    }

    fn refuse(&self, _: &HeaderMap, _: std::net::SocketAddr) -> Option<Response<Body>> {
        super::service::refuse_while_draining(&self.gateway)
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

    fn disconnected(&self, reason: DisconnectReason) {
        tracing::debug!(?reason, "socket disconnected");
    }
}

struct SocketOutbox(Socket);

impl Outbox for SocketOutbox {
    fn event(&self, event: &Arc<HubEvent>) {
        let text = |event: &HubEvent| encode_event(NAMESPACE, event.name(), &[event.data()], 0);
        self.0.queue(&[frame(event, Wire::SocketIo, text)]);
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
        self.0.queue(&[Frame::text(&text)]);
    }

    fn flush(&self) {
        self.0.flush();
    }

    fn close(&self, close: Close) {
        if close.stay_away() {
            self.0.disconnect();
        } else {
            self.0.close(CloseReason::Shutdown);
        }
    }

    fn is_closed(&self) -> bool {
        !self.0.is_connected()
    }
}
