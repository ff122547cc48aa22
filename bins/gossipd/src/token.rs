//! Tokens that gossipd makes itself: `gossipd token`, and those of `--dev`. In production an identity service makes
//! them.

use std::time::Duration;

use gossip_hub::{Claims, Key};
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::timestamp::Timestamp;
use serde_json::Value;

use crate::config::{Settings, TokenArgs, TokenRole};
use crate::daemon::Error;

impl TokenRole {
    fn as_str(self) -> &'static str {
        match self {
            TokenRole::User => "user",
            TokenRole::Admin => "admin",
            TokenRole::Service => "service",
        }
    }
}

/// The token that `gossipd token` prints.
///
/// # Errors
/// When `--rooms` is neither `*` nor a list of UUIDs, or the key cannot sign.
pub fn of_args(args: &TokenArgs, settings: &Settings, key: &Key, now: Timestamp) -> Result<String, Error> {
    let rooms = args.rooms.as_deref().map(rooms).transpose()?;
    let expires = args.expires.unwrap_or(settings.jwt_expires_in);
    sign(key, settings, args.user, args.role, rooms, now, expires)
}

/// A token for all rooms.
pub(crate) fn for_all_rooms(
    key: &Key,
    settings: &Settings,
    user: UserId,
    role: TokenRole,
    now: Timestamp,
) -> Result<String, Error> {
    sign(key, settings, user, role, Some("*".into()), now, settings.jwt_expires_in)
}

fn sign(
    key: &Key,
    settings: &Settings,
    sub: UserId,
    role: TokenRole,
    rooms: Option<Value>,
    now: Timestamp,
    expires: Duration,
) -> Result<String, Error> {
    let claims = Claims {
        sub,
        iat: Some(now.as_millis() / 1000),
        exp: now.plus(expires).as_millis() / 1000,
        role: role.as_str(),
        rooms,
        iss: settings.jwt_issuer.clone(),
        aud: settings.jwt_audience.clone(),
    };
    key.sign(&claims).map_err(Error::Token)
}

fn rooms(text: &str) -> Result<Value, Error> {
    if text == "*" {
        return Ok("*".into());
    }
    let rooms: Result<Vec<RoomId>, _> = text.split(',').map(|room| room.trim().parse()).collect();
    let rooms = rooms.map_err(|_| Error::Usage("--rooms: must be '*' or UUIDs separated by commas".into()))?;
    Ok(rooms.iter().map(ToString::to_string).collect())
}
