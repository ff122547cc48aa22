//! Encode once: what an event costs on each wire for the first member who gets it, and what for each further one, who
//! gets the same bytes; and the same for a run of 1, 8 and 32 events that goes out in one piece. Not measured: finding
//! the members, their queues and their sockets (see `fanout`), and making the event's JSON (see `codec`).

#![expect(clippy::unreachable, reason = "a bench")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gossip_benches::update;
use gossip_hub::{Encoded, Event, Run, Wire};
use gossip_proto::frame::{Opcode, encode_frame};
use gossip_proto::{plain, socketio};

type Encoder = fn(&Event) -> Encoded;

/// Each wire with its encoder: as gossip-ws has them, which keeps them to itself.
const WIRES: [(&str, Wire, Encoder); 3] = [
    ("Socket.IO", Wire::SocketIo, |event| {
        encoded(&socketio::encode_event("/gossip", event.name(), &[event.data()], 0))
    }),
    ("Socket.IO with offsets", Wire::SocketIoOffset, |event| {
        // An event that is not of the log has position 0: a few digits fewer than those that are.
        let offset = format!(r#""{}""#, event.position().unwrap_or_default().0);
        encoded(&socketio::encode_event("/gossip", event.name(), &[event.data(), &offset], 0))
    }),
    ("plain", Wire::Plain, |event| encoded(&plain::encode_event(event.name(), event.data()))),
];

fn encoded(text: &str) -> Encoded {
    let (frame, head) = encode_frame(Opcode::Text, text.as_bytes());
    Encoded { frame, head }
}

/// For bytes that are there already.
fn again(_: &Event) -> Encoded {
    unreachable!("it was encoded before")
}

fn event(seq: u64) -> Event {
    Event::new("gossip_update", update(1, seq))
}

fn events(count: u64) -> Vec<Arc<Event>> {
    (1..=count).map(|seq| Arc::new(event(seq))).collect()
}

fn one(c: &mut Criterion) {
    let mut group = c.benchmark_group("event");
    group.throughput(Throughput::Elements(1));
    for (name, wire, encode) in WIRES {
        group.bench_function(BenchmarkId::new("first member", name), |b| {
            let first = |event: &mut Event| event.encoded(wire, encode).clone();
            b.iter_batched_ref(|| event(1), first, BatchSize::SmallInput);
        });
        let event = event(1);
        // Bytes become shared with their first copy.
        let _first = event.encoded(wire, encode).clone();
        group.bench_function(BenchmarkId::new("further member", name), |b| {
            b.iter(|| black_box(&event).encoded(wire, again).clone());
        });
    }
    group.finish();
}

fn runs(c: &mut Criterion) {
    let mut group = c.benchmark_group("run");
    for (name, wire, encode) in WIRES {
        for count in [1, 8, 32] {
            group.throughput(Throughput::Elements(count));
            let id = |member: &str| BenchmarkId::new(format!("{member}, {name}"), count);
            let join = |run: &mut Run| run.joined(wire, encode).clone();
            group.bench_function(id("first member"), |b| {
                b.iter_batched_ref(|| Run::new(events(count)), join, BatchSize::SmallInput);
            });
            // Where somebody was caught up with, or sent the events one by one, each has been encoded.
            let events = events(count);
            for event in &events {
                event.encoded(wire, encode);
            }
            group.bench_function(id("first member, events encoded"), |b| {
                b.iter_batched_ref(|| Run::new(events.clone()), join, BatchSize::SmallInput);
            });
            let run = Run::new(events);
            let _first = run.joined(wire, encode).clone();
            group.bench_function(id("further member"), |b| b.iter(|| black_box(&run).joined(wire, again).clone()));
        }
    }
    group.finish();
}

criterion_group!(benches, one, runs);
criterion_main!(benches);
