//! The events of the contract on the wire: Socket.IO's namespace `/gossip` ([`sockets`]), the plain WebSocket
//! ([`plain`]) and the HTTP paths ([`service`]), each a thin translation to and from a
//! [`Connection`](gossip_hub::Connection). What an event means is decided in gossip-hub and gossip-core.

mod api;
mod console;
mod dev;
mod metrics;
pub mod plain;
pub mod service;
pub mod sockets;
pub mod spec;
mod stream;

pub use dev::{DevToken, DevTokens};
pub use service::{GossipService, ServiceConfig};

use bytes::Bytes;
use gossip_hub::{Encoded, Event, Run, Wire};
use gossip_proto::refusal::{Code, Refusal};
use serde::Serialize;

use crate::engine::Frame;

/// What is answered to a message beyond the limit but not so far beyond that it cannot be read past.
fn too_large(max_payload: usize) -> Refusal {
    Refusal::new(Code::TooLarge, format!("a message may have at most {max_payload} bytes"))
}

/// A reply or refusal as JSON. They hold nothing that would not become JSON; if one does, the client hears of a fault
/// of ours rather than nothing.
fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_else(|error| {
        tracing::error!(%error, "an answer would not become JSON");
        r#"{"status":"error","code":"internal","message":"the server failed"}"#.to_owned()
    })
}

fn encoded(text: &str) -> Encoded {
    let frame = Frame::text(text);
    Encoded { head: frame.wire().len() - frame.payload().len(), frame: frame.wire().clone() }
}

/// The frame of an event on one wire, encoded for the first who asks.
fn frame(event: &Event, wire: Wire, text: impl FnOnce(&Event) -> String) -> Frame {
    let encoded = event.encoded(wire, |event| encoded(&text(event)));
    Frame::encoded(encoded.frame.clone(), encoded.head)
}

/// The frames of a run on one wire, in one piece.
fn joined(run: &Run, wire: Wire, text: impl Fn(&Event) -> String) -> &Bytes {
    run.joined(wire, |event| encoded(&text(event)))
}

/// The frames of a run on one wire, one by one.
fn frames(run: &Run, wire: Wire, text: impl Fn(&Event) -> String) -> impl Iterator<Item = Frame> {
    run.events().iter().map(move |event| frame(event, wire, &text))
}
