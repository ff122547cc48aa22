//! The Socket.IO v5 packets (<https://socket.io/docs/v4/socket-io-protocol/>).
//!
//! Messages of an Engine.IO session in, packets out, and back. JSON stays text: what an argument means is for the layer
//! above. It is not a namespace or a session; it only remembers a packet whose attachments have yet to come.

mod decode;
mod encode;
mod placeholder;

use bytes::Bytes;
use serde_json::value::RawValue;

pub use decode::{Decoder, Limits};
pub use encode::{encode_ack, encode_connect, encode_connect_error, encode_disconnect, encode_event};

/// The most arguments an event or an ack may have. The protocol has no limit; ours keeps what a frame of tiny elements
/// turns into near the frame's own size.
pub const MAX_ARGS: usize = 4096;

/// Names that Socket.IO keeps for itself: a client may not emit them.
pub const RESERVED_EVENTS: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// A Socket.IO packet, its attachments included.
#[derive(Debug, Clone)]
pub enum Packet {
    /// `0`: asks for a namespace.
    Connect {
        /// The namespace.
        nsp: Box<str>,
        /// The handshake's `auth`, a JSON object.
        auth: Option<Box<RawValue>>,
    },
    /// `1`: leaves a namespace.
    Disconnect {
        /// The namespace.
        nsp: Box<str>,
    },
    /// `2`, or `5` with attachments.
    Event {
        /// The namespace.
        nsp: Box<str>,
        /// The id the answer must carry, where one is wanted.
        ack: Option<u64>,
        /// What was emitted.
        event: Event,
    },
    /// `3`, or `6` with attachments.
    Ack {
        /// The namespace.
        nsp: Box<str>,
        /// The id of the event that is answered.
        id: u64,
        /// The answer.
        args: Args,
    },
    /// `4`: a namespace is refused. Servers send it; the [`Decoder`] never yields it.
    ConnectError {
        /// The namespace.
        nsp: Box<str>,
        /// The error, as JSON.
        data: Option<Box<RawValue>>,
    },
}

/// An emitted event.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name. A number is taken as it was written.
    pub name: Box<str>,
    /// Its arguments.
    pub args: Args,
}

/// The arguments of an event or an ack, as the JSON they came in, and the attachments their placeholders refer to.
#[derive(Debug, Clone, Default)]
pub struct Args {
    raw: Vec<Box<RawValue>>,
    attachments: Vec<Bytes>,
}

impl Args {
    /// Arguments from JSON texts and attachments; that the placeholders fit is the caller's promise.
    #[must_use]
    pub fn new(raw: Vec<Box<RawValue>>, attachments: Vec<Bytes>) -> Args {
        Args { raw, attachments }
    }

    /// Each argument's JSON, unread beyond its syntax: it may be nested at any depth, and hold any number.
    #[must_use]
    pub fn raw(&self) -> &[Box<RawValue>] {
        &self.raw
    }

    /// What `{"_placeholder":true,"num":n}` stands for: the attachment at `n`. Decoded ones are all there.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        &self.attachments
    }

    /// Whether there are attachments.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        !self.attachments.is_empty()
    }
}

#[cfg(test)]
mod tests;
