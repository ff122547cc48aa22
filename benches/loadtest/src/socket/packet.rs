//! What the text of a frame is in Engine.IO v4 and Socket.IO v5, as far as a server sends it to us over a WebSocket. Told
//! by its first bytes; the JSON is left as it is.

/// What a server said. The namespace is `/gossip` throughout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    /// The Engine.IO session is open.
    Open,
    /// To be answered with `3`.
    Ping,
    /// The namespace is joined.
    Connected,
    /// The namespace is refused, with the JSON that says why.
    Refused(&'a [u8]),
    /// The answer to the emit of this id: a JSON array.
    Ack { id: u64, data: &'a [u8] },
    /// An event, whole: members of a room get the same bytes.
    Event(&'a [u8]),
    /// We are to go, and stay away.
    Disconnect,
    /// Anything else.
    Other(&'a [u8]),
}

/// What every event begins with.
const EVENT: &[u8] = b"42/gossip,";

pub(crate) fn parse(text: &[u8]) -> Packet<'_> {
    if text.starts_with(EVENT) {
        return Packet::Event(text);
    }
    if let Some((id, data)) = text.strip_prefix(b"43/gossip,").and_then(number) {
        return Packet::Ack { id, data };
    }
    match text {
        b"2" => Packet::Ping,
        [b'0', ..] => Packet::Open,
        _ if text.starts_with(b"40/gossip") => Packet::Connected,
        _ if text.starts_with(b"41") => Packet::Disconnect,
        _ => text.strip_prefix(b"44/gossip,").map_or(Packet::Other(text), Packet::Refused),
    }
}

/// The JSON array of an event.
pub(crate) fn array(event: &[u8]) -> &[u8] {
    event.strip_prefix(EVENT).unwrap_or(event)
}

/// The digits at the front, and what follows them.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_apart() {
        let rows: [(&[u8], Packet<'_>); 11] = [
            (br#"0{"sid":"x"}"#, Packet::Open),
            (b"2", Packet::Ping),
            (br#"40/gossip,{"sid":"y"}"#, Packet::Connected),
            (br#"44/gossip,{"message":"no"}"#, Packet::Refused(br#"{"message":"no"}"#)),
            (b"41/gossip,", Packet::Disconnect),
            (br#"43/gossip,17[{"a":1}]"#, Packet::Ack { id: 17, data: br#"[{"a":1}]"# }),
            (br#"42/gossip,["x",1]"#, Packet::Event(br#"42/gossip,["x",1]"#)),
            (b"43/gossip,[1]", Packet::Other(b"43/gossip,[1]")),
            (b"43/gossip,99999999999999999999[1]", Packet::Other(b"43/gossip,99999999999999999999[1]")),
            (b"6", Packet::Other(b"6")),
            (b"", Packet::Other(b"")),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), expected, "{}", String::from_utf8_lossy(text));
        }
        assert_eq!(array(br#"42/gossip,["x",1]"#), br#"["x",1]"#);
    }
}
