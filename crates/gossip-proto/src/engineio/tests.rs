//! The Engine.IO codec by the examples of its protocol document, and by properties.

use proptest::prelude::*;

use super::*;

fn text(payload: &str) -> Packet {
    Packet::Message(Message::Text(payload.to_owned()))
}

fn binary(payload: &[u8]) -> Packet {
    Packet::Message(Message::Binary(Bytes::copy_from_slice(payload)))
}

#[test]
fn packets_of_the_protocol_document() {
    let rows = [
        ("0{\"sid\":\"x\"}", Packet::Open("{\"sid\":\"x\"}".to_owned())),
        ("1", Packet::Close),
        ("2", Packet::Ping(String::new())),
        ("2probe", Packet::Ping("probe".to_owned())),
        ("3", Packet::Pong(String::new())),
        ("3probe", Packet::Pong("probe".to_owned())),
        ("4hello", text("hello")),
        ("4", text("")),
        ("4€", text("€")),
        ("5", Packet::Upgrade),
        ("6", Packet::Noop),
        ("bAQIDBA==", binary(&[1, 2, 3, 4])),
        ("b", binary(&[])),
    ];
    for (wire, packet) in rows {
        assert_eq!(Packet::decode_text(wire.to_owned()), Ok(packet.clone()), "{wire}");
        assert_eq!(packet.encode_text(), wire);
    }
}

#[test]
fn what_is_not_a_packet() {
    for (wire, error) in [
        ("", Error::EmptyPacket),
        ("abc", Error::EngineType),
        ("7", Error::EngineType),
        ("é", Error::EngineType),
        ("\u{1e}", Error::EngineType),
        ("b!", Error::Base64),
        ("bA", Error::Base64),
        ("bAQIDBA=x", Error::Base64),
    ] {
        assert_eq!(Packet::decode_text(wire.to_owned()), Err(error), "{wire:?}");
    }
}

#[test]
fn unpadded_base64_is_taken() {
    assert_eq!(Packet::decode_text("bAQIDBA".to_owned()), Ok(binary(&[1, 2, 3, 4])));
}

#[test]
fn a_payload_keeps_its_allocation() {
    let wire = "4hello".to_owned();
    let place = wire.as_ptr();
    let Ok(Packet::Message(Message::Text(payload))) = Packet::decode_text(wire) else { panic!("not a message") };
    assert_eq!(payload.as_ptr(), place);
}

#[test]
fn payloads_of_the_protocol_document() {
    assert_eq!(
        decode_payload("4hello\u{1e}2\u{1e}4world"),
        Ok(vec![text("hello"), Packet::Ping(String::new()), text("world")])
    );
    assert_eq!(decode_payload("4hello\u{1e}bAQIDBA=="), Ok(vec![text("hello"), binary(&[1, 2, 3, 4])]));
    assert_eq!(decode_payload("4€"), Ok(vec![text("€")]));
    for body in ["", "\u{1e}", "4a\u{1e}", "\u{1e}4a", "4a\u{1e}\u{1e}4b"] {
        assert_eq!(decode_payload(body), Err(Error::EmptyPacket), "{body:?}");
    }
    assert_eq!(decode_payload("abc"), Err(Error::EngineType));
    assert_eq!(decode_payload("4a\u{1e}b?"), Err(Error::Base64));
}

#[test]
fn packets_in_a_payload_are_counted() {
    let body = |count| vec!["4"; count].join("\u{1e}");
    assert_eq!(decode_payload(&body(MAX_PACKETS)).map(|packets| packets.len()), Ok(MAX_PACKETS));
    assert_eq!(decode_payload(&body(MAX_PACKETS + 1)), Err(Error::TooManyPackets));
}

#[test]
fn the_handshake_of_the_protocol_document() {
    let handshake = Handshake {
        sid: "lv_VI97HAXpY6yYWAAAC",
        upgrades: &["websocket"],
        ping_interval: 25000,
        ping_timeout: 20000,
        max_payload: 1000000,
    };
    assert_eq!(
        handshake.encode(),
        r#"0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#
    );
}

fn any_packet() -> impl Strategy<Value = Packet> {
    // The separator cannot be carried in a polling body; JSON never holds it raw.
    let data = "[^\u{1e}]{0,40}";
    prop_oneof![
        data.prop_map(Packet::Open),
        Just(Packet::Close),
        data.prop_map(Packet::Ping),
        data.prop_map(Packet::Pong),
        data.prop_map(|data| Packet::Message(Message::Text(data))),
        prop::collection::vec(any::<u8>(), 0..80).prop_map(|data| Packet::Message(Message::Binary(data.into()))),
        Just(Packet::Upgrade),
        Just(Packet::Noop),
    ]
}

proptest! {
    #[test]
    fn every_packet_comes_back(packet in any_packet()) {
        prop_assert_eq!(Packet::decode_text(packet.encode_text()), Ok(packet));
    }

    #[test]
    fn every_payload_comes_back(packets in prop::collection::vec(any_packet(), 1..20)) {
        let body: Vec<String> = packets.iter().map(Packet::encode_text).collect();
        prop_assert_eq!(decode_payload(&body.join("\u{1e}")), Ok(packets));
    }

    #[test]
    fn any_text_gets_an_answer(text in any::<String>()) {
        let _ = Packet::decode_text(text.clone());
        let _ = decode_payload(&text);
    }

    #[test]
    fn a_payload_is_its_packets_one_by_one(body in "([0-7ab4\u{1e}é=+/]){0,30}") {
        let one_by_one: Result<Vec<_>, _> = body.split(SEPARATOR).map(|text| Packet::decode_text(text.to_owned())).collect();
        prop_assert_eq!(decode_payload(&body), one_by_one);
    }
}
