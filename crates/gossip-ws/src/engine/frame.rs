//! Outgoing messages, encoded once whatever the number and kind of their recipients. A frame is complete: its WebSocket
//! head is part of it. It is not a packet: the Engine.IO type is the caller's to put in front of a text.

use bytes::Bytes;
use gossip_proto::engineio::{SEPARATOR, encode_base64_message};
use gossip_proto::frame::{Opcode, encode_frame};

use crate::transport::FRAME_COST;

/// An outgoing message; cloning it copies a pointer.
#[derive(Debug, Clone)]
pub struct Frame {
    wire: Bytes,
    head: u8,
    binary: bool,
}

impl Frame {
    pub(super) const PING: Frame = Frame::control(b"\x81\x012");
    pub(super) const NOOP: Frame = Frame::control(b"\x81\x016");
    pub(super) const CLOSE: Frame = Frame::control(b"\x81\x011");
    pub(super) const PROBE: Frame = Frame::control(b"\x81\x063probe");

    const fn control(wire: &'static [u8]) -> Frame {
        Frame { wire: Bytes::from_static(wire), head: 2, binary: false }
    }

    /// A text message. For an Engine.IO session its first character is the packet type, `4`; the Socket.IO encoders of
    /// gossip-proto put it there.
    #[must_use]
    pub fn text(text: &str) -> Frame {
        Frame::new(Opcode::Text, text.as_bytes(), false)
    }

    /// A binary message.
    #[must_use]
    pub fn binary(data: impl AsRef<[u8]>) -> Frame {
        Frame::new(Opcode::Binary, data.as_ref(), true)
    }

    /// A text message that was encoded before: `wire` begins with a WebSocket head of `head` bytes.
    #[must_use]
    pub fn encoded(wire: Bytes, head: usize) -> Frame {
        // A longer head there is not (RFC 6455 §5.2); a wrong one would only spoil this message.
        let head = u8::try_from(head.min(wire.len())).unwrap_or(0);
        Frame { wire, head, binary: false }
    }

    fn new(opcode: Opcode, payload: &[u8], binary: bool) -> Frame {
        let (wire, head) = encode_frame(opcode, payload);
        // A server's frame head has at most ten bytes (RFC 6455 §5.2).
        Frame { wire, head: head as u8, binary }
    }

    /// The frame as it goes over a WebSocket.
    #[must_use]
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// The message, without the WebSocket head.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.wire[usize::from(self.head)..]
    }

    /// What it counts in a queue: its bytes on a WebSocket, which differ a little on polling, and what any frame costs.
    #[must_use]
    pub(super) fn cost(&self) -> usize {
        self.wire.len() + FRAME_COST
    }

    /// The body of a poll's answer.
    pub(super) fn join<'a>(mut frames: impl ExactSizeIterator<Item = &'a Frame>) -> Bytes {
        if frames.len() == 1
            && let Some(frame) = frames.next()
        {
            return frame.polled();
        }
        let mut body = Vec::new();
        for frame in frames {
            if !body.is_empty() {
                body.push(SEPARATOR as u8);
            }
            body.extend_from_slice(&frame.polled());
        }
        body.into()
    }

    fn polled(&self) -> Bytes {
        if self.binary {
            encode_base64_message(self.payload()).into()
        } else {
            self.wire.slice(usize::from(self.head)..)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_frame_serves_both_transports() {
        let frames = [Frame::text("4hello"), Frame::binary([1, 2, 3, 4]), Frame::PING];
        assert_eq!(frames[0].wire()[..], b"\x81\x064hello"[..]);
        assert_eq!(Frame::join(frames[..1].iter())[..], b"4hello"[..]);
        assert_eq!(Frame::join(frames.iter())[..], b"4hello\x1ebAQIDBA==\x1e2"[..]);
        assert_eq!(frames[1].payload(), [1, 2, 3, 4]);
    }
}
