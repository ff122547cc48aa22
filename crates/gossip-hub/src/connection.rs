//! One socket on a gateway: it receives the client's events and is cleaned up when dropped. Before it is authenticated
//! there is no [`Session`], and only a session can act.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use gossip_core::access::Identity;
use gossip_proto::id::{RoomId, Seq};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_proto::request::Request;
use serde_json::value::RawValue;
use tracing::Instrument;

use crate::gateway::Inner;
use crate::limits::{Kind, Limited, Seated};
use crate::metrics::counts::event_label;
use crate::outbox::{Asked, Close, ReplyTo};
use crate::session::Session;
use crate::shard::{ConnectionId, Item, Peer};
use crate::stats::Stats;
use crate::story;

/// What a connection holds of the gateway. When the last holder is gone, so is all that the gateway held of it.
pub(crate) struct Link {
    pub(crate) gateway: Arc<Inner>,
    pub(crate) peer: Arc<Peer>,
    /// Where the client is, if that is known.
    pub(crate) address: Option<IpAddr>,
}

impl Link {
    pub(crate) async fn send(&self, item: Item) {
        self.gateway.inbox(self.peer.id).send(item).await;
    }

    pub(crate) fn id(&self) -> ConnectionId {
        self.peer.id
    }

    /// Answers at once, past the shard: for what has no order with the room's events.
    pub(crate) fn reply(&self, asked: &Asked, reply: &Result<Reply, Refusal>) {
        self.gateway.stats.tell_answered(self.id(), asked, reply, None);
        self.peer.outbox.reply(&asked.to, reply);
        self.peer.outbox.flush();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(tracked) = &self.peer.tracked {
            self.gateway.recoveries.closed(tracked.pid, self.peer.id);
        }
        self.gateway.inbox(self.peer.id).push(Item::Closed(self.peer.id));
    }
}

/// A client's connection. Dropping it leaves its rooms and forgets it.
pub struct Connection {
    link: Arc<Link>,
    session: OnceLock<Session>,
    opened: Instant,
    /// Requests so far.
    requests: AtomicU64,
}

impl Connection {
    pub(crate) fn new(link: Link) -> Self {
        Connection {
            link: Arc::new(link),
            session: OnceLock::new(),
            opened: Instant::now(),
            requests: AtomicU64::new(0),
        }
    }

    /// Tells the log of the connection's life, in one line; to be called once, at its end.
    pub fn log_end(&self, protocol: &'static str, reason: impl std::fmt::Debug) {
        let me = self.session.get().map(Session::credentials);
        let identity = me.as_ref().map(|me| &me.identity);
        story::ended(self.link.id(), protocol, self.link.address, identity, self.opened, reason);
    }

    pub(crate) fn peer(&self) -> &Arc<Peer> {
        &self.link.peer
    }

    pub(crate) fn stats(&self) -> &Stats {
        &self.link.gateway.stats
    }

    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.get()
    }

    /// Whether somebody has authenticated on it.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.session.get().is_some()
    }

    /// Makes it the connection of who was verified by [`Gateway::verify`](crate::Gateway::verify) and has a place by
    /// [`Gateway::seat`](crate::Gateway::seat): at most once; later tokens come as `authenticate` events.
    pub fn authenticate(&self, seated: Seated) {
        let session = Session::new(Arc::clone(&self.link), seated);
        let announced = session.announcement();
        let me = session.credentials();
        if let Ok(()) = self.session.set(session) {
            story::authenticated(self.link.id(), &me.identity);
            self.link.gateway.inbox(self.link.id()).push(announced);
        }
        if let Some(session) = self.session.get() {
            session.end_if_revoked();
        }
    }

    /// Goes on in these rooms, each after the last event the client has: the `resume` of a handshake. Without an
    /// authentication before it, nothing happens.
    pub async fn resume(&self, rooms: Vec<(RoomId, Seq)>) {
        if let Some(session) = self.session.get()
            && !rooms.is_empty()
        {
            session.resume(rooms).await;
        }
    }

    /// Takes one event of the client: `data` is its first argument, `ack` the id of its callback. Returns when the
    /// next may be taken: a command has then been queued, in order, and is answered when it is committed.
    pub async fn receive(&self, event: &str, data: Option<&RawValue>, ack: Option<u64>) {
        let asked = self.asked(ReplyTo { event: Some(event.into()), ack });
        // What the log says meanwhile says for whom.
        let span = tracing::debug_span!(
            "request",
            connection = self.link.id().0,
            number = asked.number,
            event = event_label(Some(event))
        );
        self.carry_out(event, data, asked).instrument(span).await;
    }

    async fn carry_out(&self, event: &str, data: Option<&RawValue>, asked: Asked) {
        if let Err(limited) = self.admit(Kind::of(event)) {
            return self.refuse_limited(&asked, limited);
        }
        let request = Request::parse(event, data);
        let refused = match request {
            Err(refusal) => refusal,
            Ok(Request::Authenticate { token, user_id }) => {
                let verified = self.link.gateway.verify(&token, user_id, self.link.address);
                let reply = match verified {
                    Ok(identity) => self.authenticated(identity).await,
                    Err(refusal) => {
                        // Bad tokens are few, or the address has too many and is told so.
                        if refusal.code != Code::RateLimited {
                            let address = self.link.address.map(tracing::field::display);
                            tracing::info!(address, code = ?refusal.code, "a token was refused");
                        }
                        Err(refusal)
                    }
                };
                return self.link.reply(&asked, &reply);
            }
            Ok(request) => match self.session.get() {
                Some(session) => return session.request(request, asked).await,
                None => Refusal::not_authenticated(),
            },
        };
        self.link.reply(&asked, &Err(refused));
    }

    /// Refuses what could not even be read as an event, such as a message that was too large or carried bytes.
    pub fn refuse(&self, to: ReplyTo, refusal: Refusal) {
        let asked = self.asked(to);
        match self.admit(Kind::Other) {
            Ok(()) => self.link.reply(&asked, &Err(refusal)),
            Err(limited) => self.refuse_limited(&asked, limited),
        }
    }

    /// The client has sent more packets than any client may. Says whether that ends the connection.
    #[must_use]
    pub fn too_many_packets(&self) -> bool {
        let is_over = self.link.gateway.limits.too_many_packets();
        if is_over {
            self.end_flooding();
        }
        is_over
    }

    fn asked(&self, to: ReplyTo) -> Asked {
        Asked::new(to, self.requests.fetch_add(1, Relaxed) + 1)
    }

    /// Whether an event may be looked at, by the rates of contract §4.
    fn admit(&self, kind: Kind) -> Result<(), Limited> {
        let me = self.session.get().map(Session::credentials);
        self.link.gateway.limits.event(self.link.id(), me.as_ref().map(|me| &me.identity), kind)
    }

    fn refuse_limited(&self, asked: &Asked, Limited { refusal, is_flooding }: Limited) {
        self.link.reply(asked, &Err(refusal));
        if is_flooding {
            self.end_flooding();
        }
    }

    fn end_flooding(&self) {
        let user = self.session.get().map(|session| session.identity().user);
        self.link.gateway.limits.tell_of_flooding(user, self.link.address);
        let outbox = &self.link.peer.outbox;
        if let Some(refusal) = Close::Flooding.refusal() {
            outbox.reply(&ReplyTo::NOBODY, &Err(refusal));
        }
        outbox.close(Close::Flooding);
    }

    async fn authenticated(&self, identity: Identity) -> Result<Reply, Refusal> {
        let reply = Reply::Authenticated { user_id: identity.user, expires_at: identity.expires_at };
        match self.session.get() {
            None => self.authenticate(self.link.gateway.limits.seat(identity, None, self.link.address)?),
            Some(session) if session.identity().user == identity.user => {
                let before = session.credentials();
                session.refresh(identity);
                self.link.send(session.announcement()).await;
                session.end_if_revoked();
                session.reach_changed(&before.reach).await;
            }
            Some(_) => return Err(Refusal::new(Code::Forbidden, "the connection belongs to another user")),
        }
        Ok(reply)
    }
}
