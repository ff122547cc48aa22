//! The identifiers of the contract as types of their own, so that a room can never stand where a user is meant.
//! Only identity lives here: what the named things hold is in [`crate::model`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A text that should have been a UUID and is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a UUID such as 018f2a3e-0000-7000-8000-000000000000")]
pub struct NotAUuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        #[cfg(feature = "schema")]
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "format": "uuid" })
            }

            fn inline_schema() -> bool {
                true
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = NotAUuid;

            /// Takes the hyphenated form only, in either case: one id has one spelling on the wire.
            fn from_str(text: &str) -> Result<Self, NotAUuid> {
                if text.len() != uuid::fmt::Hyphenated::LENGTH {
                    return Err(NotAUuid);
                }
                Uuid::try_parse(text).map(Self).map_err(|_| NotAUuid)
            }
        }
    };
}

id!(
    /// A room: what people join to see its gossip.
    RoomId
);
id!(
    /// A person, as the token's `sub` names them.
    UserId
);
id!(
    /// An intent: one piece of gossip.
    IntentId
);
id!(
    /// A connection that can be recovered: the `pid` of Socket.IO's connection state recovery (contract §4).
    Pid
);
id!(
    /// A row of `gossip_updates`: one vote, comment, change of status or verdict.
    UpdateId
);

impl UserId {
    /// The actor of what the server does by itself, such as expiry (contract §4).
    pub const NIL: UserId = UserId(Uuid::nil());
}

/// The place of an event in its room: 1, 2, 3… without gaps (contract §4, Order). 0 is a room without events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Seq {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seq".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 0, "maximum": u64::MAX })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl Seq {
    /// The next place.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_hyphenated_form_is_an_id() {
        let id = "018f2a3e-0000-7000-8000-000000000000";
        assert_eq!(id.parse::<RoomId>().map(|id| id.to_string()), Ok(id.to_owned()));
        assert_eq!(
            "018F2A3E-0000-7000-8000-00000000000A".parse::<RoomId>().map(|id| id.to_string()),
            Ok("018f2a3e-0000-7000-8000-00000000000a".to_owned())
        );
        for bad in ["", "room-123", "018f2a3e000070008000000000000000", "{018f2a3e-0000-7000-8000-000000000000}"] {
            assert_eq!(bad.parse::<RoomId>(), Err(NotAUuid), "{bad}");
        }
    }
}
