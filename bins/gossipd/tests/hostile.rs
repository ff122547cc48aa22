//! Payloads made to hurt, and their answers: on every way in the connection lives on, and so does everybody else's
//! (contract §2). Frames that are no packets at all are in `noise.rs`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::sync::Arc;

use gossip_hub::SystemEnv;
use serde_json::{Value, json};
use support::polling::Polling;
use support::server::{Home, Server, new_room};
use support::websocket::{Client, Got, open};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

const MAX_PAYLOAD: usize = 65_536;
const UUID: &str = r#""018f2a3e-0000-7000-8000-000000000001""#;

/// What a member must be, and so what it must not.
#[derive(Clone, Copy)]
enum Kind {
    Id,
    Token,
    Content { max: usize },
    Reason,
    Word,
    Number { least: u64, most: Option<u64> },
    RequestId,
    Cursor,
    Metadata,
}

use Kind::{Content, Cursor, Id, Metadata, Number, Reason, RequestId, Token, Word};

/// A member: its name, what it must be, and a good value where it is required.
type Member = (&'static str, Kind, Option<&'static str>);

const ROOM: Member = ("roomId", Id, Some(UUID));
const INTENT: Member = ("intentId", Id, Some(UUID));
const REQUEST: Member = ("requestId", RequestId, None);
const LIMIT: Member = ("limit", Number { least: 1, most: Some(100) }, None);
const BEFORE: Member = ("before", Cursor, None);
const SINCE: Member = ("since", Number { least: 0, most: None }, None);
const HISTORY: Member = ("history", Number { least: 0, most: Some(100) }, None);
const MINUTES: Member = ("expiresInMinutes", Number { least: 1, most: Some(1440) }, None);

const EVENTS: [(&str, &[Member]); 10] = [
    ("authenticate", &[("token", Token, Some(r#""t""#)), ("userId", Id, None)]),
    ("join_room", &[ROOM, SINCE, HISTORY]),
    ("leave_room", &[ROOM]),
    (
        "new_gossip",
        &[ROOM, ("content", Content { max: 2000 }, Some(r#""x""#)), ("metadata", Metadata, None), MINUTES, REQUEST],
    ),
    ("update_gossip", &[INTENT, ("status", Word, Some(r#""verified""#)), ("reason", Reason, None), REQUEST]),
    ("vote_gossip", &[INTENT, ("action", Word, Some(r#""upvote""#))]),
    ("comment_gossip", &[INTENT, ("content", Content { max: 1000 }, Some(r#""x""#)), REQUEST]),
    ("list_gossip", &[ROOM, LIMIT, BEFORE, ("status", Word, None)]),
    ("get_gossip", &[INTENT]),
    ("list_updates", &[INTENT, LIMIT, BEFORE]),
];

fn deep() -> String {
    "[".repeat(10_000) + &"]".repeat(10_000)
}

fn members(count: usize) -> String {
    let members: Vec<String> = (0..count).map(|n| format!(r#""m{n}":{n}"#)).collect();
    format!("{{{}}}", members.join(","))
}

fn letters(count: usize) -> String {
    format!(r#""{}""#, "x".repeat(count))
}

/// JSON that is wrong for a member of this kind.
fn wrong(kind: Kind) -> Vec<String> {
    let surrogates = [r#""\ud800""#, r#""\udc00\ud800""#, r#""a\ud83d""#];
    let mut values: Vec<String> = surrogates.into_iter().chain(["true", "[]", "[null]"]).map(str::to_owned).collect();
    values.push(deep());
    let mut add = |more: &[&str]| values.extend(more.iter().map(|value| (*value).to_owned()));
    let numbers = ["-1", "1.5", "1e400", "-1e400", "18446744073709551616", "9007199254740993.0"];
    let objects = ["{}", r#"{"__proto__":{"a":1}}"#, r#"{"constructor":{"prototype":{}}}"#, r#"{"toString":null}"#];
    match kind {
        Id => {
            add(&[r#""""#, r#""room-123""#, r#""018f2a3e000070008000000000000001""#, r#""__proto__""#, r#""\u0000""#])
        }
        Word => add(&[r#""""#, r#""UPVOTE""#, r#""__proto__""#, r#""constructor""#, r#""upvote\u0000""#]),
        Cursor => add(&[r#""""#, r#""nonsense""#, r#""\u0000""#, r#""' OR 1=1 --""#]),
        Content { .. } => add(&[r#""""#, r#"" \n\t ""#, r#""\u0000\u0007\u007f""#]),
        RequestId => add(&[r#""""#, r#""a\u0000""#]),
        Metadata => add(&[
            r#""text""#,
            r#"{"a":1e400}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\u0000"}"#,
            r#"{"\u0000":1}"#,
            r#"{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}"#,
        ]),
        Number { .. } => add(&[r#""10""#, r#""""#]),
        Token | Reason => {}
    }
    add(&numbers);
    match kind {
        Metadata => {
            values.push(format!(r#"{{"a":{}}}"#, deep()));
            values.push(members(4_000));
        }
        Number { least, most } => {
            add(&objects);
            values.extend(least.checked_sub(1).map(|less| less.to_string()));
            values.extend(most.map(|most| (most + 1).to_string()));
        }
        _ => add(&objects),
    }
    match kind {
        Content { max } => values.extend([letters(max + 1), letters(60_000)]),
        Reason => values.push(letters(501)),
        RequestId => values.push(letters(65)),
        Id | Word | Cursor => values.push(letters(60_000)),
        Token | Metadata | Number { .. } => {}
    }
    values
}

/// Data in which one member has this value and the other required ones are good; `None` leaves it out.
fn data(all: &[Member], name: &str, value: Option<&str>) -> String {
    let good =
        all.iter().filter(|(other, _, _)| *other != name).filter_map(|(other, _, good)| Some((*other, (*good)?)));
    let members: Vec<String> =
        good.chain(value.map(|value| (name, value))).map(|(name, value)| format!(r#""{name}":{value}"#)).collect();
    format!("{{{}}}", members.join(","))
}

/// A way in.
enum Way {
    WebSocket(Box<Client>),
    Polling(Polling),
}

impl Way {
    async fn ask(&mut self, event: &str, data: &str) -> Value {
        match self {
            Way::WebSocket(client) => client.ask(event, data).await,
            Way::Polling(client) => client.ask(event, data).await.unwrap(),
        }
    }
}

fn start_of(text: &str) -> &str {
    text.get(..200).unwrap_or(text)
}

#[track_caller]
fn refused(answer: &Value, field: &str, event: &str, data: &str) {
    let what = (&answer["status"], &answer["code"], &answer["field"]);
    let expected = (&json!("error"), &json!("invalid_input"), &json!(field));
    assert_eq!(what, expected, "{event} {}: {answer}", start_of(data));
}

async fn home() -> (Home, Server) {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&[]).await;
    (home, server)
}

/// Shows that a connection still does what it is for.
async fn lives(client: &mut Client) {
    client.call("list_gossip", json!({ "roomId": new_room() })).await;
}

async fn every_payload(mut way: Way, mut healthy: Client) {
    for (event, all) in EVENTS {
        for (name, kind, good) in all {
            for value in wrong(*kind) {
                let data = data(all, name, Some(&value));
                refused(&way.ask(event, &data).await, name, event, &data);
            }
            if good.is_some() {
                for data in [data(all, name, None), data(all, name, Some("null"))] {
                    refused(&way.ask(event, &data).await, name, event, &data);
                }
            }
        }
        for data in ["null", "5", "1e400", "true", r#""x""#, r#""\ud800""#, "[]", &deep()] {
            refused(&way.ask(event, data).await, "data", event, data);
        }
        lives(&mut healthy).await;
    }
    for event in ["", "shout", "__proto__", "constructor", "toString", "exception", "join_room\0", "\u{10ffff}"] {
        assert_eq!(way.ask(event, "{}").await["code"], "unknown_event", "{event:?}");
    }
    let strange = format!(r#"{{"__proto__":{{"roomId":5}},"deep":{},"huge":1e400,"roomId":{UUID}}}"#, deep());
    assert_eq!(way.ask("join_room", &strange).await["status"], "joined");
    let crowded = members(4_000).replacen('{', &format!(r#"{{"roomId":{UUID},"#), 1);
    assert_eq!(way.ask("leave_room", &crowded).await["status"], "left");
    for since in [u64::MAX, i64::MAX as u64, i64::MAX as u64 + 1] {
        let joined = way.ask("join_room", &format!(r#"{{"roomId":{UUID},"since":{since}}}"#)).await;
        assert_eq!((&joined["status"], &joined["recovered"]), (&json!("joined"), &json!(false)), "{since}: {joined}");
    }
    let metadata = r#"{"__proto__":{"polluted":true},"constructor":null,"n":18446744073709551615}"#;
    let posted = way.ask("new_gossip", &format!(r#"{{"roomId":{UUID},"content":"x","metadata":{metadata}}}"#)).await;
    let intent = &posted["intent"];
    assert_eq!(intent["metadata"], serde_json::from_str::<Value>(metadata).unwrap());
    assert_eq!(way.ask("get_gossip", &json!({ "intentId": intent["id"] }).to_string()).await["intent"], *intent);
    lives(&mut healthy).await;
}

#[tokio::test]
async fn nasty_payloads_over_a_websocket() {
    let (_home, server) = home().await;
    every_payload(Way::WebSocket(Box::new(server.client("admin").await)), server.client("user").await).await;
    assert_eq!(server.daemon.gateway().connection_stats().total_connections, 2, "somebody had to come back");
}

#[tokio::test]
async fn nasty_payloads_over_a_plain_websocket() {
    let (_home, server) = home().await;
    every_payload(Way::WebSocket(Box::new(server.plain("admin").await)), server.plain("user").await).await;
    assert_eq!(server.daemon.gateway().connection_stats().total_connections, 2, "somebody had to come back");
}

#[tokio::test]
async fn nasty_payloads_over_polling() {
    let (_home, server) = home().await;
    every_payload(Way::Polling(server.polling("admin").await), server.client("user").await).await;
    assert_eq!(server.daemon.gateway().connection_stats().total_connections, 2, "somebody had to come back");
}

#[tokio::test]
async fn without_a_callback_the_refusal_is_an_exception() {
    let (_home, server) = home().await;
    for mut client in [server.client("user").await, server.plain("user").await] {
        for (event, data, code, field) in [
            ("new_gossip", format!(r#"{{"roomId":{UUID},"content":{}}}"#, deep()), "invalid_input", json!("content")),
            ("join_room", deep(), "invalid_input", json!("data")),
            ("__proto__", "{}".to_owned(), "unknown_event", Value::Null),
        ] {
            client.shout(event, &data).await;
            let (name, told) = client.event().await;
            assert_eq!(name, "exception");
            assert_eq!((&told["event"], &told["code"], &told["field"]), (&json!(event), &json!(code), &field));
        }
        lives(&mut client).await;
    }
}

/// Bytes where the contract has none are refused like any wrong type.
#[tokio::test]
async fn binary_is_refused_and_its_member_named() {
    let (_home, server) = home().await;
    let mut client = server.client("user").await;
    let placeholder = r#"{"_placeholder":true,"num":0}"#;
    for (id, data, field) in [
        (900, format!(r#"{{"roomId":{UUID},"content":{placeholder}}}"#), "content"),
        (901, format!(r#"{{"roomId":{UUID},"content":"x","metadata":{{"a":[{placeholder}]}}}}"#), "metadata"),
        (902, placeholder.to_owned(), "data"),
    ] {
        client.write(format!(r#"451-/gossip,{id}["new_gossip",{data}]"#)).await;
        client.write(vec![0xff; 100]).await;
        refused(&client.ack(id).await, field, "new_gossip", &data);
    }
    let mut plain = server.plain("user").await;
    plain.write(vec![0xff; 100]).await;
    let (name, told) = plain.event().await;
    refused(&told, "data", &name, "bytes");
    for broken in ["", "{", "[]", "5", "\0", &deep()] {
        plain.write(broken).await;
        let (name, told) = plain.event().await;
        refused(&told, "data", &name, broken);
    }
    lives(&mut client).await;
    lives(&mut plain).await;
}

#[tokio::test]
async fn messages_over_the_limit_are_told_so_and_lost() {
    let (_home, server) = home().await;
    let mut client = server.client("user").await;
    let mut plain = server.plain("user").await;
    for length in [MAX_PAYLOAD + 1, 2 * MAX_PAYLOAD, 4 * MAX_PAYLOAD] {
        for client in [&mut client, &mut plain] {
            client.write("4".repeat(length)).await;
            let (name, told) = client.event().await;
            assert_eq!((name.as_str(), &told["code"]), ("exception", &json!("too_large")), "{length}");
            lives(client).await;
        }
    }
    let mut polling = server.polling("user").await;
    for length in [MAX_PAYLOAD + 1, 4 << 20] {
        // What need not be read whole is refused by its length; anything else is answered like any message.
        match polling.post(&vec![b'4'; length]).await.unwrap().status {
            200 => assert!(polling.packet().await.unwrap().contains(r#""code":"too_large""#)),
            status => assert_eq!(status, 413),
        }
        // What the server did not read is in the way of the next request, not of the session.
        polling.reconnect().await.unwrap();
        let answer = polling.ask("list_gossip", &json!({ "roomId": new_room() }).to_string()).await.unwrap();
        assert_eq!(answer["status"], "success");
    }
    lives(&mut client).await;
}

/// A message too long to be read past (which is said first), or no message at all, ends the connection it came on, with
/// the close code that WebSocket has for it, and nobody else's.
#[tokio::test]
async fn what_cannot_be_answered_closes_one_connection_alone() {
    let (_home, server) = home().await;
    let mut healthy = server.client("user").await;
    let text = |payload: Vec<u8>| Frame::message(payload, OpCode::Data(Data::Text), true);
    let packets = [
        "",
        "4",
        "9",
        "2",
        "4abc",
        "42{}",
        "42[]",
        "42/gossip,[]",
        "42/gossip,[{}]",
        r#"42/other,["join_room"]"#,
        r#"42/gossip,["connect"]"#,
        r#"42/gossip,18446744073709551616["x"]"#,
        r#"450-/gossip,["x"]"#,
        r#"4599999999999999999999-/gossip,["x"]"#,
        r#"4533-/gossip,["x"]"#,
        r#"44/gossip,{}"#,
        "40/gossip,[]",
    ];
    let mut closing: Vec<(Frame, u16)> =
        packets.iter().map(|packet| (text(packet.as_bytes().to_vec()), 1002)).collect();
    closing.push((Frame::message(vec![1, 2, 3], OpCode::Data(Data::Binary), true), 1002));
    closing.push((text(b"42/gossip,[\"\xff\"]".to_vec()), 1007));
    closing.push((text(vec![b'4'; 4 << 20]), 1009));
    for (frame, code) in closing {
        let shown = format!("{} bytes: {:?}", frame.payload().len(), frame.payload().get(..40));
        let mut client = server.client("user").await;
        client.write(Message::Frame(frame)).await;
        if code == 1009 {
            let Got::Event(name, data) = client.next().await else { panic!("{shown}") };
            assert_eq!((&*name, &data["code"]), ("exception", &json!("too_large")), "{shown}");
        }
        assert_eq!(client.next().await, Got::Closed(Some(code)), "{shown}");
        lives(&mut healthy).await;
    }
    // Nor does a handshake that goes nowhere.
    for auth in ["[", "5", r#"{"token":5}"#, r#"{"token":"\ud800"}"#, r#"{"__proto__":{"token":"x"},"token":"x"}"#] {
        use futures_util::{SinkExt, StreamExt};
        let mut socket = open(server.address(), "/socket.io/?EIO=4&transport=websocket", None).await;
        socket.send(format!("40/gossip,{auth}").into()).await.unwrap();
        let opened = support::within("handshake", socket.next()).await.unwrap().unwrap();
        assert!(opened.to_text().unwrap().starts_with("0{"));
        let answer = support::within("answer", socket.next()).await.unwrap().unwrap();
        if let Some(error) = answer.to_text().unwrap().strip_prefix("44/gossip,") {
            let error: Value = serde_json::from_str(error).unwrap();
            assert_eq!(error["data"]["code"], "invalid_token", "{auth}");
        } else {
            assert!(answer.is_close(), "{auth}: {answer}");
        }
        lives(&mut healthy).await;
    }
}
