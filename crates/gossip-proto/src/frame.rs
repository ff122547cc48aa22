//! WebSocket frames as a server sends them (RFC 6455 §5.2), made once and shared by all recipients: server frames carry
//! no mask, so they are the same for everybody. It never fragments, and reads no frames: that
//! is a library's work, and the [`Guard`] only watches what it is given.

mod guard;

use bytes::Bytes;

pub use guard::{FrameError, Guard};

/// The longest payload of a control frame, in bytes (RFC 6455 §5.5).
pub const MAX_CONTROL_LEN: usize = 125;

/// What a frame carries (RFC 6455 §11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A text message. That the payload is UTF-8 is the caller's promise.
    Text,
    /// A binary message.
    Binary,
    /// The end of the connection; see [`encode_close`].
    Close,
    /// A heartbeat.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    const fn bits(self) -> u8 {
        match self {
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xa,
        }
    }

    const fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}

/// One whole frame (FIN set, no mask), and the length of its head in bytes: the payload is what follows that.
///
/// A longer frame than the protocol allows is never made: the payload of a control frame is cut at [`MAX_CONTROL_LEN`].
#[must_use]
pub fn encode_frame(opcode: Opcode, payload: &[u8]) -> (Bytes, usize) {
    let payload = if opcode.is_control() { &payload[..payload.len().min(MAX_CONTROL_LEN)] } else { payload };
    let len = payload.len();
    let head_len = match len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    // Exactly as long as needed, so that `Bytes` takes the vector over as it is.
    let mut frame = Vec::with_capacity(head_len + len);
    frame.push(0x80 | opcode.bits());
    match head_len {
        2 => frame.push(len as u8),
        4 => {
            frame.push(126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    (Bytes::from(frame), head_len)
}

/// A close frame with a status code (RFC 6455 §7.4) and a reason, cut at 123 bytes on a character boundary.
#[must_use]
pub fn encode_close(code: u16, reason: &str) -> Bytes {
    let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL_LEN - 2)];
    let mut payload = [0; MAX_CONTROL_LEN];
    payload[..2].copy_from_slice(&code.to_be_bytes());
    payload[2..2 + reason.len()].copy_from_slice(reason.as_bytes());
    encode_frame(Opcode::Close, &payload[..2 + reason.len()]).0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_of_rfc_6455_5_7() {
        let (frame, head) = encode_frame(Opcode::Text, b"Hello");
        assert_eq!((&frame[..], head), (&[0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f][..], 2));
        let (frame, _) = encode_frame(Opcode::Ping, b"Hello");
        assert_eq!(&frame[..2], [0x89, 0x05]);
        let (frame, head) = encode_frame(Opcode::Binary, &[0; 256]);
        assert_eq!((&frame[..4], head, frame.len()), (&[0x82, 0x7e, 0x01, 0x00][..], 4, 260));
        let (frame, head) = encode_frame(Opcode::Binary, &[0; 65536]);
        assert_eq!((&frame[..10], head), (&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0][..], 10));
    }

    #[test]
    fn lengths_at_the_borders() {
        for (len, head) in [(0, 2), (125, 2), (126, 4), (0xffff, 4), (0x10000, 10)] {
            let (frame, head_len) = encode_frame(Opcode::Text, &vec![b'a'; len]);
            assert_eq!((head_len, frame.len()), (head, head + len), "{len}");
        }
    }

    #[test]
    fn control_frames_stay_legal() {
        for opcode in [Opcode::Close, Opcode::Ping, Opcode::Pong] {
            let (frame, head) = encode_frame(opcode, &[1; 300]);
            assert_eq!((frame[0] & 0x0f, frame[1], head, frame.len()), (opcode.bits(), 125, 2, 127));
        }
    }

    #[test]
    fn a_close_has_its_code_and_reason() {
        assert_eq!(&encode_close(1000, "")[..], [0x88, 2, 0x03, 0xe8]);
        assert_eq!(&encode_close(1008, "slow")[..], [0x88, 6, 0x03, 0xf0, b's', b'l', b'o', b'w']);
        // 61 two-byte characters and half of the 62nd would be 123 bytes.
        assert_eq!(encode_close(1008, &"é".repeat(100)).len(), 2 + 2 + 122);
        assert_eq!(encode_close(1008, &"a".repeat(124)).len(), 2 + 125);
    }

    proptest! {
        #[test]
        fn a_close_reason_is_a_prefix_in_utf8(code: u16, reason in any::<String>()) {
            let frame = encode_close(code, &reason);
            prop_assert!(frame.len() <= 127);
            prop_assert_eq!(usize::from(frame[1]), frame.len() - 2);
            prop_assert!(reason.starts_with(std::str::from_utf8(&frame[4..]).unwrap()));
        }

        #[test]
        fn the_payload_follows_the_head(len in prop_oneof![0usize..300, 65_000usize..66_000], seed: u8) {
            let payload: Vec<u8> = (0..len).map(|at| seed.wrapping_add(at as u8)).collect();
            let (frame, head) = encode_frame(Opcode::Binary, &payload);
            prop_assert_eq!(&frame[head..], &payload[..]);
        }
    }
}
