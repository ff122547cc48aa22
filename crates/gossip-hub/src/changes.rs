//! News of withdrawn access, whoever withdrew it: this process, another, or somebody with a database client. The store is
//! asked several times a second, and what it tells is carried out in the shards. It is news, not the truth: whether
//! there still is no membership is asked when it comes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gossip_proto::id::{RoomId, UserId};
use gossip_store::queue::chain;
use gossip_store::{AccessChange, AccessCursor, StoreFuture};
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;

use crate::gateway::Inner;
use crate::shard::Item;

/// How often the store is asked: what is withdrawn ends within 1 s (contract §4).
const TICK: Duration = Duration::from_millis(250);
/// Changes read at once; if there are more, the rest follows without a pause.
const PAGE: u64 = 1_000;

/// How often the store was asked, so that one can wait for an answer that is new.
#[derive(Debug, Default)]
pub(crate) struct Rounds {
    begun: AtomicU64,
    ended: watch::Sender<u64>,
    asked: Notify,
}

impl Rounds {
    /// Resolves when a round has been carried out that began after this call.
    pub(crate) async fn next(&self) {
        let next = self.begun.load(Ordering::SeqCst) + 1;
        self.asked.notify_one();
        // The sender is this value's own.
        let _ = self.ended.subscribe().wait_for(|ended| *ended >= next).await;
    }

    fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// What was read so far.
struct News {
    cursor: AccessCursor,
    /// Changes that were carried out, with the round of it: some are read again.
    known: HashMap<i64, u64>,
}

/// Carries out what is withdrawn from a cursor on, for ever.
pub(crate) async fn follow(gateway: Arc<Inner>, cursor: AccessCursor) {
    let mut news = News { cursor, known: HashMap::new() };
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    let rounds = &gateway.access.rounds;
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = rounds.asked.notified() => {}
        }
        let round = rounds.begin();
        match news.carry_out(&gateway, round).await {
            Ok(()) => {
                failing = false;
                rounds.ended.send_replace(round);
            }
            // Said once, not four times a second.
            Err(error) if !failing => {
                failing = true;
                tracing::error!(error, "cannot look for withdrawn access; will keep trying");
            }
            Err(_) => {}
        }
    }
}

impl News {
    async fn carry_out(&mut self, gateway: &Inner, round: u64) -> Result<(), String> {
        loop {
            let page = bounded(gateway, gateway.store.access_changes(self.cursor, PAGE)).await?;
            let new: Vec<_> = page.changes.iter().filter(|change| !self.known.contains_key(&change.id)).collect();
            if !new.is_empty() {
                withdraw(gateway, &new).await?;
            }
            // Only now: what failed is read again.
            self.known.extend(page.changes.iter().map(|change| (change.id, round)));
            self.cursor = page.next;
            if page.is_last {
                break;
            }
        }
        // What a whole round did not bring again will not come again.
        self.known.retain(|_, last| *last == round);
        if self.known.capacity() > 1024 && self.known.len() < self.known.capacity() / 4 {
            self.known.shrink_to_fit();
        }
        Ok(())
    }
}

async fn withdraw(gateway: &Inner, changes: &[&AccessChange]) -> Result<(), String> {
    gateway.access.move_on();
    let mut users: Vec<UserId> =
        changes.iter().filter(|change| change.room.is_none()).map(|change| change.user).collect();
    users.sort_unstable();
    users.dedup();
    if !users.is_empty() {
        // Before the connections end: who comes back at once is refused.
        gateway.access.revoke(&bounded(gateway, gateway.store.revocations_of(&users)).await?);
    }
    // Who is not connected, and comes while this goes on, is checked after the epoch has moved.
    let is_here = |change: &&&AccessChange| gateway.is_connected(change.user);
    let pairs: Vec<(RoomId, UserId)> =
        changes.iter().filter(is_here).filter_map(|change| Some((change.room?, change.user))).collect();
    if !pairs.is_empty() {
        let members = bounded(gateway, gateway.store.memberships(&pairs)).await?;
        for (room, user) in pairs.into_iter().filter(|pair| !members.contains(pair)) {
            gateway.send_all(|| Item::Withdraw { user, room }).await;
        }
    }
    for user in users {
        gateway.send_all(|| Item::CloseUser { user }).await;
    }
    Ok(())
}

/// What went wrong is for the log.
async fn bounded<T>(gateway: &Inner, query: StoreFuture<'_, T>) -> Result<T, String> {
    match tokio::time::timeout(gateway.config.queue.timeout, query).await {
        Ok(answer) => answer.map_err(|error| chain(&error)),
        Err(_) => Err("the store does not answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_round_that_had_begun_is_not_the_next() {
        let rounds = Rounds::default();
        let first = rounds.begin();
        let mut next = std::pin::pin!(rounds.next());
        assert!(is_pending(next.as_mut()).await);
        rounds.ended.send_replace(first);
        assert!(is_pending(next.as_mut()).await);
        let second = rounds.begin();
        rounds.ended.send_replace(second);
        next.await;
    }

    /// Whether it is not done, polled once.
    async fn is_pending(mut future: std::pin::Pin<&mut impl Future<Output = ()>>) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
    }
}
