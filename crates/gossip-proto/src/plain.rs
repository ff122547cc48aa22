//! The plain WebSocket protocol of contract §1 (`/gossip/ws`): `{"event":…,"data":…,"id":n?}` in, replies and events out.
//! It knows no event; what `data` must hold is for the types of each.

use std::fmt;
use std::fmt::Write as _;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// What a client asks for in one text frame.
#[derive(Debug, Clone)]
pub struct PlainRequest {
    /// The event's name.
    pub event: Box<str>,
    /// Its data, as JSON; unread beyond its syntax.
    pub data: Option<Box<RawValue>>,
    /// The id the reply must carry, where one is wanted.
    pub id: Option<u64>,
}

/// A frame that is no [`PlainRequest`]. To be answered with `invalid_input` and this `field` (contract §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` is missing or malformed")]
pub struct PlainError {
    /// The member at fault: `event`, `id`, or `data` where the whole is not a JSON object.
    pub field: &'static str,
    /// The id for the answer, where a valid one was read before the fault.
    pub id: Option<u64>,
}

/// Reads a text frame. Members it does not know are ignored; of one that is repeated the last counts.
///
/// # Errors
/// [`PlainError`], which names the member at fault. A bad `event` comes before a bad `id`.
pub fn decode(text: &str) -> Result<PlainRequest, PlainError> {
    let mut members = Members::default();
    let mut input = serde_json::Deserializer::from_str(text);
    let whole = (&mut members).deserialize(&mut input).and_then(|()| input.end());
    let (id, id_fault) = match members.id {
        None => (None, false),
        Some(raw) => {
            let id = raw.get().parse().ok();
            (id, id.is_none())
        }
    };
    let fault = |field| PlainError { field, id };
    whole.map_err(|_| fault("data"))?;
    let event = members.event.and_then(|raw| serde_json::from_str(raw.get()).ok()).ok_or(fault("event"))?;
    if id_fault {
        return Err(fault("id"));
    }
    Ok(PlainRequest { event, data: members.data.map(ToOwned::to_owned), id })
}

/// The members of a frame as far as it could be read: kept outside of the parser, so that a fault leaves what came before.
#[derive(Default)]
struct Members<'a> {
    event: Option<&'a RawValue>,
    data: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
}

impl<'de> DeserializeSeed<'de> for &mut Members<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Members<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "event" => self.event = Some(map.next_value()?),
                "data" => self.data = Some(map.next_value()?),
                "id" => self.id = Some(map.next_value()?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// `{"id":n,"data":…}`: the answer to a request. `body` must be valid JSON.
#[must_use]
pub fn encode_reply(id: u64, body: &str) -> String {
    let mut out = String::with_capacity(36 + body.len());
    // Writing to a String does not fail.
    let _ = write!(out, r#"{{"id":{id},"data":{body}}}"#);
    out
}

/// `{"event":…,"data":…}`: what the server emits. `data` must be valid JSON; `name` may be any text.
#[must_use]
pub fn encode_event(name: &str, data: &str) -> String {
    let mut out = String::with_capacity(24 + name.len() + data.len());
    out.push_str(r#"{"event":"#);
    crate::json::push_str(&mut out, name);
    out.push_str(r#","data":"#);
    out.push_str(data);
    out.push('}');
    out
}

#[cfg(test)]
mod tests;
