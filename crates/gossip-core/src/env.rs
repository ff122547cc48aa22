//! Where time and new ids come from: a trait, so that everything above is tested without waiting. The real one is
//! in gossip-hub; this crate only says its shape.

use std::time::Duration;

use gossip_proto::timestamp::Timestamp;
use uuid::Uuid;

/// The two things that differ from one run to the next.
pub trait Env: Send + Sync + 'static {
    /// The present instant, UTC.
    fn now(&self) -> Timestamp;

    /// Time that only goes forward, since a moment of no meaning: for what lasts, when the clock is set meanwhile too.
    /// By itself it follows [`Env::now`].
    fn uptime(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now().as_millis()).unwrap_or(0))
    }

    /// A new UUID v7, unique, and later than every earlier one of this process.
    fn new_id(&self) -> Uuid;
}
