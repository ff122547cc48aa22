//! Socket.IO: one connection's messages, a line each; one that begins with `#` is a binary message. What the decoder
//! yields is within its limits, and reads the same when it is written again; after an error it is as new.
#![no_main]

use gossip_proto::socketio::{
    Args, Decoder, Limits, MAX_ARGS, Packet, RESERVED_EVENTS, encode_ack, encode_connect, encode_connect_error,
    encode_disconnect, encode_event,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Smaller than those of the server, so that they are met.
const LIMITS: Limits = Limits { max_attachments: 6, max_binary_bytes: 64, max_namespace_len: 40 };

fn texts(args: &Args) -> Vec<&str> {
    args.raw().iter().map(|raw| raw.get()).collect()
}

fn check_args(args: &Args) {
    assert!(args.raw().len() <= MAX_ARGS);
    assert!(args.attachments().len() <= LIMITS.max_attachments);
    assert!(args.attachments().iter().map(bytes::Bytes::len).sum::<usize>() <= LIMITS.max_binary_bytes);
    if args.is_binary() {
        for arg in args.raw() {
            // What is too deep for a tree, a client of ours will never ask for.
            if let Ok(tree) = serde_json::from_str::<Value>(arg.get()) {
                assert!(points_at_attachments(&tree, args.attachments().len()), "{arg}");
            }
        }
    }
}

/// Whether every placeholder is one of an attachment.
fn points_at_attachments(value: &Value, count: usize) -> bool {
    match value {
        Value::Array(items) => items.iter().all(|item| points_at_attachments(item, count)),
        Value::Object(members) => {
            let is_placeholder = members.get("_placeholder") == Some(&Value::Bool(true));
            let num = members.get("num").and_then(Value::as_u64);
            (!is_placeholder || num.is_some_and(|num| num < count as u64))
                && members.values().all(|member| points_at_attachments(member, count))
        }
        _ => true,
    }
}

/// The packet as another decoder reads it, once it is written.
fn again(packet: &Packet) -> Packet {
    let (text, attachments) = match packet {
        Packet::Connect { nsp, auth } => (encode_connect(nsp, auth.as_deref().map_or("", |auth| auth.get())), &[][..]),
        Packet::Disconnect { nsp } => (encode_disconnect(nsp), &[][..]),
        Packet::Event { nsp, ack, event } => {
            let args = texts(&event.args);
            let text = encode_event(nsp, &event.name, &args, event.args.attachments().len());
            // The server asks for no acks, so it writes no id: it goes before the payload.
            let payload = text.find('[').expect("an event has a payload");
            let payload = nsp.find('[').map_or(payload, |_| 2 + text[2..].find(",[").expect("after the namespace") + 1);
            let id = ack.map_or(String::new(), |ack| ack.to_string());
            (format!("{}{id}{}", &text[..payload], &text[payload..]), event.args.attachments())
        }
        Packet::Ack { nsp, id, args } => {
            (encode_ack(nsp, *id, &texts(args), args.attachments().len()), args.attachments())
        }
        Packet::ConnectError { nsp, data } => {
            panic!("never decoded: {}", encode_connect_error(nsp, data.as_deref().map_or("", |data| data.get())))
        }
    };
    let mut decoder = Decoder::new(LIMITS);
    let mut read = decoder.text(&text[1..]).unwrap_or_else(|error| panic!("{error}: {text}"));
    for attachment in attachments {
        assert!(read.is_none(), "all attachments are waited for: {text}");
        read = decoder.binary(attachment.clone()).expect("it was taken before");
    }
    read.unwrap_or_else(|| panic!("not complete: {text}"))
}

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new(LIMITS);
    for message in data.split(|byte| *byte == b'\n') {
        let waited = decoder.is_waiting();
        let read = match message {
            [b'#', binary @ ..] => {
                let read = decoder.binary(bytes::Bytes::copy_from_slice(binary));
                assert!(waited || read.is_err(), "an attachment of nothing");
                read
            }
            text => {
                let read = decoder.text(&String::from_utf8_lossy(text));
                assert!(!waited || read.is_err(), "a text among attachments");
                read
            }
        };
        match read {
            Err(_) => assert!(!decoder.is_waiting(), "an error leaves nothing behind"),
            Ok(None) => assert!(decoder.is_waiting()),
            Ok(Some(packet)) => {
                assert!(!decoder.is_waiting());
                if let Packet::Event { event, .. } = &packet {
                    check_args(&event.args);
                    assert!(!RESERVED_EVENTS.contains(&&*event.name));
                }
                if let Packet::Ack { args, .. } = &packet {
                    check_args(args);
                }
                assert_eq!(format!("{:?}", again(&packet)), format!("{packet:?}"));
            }
        }
    }
});
