//! What happens by itself: gossip expires when its time is over, after downtime too, and the log is pruned. Both ask
//! the store what is due and neither keeps anything in memory, so a restart changes nothing.

use std::sync::Arc;
use std::time::Duration;

use gossip_core::command::{Action, Actor, Command};
use gossip_proto::id::IntentId;
use gossip_proto::timestamp::Timestamp;
use gossip_store::queue::chain;
use tokio::sync::oneshot;

use crate::gateway::Inner;
use crate::publisher::Ticket;

/// How often the clock is looked at: an intent expires within 1 s (contract §4).
const EXPIRY_TICK: Duration = Duration::from_millis(250);
/// Expired at once; if more are due, the rest follows without a pause.
const EXPIRY_PAGE: u64 = 256;
/// How often the log is looked through.
const PRUNE_TICK: Duration = Duration::from_secs(60);
/// Rows removed at once, so that pruning never keeps the writer long.
const PRUNE_PAGE: u64 = 1_000;
/// How often clients that have done nothing for long are forgotten: until then each is some ten bytes.
const FORGET_TICK: Duration = Duration::from_secs(5);
/// Connections noted as living at once.
const TOUCH_PAGE: usize = 1_000;

/// Expires what is due, for ever.
pub(crate) async fn expire(gateway: Arc<Inner>) {
    let mut ticks = tokio::time::interval(EXPIRY_TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        ticks.tick().await;
        match gateway.store.due(gateway.env.now(), EXPIRY_PAGE).await {
            Ok(due) => {
                failing = false;
                let is_full_page = due.len() as u64 == EXPIRY_PAGE;
                let Some(expired) = expire_all(&gateway, due).await else { return };
                // None expired means that the store fails, which a pause may mend.
                if is_full_page && expired > 0 {
                    ticks.reset_immediately();
                }
            }
            // Said once, not four times a second.
            Err(error) if !failing => {
                failing = true;
                tracing::error!(error = chain(&error), "cannot look for what is due to expire; will keep trying");
            }
            Err(_) => {}
        }
    }
}

/// Expires these and waits for it; returns how many did, or nothing when the gateway is ending.
async fn expire_all(gateway: &Inner, due: Vec<IntentId>) -> Option<usize> {
    let mut under_way = Vec::with_capacity(due.len());
    for intent in due {
        let command = Command { actor: Actor::SYSTEM, action: Action::Expire { intent }, request_id: None };
        let (done, is_done) = oneshot::channel();
        gateway.submit(command, Ticket::Janitor(done)).await.ok()?;
        under_way.push(is_done);
    }
    let mut expired = 0;
    for is_done in under_way {
        expired += usize::from(is_done.await == Ok(true));
    }
    Some(expired)
}

/// Prunes the log, for ever.
pub(crate) async fn prune(gateway: Arc<Inner>) {
    let mut ticks = tokio::time::interval(PRUNE_TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut touched = None;
    loop {
        ticks.tick().await;
        let now = gateway.env.now();
        let before = now.minus(gateway.config.log_retention);
        if touched.is_none_or(|touched| touched <= now.minus(gateway.config.log_retention / 8)) {
            touched = touch(&gateway, now).await.then_some(now);
        }
        loop {
            match gateway.store.prune(before, PRUNE_PAGE).await {
                Ok(removed) if removed >= PRUNE_PAGE => tokio::task::yield_now().await,
                Ok(_) => break,
                Err(error) => {
                    tracing::error!(error = chain(&error), "cannot prune the log; will keep trying");
                    break;
                }
            }
        }
        while let Ok(PRUNE_PAGE) = gateway.store.prune_access_changes(PRUNE_PAGE).await {
            tokio::task::yield_now().await;
        }
    }
}

/// Forgets the rates of clients that have done nothing for long, for ever.
pub(crate) async fn forget(gateway: Arc<Inner>) {
    let mut ticks = tokio::time::interval(FORGET_TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        gateway.limits.forget_idle();
    }
}

/// Connections that live are not old, however long ago they began: says so of all of them.
async fn touch(gateway: &Inner, now: Timestamp) -> bool {
    for pids in gateway.recoveries.live_pids().chunks(TOUCH_PAGE) {
        if let Err(error) = gateway.store.touch(pids, now).await {
            tracing::error!(error = chain(&error), "cannot say which connections live; will keep trying");
            return false;
        }
    }
    true
}
