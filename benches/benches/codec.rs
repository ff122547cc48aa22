//! The codecs and the reading of requests: what a message costs before and after the rules, for every packet that clients
//! and server exchange, and for the offset that recovery brings. Not measured: sockets (reading frames and
//! unmasking them is a library's work; what watches it is here), the rules, and what is spared by encoding an event once for many (see `encode`).

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gossip_benches::{intent, now, update};
use gossip_hub::Offset;
use gossip_proto::engineio::{self, SEPARATOR, decode_payload, encode_base64_message};
use gossip_proto::frame::{Guard, Opcode, encode_close, encode_frame};
use gossip_proto::id::{RoomId, Seq};
use gossip_proto::reply::Reply;
use gossip_proto::request::{self, Request, refuse_binary};
use gossip_proto::socketio::{
    Decoder, Limits, Packet, encode_ack, encode_connect, encode_connect_error, encode_disconnect, encode_event,
};
use gossip_proto::timestamp::Timestamp;
use gossip_proto::{model, plain};
use gossip_store::Position;
use serde_json::value::RawValue;
use uuid::Uuid;

const ID: &str = "018f2a3e-0000-7000-8000-000000000001";
const VOTE: &str =
    r#"2/gossip,17["vote_gossip",{"intentId":"018f2a3e-0000-7000-8000-000000000001","action":"upvote"}]"#;
const PLAIN_VOTE: &str =
    r#"{"event":"vote_gossip","data":{"intentId":"018f2a3e-0000-7000-8000-000000000001","action":"upvote"},"id":17}"#;

/// Messages that fit into one poll of a busy client.
const POLLED: usize = 16;

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    group
}

/// What `run` makes of the input again and again.
fn each<I: ?Sized, O>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, input: &I, run: impl Fn(&I) -> O) {
    group.bench_function(name, |b| b.iter(|| run(black_box(input))));
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// The whole way in and the whole way out.
fn codec(c: &mut Criterion) {
    let mut group = group(c, "codec");
    group.bench_function("decode and read a vote", |b| {
        let mut decoder = Decoder::new(Limits::default());
        b.iter(|| {
            let Some(Packet::Event { event, .. }) = decoder.text(black_box(VOTE)).unwrap() else { return None };
            Some(Request::parse(&event.name, event.args.raw().first().map(|raw| &**raw)).unwrap())
        });
    });
    each(&mut group, "decode and read a plain vote", PLAIN_VOTE, |text| {
        let asked = plain::decode(text).unwrap();
        Request::parse(&asked.event, asked.data.as_deref()).unwrap()
    });
    each(&mut group, "encode an event to its final bytes", &update(1, 17), |data| {
        encode_frame(Opcode::Text, encode_event("/gossip", "gossip_update", &[data], 0).as_bytes())
    });
    group.finish();
}

fn engine_io(c: &mut Criterion) {
    let mut group = group(c, "engine.io");
    let message = format!("4{VOTE}");
    let binary = encode_base64_message(&[7; 256]);
    for (name, text) in [("a message", &*message), ("256 bytes of base64", &*binary), ("a pong", "3")] {
        group.bench_function(BenchmarkId::new("decode", name), |b| {
            let decode = |text| engineio::Packet::decode_text(text).unwrap();
            b.iter_batched(|| text.to_owned(), decode, BatchSize::SmallInput);
        });
    }
    let text = engineio::Packet::Message(engineio::Message::Text(VOTE.to_owned()));
    each(&mut group, "encode/a message", &text, engineio::Packet::encode_text);
    each(&mut group, "encode/256 bytes in base64", &[7; 256][..], encode_base64_message);
    let handshake = engineio::Handshake {
        sid: "lv_VI97HAXpY6yYWAAAC",
        upgrades: &["websocket"],
        ping_interval: 25_000,
        ping_timeout: 20_000,
        max_payload: 65_536,
    };
    each(&mut group, "encode/the handshake", &handshake, engineio::Handshake::encode);
    let body = vec![message; POLLED].join(&SEPARATOR.to_string());
    group.throughput(Throughput::Elements(POLLED as u64));
    each(&mut group, "decode/a polling body", &*body, |body| decode_payload(body).unwrap());
    group.finish();
}

fn socket_io(c: &mut Criterion) {
    let mut group = group(c, "socket.io");
    let connect = format!(r#"0/gossip,{{"token":"{}"}}"#, "x".repeat(300));
    let silent = VOTE.replacen("17", "", 1);
    let packets = [
        ("an event that wants an ack", VOTE),
        ("an event", &*silent),
        ("an ack", r#"3/gossip,17["ok"]"#),
        ("a connect with a token", &*connect),
        ("a disconnect", "1/gossip"),
    ];
    for (name, text) in packets {
        group.bench_function(BenchmarkId::new("decode", name), |b| {
            let mut decoder = Decoder::new(Limits::default());
            b.iter(|| decoder.text(black_box(text)).unwrap());
        });
    }
    group.bench_function("decode/an event with an attachment", |b| {
        let mut decoder = Decoder::new(Limits::default());
        let text = r#"51-/gossip,["new_gossip",{"content":{"_placeholder":true,"num":0}}]"#;
        let attachment = Bytes::from(vec![7; 256]);
        b.iter(|| {
            let waiting = decoder.text(black_box(text)).unwrap();
            (waiting, decoder.binary(attachment.clone()).unwrap())
        });
    });
    let data = update(1, 17);
    each(&mut group, "encode/an event", &*data, |data| encode_event("/gossip", "gossip_update", &[data], 0));
    each(&mut group, "encode/an event with its offset", &*data, |data| {
        encode_event("/gossip", "gossip_update", &[data, r#""123456""#], 0)
    });
    each(&mut group, "encode/an ack", &*data, |data| encode_ack("/gossip", 17, &[data], 0));
    let sid = r#"{"sid":"lv_VI97HAXpY6yYWAAAC"}"#;
    each(&mut group, "encode/a connect", sid, |sid| encode_connect("/gossip", sid));
    let error = r#"{"message":"Invalid namespace"}"#;
    each(&mut group, "encode/a connect error", error, |error| encode_connect_error("/other", error));
    each(&mut group, "encode/a disconnect", "/gossip", encode_disconnect);
    group.finish();
}

/// Each of the three heads that a frame can have; most of a long one's cost is its copy.
fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame");
    for len in [100, 1_000, 100_000] {
        let payload = vec![b'x'; len];
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("encode", len), |b| {
            b.iter(|| encode_frame(Opcode::Text, black_box(&payload)));
        });
        // As a client sends it: with a mask, here of zeroes, which is taken off like others.
        let (server, head) = encode_frame(Opcode::Text, &payload);
        let client = [&[server[0], server[1] | 0x80], &server[2..head], &[0; 4], &server[head..]].concat();
        let mut guard = Guard::new(4_000_000);
        group.bench_function(BenchmarkId::new("watch", len), |b| {
            b.iter(|| {
                guard.watch(black_box(&client)).unwrap();
                guard.taken()
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    each(&mut group, "encode a close", "token_expired", |reason| encode_close(4001, reason));
    group.finish();
}

fn plain_protocol(c: &mut Criterion) {
    let mut group = group(c, "plain");
    each(&mut group, "decode", PLAIN_VOTE, |text| plain::decode(text).unwrap());
    let data = update(1, 17);
    each(&mut group, "encode/an event", &*data, |data| plain::encode_event("gossip_update", data));
    each(&mut group, "encode/a reply", &*data, |data| plain::encode_reply(17, data));
    group.finish();
}

fn requests(c: &mut Criterion) {
    let mut group = group(c, "request");
    let content = "x".repeat(200);
    let token = "x".repeat(300);
    let events = [
        ("authenticate", format!(r#"{{"token":"{token}","userId":"{ID}"}}"#)),
        ("join_room", format!(r#"{{"roomId":"{ID}","since":123456,"history":50}}"#)),
        ("leave_room", format!(r#"{{"roomId":"{ID}"}}"#)),
        (
            "new_gossip",
            format!(r#"{{"roomId":"{ID}","content":"{content}","metadata":{{"tags":["a","b"]}},"requestId":"{ID}"}}"#),
        ),
        ("update_gossip", format!(r#"{{"intentId":"{ID}","status":"verified","reason":"{content}"}}"#)),
        ("vote_gossip", format!(r#"{{"intentId":"{ID}","action":"upvote"}}"#)),
        ("comment_gossip", format!(r#"{{"intentId":"{ID}","content":"{content}"}}"#)),
        ("list_gossip", format!(r#"{{"roomId":"{ID}","limit":50,"status":"pending"}}"#)),
        ("get_gossip", format!(r#"{{"intentId":"{ID}"}}"#)),
        ("list_updates", format!(r#"{{"intentId":"{ID}","limit":50}}"#)),
    ];
    for (event, data) in events {
        let data = raw(&data);
        each(&mut group, event, &*data, |data| Request::parse(event, Some(data)).unwrap());
    }
    let refused = raw(&format!(r#"{{"intentId":"{ID}","action":"sideways"}}"#));
    each(&mut group, "a bad vote", &*refused, |data| Request::parse("vote_gossip", Some(data)).unwrap_err());
    let binary = raw(&format!(r#"{{"roomId":"{ID}","content":{{"_placeholder":true,"num":0}}}}"#));
    each(&mut group, "a binary post", &*binary, |data| refuse_binary("new_gossip", Some(data)));
    let again =
        format!(r#"{{"token":"{token}","recover":true,"pid":"{ID}","offset":"123456","resume":{{"{ID}":17}}}}"#);
    each(&mut group, "a handshake", &*raw(&again), |auth| request::Handshake::parse(Some(auth)).unwrap());
    group.finish();
}

/// The values in events and acks.
fn values(c: &mut Criterion) {
    let mut group = group(c, "value");
    each(&mut group, "encode a gossip_update", &17, |seq| update(1, *seq));
    let reply = Reply::Intent { intent: Arc::new(intent(1)), seq: Seq(17) };
    each(&mut group, "encode an ack's body", &reply, |reply| serde_json::to_string(reply).unwrap());
    let stored = serde_json::to_string(&intent(1)).unwrap();
    each(&mut group, "decode an intent", &*stored, |text| serde_json::from_str::<model::Intent>(text).unwrap());
    each(&mut group, "encode a time", &now(), ToString::to_string);
    each(&mut group, "decode a time", &*now().to_string(), |text| Timestamp::parse(text).unwrap());
    each(&mut group, "encode an id", &intent(1).id, ToString::to_string);
    each(&mut group, "decode an id", ID, |text| text.parse::<RoomId>().unwrap());
    group.finish();
}

/// A position alone, which nearly all are, and one with rooms that are being caught up with.
fn offsets(c: &mut Criterion) {
    let mut group = group(c, "offset");
    for rooms in [0, 10] {
        let room = |number| (RoomId(Uuid::from_u128(number)), Some(Seq(17)));
        let offset = Offset { position: Position(123_456), behind: (0..rooms).map(room).collect() };
        each(&mut group, &format!("encode/{rooms} rooms behind"), &offset, ToString::to_string);
        let text = offset.to_string();
        each(&mut group, &format!("decode/{rooms} rooms behind"), &*text, |text| text.parse::<Offset>().unwrap());
    }
    group.finish();
}

criterion_group!(benches, codec, engine_io, socket_io, frames, plain_protocol, requests, values, offsets);
criterion_main!(benches);
