//! The Engine.IO v4 packets and polling payloads (<https://socket.io/docs/v4/engine-io-protocol/>).
//!
//! Text in, packets out, and back. It is not a session: heartbeat, upgrade and what a client may send when are the
//! business of whoever holds the connection.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use serde::Serialize;

use crate::error::Error;

/// Stands between the packets of a polling body.
pub const SEPARATOR: char = '\u{1e}';

/// The most packets one polling body may hold.
pub const MAX_PACKETS: usize = 4096;

/// Clients differ in whether they pad; the reference server takes both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an Engine.IO session carries for the layer above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The text of a `4` packet, without the `4`.
    Text(String),
    /// A binary WebSocket message, or a `b` packet.
    Binary(Bytes),
}

/// An Engine.IO packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// `0`: the handshake, sent by servers only. Holds its JSON text.
    Open(String),
    /// `1`
    Close,
    /// `2`, with what follows it (`probe` during an upgrade).
    Ping(String),
    /// `3`, with what follows it.
    Pong(String),
    /// `4`, or binary.
    Message(Message),
    /// `5`
    Upgrade,
    /// `6`
    Noop,
}

impl Packet {
    /// Reads a WebSocket text frame, or one element of a polling body. A payload keeps the allocation of `text`.
    ///
    /// What follows the type of a packet that has no payload is ignored, as the reference server does.
    ///
    /// # Errors
    /// [`Error::EmptyPacket`], [`Error::EngineType`], [`Error::Base64`].
    pub fn decode_text(mut text: String) -> Result<Packet, Error> {
        let kind = Kind::of(&text)?;
        let rest = |text: &mut String| {
            text.drain(..1);
            std::mem::take(text)
        };
        Ok(match kind {
            Kind::Open => Packet::Open(rest(&mut text)),
            Kind::Ping => Packet::Ping(rest(&mut text)),
            Kind::Pong => Packet::Pong(rest(&mut text)),
            Kind::Text => Packet::Message(Message::Text(rest(&mut text))),
            Kind::Base64 => decode_base64(&text[1..])?,
            Kind::Bare(packet) => packet,
        })
    }

    /// The packet as text, as it is sent in a WebSocket text frame or a polling body. A binary message becomes `b<base64>`.
    #[must_use]
    pub fn encode_text(&self) -> String {
        match self {
            Packet::Open(data) => prefixed('0', data),
            Packet::Close => "1".to_owned(),
            Packet::Ping(data) => prefixed('2', data),
            Packet::Pong(data) => prefixed('3', data),
            Packet::Message(Message::Text(data)) => prefixed('4', data),
            Packet::Message(Message::Binary(data)) => encode_base64_message(data),
            Packet::Upgrade => "5".to_owned(),
            Packet::Noop => "6".to_owned(),
        }
    }
}

/// The type of a packet, its first character; all of them are one byte long.
enum Kind {
    Open,
    Ping,
    Pong,
    Text,
    Base64,
    Bare(Packet),
}

impl Kind {
    fn of(text: &str) -> Result<Kind, Error> {
        Ok(match text.as_bytes().first().ok_or(Error::EmptyPacket)? {
            b'0' => Kind::Open,
            b'1' => Kind::Bare(Packet::Close),
            b'2' => Kind::Ping,
            b'3' => Kind::Pong,
            b'4' => Kind::Text,
            b'5' => Kind::Bare(Packet::Upgrade),
            b'6' => Kind::Bare(Packet::Noop),
            b'b' => Kind::Base64,
            _ => return Err(Error::EngineType),
        })
    }
}

fn prefixed(kind: char, data: &str) -> String {
    let mut out = String::with_capacity(1 + data.len());
    out.push(kind);
    out.push_str(data);
    out
}

fn decode_base64(text: &str) -> Result<Packet, Error> {
    let data = BASE64.decode(text).map_err(|_| Error::Base64)?;
    Ok(Packet::Message(Message::Binary(data.into())))
}

/// Reads the body of a polling POST: packets separated by [`SEPARATOR`].
///
/// # Errors
/// [`Error::TooManyPackets`] over [`MAX_PACKETS`]; else the error of the first bad packet. An empty element, and so an
/// empty body, is [`Error::EmptyPacket`].
pub fn decode_payload(body: &str) -> Result<Vec<Packet>, Error> {
    // Counted first: a body that is refused should cost nothing more than reading it.
    let count = 1 + body.bytes().filter(|&byte| byte == SEPARATOR as u8).count();
    if count > MAX_PACKETS {
        return Err(Error::TooManyPackets);
    }
    let mut packets = Vec::with_capacity(count);
    for element in body.split(SEPARATOR) {
        let kind = Kind::of(element)?;
        let rest = &element[1..];
        packets.push(match kind {
            Kind::Open => Packet::Open(rest.to_owned()),
            Kind::Ping => Packet::Ping(rest.to_owned()),
            Kind::Pong => Packet::Pong(rest.to_owned()),
            Kind::Text => Packet::Message(Message::Text(rest.to_owned())),
            Kind::Base64 => decode_base64(rest)?,
            Kind::Bare(packet) => packet,
        });
    }
    Ok(packets)
}

/// A binary message for a transport that carries text only: `b<base64>`, padded.
#[must_use]
pub fn encode_base64_message(data: &[u8]) -> String {
    let mut out = String::with_capacity(1 + data.len().div_ceil(3) * 4);
    out.push('b');
    STANDARD.encode_string(data, &mut out);
    out
}

/// What the server tells a client when a session opens.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Handshake<'a> {
    /// The session's id.
    pub sid: &'a str,
    /// The transports to upgrade to: `["websocket"]` for polling, none for a WebSocket.
    pub upgrades: &'static [&'static str],
    /// Milliseconds between two pings of the server.
    pub ping_interval: u64,
    /// Milliseconds a peer may take to answer, before it counts as gone.
    pub ping_timeout: u64,
    /// The largest message, in bytes: the sum of the packets in a polling body, one WebSocket message.
    pub max_payload: usize,
}

impl Handshake<'_> {
    /// The OPEN packet: `0{"sid":…}`.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(128);
        out.push('0');
        crate::json::push(&mut out, self);
        out
    }
}

#[cfg(test)]
mod tests;
