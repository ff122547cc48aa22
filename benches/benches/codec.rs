//! The codecs and the reading of requests: what each message costs before and after the rules.

#![expect(clippy::unwrap_used, reason = "a bench")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use gossip_proto::frame::{Opcode, encode_frame};
use gossip_proto::request::Request;
use gossip_proto::socketio::{Decoder, Limits, Packet, encode_event};

const VOTE: &str =
    r#"2/gossip,17["vote_gossip",{"intentId":"018f2a3e-0000-7000-8000-000000000001","action":"upvote"}]"#;

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode and read a vote", |b| {
        let mut decoder = Decoder::new(Limits::default());
        b.iter(|| {
            let Some(Packet::Event { event, .. }) = decoder.text(VOTE).unwrap() else { return None };
            Some(Request::parse(&event.name, event.args.raw().first().map(|raw| &**raw)).unwrap())
        });
    });
    let data = format!(r#"{{"type":"vote","intent":{{"content":"{}"}},"seq":17}}"#, "x".repeat(200));
    group.bench_function("encode an event to its final bytes", |b| {
        b.iter(|| encode_frame(Opcode::Text, encode_event("/gossip", "gossip_update", &[&data], 0).as_bytes()));
    });
    group.finish();
}

criterion_group!(benches, codec);
criterion_main!(benches);
