//! A connection as its shard and the commands under way know it. Which rooms it is in, only the shard knows.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicUsize};

use tokio::sync::Notify;

use crate::outbox::Outbox;

/// Names a connection for as long as the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// A connection as its shard and the commands under way know it.
pub(crate) struct Peer {
    pub(crate) id: ConnectionId,
    pub(crate) outbox: Box<dyn Outbox>,
    /// Something was queued since the last flush.
    dirty: AtomicBool,
    /// Commands that were accepted and not answered yet.
    under_way: AtomicUsize,
    answered: Notify,
}

impl Peer {
    pub(crate) fn new(id: ConnectionId, outbox: Box<dyn Outbox>) -> Peer {
        Peer { id, outbox, dirty: AtomicBool::new(false), under_way: AtomicUsize::new(0), answered: Notify::new() }
    }

    pub(crate) fn begin_command(&self) {
        self.under_way.fetch_add(1, AcqRel);
    }

    pub(crate) fn end_command(&self) {
        if self.under_way.fetch_sub(1, AcqRel) == 1 {
            self.answered.notify_waiters();
        }
    }

    /// Waits until every command is answered, so that who reads sees what they wrote.
    pub(crate) async fn all_answered(&self) {
        loop {
            let answered = self.answered.notified();
            if self.under_way.load(Acquire) == 0 {
                return;
            }
            answered.await;
        }
    }

    /// Marks that something was queued; true for the first since the last flush.
    pub(super) fn touch(&self) -> bool {
        !self.dirty.swap(true, Relaxed)
    }

    pub(super) fn flush(&self) {
        self.dirty.store(false, Relaxed);
        self.outbox.flush();
    }
}
