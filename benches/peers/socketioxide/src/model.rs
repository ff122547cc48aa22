//! What goes over the wire: requests, acks and events, key for key and in the order of gossipd's.

use serde::{Deserialize, Serialize, Serializer};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// An instant, as RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Timestamp(OffsetDateTime);

impl Timestamp {
    pub(crate) fn now() -> Self {
        Self(OffsetDateTime::now_utc())
    }

    pub(crate) fn a_day_later(self) -> Self {
        Self(self.0 + Duration::DAY)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (year, month, day) = self.0.to_calendar_date();
        let (hour, minute, second, milli) = self.0.to_hms_milli();
        let month = u8::from(month);
        serializer
            .collect_str(&format_args!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Room {
    pub(crate) room_id: Uuid,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NewGossip {
    pub(crate) room_id: Uuid,
    pub(crate) content: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct VoteGossip {
    pub(crate) intent_id: Uuid,
    pub(crate) action: Action,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Action {
    Upvote,
    Downvote,
    Remove,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CommentGossip {
    pub(crate) intent_id: Uuid,
    pub(crate) content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Intent {
    pub(crate) id: Uuid,
    pub(crate) room_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) content: String,
    pub(crate) status: &'static str,
    pub(crate) metadata: (),
    pub(crate) upvotes: u64,
    pub(crate) downvotes: u64,
    pub(crate) expires_at: Timestamp,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Update {
    pub(crate) id: Uuid,
    pub(crate) intent_id: Uuid,
    pub(crate) user_id: Uuid,
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) content: String,
    pub(crate) metadata: (),
    pub(crate) created_at: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GossipUpdate<'a> {
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    pub(crate) intent: &'a Intent,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) update: Option<&'a Update>,
    pub(crate) timestamp: Timestamp,
    pub(crate) room_id: Uuid,
    pub(crate) seq: u64,
}

/// The body of an ack.
#[derive(Serialize)]
#[serde(tag = "status", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub(crate) enum Reply<'a> {
    Joined {
        room_id: Uuid,
        seq: u64,
    },
    Left {
        room_id: Uuid,
    },
    Success {
        #[serde(skip_serializing_if = "Option::is_none")]
        intent: Option<&'a Intent>,
        #[serde(skip_serializing_if = "Option::is_none")]
        update: Option<&'a Update>,
        seq: u64,
    },
    Error {
        code: &'static str,
        message: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_gossipd() {
        let at = Timestamp(OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(5));
        let nil = Uuid::nil();
        let intent = Intent {
            id: nil,
            room_id: nil,
            user_id: nil,
            content: "x".into(),
            status: "pending",
            metadata: (),
            upvotes: 0,
            downvotes: 0,
            expires_at: at.a_day_later(),
            created_at: at,
            updated_at: at,
        };
        let event =
            GossipUpdate { kind: "new_intent", intent: &intent, update: None, timestamp: at, room_id: nil, seq: 1 };
        let expected = format!(
            r#"{{"type":"new_intent","intent":{{"id":"{nil}","roomId":"{nil}","userId":"{nil}","content":"x","status":"pending","metadata":null,"upvotes":0,"downvotes":0,"expiresAt":"1970-01-02T00:00:00.005Z","createdAt":"1970-01-01T00:00:00.005Z","updatedAt":"1970-01-01T00:00:00.005Z"}},"timestamp":"1970-01-01T00:00:00.005Z","roomId":"{nil}","seq":1}}"#
        );
        assert_eq!(serde_json::to_string(&event).unwrap(), expected);
        let joined = Reply::Joined { room_id: nil, seq: 4 };
        assert_eq!(
            serde_json::to_string(&joined).unwrap(),
            format!(r#"{{"status":"joined","roomId":"{nil}","seq":4}}"#)
        );
    }
}
