//! What the server tells of itself, beside `gossip_update` and `exception` (contract §3): the data of `room_closed`,
//! `resumed` and `server_draining`. When they are sent is gossip-hub's business.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::id::{RoomId, Seq};
use crate::refusal::Code;

/// The data of `room_closed`: access to a room was withdrawn, or refused on resume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RoomClosed {
    /// Why.
    pub code: Code,
    /// Which room.
    pub room_id: RoomId,
}

impl RoomClosed {
    /// The event's name.
    pub const NAME: &str = "room_closed";
}

/// The data of `resumed`, after a handshake with `resume`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Resumed {
    /// The rooms that one is in again.
    pub rooms: BTreeMap<RoomId, ResumedRoom>,
}

impl Resumed {
    /// The event's name.
    pub const NAME: &str = "resumed";
}

/// How one is in a room again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResumedRoom {
    /// Whether all that was missed is delivered; nothing of it is where not.
    pub recovered: bool,
    /// The room's present seq.
    pub seq: Seq,
}

/// The data of `server_draining`: the server ends, and the connection soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ServerDraining {
    /// Milliseconds to wait before coming back.
    pub retry_after_ms: u64,
}

impl ServerDraining {
    /// The event's name.
    pub const NAME: &str = "server_draining";
}
