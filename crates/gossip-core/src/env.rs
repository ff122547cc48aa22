//! Where time and new ids come from: a trait, so that everything above is tested without waiting. The real one is
//! in gossip-hub; this crate only says its shape.

use gossip_proto::timestamp::Timestamp;
use uuid::Uuid;

/// The two things that differ from one run to the next.
pub trait Env: Send + Sync + 'static {
    /// The present instant, UTC.
    fn now(&self) -> Timestamp;

    /// A new UUID v7, unique, and later than every earlier one of this process.
    fn new_id(&self) -> Uuid;
}
