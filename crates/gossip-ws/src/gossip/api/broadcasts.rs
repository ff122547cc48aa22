//! Server-side broadcasting over HTTP (contract §6): `{event, data}` to a room, a user or everybody.

use std::borrow::Cow;

use gossip_hub::{Error, Gateway};
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::socketio::RESERVED_EVENTS;
use hyper::{Response, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::http::{self, Body};

/// The most characters that an event's name has.
const MAX_NAME: usize = 256;

pub(super) async fn to_room(gateway: &Gateway, room: RoomId, body: &[u8]) -> Result<Response<Body>, Refusal> {
    let broadcast = Broadcast::read(body)?;
    done(gateway.broadcast_to_room(room, &broadcast.event, &broadcast.data).await)
}

pub(super) async fn to_user(gateway: &Gateway, user: UserId, body: &[u8]) -> Result<Response<Body>, Refusal> {
    let broadcast = Broadcast::read(body)?;
    done(gateway.broadcast_to_user(user, &broadcast.event, &broadcast.data).await)
}

pub(super) async fn to_all(gateway: &Gateway, body: &[u8]) -> Result<Response<Body>, Refusal> {
    let broadcast = Broadcast::read(body)?;
    done(gateway.broadcast_to_all(&broadcast.event, &broadcast.data).await)
}

/// 202: it is on its way, and who is not connected does not get it.
fn done(sent: Result<(), Error>) -> Result<Response<Body>, Refusal> {
    match sent {
        Ok(()) => Ok(http::json(StatusCode::ACCEPTED, r#"{"status":"success"}"#)),
        Err(error @ Error::ReservedEvent(_)) => Err(Refusal::invalid("event", error.to_string())),
        Err(error) => {
            tracing::error!(%error, "a broadcast failed");
            Err(Refusal::new(Code::Internal, "the event could not be sent"))
        }
    }
}

/// An event of another service's.
pub(in super::super) struct Broadcast<'a> {
    event: String,
    /// `null` where there is none.
    data: Option<&'a RawValue>,
}

impl JsonSchema for Broadcast<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Broadcast".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "An event of another service's.",
            "required": ["event"],
            "properties": {
                "event": {
                    "type": "string",
                    "description": "Its name: any that Socket.IO does not reserve.",
                    "minLength": 1,
                    "maxLength": MAX_NAME,
                    "not": { "enum": RESERVED_EVENTS },
                },
                "data": { "description": "Any JSON, passed on as it is; `null` where there is none." },
            },
        })
    }
}

impl<'a> Broadcast<'a> {
    fn read(body: &'a [u8]) -> Result<Broadcast<'a>, Refusal> {
        #[derive(Deserialize)]
        struct Members<'a> {
            #[serde(borrow)]
            event: Option<&'a RawValue>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }

        // Anything else than an object would be taken for a list of its members.
        let is_object = body.trim_ascii_start().first() == Some(&b'{');
        let members = serde_json::from_slice::<Members<'a>>(body).ok().filter(|_| is_object);
        let Members { event, data } =
            members.ok_or_else(|| Refusal::invalid("body", "must be a JSON object of `event` and `data`"))?;
        let event = event.ok_or_else(|| Refusal::invalid("event", "is missing"))?;
        let event: String =
            serde_json::from_str(event.get()).map_err(|_| Refusal::invalid("event", "must be a string"))?;
        if event.is_empty() || event.chars().count() > MAX_NAME {
            return Err(Refusal::invalid("event", format!("must have 1 to {MAX_NAME} characters")));
        }
        // It is passed on as it came. Clients are to be able to read it, which for depth and numbers has an end.
        if data.is_some_and(|data| serde_json::from_str::<Value>(data.get()).is_err()) {
            return Err(Refusal::invalid("data", "is nested too deeply, or holds what is no JSON value"));
        }
        Ok(Broadcast { event, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_an_event_and_its_data() {
        let read = |body: &'static str| {
            Broadcast::read(body.as_bytes())
                .map(|broadcast| (broadcast.event, broadcast.data.map(RawValue::get)))
                .map_err(|refused| refused.field)
        };
        assert_eq!(read(r#" {"event":"x","data":{"a": 1}}"#), Ok(("x".into(), Some(r#"{"a": 1}"#))));
        assert_eq!(read(r#"{"event":"x","more":1}"#), Ok(("x".into(), None)));
        for body in ["", "[]", r#"["x",1]"#, "null", "{", r#"{"event":"x","event":"y"}"#, r#"{"event":"x"}}"#, "\u{0}"]
        {
            assert_eq!(read(body), Err(Some("body")), "{body}");
        }
        for body in ["{}", r#"{"event":null}"#, r#"{"event":1}"#, r#"{"event":""}"#, r#"{"event":"\ud800"}"#] {
            assert_eq!(read(body), Err(Some("event")), "{body}");
        }
        let deep = format!(r#"{{"event":"x","data":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        for body in [deep.as_str(), r#"{"event":"x","data":1e400}"#, r#"{"event":"x","data":["\ud800"]}"#] {
            assert_eq!(
                Broadcast::read(body.as_bytes()).err().and_then(|refused| refused.field),
                Some("data"),
                "{body}"
            );
        }
        let long = format!(r#"{{"event":"{}"}}"#, "x".repeat(MAX_NAME + 1));
        assert_eq!(Broadcast::read(long.as_bytes()).err().and_then(|refused| refused.field), Some("event"));
    }
}
