//! What a request that succeeded is answered with: the bodies of contract §2's ack column. Failures are
//! [`crate::refusal::Refusal`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::id::{RoomId, Seq, UserId};
use crate::model::{Intent, Update, Vote};
use crate::timestamp::Timestamp;

/// What a command did: its ack, and what a repetition with the same `requestId` is answered with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Outcome {
    /// Of `new_gossip`, `update_gossip` and `vote_gossip`.
    Intent {
        /// As it is after the command.
        intent: Arc<Intent>,
        /// The last event the command caused, or the room's present one.
        seq: Seq,
    },
    /// Of `comment_gossip`.
    Update {
        /// The comment.
        update: Arc<Update>,
        /// Its event.
        seq: Seq,
    },
}

/// The body of an ack that is not a failure.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "status", rename_all_fields = "camelCase")]
pub enum Reply {
    /// `authenticate`.
    #[serde(rename = "authenticated")]
    #[cfg_attr(feature = "schema", schemars(title = "Authenticated"))]
    Authenticated {
        /// Whom the token names.
        user_id: UserId,
        /// When the token ends.
        expires_at: Timestamp,
    },
    /// `join_room`.
    #[serde(rename = "joined")]
    #[cfg_attr(feature = "schema", schemars(title = "Joined"))]
    Joined {
        /// Which room.
        room_id: RoomId,
        /// The room's present seq: the first live event is the next one.
        seq: Seq,
        /// With `since`: whether all that was missed is delivered.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(with = "bool"))]
        recovered: Option<bool>,
        /// With `history`: the newest intents, newest first.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "schema", schemars(with = "Vec<Intent>"))]
        intents: Option<Vec<Intent>>,
    },
    /// `leave_room`.
    #[serde(rename = "left")]
    #[cfg_attr(feature = "schema", schemars(title = "Left"))]
    Left {
        /// Which room.
        room_id: RoomId,
    },
    /// `new_gossip`, `update_gossip`, `vote_gossip`.
    #[serde(rename = "success")]
    #[cfg_attr(feature = "schema", schemars(title = "IntentReply"))]
    Intent {
        /// As it is after the command.
        intent: Arc<Intent>,
        /// The last event the command caused, or the room's present one.
        seq: Seq,
    },
    /// `comment_gossip`.
    #[serde(rename = "success")]
    #[cfg_attr(feature = "schema", schemars(title = "UpdateReply"))]
    Update {
        /// The comment.
        update: Arc<Update>,
        /// Its event.
        seq: Seq,
    },
    /// `list_gossip`.
    #[serde(rename = "success")]
    #[cfg_attr(feature = "schema", schemars(title = "IntentPage"))]
    Intents {
        /// Newest first.
        intents: Vec<Intent>,
        /// Where the next page begins; `null` at the end.
        next_before: Option<String>,
    },
    /// `get_gossip`.
    #[serde(rename = "success")]
    #[cfg_attr(feature = "schema", schemars(title = "OneIntent"))]
    OneIntent {
        /// The intent.
        intent: Intent,
        /// The asking user's vote.
        my_vote: Option<Vote>,
    },
    /// `list_updates`.
    #[serde(rename = "success")]
    #[cfg_attr(feature = "schema", schemars(title = "UpdatePage"))]
    Updates {
        /// Newest first.
        updates: Vec<Update>,
        /// Where the next page begins; `null` at the end.
        next_before: Option<String>,
    },
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Intent { intent, seq } => Reply::Intent { intent, seq },
            Outcome::Update { update, seq } => Reply::Update { update, seq },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn optional_members_of_joined_are_left_out() {
        let reply = Reply::Joined { room_id: RoomId(Uuid::nil()), seq: Seq(4), recovered: None, intents: None };
        assert_eq!(
            serde_json::to_string(&reply).unwrap(),
            r#"{"status":"joined","roomId":"00000000-0000-0000-0000-000000000000","seq":4}"#
        );
        let reply = Reply::Intents { intents: vec![], next_before: None };
        assert_eq!(serde_json::to_string(&reply).unwrap(), r#"{"status":"success","intents":[],"nextBefore":null}"#);
    }
}
