//! WebSocket frames as a client writes and reads them (RFC 6455 §5.2): only what the plain protocol of the server needs.
//! The mask is zero, which is a mask like any other and costs nothing to apply; a client on the open net must choose
//! random ones.

use crate::error::Error;

/// A frame the server sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    /// Close, with what it says of the reason.
    Close(&'a [u8]),
    Other,
}

/// Appends a text frame.
pub(crate) fn push_text(out: &mut Vec<u8>, payload: &[u8]) {
    push(out, 0x81, payload);
}

/// Appends the answer to a ping.
pub(crate) fn push_pong(out: &mut Vec<u8>, payload: &[u8]) {
    push(out, 0x8a, payload);
}

fn push(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    out.push(first);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(len @ 0..=125), _) => out.push(0x80 | len),
        (_, Ok(len)) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// What was read and is not yet taken.
#[derive(Debug, Default)]
pub(crate) struct Inbound {
    buffer: Vec<u8>,
    taken: usize,
}

impl Inbound {
    /// Where to append what is read.
    pub(crate) fn space(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.reserve(16 * 1024);
        &mut self.buffer
    }

    /// What is there, whole frames or not.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.taken..]
    }

    /// Takes bytes from the front.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.taken = (self.taken + bytes).min(self.buffer.len());
    }

    /// Takes the next whole frame, if there is one.
    ///
    /// # Errors
    /// Where the bytes are none that this server sends: masked or fragmented.
    pub(crate) fn next(&mut self) -> Result<Option<Frame<'_>>, Error> {
        let Some((frame, length)) = parse(&self.buffer[self.taken..])? else { return Ok(None) };
        self.taken += length;
        Ok(Some(frame))
    }
}

/// The frame at the front of the bytes, if it is whole, and how many bytes it has.
///
/// # Errors
/// Where the bytes are none that a server of ours sends: masked or fragmented.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Error> {
    let (head, len) = match *bytes {
        [_, len @ 0..=125, ..] => (2, u64::from(len)),
        [_, 126, a, b, ..] => (4, u64::from(u16::from_be_bytes([a, b]))),
        [_, 127, a, b, c, d, e, f, g, h, ..] => (10, u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        [_, 128..=255, ..] => return Err(Error::Broken("a masked frame".into())),
        _ => return Ok(None),
    };
    let end = usize::try_from(len).ok().and_then(|len| len.checked_add(head));
    let Some(payload) = end.and_then(|end| bytes.get(head..end)) else {
        return Ok(None);
    };
    let frame = match bytes[0] {
        0x81 => Frame::Text(payload),
        0x88 => Frame::Close(payload),
        0x89 => Frame::Ping(payload),
        0x82 | 0x8a => Frame::Other,
        first => return Err(Error::Broken(format!("a frame that begins with {first:#x}"))),
    };
    Ok(Some((frame, head + payload.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a server would send it.
    fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push(&mut out, first, payload);
        let mask = out.len() - payload.len() - 4;
        out.drain(mask..mask + 4);
        out[1] &= 0x7f;
        out
    }

    #[test]
    fn lengths_are_encoded_as_short_as_they_go() {
        for (len, head) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let mut out = Vec::new();
            push_text(&mut out, &vec![b'x'; len]);
            assert_eq!(out.len(), head + 4 + len);
            assert_eq!((out[0], out[1] & 0x80), (0x81, 0x80));
        }
    }

    #[test]
    fn frames_arrive_in_any_pieces() {
        let long = vec![b'y'; 70_000];
        let mut wire = unmasked(0x81, b"{}");
        wire.extend(unmasked(0x89, b""));
        wire.extend(unmasked(0x81, &long));
        wire.extend(unmasked(0x88, b"\x03\xe8bye"));
        for piece in [1, 3, 1000, wire.len()] {
            let mut inbound = Inbound::default();
            let mut got = Vec::new();
            for piece in wire.chunks(piece) {
                inbound.space().extend_from_slice(piece);
                while let Some(frame) = inbound.next().unwrap() {
                    got.push(match frame {
                        Frame::Text(text) => text.len(),
                        Frame::Ping(_) => 1,
                        Frame::Close(reason) => reason.len(),
                        Frame::Other => 0,
                    });
                }
            }
            assert_eq!(got, [2, 1, 70_000, 5]);
            assert!(inbound.bytes().is_empty());
        }
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        for bad in [&b"\x81\x81...."[..], b"\x01\x01x", b"\xc1\x01x"] {
            let mut inbound = Inbound::default();
            inbound.space().extend_from_slice(bad);
            assert!(inbound.next().is_err(), "{bad:?}");
        }
    }
}
