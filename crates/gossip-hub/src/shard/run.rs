//! The task of a shard: takes all that waits, then writes to each touched connection once. No decision is made here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gossip_core::env::Env;
use tokio::task::AbortHandle;

use super::{Answer, Item, Peer, Shard};
use crate::inbox::Inbox;
use crate::run::RoomRun;

/// How often deadlines are looked at: a token ends within 1 s of its time (contract §1).
const TICK: Duration = Duration::from_millis(250);

/// After so many flushes others get their turn.
const FLUSHES_AT_ONCE: usize = 128;

/// Writes a run to the members of its room one by one: nothing else waits that could go with it.
async fn send(shard: &mut Shard, run: &RoomRun, answers: Vec<Answer>) {
    shard.begin_sending(run, &answers);
    let mut from = 0;
    while shard.send_some(run, from, FLUSHES_AT_ONCE) {
        from += FLUSHES_AT_ONCE;
        tokio::task::yield_now().await;
    }
    shard.end_sending(run, answers);
}

/// Runs a shard until the task is ended. `refill` begins to read the log for a connection that lags.
pub(crate) async fn run(
    mut shard: Shard,
    inbox: Arc<Inbox<Item>>,
    env: Arc<dyn Env>,
    refill: impl Fn(Arc<Peer>) -> AbortHandle,
) {
    let mut items = Vec::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = inbox.take(&mut items) => {}
            _ = ticks.tick() => shard.tick(env.now()),
        }
        let mut rest = items.drain(..);
        while let Some(item) = rest.next() {
            match item {
                Item::Committed { runs, answers } if rest.len() == 0 && runs.len() == 1 => {
                    send(&mut shard, &runs[0], answers).await;
                }
                item => shard.handle(item),
            }
        }
        drop(rest);
        if items.capacity() > 1024 {
            items = Vec::new();
        }
        shard.start_refills(&refill);
        let delivered = std::mem::take(&mut shard.delivered);
        if delivered > 0 {
            shard.stats.delivered(delivered, Instant::now());
        }
        let dirty = std::mem::take(&mut shard.dirty);
        for some in dirty.chunks(FLUSHES_AT_ONCE) {
            for peer in some {
                peer.flush();
            }
            tokio::task::yield_now().await;
        }
    }
}
