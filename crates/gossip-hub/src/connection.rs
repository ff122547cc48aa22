//! One socket on a gateway: it receives the client's events and is cleaned up when dropped. Before it is authenticated
//! there is no [`Session`], and only a session can act.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use gossip_core::access::Identity;
use gossip_proto::id::{RoomId, Seq};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_proto::request::Request;
use serde_json::value::RawValue;

use crate::gateway::Inner;
use crate::outbox::{Asked, ReplyTo};
use crate::session::Session;
use crate::shard::{ConnectionId, Item, Peer};

/// What a connection holds of the gateway. When the last holder is gone, so is all that the gateway held of it.
pub(crate) struct Link {
    pub(crate) gateway: Arc<Inner>,
    pub(crate) peer: Arc<Peer>,
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
        self.gateway.stats.answered(asked.arrived, reply.is_err(), Instant::now());
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
}

impl Connection {
    pub(crate) fn new(link: Link) -> Self {
        Connection { link: Arc::new(link), session: OnceLock::new() }
    }

    pub(crate) fn peer(&self) -> &Arc<Peer> {
        &self.link.peer
    }

    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.get()
    }

    /// Whether somebody has authenticated on it.
    #[must_use]
    pub fn is_authenticated(&self) -> bool {
        self.session.get().is_some()
    }

    /// Makes it the connection of `identity`, verified by [`Gateway::verify`](crate::Gateway::verify): at most once;
    /// later tokens come as `authenticate` events.
    pub fn authenticate(&self, identity: Identity) {
        let session = Session::new(Arc::clone(&self.link), identity);
        let announced = session.announcement();
        if let Ok(()) = self.session.set(session) {
            self.link.gateway.inbox(self.link.id()).push(announced);
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
        let asked = Asked { to: ReplyTo { event: Some(event.into()), ack }, arrived: Instant::now() };
        let request = Request::parse(event, data);
        let refused = match request {
            Err(refusal) => refusal,
            Ok(Request::Authenticate { token, user_id }) => {
                let verified = self.link.gateway.verify(&token, user_id);
                let reply = match verified {
                    Ok(identity) => self.authenticated(identity).await,
                    Err(refusal) => Err(refusal),
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
        self.link.reply(&Asked { to, arrived: Instant::now() }, &Err(refusal));
    }

    async fn authenticated(&self, identity: Identity) -> Result<Reply, Refusal> {
        let reply = Reply::Authenticated { user_id: identity.user, expires_at: identity.expires_at };
        match self.session.get() {
            None => self.authenticate(identity),
            Some(session) if session.identity().user == identity.user => {
                session.refresh(identity);
                self.link.send(session.announcement()).await;
            }
            Some(_) => return Err(Refusal::new(Code::Forbidden, "the connection belongs to another user")),
        }
        Ok(reply)
    }
}
