//! An event on its way to many: encoded once for each wire, whoever and however many receive it.

use std::sync::OnceLock;

use bytes::Bytes;
use gossip_store::Position;

/// The ways an event is written. Which bytes they are, the sockets' crate knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Socket.IO over Engine.IO.
    SocketIo,
    /// The same with the event's offset as its last argument, for clients that asked to be recovered.
    SocketIoOffset,
    /// The plain WebSocket.
    Plain,
}

impl Wire {
    pub(crate) const COUNT: usize = 3;
}

/// Bytes ready to be sent, and how many of them are the WebSocket frame's head.
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
    position: Option<Position>,
    encoded: [OnceLock<Encoded>; Wire::COUNT],
}

impl Event {
    /// An event whose `data` is JSON already.
    pub fn new(name: impl Into<Box<str>>, data: impl Into<Box<str>>) -> Self {
        Event { name: name.into(), data: data.into(), position: None, encoded: Default::default() }
    }

    /// An event of the log.
    pub(crate) fn logged(name: impl Into<Box<str>>, data: impl Into<Box<str>>, position: Position) -> Self {
        Event { position: Some(position), ..Event::new(name, data) }
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
        self.position
    }

    /// Its bytes on `wire`, made by `encode` the first time and shared from then on.
    pub fn encoded(&self, wire: Wire, encode: impl FnOnce(&Event) -> Encoded) -> &Encoded {
        self.encoded[wire as usize].get_or_init(|| encode(self))
    }
}
