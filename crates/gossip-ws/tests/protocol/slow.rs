//! Clients that do not take what they are sent: how the application is told, and that they do not stay.

use std::time::Duration;

use gossip_ws::engine::{CloseReason, Config, Frame, Session};

use crate::support::{Got, Harness, config, patiently};

/// A session is behind from 64 KiB on; the largest socket buffer takes some megabytes before that.
fn slow() -> Config {
    Config { max_queue_bytes: 1 << 20, ..config() }
}

fn frame() -> Frame {
    Frame::text(&format!("4{}", "x".repeat(4_000)))
}

/// Sends until the client is behind; how many frames that took.
fn fall_behind(session: &Session) -> usize {
    let frame = frame();
    let mut sent = 0;
    while !session.is_behind() {
        assert!(session.send(std::slice::from_ref(&frame)), "closed rather than behind");
        sent += 1;
    }
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_behind_with_little_waiting_and_until_most_of_that_is_taken() {
    let harness = Harness::start(slow()).await;
    let mut ws = harness.websocket().await;
    let session = harness.server.sessions().pop().unwrap();
    let sent = fall_behind(&session);
    let queued = session.queued_bytes();
    assert!((64 << 10..80 << 10).contains(&queued), "{queued}");

    // Two may wait, and neither keeps the other from it.
    let waiting = async { tokio::join!(session.drained(), session.drained()) };
    let reading = async {
        for _ in 0..sent {
            assert!(matches!(ws.next().await, Got::Text(text) if text.len() == 4_001));
        }
    };
    patiently(async { tokio::join!(waiting, reading) }).await;
    assert!(!session.is_behind() && session.queued_bytes() < 32 << 10);
}

#[tokio::test]
async fn a_polling_session_is_behind_between_polls() {
    let harness = Harness::start(slow()).await;
    let polling = harness.polling().await;
    let session = harness.server.sessions().pop().unwrap();
    let sent = fall_behind(&session);
    assert!((64 << 10..80 << 10).contains(&session.queued_bytes()));
    let poll = async { harness.get(&polling).await.1 };
    let ((), body) = patiently(async { tokio::join!(session.drained(), poll) }).await;
    assert_eq!(body.split('\x1e').count(), sent);
    assert!(!session.is_behind());
}

#[tokio::test]
async fn much_that_was_not_sent_yet_is_not_behind() {
    let harness = Harness::start(slow()).await;
    let mut ws = harness.websocket().await;
    let session = harness.server.sessions().pop().unwrap();
    let frame = frame();
    // More than makes a session behind, and less than fills a socket buffer.
    for _ in 0..30 {
        assert!(session.queue(std::slice::from_ref(&frame)) && !session.is_behind());
    }
    session.flush();
    for _ in 0..30 {
        assert!(matches!(ws.next().await, Got::Text(_)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_while_it_is_waited_for_is_closed() {
    let interval = Duration::from_millis(100);
    let mut harness = Harness::start(Config { ping_interval: interval, ping_timeout: interval, ..slow() }).await;
    let mut ws = harness.websocket().await;
    // While a message is in hand a pong is not expected.
    ws.text("4hold").await;
    let session = harness.server.sessions().pop().unwrap();
    fall_behind(&session);
    patiently(session.drained()).await;
    harness.server.app().released.notify_one();
    assert_eq!(harness.closed().await, CloseReason::SlowReader);
    assert!(!session.is_behind());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_reached_by_a_ping_is_a_slow_reader() {
    let interval = Duration::from_millis(100);
    let mut harness = Harness::start(Config { ping_interval: interval, ping_timeout: interval, ..slow() }).await;
    let _ws = harness.websocket().await;
    fall_behind(&harness.server.sessions().pop().unwrap());
    assert_eq!(harness.closed().await, CloseReason::SlowReader);
}
