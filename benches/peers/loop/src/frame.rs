//! WebSocket as far as the load test goes (RFC 6455): the upgrade, whole frames in, text frames out. Messages in
//! fragments are refused; extensions and subprotocols are not offered.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

/// The longest payload taken; gossipd's default.
pub(crate) const MAX_PAYLOAD: usize = 65_536;
const MAX_HEAD: usize = 8192;

/// What a client asked for, its payload unmasked where it lies.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    Close,
}

/// What the start of the bytes held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    /// More bytes are needed.
    Partial,
    /// A frame, and the bytes it took.
    Whole(Frame<'a>, usize),
    /// Nothing this server takes.
    Bad,
}

/// Takes one frame off the start of `bytes`. Touches them only when the frame is whole.
pub(crate) fn parse(bytes: &mut [u8]) -> Parsed<'_> {
    let [first, second, ..] = *bytes else {
        return Parsed::Partial;
    };
    let (length, head) = match second & 0x7f {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (usize::from(u16::from_be_bytes([a, b])), 4),
            _ => return Parsed::Partial,
        },
        127 => match bytes.get(2..10) {
            // Shorter payloads may not be told in this form, so what comes in it is near the bound or past it.
            Some(&[0, 0, 0, 0, a, b, c, d]) => (u32::from_be_bytes([a, b, c, d]) as usize, 10),
            Some(_) => return Parsed::Bad,
            None => return Parsed::Partial,
        },
        short => (usize::from(short), 2),
    };
    if second & 0x80 == 0 || length > MAX_PAYLOAD {
        return Parsed::Bad;
    }
    let (start, end) = (head + 4, head + 4 + length);
    if bytes.len() < end {
        return Parsed::Partial;
    }
    let mask = [bytes[head], bytes[head + 1], bytes[head + 2], bytes[head + 3]];
    let payload = &mut bytes[start..end];
    if mask != [0; 4] {
        unmask(payload, mask);
    }
    match first {
        0x81 => Parsed::Whole(Frame::Text(payload), end),
        0x88 => Parsed::Whole(Frame::Close, end),
        0x89 if length < 126 => Parsed::Whole(Frame::Ping(payload), end),
        0x8a => Parsed::Whole(Frame::Pong, end),
        _ => Parsed::Bad,
    }
}

fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u32::from_ne_bytes(mask);
    let mut words = payload.chunks_exact_mut(4);
    for word in &mut words {
        let plain = u32::from_ne_bytes([word[0], word[1], word[2], word[3]]) ^ wide;
        word.copy_from_slice(&plain.to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(mask) {
        *byte ^= key;
    }
}

/// Appends a text frame of the pieces.
pub(crate) fn text(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    head(out, 0x81, pieces.iter().map(|piece| piece.len()).sum());
    for piece in pieces {
        out.extend_from_slice(piece);
    }
}

/// Appends the answer to a ping.
pub(crate) fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    head(out, 0x8a, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a normal close.
pub(crate) fn close(out: &mut Vec<u8>) {
    head(out, 0x88, 2);
    out.extend_from_slice(&1000u16.to_be_bytes());
}

fn head(out: &mut Vec<u8>, first: u8, length: usize) {
    out.push(first);
    if let Ok(short @ ..126) = u8::try_from(length) {
        out.push(short);
    } else if let Ok(medium) = u16::try_from(length) {
        out.push(126);
        out.extend_from_slice(&medium.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

/// What the start of a connection held.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Upgrade {
    /// More bytes are needed.
    Partial,
    /// The value of `Sec-WebSocket-Accept`, and the bytes the request took.
    Asked(String, usize),
    /// Some other request.
    Bad,
}

/// Reads the HTTP request that asks for a WebSocket, whatever its path.
pub(crate) fn upgrade(bytes: &[u8]) -> Upgrade {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return if bytes.len() < MAX_HEAD { Upgrade::Partial } else { Upgrade::Bad };
    };
    let Ok(head) = str::from_utf8(&bytes[..end]) else {
        return Upgrade::Bad;
    };
    let key = head.split("\r\n").skip(1).find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    });
    match key {
        Some(key) if head.starts_with("GET ") => Upgrade::Asked(accept(key), end + 4),
        _ => Upgrade::Bad,
    }
}

fn accept(key: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut bytes = Vec::new();
        head(&mut bytes, first, payload.len());
        bytes[1] |= 0x80;
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
        bytes
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let request =
            b"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\nsec-websocket-KEY:  dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nmore";
        let end = request.len() - 4;
        assert_eq!(upgrade(request), Upgrade::Asked("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into(), end));
        assert_eq!(upgrade(&request[..end - 1]), Upgrade::Partial);
        assert_eq!(upgrade(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), Upgrade::Bad);
        assert_eq!(upgrade(&[b'a'; MAX_HEAD]), Upgrade::Bad);
    }

    #[test]
    fn frames_of_every_length_and_mask_come_back() {
        for length in [0, 1, 3, 4, 125, 126, 1000, MAX_PAYLOAD] {
            let payload: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            for mask in [[0; 4], [1, 2, 3, 4], [255, 0, 7, 9]] {
                let mut bytes = masked(0x81, &payload, mask);
                let whole = bytes.len();
                bytes.extend_from_slice(b"next");
                assert_eq!(parse(&mut bytes), Parsed::Whole(Frame::Text(&payload), whole));
                let mut bytes = masked(0x81, &payload, mask);
                let before = bytes.clone();
                for cut in [0, 1, 3, 5, whole - 1] {
                    let cut = cut.min(whole - 1);
                    assert_eq!(parse(&mut bytes[..cut]), Parsed::Partial);
                }
                assert_eq!(bytes, before);
            }
        }
    }

    #[test]
    fn what_is_not_taken_is_bad() {
        assert_eq!(parse(&mut masked(0x81, &vec![0; MAX_PAYLOAD + 1], [0; 4])), Parsed::Bad);
        assert_eq!(parse(&mut [0x81, 0x01, b'a']), Parsed::Bad);
        assert_eq!(parse(&mut masked(0x01, b"half", [1; 4])), Parsed::Bad);
        assert_eq!(parse(&mut [0x81, 0xff, 1, 0, 0, 0, 0, 0, 0, 0]), Parsed::Bad);
    }
}
