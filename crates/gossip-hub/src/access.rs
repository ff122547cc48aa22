//! Access that changes while connections live (contract §4, Access to rooms): whose tokens are revoked, and how what was
//! checked is checked again. News of other processes comes by [`crate::changes`].
//!
//! A room is entered in two steps, a check and a subscription, and access may be withdrawn between them, by when it is
//! too early to be found in the shard and too late for the check. So whoever withdraws moves the [`Epoch`] before it
//! tells the shards, and whoever enters looks at it before the check and after the subscription: if it has moved, the
//! check is repeated.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use gossip_core::access::{Identity, Reach};
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::timestamp::Timestamp;
use gossip_store::queue::chain;
use gossip_store::{AccessCursor, Error as StoreError, Member, Revocation, Store, StoreFuture};
use tokio::sync::oneshot;

use crate::changes::Rounds;
use crate::gateway::{Gateway, Inner};
use crate::outbox::Close;
use crate::session::{Credentials, Session};
use crate::shard::Item;

/// Revocations read at once when a gateway starts.
const PAGE: u64 = 1_000;
/// How far ahead a `notBefore` may lie: clocks differ, but nobody is to be locked out by a slip.
const MAX_AHEAD: Duration = Duration::from_secs(60);

/// What is known of withdrawn access.
#[derive(Debug, Default)]
pub(crate) struct Access {
    epoch: AtomicU64,
    /// Tokens issued before this are not good: one entry for each user of whom that was ever said.
    revoked: RwLock<HashMap<UserId, Timestamp>>,
    pub(crate) rounds: Rounds,
}

/// Moves on whenever access may have been withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

impl Access {
    /// With all that is revoked, and from where on to read the news.
    pub(crate) async fn load(store: &dyn Store) -> Result<(Access, AccessCursor), StoreError> {
        // First, so that what is revoked meanwhile is news.
        let cursor = store.access_cursor().await?;
        let access = Access::default();
        let mut after = None;
        loop {
            let page = store.revocations(after, PAGE).await?;
            access.revoke(&page);
            match page.last() {
                Some(last) => after = Some(last.user),
                None => return Ok((access, cursor)),
            }
        }
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::SeqCst))
    }

    /// To be said before the shards are told.
    pub(crate) fn move_on(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn revoke(&self, revocations: &[Revocation]) {
        let mut revoked = self.revoked.write().unwrap_or_else(PoisonError::into_inner);
        for Revocation { user, not_before } in revocations {
            let at = revoked.entry(*user).or_insert(*not_before);
            *at = (*not_before).max(*at);
        }
    }

    /// Whether the token that this identity was read from was revoked.
    pub(crate) fn is_revoked(&self, identity: &Identity) -> bool {
        let revoked = self.revoked.read().unwrap_or_else(PoisonError::into_inner);
        let not_before = revoked.get(&identity.user);
        not_before.is_some_and(|not_before| identity.issued_at.is_none_or(|issued| issued < *not_before))
    }

    /// Lets an identity pass whose token was not revoked.
    pub(crate) fn admit(&self, identity: Identity) -> Result<Identity, Refusal> {
        if self.is_revoked(&identity) { Err(revoked()) } else { Ok(identity) }
    }
}

/// The refusal of a token that was revoked.
pub(crate) fn revoked() -> Refusal {
    Refusal::new(Code::InvalidToken, "the token was revoked")
}

impl Gateway {
    /// The members of a room in the order of their ids, from after `after`, at most `limit`; whatever the policy is.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn members(&self, room: RoomId, after: Option<UserId>, limit: u64) -> Result<Vec<Member>, Refusal> {
        self.inner.read(self.inner.store.members(room, after, limit)).await
    }

    /// Makes `user` a member of `room`, if they are none.
    ///
    /// # Errors
    /// `unavailable`: trying again is safe.
    pub async fn add_member(&self, room: RoomId, user: UserId) -> Result<(), Refusal> {
        self.inner.write(self.inner.store.add_member(room, user, self.inner.env.now())).await
    }

    /// Ends the membership of `user` in `room`, if there is one. Where membership decides, their connections here are
    /// out of the room when this returns, and those of other processes within a second.
    ///
    /// # Errors
    /// `unavailable`: trying again is safe.
    pub async fn remove_member(&self, room: RoomId, user: UserId) -> Result<(), Refusal> {
        self.inner.write(self.inner.store.remove_member(room, user)).await?;
        self.inner.hear_news().await;
        Ok(())
    }

    /// Ends all connections of a user, who is told to stay away, and forgets what could be recovered of them. With
    /// `not_before`, tokens that were issued before that time, or do not say when, are not good any more, here and in
    /// other processes. Those are told within a second.
    ///
    /// # Errors
    /// `invalid_input` for a time that lies more than a minute ahead; `unavailable`: trying again is safe.
    pub async fn disconnect_user(&self, user: UserId, not_before: Option<Timestamp>) -> Result<(), Refusal> {
        let now = self.inner.env.now();
        if not_before.is_some_and(|not_before| not_before > now.plus(MAX_AHEAD)) {
            return Err(Refusal::invalid("notBefore", "must not lie more than a minute ahead"));
        }
        self.inner.write(self.inner.store.revoke(user, not_before, now)).await?;
        let revocation = not_before.map(|not_before| Revocation { user, not_before });
        self.inner.access.revoke(revocation.as_slice());
        self.inner.hear_news().await;
        tracing::info!(%user, not_before = not_before.map(tracing::field::display), "a user was disconnected");
        Ok(())
    }

    /// The access of `user` may have changed by an embedder's own [rule](gossip_core::access::RoomRule): rooms that the
    /// user's connections do not reach any more are closed to them before this returns.
    ///
    /// # Errors
    /// `unavailable` where it hangs on memberships too, and the store does not answer.
    pub async fn access_changed(&self, user: UserId) -> Result<(), Refusal> {
        self.inner.recheck(user).await
    }
}

impl Inner {
    /// Waits for what the store is told, but not longer than `STORE_TIMEOUT`. Only for what may be repeated.
    async fn write(&self, query: StoreFuture<'_, ()>) -> Result<(), Refusal> {
        let again = || Refusal::new(Code::Unavailable, "the store does not answer; try again");
        match tokio::time::timeout(self.config.queue.timeout, query).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::error!(error = chain(&error), "a write failed");
                Err(again())
            }
            Err(_) => Err(again()),
        }
    }

    /// Waits until what was just written is carried out here. Where the store does not say, it will be later.
    async fn hear_news(&self) {
        if tokio::time::timeout(self.config.queue.timeout, self.access.rounds.next()).await.is_err() {
            tracing::warn!("withdrawn access was written, but could not be read again in time; connections end later");
        }
    }

    /// Closes what the connections of a user do not reach any more.
    pub(crate) async fn recheck(&self, user: UserId) -> Result<(), Refusal> {
        self.access.move_on();
        let mut rooms = Vec::new();
        for inbox in self.inboxes() {
            let (done, asked) = oneshot::channel();
            inbox.send(Item::Recheck { user, done }).await;
            tokio::select! {
                // A shard that is gone has nobody in any room.
                () = self.failure.happened() => return Ok(()),
                of_members = asked => rooms.extend(of_members.unwrap_or_default()),
            }
        }
        rooms.sort_unstable();
        rooms.dedup();
        let pairs: Vec<_> = rooms.into_iter().map(|room| (room, user)).collect();
        if !pairs.is_empty() {
            let members = self.read(self.store.memberships(&pairs)).await?;
            for (room, user) in pairs.into_iter().filter(|pair| !members.contains(pair)) {
                self.send_all(|| Item::Withdraw { user, room }).await;
            }
        }
        Ok(())
    }
}

impl Session {
    /// The token that was just taken may have been revoked after it was found good, and before the shard knew of it.
    pub(crate) fn end_if_revoked(&self) {
        if self.link.gateway.access.is_revoked(&self.credentials().identity) {
            self.link.peer.revoke();
        }
    }

    /// A token with another reach came. Where that hangs on memberships, and did not before, they are looked at; the rest
    /// the shard has done.
    pub(crate) async fn reach_changed(&self, before: &Reach) {
        let me = self.credentials();
        if me.reach == Reach::Members
            && *before != Reach::Members
            && self.link.gateway.recheck(me.identity.user).await.is_err()
        {
            // What it still reaches is not known: it comes back, and each room is looked at anew.
            self.link.peer.outbox.close(Close::NotRecovered);
        }
    }

    /// After rooms were entered that had been checked in an earlier epoch: those that were lost since are closed, and
    /// returned with the reason.
    pub(crate) async fn confirm(&self, me: &Credentials, checked: Epoch, rooms: &[RoomId]) -> Vec<(RoomId, Refusal)> {
        let mut lost = Vec::new();
        if self.link.gateway.access.epoch() != checked {
            for &room in rooms {
                if let Err(refusal) = self.check(me, room).await {
                    self.link.send(Item::CloseRoom { id: self.link.id(), room, code: refusal.code }).await;
                    lost.push((room, refusal));
                }
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests;
