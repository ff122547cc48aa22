//! The task of a shard: takes all that waits, then writes to each touched connection once. No decision is made here.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gossip_core::env::Env;

use super::{Item, Shard};
use crate::inbox::Inbox;

/// How often deadlines are looked at: a token ends within 1 s of its time (contract §1).
const TICK: Duration = Duration::from_millis(250);

/// After so many flushes others get their turn.
const FLUSHES_AT_ONCE: usize = 128;

/// Runs a shard until the task is ended.
pub(crate) async fn run(mut shard: Shard, inbox: Arc<Inbox<Item>>, env: Arc<dyn Env>) {
    let mut items = Vec::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = inbox.take(&mut items) => {}
            _ = ticks.tick() => shard.tick(env.now()),
        }
        for item in items.drain(..) {
            shard.handle(item);
        }
        if items.capacity() > 1024 {
            items = Vec::new();
        }
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
