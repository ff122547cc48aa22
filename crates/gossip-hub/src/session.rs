//! An authenticated connection: the requests of contract §2, each checked for access, then read from the store or
//! queued for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use gossip_core::access::{Identity, Reach};
use gossip_core::command::{Action, Actor, Command};
use gossip_core::status::may_set_status;
use gossip_proto::id::RoomId;
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::request::{Request, RequestId};
use gossip_store::{Error as StoreError, JoinQuery, RecoveryChange};

use crate::connection::Link;
use crate::limits::{Seat, Seated};
use crate::outbox::Asked;
use crate::publisher::Ticket;
use crate::reads::Reader;
use crate::shard::Item;

/// Who a session is, and what that allows: replaced as a whole when the token is refreshed.
pub(crate) struct Credentials {
    pub(crate) identity: Identity,
    pub(crate) reach: Reach,
}

pub(crate) struct Session {
    pub(crate) link: Arc<Link>,
    credentials: Mutex<Arc<Credentials>>,
    /// Its place among the user's sockets.
    _seat: Option<Seat>,
}

impl Session {
    pub(crate) fn new(link: Arc<Link>, Seated { identity, seat }: Seated) -> Session {
        let credentials = Mutex::new(Arc::new(Self::credentials_of(&link, identity)));
        Session { link, credentials, _seat: seat }
    }

    fn credentials_of(link: &Link, identity: Identity) -> Credentials {
        let reach = link.gateway.config.room_access.reach(&identity);
        Credentials { identity, reach }
    }

    pub(crate) fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn identity(&self) -> Identity {
        self.credentials().identity.clone()
    }

    /// What the shard must know of the token.
    pub(crate) fn announcement(&self) -> Item {
        let me = self.credentials();
        Item::Authenticated {
            id: self.link.id(),
            user: me.identity.user,
            reach: me.reach.clone(),
            expires_at: me.identity.expires_at,
        }
    }

    pub(crate) fn refresh(&self, identity: Identity) {
        let credentials = Arc::new(Self::credentials_of(&self.link, identity));
        *self.credentials.lock().unwrap_or_else(PoisonError::into_inner) = credentials;
    }

    /// Carries out a request; returns when the next may begin.
    pub(crate) async fn request(&self, request: Request, mut asked: Asked) {
        let me = self.credentials();
        if me.identity.expires_at <= self.link.gateway.env.now() {
            let expired = Refusal::new(Code::TokenExpired, "the token has expired");
            return self.link.reply(&asked, &Err(expired));
        }
        let reply = match request {
            // Taken by the connection itself.
            Request::Authenticate { .. } => return,
            Request::JoinRoom { room_id, since, history } => {
                match self.join(&me, room_id, JoinQuery { since, history }, &asked).await {
                    Ok(()) => return,
                    Err(refusal) => Err(refusal),
                }
            }
            Request::LeaveRoom { room_id } => return self.leave(room_id, asked).await,
            read @ (Request::ListGossip { .. } | Request::GetGossip { .. } | Request::ListUpdates { .. }) => {
                self.after_commands(self.reader(&me).answer(read)).await
            }
            command => match self.command(&me, command) {
                Ok(command) => {
                    if tracing::enabled!(tracing::Level::DEBUG) {
                        asked.request_id = command.request_id.as_ref().map(|id| id.as_str().into());
                    }
                    return self.submit(command, asked).await;
                }
                Err(refusal) => Err(refusal),
            },
        };
        self.link.reply(&asked, &reply);
    }

    /// What a request asks to be changed, as far as that can be checked without the store.
    fn command(&self, me: &Credentials, request: Request) -> Result<Command, Refusal> {
        let limits = &self.link.gateway.config.text;
        let (action, request_id): (Action, Option<RequestId>) = match request {
            Request::NewGossip { room_id, content, metadata, expires_in_minutes, request_id } => {
                let content = limits.gossip(&content)?;
                let metadata = limits.metadata(metadata)?;
                let lives = limits.expiry(expires_in_minutes)?;
                (Action::Post { room: room_id, content, metadata, lives }, request_id)
            }
            Request::VoteGossip { intent_id, action } => (Action::Vote { intent: intent_id, action }, None),
            Request::CommentGossip { intent_id, content, request_id } => {
                (Action::Comment { intent: intent_id, content: limits.comment(&content)? }, request_id)
            }
            Request::UpdateGossip { intent_id, status, reason, request_id } => {
                let reason = limits.reason(reason.as_deref())?;
                may_set_status(me.identity.role)?;
                (Action::SetStatus { intent: intent_id, status, reason }, request_id)
            }
            Request::Authenticate { .. }
            | Request::JoinRoom { .. }
            | Request::LeaveRoom { .. }
            | Request::ListGossip { .. }
            | Request::GetGossip { .. }
            | Request::ListUpdates { .. } => return Err(Refusal::new(Code::Internal, "not a command")),
        };
        let actor = Actor { user: me.identity.user, reach: me.reach.clone() };
        Ok(Command { actor, action, request_id })
    }

    async fn submit(&self, command: Command, asked: Asked) {
        let peer = Arc::clone(&self.link.peer);
        peer.under_way.begin();
        if let Err(Ticket::Client { asked, peer }) =
            self.link.gateway.submit(command, Ticket::Client { peer, asked }).await
        {
            peer.under_way.finish(1);
            let refusal = Refusal::new(Code::Unavailable, "the server is shutting down; nothing was written");
            self.link.reply(&asked, &Err(refusal));
        }
    }

    pub(crate) async fn check(&self, me: &Credentials, room: RoomId) -> Result<(), Refusal> {
        self.reader(me).check(room).await
    }

    fn reader<'a>(&'a self, me: &'a Credentials) -> Reader<'a> {
        Reader { gateway: &self.link.gateway, me, peer: Some(&self.link.peer) }
    }

    /// Reads what the connection's own commands have written, once they are answered.
    async fn after_commands<T>(&self, query: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        let (peer, limit) = (&self.link.peer, self.link.gateway.config.queue.timeout);
        let began = Instant::now();
        let answered = tokio::time::timeout(limit * 9 / 8, peer.under_way.finished()).await;
        if began.elapsed() > limit / 2 {
            peer.store_failed();
        }
        match answered {
            Ok(()) => query.await,
            Err(_) => Err(Refusal::unavailable()),
        }
    }

    /// See [`crate::gateway::Inner::read`].
    pub(crate) async fn read<T>(&self, query: impl Future<Output = Result<T, StoreError>>) -> Result<T, Refusal> {
        self.unless_failing(self.link.gateway.read(query)).await
    }

    /// Writes down what a connection that can be recovered did.
    pub(crate) async fn keep(&self, changes: Vec<RecoveryChange>) -> Result<(), Refusal> {
        let pid = self.link.peer.tracked.as_ref().map(|tracked| tracked.pid);
        let kept = self.unless_failing(self.link.gateway.recoveries.keep(changes)).await;
        if let Some(pid) = pid.filter(|_| self.link.peer.is_forgotten()) {
            // What was just written came after that was noted, or may have.
            self.link.gateway.recoveries.note(RecoveryChange::Forget { pid });
        }
        kept
    }

    /// See [`Peer::unless_failing`](crate::shard::Peer::unless_failing).
    async fn unless_failing<T>(&self, asked: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        self.link.peer.unless_failing(self.link.gateway.config.queue.timeout, asked).await
    }

    async fn leave(&self, room: RoomId, asked: Asked) {
        if let Some(tracked) = &self.link.peer.tracked
            && let Err(refusal) = self.keep(vec![RecoveryChange::Leave { pid: tracked.pid, room }]).await
        {
            // It may have been written all the same: better a room that comes back than one that is missing.
            tracing::debug!(code = ?refusal.code, "a room that is left may come back");
        }
        self.link.send(Item::Leave { id: self.link.id(), room, asked }).await;
    }
}
