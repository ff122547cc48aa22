//! The Socket.IO codec by the examples of its protocol document and the official suite, and by properties.

use proptest::prelude::*;

use super::*;
use crate::engineio;
use crate::error::Error;

fn decoder() -> Decoder {
    Decoder::new(Limits::default())
}

fn text(text: &str) -> Result<Option<Packet>, Error> {
    decoder().text(text)
}

fn raw(json: &[&str]) -> Vec<Box<RawValue>> {
    json.iter().map(|json| RawValue::from_string((*json).to_owned()).unwrap()).collect()
}

/// Packets hold raw JSON, which has no equality of its own.
fn show(packet: &Packet) -> String {
    format!("{packet:?}")
}

#[track_caller]
fn check(wire: &str, expected: &Packet) {
    let packet = text(wire).unwrap().expect("complete");
    assert_eq!(show(&packet), show(expected), "{wire}");
}

#[track_caller]
fn check_event(wire: &str, nsp: &str, ack: Option<u64>, name: &str, args: &[&str]) {
    let event = Event { name: name.into(), args: Args::new(raw(args), vec![]) };
    check(wire, &Packet::Event { nsp: nsp.into(), ack, event });
}

#[test]
fn connect_and_disconnect() {
    let connect = |nsp: &str, auth: Option<&str>| Packet::Connect {
        nsp: nsp.into(),
        auth: auth.map(|auth| raw(&[auth]).remove(0)),
    };
    check("0", &connect("/", None));
    check("0/admin,", &connect("/admin", None));
    check("0/custom", &connect("/custom", None));
    check("0/,", &connect("/", None));
    check(r#"0{"token":"123"}"#, &connect("/", Some(r#"{"token":"123"}"#)));
    check(r#"0/custom,{"token":"abc"}"#, &connect("/custom", Some(r#"{"token":"abc"}"#)));
    check("1", &Packet::Disconnect { nsp: "/".into() });
    check("1/admin,", &Packet::Disconnect { nsp: "/admin".into() });
    check("1/custom", &Packet::Disconnect { nsp: "/custom".into() });
}

#[test]
fn events_and_acks() {
    check_event(r#"2["foo"]"#, "/", None, "foo", &[]);
    check_event(r#"2/admin,["bar"]"#, "/admin", None, "bar", &[]);
    check_event(r#"212["foo"]"#, "/", Some(12), "foo", &[]);
    check_event(r#"2/a,12["foo", 1 ,{"3":[true]}]"#, "/a", Some(12), "foo", &["1", r#"{"3":[true]}"#]);
    check_event("218446744073709551615[\"a\"]", "/", Some(u64::MAX), "a", &[]);
    check_event(r#"2[""]"#, "/", None, "", &[]);
    check_event(r#"2["__proto__",1e999]"#, "/", None, "__proto__", &["1e999"]);
    check_event(r#"2["a\"\u0062"]"#, "/", None, "a\"b", &[]);
    check_event("2[-1.50,null]", "/", None, "-1.50", &["null"]);
    check_event(r#"2["a",{"_placeholder":true,"num":7}]"#, "/", None, "a", &[r#"{"_placeholder":true,"num":7}"#]);
    check(
        "3/admin,13[\"bar\"]",
        &Packet::Ack { nsp: "/admin".into(), id: 13, args: Args::new(raw(&["\"bar\""]), vec![]) },
    );
    check("30[]", &Packet::Ack { nsp: "/".into(), id: 0, args: Args::default() });
}

#[test]
fn what_is_not_a_packet() {
    for (wire, error) in [
        ("", Error::SocketType),
        ("abc", Error::SocketType),
        ("7", Error::SocketType),
        ("é", Error::SocketType),
        ("4", Error::ConnectErrorFromClient),
        (r#"4{"message":"x"}"#, Error::ConnectErrorFromClient),
        ("0[]", Error::Auth),
        ("0null", Error::Auth),
        ("0\"token\"", Error::Auth),
        ("0{", Error::Auth),
        ("0{}x", Error::Auth),
        ("05", Error::Auth),
        ("1{}", Error::Payload),
        ("1/a,1", Error::Payload),
        ("2", Error::Payload),
        ("2{}", Error::Payload),
        ("2[]", Error::Payload),
        ("2[", Error::Payload),
        ("2[\"a\"", Error::Payload),
        ("2[\"a\",]", Error::Payload),
        ("2[\"a\"]]", Error::Payload),
        ("2[\"a\",\u{7}]", Error::Payload),
        ("2/a[\"a\"]", Error::Payload),
        ("21", Error::Payload),
        ("2abc[\"a\"]", Error::PacketId),
        ("2-1[\"a\"]", Error::PacketId),
        ("2+1[\"a\"]", Error::PacketId),
        ("21.5[\"a\"]", Error::PacketId),
        ("2 [\"a\"]", Error::PacketId),
        ("2١[\"a\"]", Error::PacketId),
        ("218446744073709551616[\"a\"]", Error::PacketId),
        ("2\"a\"", Error::PacketId),
        ("2[{}]", Error::EventName),
        ("2[null,\"a\"]", Error::EventName),
        ("2[true]", Error::EventName),
        ("2[[\"a\"]]", Error::EventName),
        ("2[\"\\ud800\"]", Error::EventName),
        ("3[]", Error::PacketId),
        ("3x[]", Error::PacketId),
        ("31", Error::Payload),
        ("31{}", Error::Payload),
        ("5", Error::AttachmentCount),
        ("5-", Error::AttachmentCount),
        ("5-[\"a\"]", Error::AttachmentCount),
        ("51[\"a\"]", Error::AttachmentCount),
        ("5x-[\"a\"]", Error::AttachmentCount),
        ("5+1-[\"a\"]", Error::AttachmentCount),
        ("51.0-[\"a\"]", Error::AttachmentCount),
        ("50-[\"a\"]", Error::AttachmentCount),
        ("600-1[]", Error::AttachmentCount),
        ("533-[\"a\"]", Error::TooManyAttachments),
        ("599999999999999999999999-[\"a\"]", Error::TooManyAttachments),
        (r#"51-["a",{"_placeholder":true,"num":1}]"#, Error::Placeholder),
        (r#"61-1[{"_placeholder":true,"num":-1}]"#, Error::Placeholder),
        ("51-", Error::Payload),
        ("51-[]", Error::Payload),
        ("51-[{}]", Error::EventName),
        ("61-[]", Error::PacketId),
    ] {
        let mut decoder = decoder();
        assert_eq!(decoder.text(wire).map(|_| ()), Err(error), "{wire}");
        assert!(!decoder.is_waiting());
    }
    for name in RESERVED_EVENTS {
        assert_eq!(text(&format!("2[\"{name}\"]")).map(|_| ()), Err(Error::ReservedEvent));
        assert_eq!(text(&format!("51-[\"{name}\"]")).map(|_| ()), Err(Error::ReservedEvent));
    }
}

#[test]
fn a_namespace_has_a_length() {
    let nsp = format!("/{}", "é".repeat(63));
    assert!(text(&format!("0{nsp}")).is_ok());
    assert_eq!(text(&format!("0{nsp}ab,")).map(|_| ()), Err(Error::NamespaceTooLong));
}

#[test]
fn arguments_are_counted() {
    let args = |count: usize| format!("2[\"a\"{}]", ",0".repeat(count));
    assert!(text(&args(MAX_ARGS)).is_ok());
    assert_eq!(text(&args(MAX_ARGS + 1)).map(|_| ()), Err(Error::TooManyArgs));
}

#[test]
fn attachments_are_waited_for() {
    let mut decoder = decoder();
    let wire = r#"52-/admin,7["a",{"_placeholder":true,"num":1},{"x":[{"_placeholder":true,"num":0}]}]"#;
    assert!(decoder.text(wire).unwrap().is_none());
    assert!(decoder.is_waiting());
    assert!(decoder.binary(Bytes::from_static(&[1, 2])).unwrap().is_none());
    let Some(Packet::Event { nsp, ack, event }) = decoder.binary(Bytes::new()).unwrap() else { panic!("not an event") };
    assert_eq!((&*nsp, ack, &*event.name), ("/admin", Some(7), "a"));
    assert!(event.args.is_binary());
    assert_eq!(event.args.attachments(), [&[1, 2][..], &[]]);
    assert_eq!(event.args.raw()[0].get(), r#"{"_placeholder":true,"num":1}"#);
    assert_eq!(decoder.binary(Bytes::new()).map(|_| ()), Err(Error::UnexpectedBinary));

    assert!(decoder.text(r#"61-456[{"_placeholder":true,"num":0}]"#).unwrap().is_none());
    let Some(Packet::Ack { id, args, .. }) = decoder.binary(Bytes::from_static(&[3])).unwrap() else {
        panic!("not an ack")
    };
    assert_eq!((id, args.attachments().len()), (456, 1));
}

#[test]
fn text_between_attachments_is_an_error() {
    let mut decoder = decoder();
    assert!(decoder.text(r#"51-["a"]"#).unwrap().is_none());
    assert_eq!(decoder.text(r#"2["a"]"#).map(|_| ()), Err(Error::AttachmentExpected));
    assert!(!decoder.is_waiting());
    assert_eq!(decoder.binary(Bytes::new()).map(|_| ()), Err(Error::UnexpectedBinary));
}

#[test]
fn attachments_have_a_size_together() {
    let mut decoder = Decoder::new(Limits { max_binary_bytes: 10, ..Limits::default() });
    for _ in 0..2 {
        assert!(decoder.text(r#"52-["a"]"#).unwrap().is_none());
        assert!(decoder.binary(Bytes::from_static(&[0; 6])).unwrap().is_none());
        assert_eq!(decoder.binary(Bytes::from_static(&[0; 5])).map(|_| ()), Err(Error::BinaryTooLarge));
        assert!(!decoder.is_waiting());
    }
    assert!(decoder.text(r#"52-["a"]"#).unwrap().is_none());
    assert!(decoder.binary(Bytes::from_static(&[0; 6])).unwrap().is_none());
    assert!(decoder.binary(Bytes::from_static(&[0; 4])).unwrap().is_some());
}

/// On a thread's usual stack of 2 MiB, a recursive reader would be gone long before this depth.
#[test]
fn deep_json_is_only_text() {
    std::thread::Builder::new()
        .stack_size(2 * 1024 * 1024)
        .spawn(|| {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let deep = format!("{}0{}", open.repeat(100_000), close.repeat(100_000));
                let packet = text(&format!("2[\"a\",{deep}]")).unwrap().expect("complete");
                let Packet::Event { event, .. } = packet.clone() else { panic!("not an event") };
                assert_eq!(event.args.raw()[0].get(), deep);

                let mut decoder = decoder();
                assert!(decoder.text(&format!("51-[\"a\",{deep}]")).unwrap().is_none());
                assert!(decoder.binary(Bytes::new()).unwrap().is_some());
            }
            let auth = format!("0{}0{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
            assert!(text(&auth).unwrap().is_some());
            // Unfinished, too.
            assert_eq!(text(&format!("2[\"a\",{}", "[".repeat(100_000))).map(|_| ()), Err(Error::Payload));
        })
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn encoded_as_in_the_protocol_document() {
    assert_eq!(encode_connect("/", r#"{"sid":"x"}"#), r#"40{"sid":"x"}"#);
    assert_eq!(encode_connect("/admin", r#"{"sid":"x"}"#), r#"40/admin,{"sid":"x"}"#);
    assert_eq!(
        encode_connect_error("/random", r#"{"message":"Invalid namespace"}"#),
        r#"44/random,{"message":"Invalid namespace"}"#
    );
    assert_eq!(encode_disconnect("/"), "41");
    assert_eq!(encode_disconnect("/admin"), "41/admin,");
    assert_eq!(encode_event("/", "auth", &["{}"], 0), r#"42["auth",{}]"#);
    assert_eq!(encode_event("/custom", "a\"\n", &[], 0), r#"42/custom,["a\"\n"]"#);
    assert_eq!(
        encode_event("/a", "baz", &[r#"{"_placeholder":true,"num":0}"#], 1),
        r#"451-/a,["baz",{"_placeholder":true,"num":0}]"#
    );
    assert_eq!(encode_ack("/", 456, &["1", "\"2\"", r#"{"3":[false]}"#], 0), r#"43456[1,"2",{"3":[false]}]"#);
    assert_eq!(encode_ack("/admin", 13, &[], 0), "43/admin,13[]");
    assert_eq!(
        encode_ack("/", 789, &[r#"{"_placeholder":true,"num":0}"#, r#"{"_placeholder":true,"num":1}"#], 2),
        r#"462-789[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#
    );
}

/// What the transport would hand to the decoder.
fn unwrapped(wire: String) -> String {
    match engineio::Packet::decode_text(wire) {
        Ok(engineio::Packet::Message(engineio::Message::Text(text))) => text,
        other => panic!("not a text message: {other:?}"),
    }
}

fn nsp() -> impl Strategy<Value = String> {
    prop_oneof![Just("/".to_owned()), "/[a-z0-9/é?=\\[{-]{0,20}"]
}

fn args() -> impl Strategy<Value = Vec<String>> {
    let json = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        prop::collection::vec(any::<bool>(), 0..4).prop_map(|list| serde_json::to_string(&list).unwrap()),
        prop::collection::btree_map(any::<String>(), any::<u8>(), 0..4)
            .prop_map(|map| serde_json::to_string(&map).unwrap()),
    ];
    prop::collection::vec(json, 0..6)
}

fn attachments() -> impl Strategy<Value = Vec<Bytes>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..8).prop_map(Bytes::from), 0..5)
}

/// The decoded packet, after all attachments.
fn complete(wire: String, attachments: &[Bytes]) -> Packet {
    let mut decoder = decoder();
    let mut packet = decoder.text(&unwrapped(wire)).unwrap();
    for attachment in attachments {
        assert!(packet.is_none());
        packet = decoder.binary(attachment.clone()).unwrap();
    }
    packet.expect("complete")
}

/// `args` with a placeholder for each attachment behind them.
fn with_placeholders(mut args: Vec<String>, attachments: &[Bytes]) -> Vec<String> {
    args.extend((0..attachments.len()).map(|num| format!(r#"{{"_placeholder":true,"num":{num}}}"#)));
    args
}

/// One message to a decoder.
#[derive(Debug, Clone)]
enum Input {
    Text(String),
    Binary(usize),
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        any::<String>().prop_map(Input::Text),
        r#"[0-7][0-9]{0,2}-?(/[a-z,]{0,4})?[0-9]{0,2}(\["a"(,\{"_placeholder":true,"num":[0-2]\})?\]|\{|\[)?"#
            .prop_map(Input::Text),
        (1usize..4).prop_map(|count| Input::Text(format!("5{count}-[\"a\"]"))),
        (0usize..60).prop_map(Input::Binary),
    ]
}

proptest! {
    #[test]
    fn an_event_comes_back(nsp in nsp(), name in any::<String>(), args in args(), attachments in attachments()) {
        prop_assume!(!RESERVED_EVENTS.contains(&&*name));
        let args = with_placeholders(args, &attachments);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let packet = complete(encode_event(&nsp, &name, &args, attachments.len()), &attachments);
        let event = Event { name: name.into(), args: Args::new(raw(&args), attachments) };
        prop_assert_eq!(show(&packet), show(&Packet::Event { nsp: nsp.into(), ack: None, event }));
    }

    #[test]
    fn an_ack_comes_back(nsp in nsp(), id: u64, args in args(), attachments in attachments()) {
        let args = with_placeholders(args, &attachments);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let packet = complete(encode_ack(&nsp, id, &args, attachments.len()), &attachments);
        prop_assert_eq!(show(&packet), show(&Packet::Ack { nsp: nsp.into(), id, args: Args::new(raw(&args), attachments) }));
    }

    #[test]
    fn connect_and_disconnect_come_back(nsp in nsp(), token in any::<String>()) {
        let auth = serde_json::json!({ "token": token }).to_string();
        let packet = complete(encode_connect(&nsp, &auth), &[]);
        prop_assert_eq!(show(&packet), show(&Packet::Connect { nsp: nsp.clone().into(), auth: Some(raw(&[&auth]).remove(0)) }));
        let packet = complete(encode_disconnect(&nsp), &[]);
        prop_assert_eq!(show(&packet), show(&Packet::Disconnect { nsp: nsp.clone().into() }));
        let refused = decoder().text(&unwrapped(encode_connect_error(&nsp, &auth)));
        prop_assert_eq!(refused.map(|_| ()), Err(Error::ConnectErrorFromClient));
    }

    #[test]
    fn any_messages_stay_within_the_limits(inputs in prop::collection::vec(input(), 0..60)) {
        let limits = Limits { max_attachments: 3, max_binary_bytes: 100, max_namespace_len: 8 };
        let mut decoder = Decoder::new(limits);
        for input in inputs {
            let result = match input {
                Input::Text(text) => decoder.text(&text),
                Input::Binary(len) => decoder.binary(vec![0; len].into()),
            };
            prop_assert_eq!(decoder.is_waiting(), matches!(result, Ok(None)));
            let Ok(Some(packet)) = result else { continue };
            let (nsp, args) = match packet {
                Packet::Event { nsp, event, .. } => (nsp, event.args),
                Packet::Ack { nsp, args, .. } => (nsp, args),
                Packet::Connect { nsp, .. } | Packet::Disconnect { nsp } => (nsp, Args::default()),
                Packet::ConnectError { .. } => panic!("decoded a CONNECT_ERROR"),
            };
            prop_assert!(nsp.len() <= limits.max_namespace_len);
            prop_assert!(args.attachments().len() <= limits.max_attachments);
            prop_assert!(args.attachments().iter().map(Bytes::len).sum::<usize>() <= limits.max_binary_bytes);
        }
    }
}
