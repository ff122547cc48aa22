//! An event on its way to many: encoded once for each wire, whoever and however many receive it.

use std::sync::OnceLock;

use bytes::Bytes;
use gossip_proto::id::{RoomId, Seq};
use gossip_proto::notice::RoomClosed;
use gossip_proto::refusal::Code;
use gossip_store::Position;
use serde_json::json;

/// The ways an event is written. Which bytes they are, the sockets' crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Socket.IO over Engine.IO.
    SocketIo,
    /// The same with the event's offset as its last argument, for clients that asked to be recovered.
    SocketIoOffset,
    /// The plain WebSocket.
    Plain,
    /// Server-sent events.
    EventStream,
}

impl Wire {
    pub(crate) const COUNT: usize = 4;
}

/// Bytes ready to be sent, and how many of them are the WebSocket frame's head: none where there are no frames.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Head and payload.
    pub frame: Bytes,
    /// Length of the head, in bytes.
    pub head: usize,
}

/// A name and its JSON data.
#[derive(Debug)]
pub struct Event {
    name: Box<str>,
    data: Box<str>,
    /// In the log.
    place: Option<(Position, Seq)>,
    closes_room: bool,
    encoded: [OnceLock<Encoded>; Wire::COUNT],
}

impl Event {
    /// An event whose `data` is JSON already.
    pub fn new(name: impl Into<Box<str>>, data: impl Into<Box<str>>) -> Self {
        let (name, data) = (name.into(), data.into());
        Event { name, data, place: None, closes_room: false, encoded: Default::default() }
    }

    /// An event of the log.
    pub(crate) fn logged(name: impl Into<Box<str>>, data: impl Into<Box<str>>, position: Position, seq: Seq) -> Self {
        Event { place: Some((position, seq)), ..Event::new(name, data) }
    }

    /// `room_closed`: what a client is told of a room that it has no longer.
    pub(crate) fn room_closed(room: RoomId, code: Code) -> Self {
        let data = json!(RoomClosed { code, room_id: room }).to_string();
        Event { closes_room: true, ..Event::new(RoomClosed::NAME, data) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its data, JSON.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.data
    }

    /// Its position, if it is in the log.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.place.map(|(position, _)| position)
    }

    /// Its place in its room, if it is in the log.
    #[must_use]
    pub fn seq(&self) -> Option<Seq> {
        self.place.map(|(_, seq)| seq)
    }

    /// Whether the room is closed to the client by it: a broadcast of the same name is not.
    #[must_use]
    pub fn closes_room(&self) -> bool {
        self.closes_room
    }

    /// Its bytes on `wire`, made by `encode` the first time and shared from then on.
    pub fn encoded(&self, wire: Wire, encode: impl FnOnce(&Event) -> Encoded) -> &Encoded {
        self.encoded[wire as usize].get_or_init(|| encode(self))
    }
}
