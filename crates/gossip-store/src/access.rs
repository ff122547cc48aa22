//! Who is a member of which room, what was withdrawn, and whose tokens were revoked (contract §4, Access to rooms). Kept
//! here; what follows from it for connections is the hub's business.

use gossip_proto::id::{RoomId, UserId};
use gossip_proto::timestamp::Timestamp;

/// A row of membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// Since when.
    pub added_at: Timestamp,
}

/// Whose tokens are refused, and which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revocation {
    /// Whose.
    pub user: UserId,
    /// Those issued before this.
    pub not_before: Timestamp,
}

/// Access that was withdrawn: news, not the truth. Whether it still is must be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccessChange {
    /// Its number, by which it is known when it is read twice.
    pub id: i64,
    /// Whose.
    pub user: UserId,
    /// To which room; none where all connections of the user are to end.
    pub room: Option<RoomId>,
}

/// Up to where changes were read. Which numbers these are is the database's own business.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccessCursor {
    /// After which row.
    pub(crate) after: (i64, i64),
    /// In the middle of reading: from where the next reading begins.
    pub(crate) next: Option<i64>,
}

/// Some of the changes.
#[derive(Debug, PartialEq, Eq)]
pub struct AccessPage {
    /// Those that make sense.
    pub changes: Vec<AccessChange>,
    /// From where to read on.
    pub next: AccessCursor,
    /// There are no more for now.
    pub is_last: bool,
}
