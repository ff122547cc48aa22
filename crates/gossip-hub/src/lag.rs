//! Slow readers (contract §4): what passes while a client takes less than there is stays in the log, and is read from
//! there, page after page, as it takes more. So what waits for a client is bounded, it misses nothing, and nobody else
//! waits. Which connections lag, and what is theirs to get, [`crate::shard`] knows; this is the task that reads.

use std::sync::Arc;
use std::time::Duration;

use gossip_proto::id::{RoomId, Seq};
use gossip_proto::refusal::Refusal;
use gossip_store::queue::{chain, refusal_of};
use gossip_store::{LogEvent, Store};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::catch_up::{Page, Pages};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::inbox::Inbox;
use crate::outbox::Close;
use crate::shard::{Item, Missing, Peer, Progress, Refill};
use crate::stats::SlowReaders;

/// Pages read at once for all that lag: with more, who joins would wait for the store because of them.
const READS_AT_ONCE: usize = 4;

/// For so many times `STORE_TIMEOUT` a store that fails is asked again.
const PATIENCE: u32 = 15;

/// Who reads, for as many as lag at once.
pub(crate) fn reads() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(READS_AT_ONCE))
}

/// Reads for the connections of one shard.
#[derive(Clone)]
pub(crate) struct Refiller {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) inbox: Arc<Inbox<Item>>,
    pub(crate) failure: Arc<Failure>,
    /// `STORE_TIMEOUT`.
    pub(crate) timeout: Duration,
    pub(crate) reads: Arc<Semaphore>,
}

impl Refiller {
    /// Begins to read for a connection that lags. Ends by itself when it does not any more, or is closed.
    pub(crate) fn start(&self, peer: Arc<Peer>) -> AbortHandle {
        tokio::spawn(self.clone().run(peer)).abort_handle()
    }

    async fn run(self, peer: Arc<Peer>) {
        if let Err(refusal) = self.refill(&peer).await {
            // With a part of what it missed it would have a hole: it comes back, and is told what can be had.
            tracing::debug!(connection = peer.id.0, code = ?refusal.code, "what it missed cannot be had: it is closed");
            peer.outbox.close(Close::SlowReader);
        }
    }

    async fn refill(&self, peer: &Peer) -> Result<(), Refusal> {
        let id = peer.id;
        let mut pages = Pages::default();
        loop {
            peer.outbox.drained().await;
            if peer.outbox.is_closed() {
                return Ok(());
            }
            let missing = self.ask(|done| Item::Missing { id, done }).await;
            let Some(Missing { version, mut after, last }) = missing.flatten() else { return Ok(()) };
            let page = if after.is_empty() {
                Page::nothing()
            } else {
                pages.page(self.read(&after, pages.limit()).await?, &mut after, |_| true)?
            };
            page.must_reach(&after, &last)?;
            let refill = Refill { version, events: page.replayed(), is_last: page.is_last };
            match self.ask(|done| Item::Refill { id, refill, done }).await {
                Some(Progress::Behind) => {}
                Some(Progress::Live | Progress::Gone) | None => return Ok(()),
            }
        }
    }

    /// Asks the shard for something; `None` where it is gone.
    async fn ask<T>(&self, item: impl FnOnce(oneshot::Sender<T>) -> Item) -> Option<T> {
        let (done, answered) = oneshot::channel();
        self.inbox.send(item(done)).await;
        tokio::select! {
            () = self.failure.happened() => None,
            answer = answered => answer.ok(),
        }
    }

    /// Reads on when the store is back, if that does not take too long.
    async fn read(&self, after: &[(RoomId, Seq)], limit: u64) -> Result<Vec<LogEvent>, Refusal> {
        let give_up = Instant::now() + self.timeout * PATIENCE;
        loop {
            let read = async {
                // Never closed.
                let _turn = self.reads.acquire().await;
                timeout(self.timeout, self.store.replay(after, limit)).await
            };
            let refusal = match read.await {
                Ok(Ok(events)) => return Ok(events),
                Ok(Err(error)) => {
                    tracing::debug!(error = chain(&error), "the log cannot be read for who lags");
                    refusal_of(&error)
                }
                Err(_) => Refusal::unavailable(),
            };
            if Instant::now() >= give_up {
                return Err(refusal);
            }
            sleep(self.timeout / 8).await;
        }
    }
}

impl Gateway {
    /// How many clients were too slow.
    #[must_use]
    pub fn slow_readers(&self) -> SlowReaders {
        self.inner.stats.slow_readers()
    }
}

impl Connection {
    /// Counts it among those that were closed because their client did not take what it was sent. Its transport knows.
    pub fn was_slow(&self) {
        self.stats().was_slow();
    }
}

#[cfg(test)]
mod tests;
