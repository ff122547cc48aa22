//! Engine.IO: a WebSocket text frame, and the same bytes as the body of a polling POST. What is read can be written, and
//! what was written reads the same.
#![no_main]

use gossip_proto::engineio::{MAX_PACKETS, Message, Packet, SEPARATOR, decode_payload, encode_base64_message};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let binary = Packet::decode_text(encode_base64_message(data));
    assert_eq!(binary, Ok(Packet::Message(Message::Binary(bytes::Bytes::copy_from_slice(data)))));

    let Ok(text) = std::str::from_utf8(data) else { return };
    let single = Packet::decode_text(text.to_owned());
    if let Ok(packet) = &single {
        assert_eq!(Packet::decode_text(packet.encode_text()).as_ref(), Ok(packet));
    }
    let payload = decode_payload(text);
    if !text.contains(SEPARATOR) {
        assert_eq!(payload, single.map(|packet| vec![packet]), "a frame is a body of one packet");
    } else if let Ok(packets) = payload {
        assert!(packets.len() <= MAX_PACKETS);
        let again: Vec<String> = packets.iter().map(Packet::encode_text).collect();
        assert_eq!(decode_payload(&again.join(&SEPARATOR.to_string())), Ok(packets));
    }
});
