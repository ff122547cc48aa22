//! A connection as its shard and the commands under way know it. Which rooms it is in, only the shard knows.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::outbox::Outbox;
use crate::under_way::UnderWay;

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
    pub(crate) under_way: UnderWay,
}

impl Peer {
    pub(crate) fn new(id: ConnectionId, outbox: Box<dyn Outbox>) -> Peer {
        Peer { id, outbox, dirty: AtomicBool::new(false), under_way: UnderWay::default() }
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
