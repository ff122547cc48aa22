//! The protocol layers against raw sockets: what well-behaved clients get, and that badly behaved ones get no further.
//! The official suites cover the rest; they run against the echo examples.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod advisories;
mod flood;
mod hostile;
mod http;
mod lifecycle;
mod namespaces;
mod requests;
mod shutdown;
mod slow;
mod support;
mod upgrade;
mod websocket;
