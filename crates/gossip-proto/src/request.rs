//! What a client asks, read from an event's name and data (contract §2): shapes and types, naming the member at fault.
//! Lengths, ranges and rights are not decided here but in gossip-core.

mod fields;
mod handshake;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::id::{IntentId, RoomId, Seq, UserId};
use crate::model::{Status, VoteAction};
use crate::refusal::{Code, Refusal};
use fields::{Fields, id, json, text, whole_number, word};

pub use handshake::{Handshake, Recover};

/// The most items a page or a history holds.
pub const MAX_LIMIT: u64 = 100;
/// What a page holds when the client does not say.
pub const DEFAULT_LIMIT: u64 = 50;
/// The most characters of a `requestId`.
pub const MAX_REQUEST_ID: usize = 64;

/// A token that never shows itself in a log.
#[derive(Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transparent, inline))]
pub struct Token(pub String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A client's own id for a command, so that a repetition is recognised: 1…64 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(transparent, inline))]
pub struct RequestId(#[cfg_attr(feature = "schema", schemars(length(min = 1, max = MAX_REQUEST_ID)))] String);

impl RequestId {
    /// The text as the client sent it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One page of a list: how much, and after which one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Page {
    /// How many at most.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<u64>", range(min = 1, max = MAX_LIMIT), extend("default" = DEFAULT_LIMIT))
    )]
    pub limit: u64,
    /// The `nextBefore` of the page before.
    pub before: Option<String>,
}

/// A client event with its data, well-formed.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(
    feature = "schema",
    schemars(tag = "event", content = "data", rename_all = "snake_case", rename_all_fields = "camelCase")
)]
pub enum Request {
    /// `authenticate`: says who one is.
    Authenticate {
        /// The JWT.
        token: Token,
        /// Must equal the token's `sub`.
        user_id: Option<UserId>,
    },
    /// `join_room`: subscribes to the events of a room.
    JoinRoom {
        /// Which room.
        room_id: RoomId,
        /// The last event the client has.
        since: Option<Seq>,
        /// How many of the newest intents to send along.
        #[cfg_attr(feature = "schema", schemars(range(max = MAX_LIMIT)))]
        history: Option<u64>,
    },
    /// `leave_room`: ends the subscription to a room.
    LeaveRoom {
        /// Which room.
        room_id: RoomId,
    },
    /// `new_gossip`: posts.
    NewGossip {
        /// In which room.
        room_id: RoomId,
        /// The text: not empty, and with a maximum that is configured (2000 characters if it is not).
        content: String,
        /// Stored and sent as it is; at most 4 KiB as compact JSON, 8 deep, unless configured otherwise.
        #[cfg_attr(feature = "schema", schemars(with = "Option<serde_json::Map<String, Value>>"))]
        metadata: Option<Value>,
        /// After how long it expires; the maximum and the default are configured (1440 both if they are not).
        #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
        expires_in_minutes: Option<u64>,
        /// The client's own id for the command: a repetition is answered with the first result.
        request_id: Option<RequestId>,
    },
    /// `update_gossip`: changes an intent's status; admins only.
    UpdateGossip {
        /// Which intent.
        intent_id: IntentId,
        /// Its new status.
        status: Status,
        /// Why; at most 500 characters, unless configured otherwise.
        reason: Option<String>,
        /// The client's own id for the command: a repetition is answered with the first result.
        request_id: Option<RequestId>,
    },
    /// `vote_gossip`: votes, or takes the vote back.
    VoteGossip {
        /// On which intent.
        intent_id: IntentId,
        /// In which way.
        action: VoteAction,
    },
    /// `comment_gossip`: comments.
    CommentGossip {
        /// On which intent.
        intent_id: IntentId,
        /// The text: not empty, and with a maximum that is configured (1000 characters if it is not).
        content: String,
        /// The client's own id for the command: a repetition is answered with the first result.
        request_id: Option<RequestId>,
    },
    /// `list_gossip`: a page of a room's intents, newest first.
    ListGossip {
        /// In which room.
        room_id: RoomId,
        /// How much.
        #[cfg_attr(feature = "schema", schemars(flatten))]
        page: Page,
        /// Only intents of this status.
        status: Option<Status>,
    },
    /// `get_gossip`: one intent, and the asking user's vote.
    GetGossip {
        /// Which intent.
        intent_id: IntentId,
    },
    /// `list_updates`: a page of what happened to an intent, newest first.
    ListUpdates {
        /// Of which intent.
        intent_id: IntentId,
        /// How much.
        #[cfg_attr(feature = "schema", schemars(flatten))]
        page: Page,
    },
}

impl Request {
    /// Reads an event. `data` is its first argument, absent when there was none.
    ///
    /// # Errors
    /// `unknown_event`, or `invalid_input` with the member at fault (`data` when the whole is not an object).
    pub fn parse(event: &str, data: Option<&RawValue>) -> Result<Request, Refusal> {
        let read: fn(&Fields<'_>) -> Result<Request, Refusal> = match event {
            "authenticate" => Self::authenticate,
            "join_room" => Self::join_room,
            "leave_room" => |f| Ok(Request::LeaveRoom { room_id: f.required("roomId", id)? }),
            "new_gossip" => Self::new_gossip,
            "update_gossip" => Self::update_gossip,
            "vote_gossip" => Self::vote_gossip,
            "comment_gossip" => Self::comment_gossip,
            "list_gossip" => Self::list_gossip,
            "get_gossip" => |f| Ok(Request::GetGossip { intent_id: f.required("intentId", id)? }),
            "list_updates" => Self::list_updates,
            _ => return Err(Refusal::new(Code::UnknownEvent, "there is no such event")),
        };
        read(&Fields::read(data)?)
    }

    fn authenticate(f: &Fields<'_>) -> Result<Request, Refusal> {
        Ok(Request::Authenticate {
            token: f.required("token", |raw| text(raw).map(Token))?,
            user_id: f.optional("userId", id)?,
        })
    }

    fn join_room(f: &Fields<'_>) -> Result<Request, Refusal> {
        Ok(Request::JoinRoom {
            room_id: f.required("roomId", id)?,
            since: f.optional("since", |raw| whole_number(raw).map(Seq))?,
            history: f.optional("history", |raw| match whole_number(raw)? {
                n if n <= MAX_LIMIT => Ok(n),
                _ => Err("must be at most 100".into()),
            })?,
        })
    }

    fn new_gossip(f: &Fields<'_>) -> Result<Request, Refusal> {
        Ok(Request::NewGossip {
            room_id: f.required("roomId", id)?,
            content: f.required("content", text)?,
            metadata: f.optional("metadata", json)?,
            expires_in_minutes: f.optional("expiresInMinutes", whole_number)?,
            request_id: f.request_id()?,
        })
    }

    fn update_gossip(f: &Fields<'_>) -> Result<Request, Refusal> {
        Ok(Request::UpdateGossip {
            intent_id: f.required("intentId", id)?,
            status: f.required("status", word)?,
            reason: f.optional("reason", text)?,
            request_id: f.request_id()?,
        })
    }

    fn vote_gossip(f: &Fields<'_>) -> Result<Request, Refusal> {
        Ok(Request::VoteGossip { intent_id: f.required("intentId", id)?, action: f.required("action", word)? })
    }

    fn comment_gossip(f: &Fields<'_>) -> Result<Request, Refusal> {
        Ok(Request::CommentGossip {
            intent_id: f.required("intentId", id)?,
            content: f.required("content", text)?,
            request_id: f.request_id()?,
        })
    }

    fn list_gossip(f: &Fields<'_>) -> Result<Request, Refusal> {
        Ok(Request::ListGossip {
            room_id: f.required("roomId", id)?,
            page: f.page()?,
            status: f.optional("status", word)?,
        })
    }

    fn list_updates(f: &Fields<'_>) -> Result<Request, Refusal> {
        Ok(Request::ListUpdates { intent_id: f.required("intentId", id)?, page: f.page()? })
    }
}

/// Why an event that carries binary is refused: the contract has none, so it names the member that does (`data` where
/// it is the whole, or a member that nobody asks for).
#[must_use]
pub fn refuse_binary(event: &str, data: Option<&RawValue>) -> Refusal {
    let Some(members) = members(event) else { return Refusal::new(Code::UnknownEvent, "there is no such event") };
    let binary = Fields::read(data).ok().and_then(|fields| {
        // A member too deep to be looked through is at fault in any case.
        let is_binary =
            |raw: &RawValue| serde_json::from_str(raw.get()).map_or(true, |value| holds_placeholder(&value));
        members.iter().copied().find(|name| fields.present(name).is_some_and(is_binary))
    });
    Refusal::invalid(binary.unwrap_or("data"), "must not be binary")
}

/// The members of each event's data.
fn members(event: &str) -> Option<&'static [&'static str]> {
    Some(match event {
        "authenticate" => &["token", "userId"],
        "join_room" => &["roomId", "since", "history"],
        "leave_room" => &["roomId"],
        "new_gossip" => &["roomId", "content", "metadata", "expiresInMinutes", "requestId"],
        "update_gossip" => &["intentId", "status", "reason", "requestId"],
        "vote_gossip" => &["intentId", "action"],
        "comment_gossip" => &["intentId", "content", "requestId"],
        "list_gossip" => &["roomId", "limit", "before", "status"],
        "get_gossip" => &["intentId"],
        "list_updates" => &["intentId", "limit", "before"],
        _ => return None,
    })
}

fn holds_placeholder(value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            members.get("_placeholder") == Some(&Value::Bool(true)) || members.values().any(holds_placeholder)
        }
        Value::Array(items) => items.iter().any(holds_placeholder),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(event: &str, data: &str) -> Result<Request, Refusal> {
        let raw: &RawValue = serde_json::from_str(data).unwrap();
        Request::parse(event, Some(raw))
    }

    #[track_caller]
    fn refused(event: &str, data: &str, field: &str) {
        let refusal = parse(event, data).expect_err(data);
        assert_eq!((refusal.code, refusal.field), (Code::InvalidInput, Some(field)), "{event} {data}: {refusal}");
    }

    const ROOM: &str = "018f2a3e-0000-7000-8000-000000000001";

    #[test]
    fn names_the_member_at_fault() {
        for data in ["null", "1", "\"x\"", "[]", "true"] {
            refused("join_room", data, "data");
        }
        assert_eq!(Request::parse("join_room", None).unwrap_err().field, Some("data"));
        for (event, data, field) in [
            ("join_room", "{}".to_owned(), "roomId"),
            ("join_room", r#"{"roomId":5}"#.into(), "roomId"),
            ("join_room", r#"{"roomId":"room-123"}"#.into(), "roomId"),
            ("join_room", r#"{"__proto__":{"roomId":"x"}}"#.into(), "roomId"),
            ("join_room", format!(r#"{{"roomId":"{ROOM}","since":-1}}"#), "since"),
            ("join_room", format!(r#"{{"roomId":"{ROOM}","since":1e400}}"#), "since"),
            ("join_room", format!(r#"{{"roomId":"{ROOM}","history":101}}"#), "history"),
            ("new_gossip", format!(r#"{{"roomId":"{ROOM}"}}"#), "content"),
            ("new_gossip", format!(r#"{{"roomId":"{ROOM}","content":null}}"#), "content"),
            ("new_gossip", format!(r#"{{"roomId":"{ROOM}","content":"\ud800"}}"#), "content"),
            (
                "new_gossip",
                format!(r#"{{"roomId":"{ROOM}","content":"x","expiresInMinutes":1.5}}"#),
                "expiresInMinutes",
            ),
            ("new_gossip", format!(r#"{{"roomId":"{ROOM}","content":"x","requestId":""}}"#), "requestId"),
            ("vote_gossip", format!(r#"{{"intentId":"{ROOM}","action":"up"}}"#), "action"),
            ("update_gossip", format!(r#"{{"intentId":"{ROOM}","status":"gone"}}"#), "status"),
            ("list_gossip", format!(r#"{{"roomId":"{ROOM}","limit":0}}"#), "limit"),
            ("list_gossip", format!(r#"{{"roomId":"{ROOM}","limit":101}}"#), "limit"),
        ] {
            refused(event, &data, field);
        }
    }

    #[test]
    fn depth_spoils_only_its_own_member() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        refused("new_gossip", &format!(r#"{{"roomId":"{ROOM}","content":"x","metadata":{deep}}}"#), "metadata");
        assert!(parse("join_room", &format!(r#"{{"roomId":"{ROOM}","other":{deep}}}"#)).is_ok());
    }

    #[test]
    fn null_is_absent_and_whole_doubles_are_whole() {
        let request = parse("join_room", &format!(r#"{{"roomId":"{ROOM}","since":null,"history":5.0}}"#)).unwrap();
        assert_eq!(request, Request::JoinRoom { room_id: ROOM.parse().unwrap(), since: None, history: Some(5) });
    }

    #[test]
    fn binary_is_named_where_it_stands() {
        let named = |data: &str| refuse_binary("new_gossip", Some(serde_json::from_str(data).unwrap())).field;
        assert_eq!(named(r#"{"_placeholder":true,"num":0}"#), Some("data"));
        assert_eq!(named(r#"{"roomId":"x","content":{"_placeholder":true,"num":0}}"#), Some("content"));
        assert_eq!(named(r#"{"metadata":{"a":[{"_placeholder":true,"num":0}]}}"#), Some("metadata"));
        assert_eq!(refuse_binary("new_gossip", None).field, Some("data"));
        assert_eq!(refuse_binary("shout", None).code, Code::UnknownEvent);
    }

    #[test]
    fn unknown_events_are_told_apart() {
        assert_eq!(parse("gossip", "{}").unwrap_err().code, Code::UnknownEvent);
    }
}
