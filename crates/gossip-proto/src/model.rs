//! What the contract calls an `intent` and an `update`, and the `gossip_update` that tells a room of a change
//! (contract §2 and §3). Values as they are on the wire; what may happen to them is decided in gossip-core.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{IntentId, RoomId, Seq, UpdateId, UserId};
use crate::timestamp::Timestamp;

/// A word where one of a fixed list was meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be one of: {0}")]
pub struct UnknownWord(pub &'static str);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ } list $list:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// The word on the wire and in the tables.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word { $($word => Ok(Self::$variant),)+ _ => Err(UnknownWord($list)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words!(
    /// Where an intent stands (contract §4, Status).
    Status {
        /// Nobody has judged it yet.
        Pending = "pending",
        /// An admin found it true.
        Verified = "verified",
        /// An admin found it false.
        Debunked = "debunked",
        /// Its time is over. Final.
        Expired = "expired",
    } list "pending, verified, debunked, expired"
);

words!(
    /// What a user does with their vote.
    VoteAction {
        /// Stand for it.
        Upvote = "upvote",
        /// Stand against it.
        Downvote = "downvote",
        /// Take the vote back.
        Remove = "remove",
    } list "upvote, downvote, remove"
);

words!(
    /// A vote that stands.
    Vote {
        /// For.
        Up = "upvote",
        /// Against.
        Down = "downvote",
    } list "upvote, downvote"
);

words!(
    /// The kinds of `gossip_update` (contract §3).
    GossipUpdateType {
        /// Gossip was posted.
        NewIntent = "new_intent",
        /// Any change of status, expiry included.
        StatusChange = "status_change",
        /// A vote changed the counts.
        Vote = "vote",
        /// A comment was added.
        Comment = "comment",
        /// The verdict, right after a change to `verified` or `debunked`.
        Verification = "verification",
    } list "new_intent, status_change, vote, comment, verification"
);

words!(
    /// The kinds of rows in `gossip_updates`: as those of `gossip_update`, without the post itself.
    UpdateType {
        /// A change of status.
        StatusChange = "status_change",
        /// A vote; `content` is the action.
        Vote = "vote",
        /// A comment; `content` is its text.
        Comment = "comment",
        /// A verdict; `content` is the reason.
        Verification = "verification",
    } list "status_change, vote, comment, verification"
);

/// One piece of gossip. Every key is always on the wire, `null` where empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// UUID v7 when made here.
    pub id: IntentId,
    /// The room it was posted in; never changes.
    pub room_id: RoomId,
    /// Who posted it.
    pub user_id: UserId,
    /// Normalised text, never interpreted.
    pub content: String,
    /// Where it stands.
    pub status: Status,
    /// The poster's own JSON object.
    #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Map<String, Value>>"))]
    pub metadata: Option<Value>,
    /// Votes for it.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub upvotes: i64,
    /// Votes against it.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub downvotes: i64,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// When it was posted.
    pub created_at: Timestamp,
    /// When a vote or a change of status last touched it.
    pub updated_at: Timestamp,
}

/// One row of what happened to an intent. Every key is always on the wire, `null` where empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Update {
    /// UUID v7 when made here.
    pub id: UpdateId,
    /// What it happened to.
    pub intent_id: IntentId,
    /// Who did it; the nil UUID for the server itself.
    pub user_id: UserId,
    /// What it was.
    #[serde(rename = "type")]
    pub kind: UpdateType,
    /// The comment, the reason or the vote's action.
    pub content: Option<String>,
    /// `{oldStatus, newStatus}` or `{verdict}`.
    #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Map<String, Value>>"))]
    pub metadata: Option<Value>,
    /// When.
    pub created_at: Timestamp,
}

/// The data of a `gossip_update` event (contract §3).
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GossipUpdate<'a> {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: GossipUpdateType,
    /// The intent as it is after it.
    pub intent: &'a Intent,
    /// The row that tells more; left out for `new_intent` and `vote`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Update"))]
    pub update: Option<&'a Update>,
    /// When it was committed.
    pub timestamp: Timestamp,
    /// Where.
    pub room_id: RoomId,
    /// Its place in the room.
    pub seq: Seq,
}

impl GossipUpdate<'_> {
    /// The event's name.
    pub const NAME: &'static str = "gossip_update";
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn an_intent_has_every_key() {
        let intent = Intent {
            id: IntentId(Uuid::nil()),
            room_id: RoomId(Uuid::nil()),
            user_id: UserId::NIL,
            content: "x".into(),
            status: Status::Pending,
            metadata: None,
            upvotes: 0,
            downvotes: 0,
            expires_at: None,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        };
        let event = GossipUpdate {
            kind: GossipUpdateType::NewIntent,
            intent: &intent,
            update: None,
            timestamp: Timestamp::from_millis(0),
            room_id: intent.room_id,
            seq: Seq(1),
        };
        let nil = Uuid::nil();
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            format!(
                "{{\"type\":\"new_intent\",\"intent\":{{\"id\":\"{nil}\",\"roomId\":\"{nil}\",\"userId\":\"{nil}\",\
                 \"content\":\"x\",\"status\":\"pending\",\"metadata\":null,\"upvotes\":0,\"downvotes\":0,\
                 \"expiresAt\":null,\"createdAt\":\"1970-01-01T00:00:00.000Z\",\
                 \"updatedAt\":\"1970-01-01T00:00:00.000Z\"}},\"timestamp\":\"1970-01-01T00:00:00.000Z\",\
                 \"roomId\":\"{nil}\",\"seq\":1}}"
            )
        );
    }
}
