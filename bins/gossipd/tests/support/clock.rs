//! A clock that stands until it is turned. Only what the server asks of [`Env`] follows it; heartbeats do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use gossip_core::env::Env;
use gossip_proto::timestamp::Timestamp;
use uuid::Uuid;

pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn new() -> Arc<HandClock> {
        Arc::new(HandClock(AtomicI64::new(1_700_000_000_000)))
    }

    pub(crate) fn advance_ms(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Env for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}
