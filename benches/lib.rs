//! What the benches share: an environment that is the same in every run, and commands, an intent and an event to measure
//! with. The benches themselves are in `benches/`, one for each thing measured; load on a running server is measured
//! elsewhere. They run with the daemon's allocator, so that their figures are its own.

#![expect(clippy::unwrap_used, reason = "for benches alone")]

use std::sync::atomic::{AtomicU64, Ordering};

use gossip_core::access::Reach;
use gossip_core::command::{Action, Actor, Command};
use gossip_core::env::Env;
use gossip_proto::id::{IntentId, RoomId, Seq, UserId};
use gossip_proto::model::{GossipUpdate, GossipUpdateType, Intent, Status, VoteAction};
use gossip_proto::timestamp::Timestamp;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// When everything happens.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

/// A clock that stands, and ids that count.
#[derive(Debug, Default)]
pub struct Fixed(AtomicU64);

impl Env for Fixed {
    fn now(&self) -> Timestamp {
        now()
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + (1 << 64))
    }
}

/// One vote each of `users` on one intent.
#[must_use]
pub fn votes(intent: IntentId, users: u64, action: VoteAction) -> Vec<Command> {
    let vote = |user| Command {
        actor: Actor { user: UserId(Uuid::from_u128(u128::from(user))), reach: Reach::All },
        action: Action::Vote { intent, action },
        request_id: None,
    };
    (0..users).map(vote).collect()
}

/// An intent of 200 characters, in a room of the same number.
#[must_use]
pub fn intent(number: u128) -> Intent {
    Intent {
        id: IntentId(Uuid::from_u128(number)),
        room_id: RoomId(Uuid::from_u128(number)),
        user_id: UserId::NIL,
        content: "x".repeat(200),
        status: Status::Pending,
        metadata: None,
        upvotes: 0,
        downvotes: 0,
        expires_at: None,
        created_at: now(),
        updated_at: now(),
    }
}

/// The data of a `gossip_update`, JSON: a vote on that [`intent`].
#[must_use]
pub fn update(number: u128, seq: u64) -> String {
    let intent = &intent(number);
    let (kind, room_id) = (GossipUpdateType::Vote, intent.room_id);
    let update = GossipUpdate { kind, intent, update: None, timestamp: now(), room_id, seq: Seq(seq) };
    serde_json::to_string(&update).unwrap()
}
