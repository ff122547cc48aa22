//! The one shape of every failure on the wire: `{status:"error", code, message, field?, retryAfterMs?}` (contract §2).
//! Codecs have errors of their own ([`crate::CodecError`]): bytes that are no packet are not a refused request.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::ser::SerializeStruct;

/// Why a request was refused (contract §2, Codes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The socket has not authenticated.
    NotAuthenticated,
    /// The token is not one we accept.
    InvalidToken,
    /// The token's time is over.
    TokenExpired,
    /// Authenticated, but not allowed.
    Forbidden,
    /// No such thing, or none in a room one may see.
    NotFound,
    /// A member of the data is wrong; `field` names it.
    InvalidInput,
    /// A frame or body over the limit.
    TooLarge,
    /// Too often; `retryAfterMs` says when it may be tried again.
    RateLimited,
    /// The intent no longer takes it.
    Closed,
    /// The `requestId` was used for another command.
    Conflict,
    /// No event of that name.
    UnknownEvent,
    /// The store did not answer; nothing was written.
    Unavailable,
    /// The store vanished during the commit: repeat with the same `requestId`.
    Unresolved,
    /// A fault of ours.
    Internal,
}

/// A refusal as the client sees it. The message is for people and never repeats what the client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, for programs.
    pub code: Code,
    /// The reason, for people.
    pub message: Cow<'static, str>,
    /// The offending member.
    pub field: Option<&'static str>,
    /// Milliseconds to wait before another try.
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal with nothing but its code and message.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Refusal { code, message: message.into(), field: None, retry_after_ms: None }
    }

    /// `invalid_input`: `field` is wrong, and how.
    pub fn invalid(field: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Refusal { field: Some(field), ..Refusal::new(Code::InvalidInput, message) }
    }

    /// `not_found`, with the words that are the same whether the thing is missing or hidden.
    #[must_use]
    pub fn intent_not_found() -> Self {
        Refusal::new(Code::NotFound, "there is no such intent")
    }

    /// `unavailable`: nothing was written.
    #[must_use]
    pub fn unavailable() -> Self {
        Refusal::new(Code::Unavailable, "the store does not answer; nothing was written")
    }

    /// `not_authenticated`.
    #[must_use]
    pub fn not_authenticated() -> Self {
        Refusal::new(Code::NotAuthenticated, "authenticate first")
    }

    /// The body of an `exception` event: this, and the event that failed (absent where none did).
    #[must_use]
    pub fn exception<'a>(&'a self, event: Option<&'a str>) -> Exception<'a> {
        Exception { refusal: self, event }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl Serialize for Refusal {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.exception(None).serialize(serializer)
    }
}

/// See [`Refusal::exception`].
#[derive(Debug)]
pub struct Exception<'a> {
    refusal: &'a Refusal,
    event: Option<&'a str>,
}

impl Exception<'_> {
    /// The event's name.
    pub const NAME: &'static str = "exception";
}

impl Serialize for Exception<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut body = serializer.serialize_struct("Refusal", 6)?;
        body.serialize_field("status", "error")?;
        body.serialize_field("code", &self.refusal.code)?;
        body.serialize_field("message", &self.refusal.message)?;
        if let Some(field) = self.refusal.field {
            body.serialize_field("field", field)?;
        }
        if let Some(millis) = self.refusal.retry_after_ms {
            body.serialize_field("retryAfterMs", &millis)?;
        }
        if let Some(event) = self.event {
            body.serialize_field("event", event)?;
        }
        body.end()
    }
}

/// The members of either, beside its `Serialize`.
#[cfg(feature = "schema")]
fn members(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "required": ["status", "code", "message"],
        "properties": {
            "status": { "type": "string", "const": "error" },
            "code": generator.subschema_for::<Code>(),
            "message": { "type": "string", "description": "The reason, for people." },
            "field": { "type": "string", "description": "The offending member." },
            "retryAfterMs": {
                "type": "integer",
                "minimum": 0,
                "description": "Milliseconds to wait before another try.",
            },
        },
    })
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Refusal {
    fn schema_name() -> Cow<'static, str> {
        "Refusal".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = members(generator);
        schema.insert("description".into(), "The answer to what failed.".into());
        schema
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Exception<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Exception".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = members(generator);
        schema.insert("description".into(), "A failure of an event that asked for no ack, or of none.".into());
        if let Some(properties) = schema.get_mut("properties").and_then(|members| members.as_object_mut()) {
            let event = schemars::json_schema!({
                "type": "string",
                "description": "The event that failed; absent where none did.",
            });
            properties.insert("event".into(), event.into());
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "schema")]
    #[test]
    fn the_schema_has_the_members_that_are_sent() {
        let full = Refusal { retry_after_ms: Some(1), ..Refusal::invalid("content", "must not be empty") };
        let sent = serde_json::to_value(full.exception(Some("new_gossip"))).unwrap();
        let schema = schemars::schema_for!(Exception<'static>);
        let described = schema.get("properties").and_then(|members| members.as_object()).unwrap();
        assert!(sent.as_object().unwrap().keys().eq(described.keys()), "{described:?}");
        let bare = serde_json::to_value(Refusal::not_authenticated()).unwrap();
        let mut required: Vec<&str> =
            schema.get("required").unwrap().as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
        required.sort_unstable();
        assert!(bare.as_object().unwrap().keys().eq(required));
    }

    #[test]
    fn absent_members_are_left_out() {
        let plain = serde_json::to_string(&Refusal::not_authenticated()).unwrap();
        assert_eq!(plain, r#"{"status":"error","code":"not_authenticated","message":"authenticate first"}"#);
        let field = Refusal::invalid("content", "must not be empty");
        assert_eq!(
            serde_json::to_string(&field.exception(Some("new_gossip"))).unwrap(),
            r#"{"status":"error","code":"invalid_input","message":"must not be empty","field":"content","event":"new_gossip"}"#
        );
    }
}
