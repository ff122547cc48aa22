//! What the benches share: an environment that is the same in every run, and commands to measure with. The benches
//! themselves are in `benches/`, one for each thing measured; load on a running server is measured elsewhere.

use std::sync::atomic::{AtomicU64, Ordering};

use gossip_core::access::Reach;
use gossip_core::command::{Action, Actor, Command};
use gossip_core::env::Env;
use gossip_proto::id::{IntentId, UserId};
use gossip_proto::model::VoteAction;
use gossip_proto::timestamp::Timestamp;
use uuid::Uuid;

/// A clock that stands, and ids that count.
#[derive(Debug, Default)]
pub struct Fixed(AtomicU64);

impl Env for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + (1 << 64))
    }
}

/// One vote each of `users` on one intent, all up.
#[must_use]
pub fn votes(intent: IntentId, users: u64, action: VoteAction) -> Vec<Command> {
    let vote = |user| Command {
        actor: Actor { user: UserId(Uuid::from_u128(u128::from(user))), reach: Reach::All },
        action: Action::Vote { intent, action },
        request_id: None,
    };
    (0..users).map(vote).collect()
}
