//! Commands: what an actor wants changed, with everything about it that can be checked without the store already
//! checked. What becomes of them is decided where the facts are loaded (gossip-store), by [`crate::vote`] and
//! [`crate::status`].

use std::time::Duration;

use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::model::{Status, VoteAction};
use gossip_proto::request::RequestId;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::access::Reach;
use crate::text::{Metadata, Text};

/// Who acts, and how far they reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Whose name goes into the rows.
    pub user: UserId,
    /// Which rooms they may touch.
    pub reach: Reach,
}

impl Actor {
    /// The server itself.
    pub const SYSTEM: Actor = Actor { user: UserId::NIL, reach: Reach::All };
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Post to a room.
    Post {
        /// Where.
        room: RoomId,
        /// What.
        content: Text,
        /// With what.
        metadata: Option<Metadata>,
        /// For how long.
        lives: Duration,
    },
    /// Vote.
    Vote {
        /// On what.
        intent: IntentId,
        /// How.
        action: VoteAction,
    },
    /// Comment.
    Comment {
        /// On what.
        intent: IntentId,
        /// What.
        content: Text,
    },
    /// Set a status; the actor was found to be an admin.
    SetStatus {
        /// Of what.
        intent: IntentId,
        /// To what.
        status: Status,
        /// Why.
        reason: Option<Text>,
    },
    /// Expire what is due: the clock's own command.
    Expire {
        /// What.
        intent: IntentId,
    },
}

/// An action of an actor.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Who.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// The client's own id for it.
    pub request_id: Option<RequestId>,
}

/// What distinguishes one command from another under the same `requestId`: a hash of event and data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub Uuid);

impl Command {
    /// The intent it is about, if that exists already.
    #[must_use]
    pub fn intent(&self) -> Option<IntentId> {
        match self.action {
            Action::Post { .. } => None,
            Action::Vote { intent, .. }
            | Action::Comment { intent, .. }
            | Action::SetStatus { intent, .. }
            | Action::Expire { intent } => Some(intent),
        }
    }

    /// Equal for commands that ask for the same, whoever asks and whenever (contract §4, Retries).
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        /// A namespace of our own for name-based UUIDs.
        const NAMESPACE: Uuid = Uuid::from_u128(0x6f0e_7a0a_53a2_4f0e_9a5d_6a2f_1f6d_9c11);
        let data = match &self.action {
            Action::Post { room, content, metadata, lives } => json!([
                "new_gossip",
                room,
                content.as_str(),
                metadata.as_ref().map_or(&Value::Null, Metadata::as_value),
                lives.as_secs()
            ]),
            Action::Vote { intent, action } => json!(["vote_gossip", intent, action]),
            Action::Comment { intent, content } => json!(["comment_gossip", intent, content.as_str()]),
            Action::SetStatus { intent, status, reason } => {
                json!(["update_gossip", intent, status, reason.as_ref().map(Text::as_str)])
            }
            Action::Expire { intent } => json!(["expire", intent]),
        };
        Fingerprint(Uuid::new_v5(&NAMESPACE, data.to_string().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Limits;

    #[test]
    fn fingerprints_differ_with_the_data_only() {
        let limits = Limits::default();
        let comment = |user: u128, text: &str| Command {
            actor: Actor { user: UserId(Uuid::from_u128(user)), reach: Reach::All },
            action: Action::Comment { intent: IntentId(Uuid::nil()), content: limits.comment(text).unwrap() },
            request_id: None,
        };
        assert_eq!(comment(1, "x").fingerprint(), comment(2, " x ").fingerprint());
        assert_ne!(comment(1, "x").fingerprint(), comment(1, "y").fingerprint());
    }
}
