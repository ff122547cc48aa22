//! Reads on behalf of who was verified: what a session asks over a socket, and what is asked over HTTP without one. Each
//! checks access; whether it comes too fast was looked at before.

use gossip_core::access::{Access, Identity};
use gossip_proto::id::{IntentId, RoomId, Seq};
use gossip_proto::model::{Intent, Status, Vote};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_proto::request::{Page, Request};
use gossip_store::{Cursor, Error as StoreError, JoinQuery};

use crate::catch_up::Pages;
use crate::gateway::{Gateway, Inner};
use crate::limits::Kind;
use crate::session::Credentials;
use crate::shard::Peer;

/// An answer ends with the page that brings it to so many events of a room…
const ENOUGH_EVENTS: usize = 1_000;
/// …or to so many bytes of them.
const ENOUGH_BYTES: usize = 512 * 1024;

/// The events of a room after one of them, as many as go into one answer.
#[derive(Debug)]
pub struct RoomEvents {
    /// In order, without a hole: the data of each `gossip_update`, JSON.
    pub events: Vec<std::sync::Arc<str>>,
    /// The room's last event: where it is after the last of these, there is more.
    pub seq: Seq,
    /// Whether the log reaches back to what was asked for; otherwise there are no events.
    pub recovered: bool,
}

/// Who reads, and from what.
pub(crate) struct Reader<'a> {
    pub(crate) gateway: &'a Inner,
    pub(crate) me: &'a Credentials,
    /// The connection that asks, if there is one.
    pub(crate) peer: Option<&'a Peer>,
}

impl Reader<'_> {
    /// Answers a request that reads, and nothing else.
    pub(crate) async fn answer(&self, request: Request) -> Result<Reply, Refusal> {
        match request {
            Request::ListGossip { room_id, page, status } => self.list(room_id, page, status).await,
            Request::GetGossip { intent_id } => {
                self.visible(intent_id).await.map(|(intent, my_vote)| Reply::OneIntent { intent, my_vote })
            }
            Request::ListUpdates { intent_id, page } => self.list_updates(intent_id, page).await,
            _ => Err(Refusal::new(Code::Internal, "not a read")),
        }
    }

    async fn list(&self, room: RoomId, page: Page, status: Option<Status>) -> Result<Reply, Refusal> {
        let before = cursor(&page)?;
        self.check(room).await?;
        let paged = self.read(self.gateway.store.intents(room, status, page.limit, before)).await?;
        Ok(Reply::Intents { intents: paged.items, next_before: paged.next.map(|cursor| cursor.to_string()) })
    }

    async fn list_updates(&self, intent: IntentId, page: Page) -> Result<Reply, Refusal> {
        let before = cursor(&page)?;
        self.visible(intent).await?;
        let with_votes = self.me.identity.role.sees_votes();
        let paged = self.read(self.gateway.store.updates(intent, with_votes, page.limit, before)).await?;
        Ok(Reply::Updates { updates: paged.items, next_before: paged.next.map(|cursor| cursor.to_string()) })
    }

    /// The intent, unless it does not exist or is in a room without access, which look the same.
    async fn visible(&self, id: IntentId) -> Result<(Intent, Option<Vote>), Refusal> {
        let found = self.read(self.gateway.store.intent(id, self.me.identity.user)).await?;
        let (intent, vote) = found.ok_or_else(Refusal::intent_not_found)?;
        match self.check(intent.room_id).await {
            Ok(()) => Ok((intent, vote)),
            Err(refusal) if refusal.code == Code::Forbidden => Err(Refusal::intent_not_found()),
            Err(refusal) => Err(refusal),
        }
    }

    pub(crate) async fn check(&self, room: RoomId) -> Result<(), Refusal> {
        let me = self.me;
        let is_member = match me.reach.access(room) {
            Access::IfMember => self.read(self.gateway.store.is_member(room, me.identity.user)).await?,
            Access::Granted => return Ok(()),
            Access::NotClaimed | Access::NotAllowed => false,
        };
        me.reach.check(room, || is_member)
    }

    async fn events(&self, room: RoomId, since: Option<Seq>) -> Result<RoomEvents, Refusal> {
        self.check(room).await?;
        let snapshot = self.read(self.gateway.store.room(room, JoinQuery { since, history: None })).await?;
        let recovered = snapshot.is_reached.unwrap_or(true);
        let mut found = RoomEvents { events: Vec::new(), seq: snapshot.seq, recovered };
        if let Some(since) = since.filter(|since| recovered && *since < snapshot.seq) {
            let mut pages = Pages::default();
            let mut after = [(room, since)];
            let mut bytes = 0;
            loop {
                let events = self.read(self.gateway.store.replay(&after, pages.limit())).await?;
                let page = pages.page(events, &mut after, |event| event.seq <= snapshot.seq)?;
                page.must_reach(&after, &[(room, snapshot.seq)])?;
                let is_last = page.is_last;
                let payloads = page.into_payloads();
                bytes += payloads.iter().map(|payload| payload.len()).sum::<usize>();
                found.events.extend(payloads);
                if is_last || found.events.len() >= ENOUGH_EVENTS || bytes >= ENOUGH_BYTES {
                    break;
                }
            }
        }
        // What was withdrawn while it was read is not told.
        self.check(room).await?;
        Ok(found)
    }

    async fn read<T>(&self, query: impl Future<Output = Result<T, StoreError>>) -> Result<T, Refusal> {
        match self.peer {
            Some(peer) => peer.unless_failing(self.gateway.config.queue.timeout, self.gateway.read(query)).await,
            None => self.gateway.read(query).await,
        }
    }
}

fn cursor(page: &Page) -> Result<Option<Cursor>, Refusal> {
    page.before.as_deref().map(str::parse).transpose()
}

impl Gateway {
    /// Answers `list_gossip`, `get_gossip` or `list_updates` as a socket of this user would be answered (contract §2).
    ///
    /// # Errors
    /// What the socket would be refused with; `internal` for other requests.
    pub async fn read(&self, identity: &Identity, request: Request) -> Result<Reply, Refusal> {
        let me = self.reading(identity)?;
        Reader { gateway: &self.inner, me: &me, peer: None }.answer(request).await
    }

    /// The events of a room after `since`; without it, only where the room is.
    ///
    /// # Errors
    /// `forbidden` without access, `rate_limited`, and `unavailable` where the store fails.
    pub async fn events(&self, identity: &Identity, room: RoomId, since: Option<Seq>) -> Result<RoomEvents, Refusal> {
        let me = self.reading(identity)?;
        Reader { gateway: &self.inner, me: &me, peer: None }.events(room, since).await
    }

    /// Counts one more thing that a user asks without a connection; [`Gateway::read`] and [`Gateway::events`] do so
    /// themselves.
    ///
    /// # Errors
    /// `rate_limited`: `RATE_OTHER`, whatever the user's connections have left of it.
    pub fn admit_call(&self, identity: &Identity) -> Result<(), Refusal> {
        self.inner.limits.call(identity, Kind::Other)
    }

    fn reading(&self, identity: &Identity) -> Result<Credentials, Refusal> {
        self.admit_call(identity)?;
        let reach = self.inner.config.room_access.reach(identity);
        Ok(Credentials { identity: identity.clone(), reach })
    }
}
