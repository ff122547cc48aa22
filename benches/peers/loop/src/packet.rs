//! Socket.IO v5 packets of the one namespace, read by looking for what the load test writes: no JSON parser.
//! A value is the bytes between its quotes, escapes and all, and goes out again as it came in.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// The user of a token that names none.
const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// What the text of a frame asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// `3`, or an empty frame: nothing to do.
    Nothing,
    /// `40/gossip,…`, with the user its token names.
    Connect(String),
    /// `42/gossip,…`
    Event {
        /// Digits; empty where no ack is wanted.
        ack: &'a [u8],
        name: &'a [u8],
        /// The rest, from after the name.
        data: &'a [u8],
    },
    /// Anything else.
    Bad,
}

pub(crate) fn parse(text: &[u8]) -> Packet<'_> {
    if let Some(rest) = text.strip_prefix(b"42/gossip,") {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (ack, rest) = rest.split_at(digits);
        return match rest.strip_prefix(b"[").and_then(string) {
            Some((name, data)) => Packet::Event { ack, name, data },
            None => Packet::Bad,
        };
    }
    match text {
        [] | [b'3'] => Packet::Nothing,
        _ => text.strip_prefix(b"40/gossip,").map_or(Packet::Bad, |data| Packet::Connect(user(data))),
    }
}

/// The string that is `key`'s value. A key within another string has its quotes escaped, so it is never mistaken.
pub(crate) fn field<'a>(data: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let key = key.as_bytes();
    let at =
        data.windows(key.len() + 2).position(|window| matches!(window, [b'"', inner @ .., b'"'] if inner == key))?;
    let rest = data[at + key.len() + 2..].trim_ascii_start().strip_prefix(b":")?;
    Some(string(rest.trim_ascii_start())?.0)
}

/// A JSON string at the start, and what follows it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let inner = bytes.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        match inner.get(at)? {
            b'"' => return Some((&inner[..at], &inner[at + 1..])),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The `sub` of the token, unverified: here it only gives events the right bytes.
fn user(data: &[u8]) -> String {
    let claims = field(data, "token").and_then(|token| token.split(|byte| *byte == b'.').nth(1));
    let claims = claims.and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok()).unwrap_or_default();
    field(&claims, "sub").and_then(|sub| str::from_utf8(sub).ok()).unwrap_or(NIL).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_apart() {
        let Packet::Event { ack, name, data } =
            parse(br#"42/gossip,17["new_gossip",{"content":"say \"roomId\": \\", "roomId" : "r1"}]"#)
        else {
            panic!("no event");
        };
        assert_eq!((ack, name), (&b"17"[..], &b"new_gossip"[..]));
        assert_eq!(field(data, "content"), Some(&br#"say \"roomId\": \\"#[..]));
        assert_eq!(field(data, "roomId"), Some(&b"r1"[..]));
        assert_eq!(field(data, "metadata"), None);
    }

    #[test]
    fn a_token_names_its_user() {
        let token = format!("x.{}.y", URL_SAFE_NO_PAD.encode(br#"{"sub":"u-1","exp":9}"#));
        let connect = format!("40/gossip,{{\"token\":\"{token}\"}}");
        assert_eq!(parse(connect.as_bytes()), Packet::Connect("u-1".into()));
        assert_eq!(parse(b"40/gossip,"), Packet::Connect(NIL.into()));
    }

    #[test]
    fn the_rest_is_nothing_or_bad() {
        assert_eq!(parse(b"3"), Packet::Nothing);
        for bad in [&b"41/gossip,"[..], b"42[\"x\"]", b"42/gossip,[\"cut", b"42/gossip,9{}"] {
            assert_eq!(parse(bad), Packet::Bad);
        }
    }
}
