//! An authenticated connection: the requests of contract §2, each checked for access, then read from the store or
//! queued for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use gossip_core::access::{Access, Identity, Reach};
use gossip_core::command::{Action, Actor, Command};
use gossip_core::status::may_set_status;
use gossip_proto::id::{IntentId, RoomId};
use gossip_proto::model::{Intent, Vote};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_proto::request::{Page, Request, RequestId};
use gossip_store::{Cursor, Error as StoreError, JoinQuery, RecoveryChange};

use crate::connection::Link;
use crate::limits::{Seat, Seated};
use crate::outbox::Asked;
use crate::publisher::Ticket;
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
    pub(crate) async fn request(&self, request: Request, asked: Asked) {
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
            Request::ListGossip { room_id, page, status } => {
                self.after_commands(self.list(&me, room_id, page, status)).await
            }
            Request::GetGossip { intent_id } => self
                .after_commands(self.visible(&me, intent_id))
                .await
                .map(|(intent, my_vote)| Reply::OneIntent { intent, my_vote }),
            Request::ListUpdates { intent_id, page } => {
                self.after_commands(self.list_updates(&me, intent_id, page)).await
            }
            command => match self.command(&me, command) {
                Ok(command) => return self.submit(command, asked).await,
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

    async fn list(
        &self,
        me: &Credentials,
        room: RoomId,
        page: Page,
        status: Option<gossip_proto::model::Status>,
    ) -> Result<Reply, Refusal> {
        let before = cursor(&page)?;
        self.check(me, room).await?;
        let paged = self.read(self.link.gateway.store.intents(room, status, page.limit, before)).await?;
        Ok(Reply::Intents { intents: paged.items, next_before: paged.next.map(|cursor| cursor.to_string()) })
    }

    async fn list_updates(&self, me: &Credentials, intent: IntentId, page: Page) -> Result<Reply, Refusal> {
        let before = cursor(&page)?;
        self.visible(me, intent).await?;
        let with_votes = me.identity.role.sees_votes();
        let paged = self.read(self.link.gateway.store.updates(intent, with_votes, page.limit, before)).await?;
        Ok(Reply::Updates { updates: paged.items, next_before: paged.next.map(|cursor| cursor.to_string()) })
    }

    /// The intent, unless it does not exist or is in a room without access, which look the same.
    async fn visible(&self, me: &Credentials, id: IntentId) -> Result<(Intent, Option<Vote>), Refusal> {
        let found = self.read(self.link.gateway.store.intent(id, me.identity.user)).await?;
        let (intent, vote) = found.ok_or_else(Refusal::intent_not_found)?;
        match self.check(me, intent.room_id).await {
            Ok(()) => Ok((intent, vote)),
            Err(refusal) if refusal.code == Code::Forbidden => Err(Refusal::intent_not_found()),
            Err(refusal) => Err(refusal),
        }
    }

    pub(crate) async fn check(&self, me: &Credentials, room: RoomId) -> Result<(), Refusal> {
        let is_member = match me.reach.access(room) {
            Access::IfMember => self.read(self.link.gateway.store.is_member(room, me.identity.user)).await?,
            Access::Granted => return Ok(()),
            Access::NotClaimed | Access::NotAllowed => false,
        };
        me.reach.check(room, || is_member)
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

    /// Asks the store, but only for a moment if it has just failed for this connection. Requests are taken one by one:
    /// each waiting for itself, the last would be told after many times `STORE_TIMEOUT`.
    async fn unless_failing<T>(&self, asked: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
        let peer = &self.link.peer;
        if peer.is_store_failing() {
            let moment = self.link.gateway.config.queue.timeout / 40;
            return tokio::time::timeout(moment, asked).await.unwrap_or_else(|_| Err(Refusal::unavailable()));
        }
        let answer = asked.await;
        if matches!(&answer, Err(refusal) if refusal.code == Code::Unavailable) {
            peer.store_failed();
        }
        answer
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

fn cursor(page: &Page) -> Result<Option<Cursor>, Refusal> {
    page.before.as_deref().map(str::parse).transpose()
}
