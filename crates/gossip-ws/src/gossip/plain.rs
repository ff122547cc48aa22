//! The plain WebSocket at `/gossip/ws`, for clients without a Socket.IO library: the same events, `{"event","data","id"}`
//! in and `{"id","data"}` or `{"event","data"}` out (contract §1).

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use gossip_core::access::Identity;
use gossip_hub::{Close, Connection, Event, Gateway, Outbox, Protocol, ReplyTo, Run, Wire};
use gossip_proto::engineio::Message;
use gossip_proto::plain::{decode, encode_event, encode_reply};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_proto::request::Token;
use hyper::Response;
use hyper::header::{AUTHORIZATION, HeaderMap};

use super::service::refusal;
use super::{frame, frames, joined, json, too_large};
use crate::engine::{App, CloseReason, Frame, Handler, Pass, Session};
use crate::http::Body;

/// Lets plain WebSocket clients into a gateway.
pub struct GossipPlain {
    gateway: Gateway,
    max_payload: usize,
}

impl GossipPlain {
    /// For `gateway`; `max_payload` is told to clients that send more.
    #[must_use]
    pub fn new(gateway: Gateway, max_payload: usize) -> Self {
        GossipPlain { gateway, max_payload }
    }
}

/// Who an `Authorization: Bearer` header speaks for; none without one.
///
/// # Errors
/// As [`Gateway::verify`].
pub(super) fn bearer(gateway: &Gateway, header: Option<&str>, address: IpAddr) -> Result<Option<Identity>, Refusal> {
    let Some(header) = header else { return Ok(None) };
    let token = header.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    // Another scheme is as bad as a bad token: the client means to authenticate and does not.
    let token = token.map_or("", |(_, token)| token.trim());
    gateway.verify(&Token(token.to_owned()), None, Some(address)).map(Some)
}

impl App for GossipPlain {
    type Handler = PlainSocket;

    fn open(&self, session: Arc<Session>) -> PlainSocket {
        let address = session.peer().ip();
        let seated = bearer(&self.gateway, session.headers().authorization.as_deref(), address)
            .and_then(|identity| identity.map(|identity| self.gateway.seat(identity, None, Some(address))).transpose());
        session.forget_headers();
        let connection = self.gateway.connect(Box::new(PlainOutbox(Arc::clone(&session))), Some(address));
        match seated {
            Ok(Some(seated)) => connection.authenticate(seated),
            Ok(None) => {}
            // Good a moment ago, in `admit`: it has expired since, or another socket was faster.
            Err(refusal) => connection.refuse(ReplyTo::NOBODY, refusal),
        }
        PlainSocket { connection, max_payload: self.max_payload }
    }

    fn admit(&self, headers: &HeaderMap, peer: SocketAddr) -> Result<Pass, Box<Response<Body>>> {
        let (place, address) = (super::service::admit(&self.gateway, peer)?, peer.ip());
        let header = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or(""));
        let identity = bearer(&self.gateway, header, address).inspect_err(|refusal| {
            if refusal.code != Code::RateLimited {
                tracing::info!(%peer, code = ?refusal.code, "bearer token refused");
            }
        });
        let may_seat = |identity: Option<Identity>| {
            identity.map_or(Ok(()), |identity| self.gateway.may_seat(&identity, Some(address)))
        };
        identity.and_then(may_seat).map_err(|refused| Box::new(refusal(&refused)))?;
        Ok(place)
    }
}

/// One client on a plain WebSocket.
pub struct PlainSocket {
    connection: Connection,
    max_payload: usize,
}

impl Handler for PlainSocket {
    async fn message(&self, message: Message) -> Result<(), CloseReason> {
        match message {
            Message::Text(text) => match decode(&text) {
                Ok(request) => self.connection.receive(&request.event, request.data.as_deref(), request.id).await,
                Err(error) => {
                    let refusal = Refusal::invalid(error.field, error.to_string());
                    self.connection.refuse(ReplyTo { event: None, ack: error.id }, refusal);
                }
            },
            Message::Binary(_) => {
                self.connection.refuse(ReplyTo::NOBODY, Refusal::invalid("data", "must be text, not binary"));
            }
        }
        Ok(())
    }

    fn oversized(&self, _len: usize) -> Result<(), CloseReason> {
        self.connection.refuse(ReplyTo::NOBODY, too_large(self.max_payload));
        Ok(())
    }

    fn flooding(&self) -> Result<(), CloseReason> {
        if self.connection.too_many_packets() { Err(CloseReason::Flooding) } else { Ok(()) }
    }

    fn closed(&self, reason: CloseReason) {
        self.connection.log_end("plain", reason);
        if reason == CloseReason::SlowReader {
            self.connection.was_slow();
        }
    }
}

struct PlainOutbox(Arc<Session>);

fn text(event: &Event) -> String {
    encode_event(event.name(), event.data())
}

impl PlainOutbox {
    fn queue(&self, run: &Run, flush: bool) {
        self.0.queue_joined(|| joined(run, Wire::Plain, text), || frames(run, Wire::Plain, text), flush);
    }
}

impl Outbox for PlainOutbox {
    fn protocol(&self) -> Protocol {
        Protocol::Plain
    }

    fn event(&self, event: &Arc<Event>) {
        self.0.queue(&[frame(event, Wire::Plain, text)]);
    }

    fn run(&self, run: &Run) {
        self.queue(run, false);
    }

    fn send_run(&self, run: &Run, _: bool) {
        self.queue(run, true);
    }

    fn reply(&self, to: &ReplyTo, reply: &Result<Reply, Refusal>) {
        let text = match (to.ack, reply) {
            (Some(id), Ok(reply)) => encode_reply(id, &json(reply)),
            (Some(id), Err(refusal)) => encode_reply(id, &json(refusal)),
            (None, Ok(_)) => return,
            (None, Err(refusal)) => encode_event("exception", &json(&refusal.exception(to.event.as_deref()))),
        };
        self.0.queue(&[Frame::text(&text)]);
    }

    fn flush(&self) {
        self.0.flush();
    }

    fn is_behind(&self) -> bool {
        self.0.is_behind()
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.drained())
    }

    /// A client that should stay away sees a code of 4000 and up, with the contract's word as the reason; one that
    /// should come back sees 1012, service restart.
    fn close(&self, close: Close) {
        self.0.close(match close {
            Close::TokenExpired => CloseReason::App { code: 4001, reason: close.as_str() },
            Close::AuthTimeout => CloseReason::App { code: 4002, reason: close.as_str() },
            Close::Flooding => CloseReason::App { code: 4003, reason: close.as_str() },
            Close::Revoked => CloseReason::App { code: 4004, reason: close.as_str() },
            Close::Draining | Close::Replaced | Close::NotRecovered => CloseReason::Shutdown,
            Close::SlowReader => CloseReason::SlowReader,
        });
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}
