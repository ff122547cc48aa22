//! Socket.IO packets from Engine.IO messages. It holds at most one unfinished packet, and never more than its limits.

use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Args, Event, MAX_ARGS, Packet, RESERVED_EVENTS, placeholder};
use crate::error::Error;

/// How much one packet may claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most attachments of one packet. Default: 32.
    pub max_attachments: usize,
    /// The most bytes in all attachments of one packet together. Default: 1,000,000.
    pub max_binary_bytes: usize,
    /// The longest namespace in bytes, its `/` included. Default: 128.
    pub max_namespace_len: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_attachments: 32, max_binary_bytes: 1_000_000, max_namespace_len: 128 }
    }
}

/// Reads one connection's messages: every text message goes to [`text`](Decoder::text), every binary one to
/// [`binary`](Decoder::binary), in the order they came.
///
/// After an error the connection is to be closed. The decoder itself is then as new: an unfinished packet is dropped.
/// The length of a text message is the transport's to limit.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    pending: Option<Pending>,
}

/// A packet whose attachments have not all come.
#[derive(Debug)]
struct Pending {
    header: Header,
    args: Args,
    missing: usize,
    bytes_left: usize,
}

/// A packet with arguments, but for those.
#[derive(Debug)]
enum Header {
    Event { nsp: Box<str>, ack: Option<u64>, name: Box<str> },
    Ack { nsp: Box<str>, id: u64 },
}

impl Header {
    fn with(self, args: Args) -> Packet {
        match self {
            Header::Event { nsp, ack, name } => Packet::Event { nsp, ack, event: Event { name, args } },
            Header::Ack { nsp, id } => Packet::Ack { nsp, id, args },
        }
    }
}

impl Decoder {
    /// A decoder for a new connection.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Decoder { limits, pending: None }
    }

    /// Whether a packet waits for attachments.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.pending.is_some()
    }

    /// Reads a text message, without the `4` of Engine.IO. `None`: the packet waits for its attachments.
    ///
    /// # Errors
    /// [`Error::AttachmentExpected`] while a packet waits; otherwise which part of the packet is wrong.
    pub fn text(&mut self, text: &str) -> Result<Option<Packet>, Error> {
        if self.pending.take().is_some() {
            return Err(Error::AttachmentExpected);
        }
        let kind = *text.as_bytes().first().ok_or(Error::SocketType)?;
        if kind == b'4' {
            return Err(Error::ConnectErrorFromClient);
        }
        if !matches!(kind, b'0'..=b'6') {
            return Err(Error::SocketType);
        }
        let mut rest = &text[1..];
        let mut attachments = 0;
        if matches!(kind, b'5' | b'6') {
            let (count, after) = rest.split_once('-').ok_or(Error::AttachmentCount)?;
            attachments = self.attachment_count(count)?;
            rest = after;
        }
        let (nsp, rest) = self.namespace(rest)?;
        let (header, args) = match kind {
            b'0' => return Ok(Some(Packet::Connect { nsp, auth: auth(rest)? })),
            b'1' if rest.is_empty() => return Ok(Some(Packet::Disconnect { nsp })),
            b'1' => return Err(Error::Payload),
            b'2' | b'5' => {
                let (ack, payload) = packet_id(rest)?;
                let (name, args) = event(payload)?;
                (Header::Event { nsp, ack, name }, args)
            }
            _ => {
                let (id, payload) = packet_id(rest)?;
                let id = id.ok_or(Error::PacketId)?;
                (Header::Ack { nsp, id }, Elements::read(payload, false)?.rest)
            }
        };
        if attachments == 0 {
            return Ok(Some(header.with(Args::new(args, Vec::new()))));
        }
        if !args.iter().all(|arg| placeholder::all_below(arg.get(), attachments)) {
            return Err(Error::Placeholder);
        }
        self.pending = Some(Pending {
            header,
            args: Args::new(args, Vec::new()),
            missing: attachments,
            bytes_left: self.limits.max_binary_bytes,
        });
        Ok(None)
    }

    /// Takes an attachment. `None`: more of them are to come.
    ///
    /// # Errors
    /// [`Error::UnexpectedBinary`] when no packet waits, [`Error::BinaryTooLarge`] past the limit.
    pub fn binary(&mut self, data: Bytes) -> Result<Option<Packet>, Error> {
        let mut pending = self.pending.take().ok_or(Error::UnexpectedBinary)?;
        pending.bytes_left = pending.bytes_left.checked_sub(data.len()).ok_or(Error::BinaryTooLarge)?;
        pending.args.attachments.push(data);
        pending.missing -= 1;
        if pending.missing == 0 {
            return Ok(Some(pending.header.with(pending.args)));
        }
        self.pending = Some(pending);
        Ok(None)
    }

    /// Checked before anything is kept: a packet must neither claim attachments without bound (CVE-2026-33151) nor none
    /// at all (CVE-2026-69185).
    fn attachment_count(&self, text: &str) -> Result<usize, Error> {
        if !is_digits(text) {
            return Err(Error::AttachmentCount);
        }
        // More digits than a usize holds are too many as well.
        match text.parse() {
            Ok(0) => Err(Error::AttachmentCount),
            Ok(count) if count <= self.limits.max_attachments => Ok(count),
            _ => Err(Error::TooManyAttachments),
        }
    }

    /// A namespace begins with `/` and goes to the next comma, or to the end.
    fn namespace<'a>(&self, text: &'a str) -> Result<(Box<str>, &'a str), Error> {
        if !text.starts_with('/') {
            return Ok(("/".into(), text));
        }
        let (nsp, rest) = text.split_once(',').unwrap_or((text, ""));
        if nsp.len() > self.limits.max_namespace_len {
            return Err(Error::NamespaceTooLong);
        }
        Ok((nsp.into(), rest))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What stands before the payload: nothing, or digits.
fn packet_id(text: &str) -> Result<(Option<u64>, &str), Error> {
    let (id, payload) = text.split_at(text.find(['[', '{']).unwrap_or(text.len()));
    if id.is_empty() {
        return Ok((None, payload));
    }
    if !is_digits(id) {
        return Err(Error::PacketId);
    }
    Ok((Some(id.parse().map_err(|_| Error::PacketId)?), payload))
}

fn auth(text: &str) -> Result<Option<Box<RawValue>>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let auth: Box<RawValue> = serde_json::from_str(text).map_err(|_| Error::Auth)?;
    if !auth.get().starts_with('{') {
        return Err(Error::Auth);
    }
    Ok(Some(auth))
}

fn event(payload: &str) -> Result<(Box<str>, Vec<Box<RawValue>>), Error> {
    let Elements { first, rest, .. } = Elements::read(payload, true)?;
    let first = first.ok_or(Error::Payload)?.get();
    let name: Box<str> = match first.as_bytes().first() {
        Some(b'"') => serde_json::from_str(first).map_err(|_| Error::EventName)?,
        Some(b'-' | b'0'..=b'9') => first.into(),
        _ => return Err(Error::EventName),
    };
    if RESERVED_EVENTS.contains(&&*name) {
        return Err(Error::ReservedEvent);
    }
    Ok((name, rest))
}

/// The elements of a JSON array, each as text. Nothing in them is built or recursed into: depth costs one byte a level
/// while serde_json looks for the end.
struct Elements<'a> {
    /// The first element, where it is not an argument but a name.
    first: Option<&'a RawValue>,
    rest: Vec<Box<RawValue>>,
    named: bool,
    overflow: bool,
}

impl<'a> Elements<'a> {
    fn read(text: &'a str, named: bool) -> Result<Elements<'a>, Error> {
        let mut elements = Elements { first: None, rest: Vec::new(), named, overflow: false };
        let mut input = serde_json::Deserializer::from_str(text);
        match (&mut elements).deserialize(&mut input).and_then(|()| input.end()) {
            Ok(()) => Ok(elements),
            Err(_) if elements.overflow => Err(Error::TooManyArgs),
            Err(_) => Err(Error::Payload),
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Elements<'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<(), D::Error> {
        input.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Elements<'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        if self.named {
            self.first = seq.next_element()?;
        }
        while let Some(element) = seq.next_element::<&RawValue>()? {
            if self.rest.len() == MAX_ARGS {
                self.overflow = true;
                return Err(A::Error::custom("too many elements"));
            }
            self.rest.push(element.to_owned());
        }
        Ok(())
    }
}
