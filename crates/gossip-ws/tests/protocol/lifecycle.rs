//! Heartbeat, timeouts, slow readers: sessions that end without the client's saying so.

use std::time::Duration;

use bytes::Bytes;
use gossip_ws::engine::{CloseReason, Config, Frame, Session};

use crate::support::{Echo, Got, Harness, Ws, config, masked, patiently};

fn quick() -> Config {
    Config { ping_interval: Duration::from_millis(50), ping_timeout: Duration::from_millis(50), ..config() }
}

#[tokio::test]
async fn a_session_without_pongs_ends() {
    let mut harness = Harness::start(quick()).await;
    let polling = harness.polling().await;
    let mut ws = harness.websocket().await;
    let mut plain = Ws::connect(harness.addr, "/plain", "").await.unwrap();
    for _ in 0..3 {
        assert_eq!(harness.closed().await, CloseReason::PingTimeout);
    }
    harness.is_empty().await;
    assert_eq!(harness.get(&polling).await.0, 400);
    assert_eq!(ws.rest().await, [Got::Text("2".to_owned()), Got::Close(1001)]);
    assert_eq!(plain.rest().await, [Got::Ping, Got::Close(1001)]);
}

#[tokio::test]
async fn pongs_keep_a_session_alive() {
    let mut harness = Harness::start(Config { ping_timeout: Duration::from_secs(10), ..quick() }).await;
    let polling = harness.polling().await;
    let mut ws = harness.websocket().await;
    for _ in 0..4 {
        assert_eq!(ws.next().await, Got::Text("2".to_owned()));
        ws.text("3").await;
        assert_eq!(harness.get(&polling).await, (200, "2".to_owned()));
        assert_eq!(harness.post(&polling, b"3").await.0, 200);
    }
    harness.server.close_all(CloseReason::Shutdown);
    assert_eq!(harness.closed().await, CloseReason::Shutdown);
    assert_eq!(harness.closed().await, CloseReason::Shutdown);
    harness.is_empty().await;
}

#[tokio::test]
async fn a_session_that_is_never_used_ends() {
    let app = Echo { never_established: true, ..Echo::default() };
    let connect_timeout = Duration::from_millis(50);
    let mut harness = Harness::with(Config { connect_timeout, ..config() }, app).await;
    let mut ws = harness.websocket().await;
    harness.polling().await;
    assert_eq!(harness.closed().await, CloseReason::ConnectTimeout);
    assert_eq!(harness.closed().await, CloseReason::ConnectTimeout);
    assert_eq!(ws.rest().await, [Got::Close(1008)]);
    harness.is_empty().await;
}

/// The message in hand may be the one that establishes it, such as a handshake that reads much.
#[tokio::test]
async fn a_session_with_a_message_in_hand_is_not_idle() {
    let app = Echo { never_established: true, ..Echo::default() };
    let connect_timeout = Duration::from_millis(50);
    let mut harness = Harness::with(Config { connect_timeout, ..config() }, app).await;
    let mut ws = harness.websocket().await;
    ws.text("4hold").await;
    // One that was opened later is over its time: so is the first.
    let mut idle = harness.websocket().await;
    assert_eq!(idle.rest().await, [Got::Close(1008)]);
    assert_eq!(harness.closed().await, CloseReason::ConnectTimeout);
    harness.server.app().released.notify_one();
    assert_eq!(ws.rest().await, [Got::Text("4held".to_owned()), Got::Close(1008)]);
    assert_eq!(harness.closed().await, CloseReason::ConnectTimeout);
    harness.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut_off() {
    let mut harness = Harness::start(Config { max_queue_bytes: 100_000, ..config() }).await;
    // `flood` returns only when the session takes no more.
    let mut ws = harness.websocket().await;
    ws.text("4flood").await;
    assert_eq!(harness.closed().await, CloseReason::SlowReader);

    let polling = harness.polling().await;
    let (status, _) = harness.post(&polling, b"4flood").await;
    assert_eq!(status, 200);
    assert_eq!(harness.closed().await, CloseReason::SlowReader);
    assert_eq!(harness.get(&polling).await, (200, "1".to_owned()));
    harness.is_empty().await;

    // What was sent before is whole frames, and then the reason, if the client reads after all.
    let mut rest = ws.rest().await;
    if rest.last() == Some(&Got::Close(1008)) {
        rest.pop();
    }
    assert!(rest.iter().all(|got| matches!(got, Got::Text(text) if text.len() == 10_001)));
}

#[tokio::test]
async fn frames_in_one_piece_are_frames_of_their_own_to_the_client() {
    let mut harness = Harness::start(config()).await;
    let frames = ["4a", "4bc", "4d"].map(Frame::text);
    let joined = Bytes::from(frames.iter().flat_map(|frame| frame.wire().to_vec()).collect::<Vec<_>>());
    let send = |session: &Session, flush| session.queue_joined(|| &joined, || frames.iter().cloned(), flush);

    let polling = harness.polling().await;
    let session = harness.server.sessions().pop().unwrap();
    for flush in [false, true] {
        assert!(send(&session, flush));
        assert!(session.send(&[Frame::text("4end")]));
        assert_eq!(harness.get(&polling).await, (200, "4a\x1e4bc\x1e4d\x1e4end".to_owned()));
    }
    session.close(CloseReason::Disconnected);
    assert!(!send(&session, true));
    assert_eq!(harness.closed().await, CloseReason::Disconnected);
    assert_eq!(harness.get(&polling).await, (200, "1".to_owned()));
    harness.is_empty().await;

    let mut ws = harness.websocket().await;
    let session = harness.server.sessions().pop().unwrap();
    // Behind what waits, and before what follows.
    assert!(session.queue(&[Frame::text("4first")]) && send(&session, true));
    assert!(send(&session, false) && session.send(&[Frame::text("4last")]));
    for text in ["4first", "4a", "4bc", "4d", "4a", "4bc", "4d", "4last"] {
        assert_eq!(ws.next().await, Got::Text(text.to_owned()));
    }
    session.close(CloseReason::Disconnected);
    assert!(!send(&session, true) && !send(&session, false));
    assert_eq!(ws.rest().await, [Got::Close(1000)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pieces_that_a_socket_takes_in_parts_arrive_whole_and_in_order() {
    let harness = Harness::start(Config { max_queue_bytes: 64 << 20, ..config() }).await;
    let mut ws = harness.websocket().await;
    let session = harness.server.sessions().pop().unwrap();
    let text = |nth: usize| format!("4{nth} {}", "x".repeat(30_000));
    // More than any socket buffer, while nobody reads.
    for piece in 0..200 {
        let frames = [0, 1, 2].map(|nth| Frame::text(&text(3 * piece + nth)));
        let joined = Bytes::from(frames.iter().flat_map(|frame| frame.wire().to_vec()).collect::<Vec<_>>());
        assert!(session.queue_joined(|| &joined, || frames.iter().cloned(), piece % 3 > 0));
    }
    session.flush();
    assert!(session.queued_bytes() > 0);
    for nth in 0..600 {
        assert_eq!(ws.next().await, Got::Text(text(nth)));
    }
    assert_eq!(session.queued_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_socket_does_not_take_at_once_follows() {
    let mut harness = Harness::start(Config { max_queue_bytes: 64 << 20, ..config() }).await;
    let mut ws = harness.websocket().await;
    let session = harness.server.sessions().pop().unwrap();
    // More than any socket buffer, while nobody reads.
    let text = "4".repeat(100_000);
    let frame = Frame::text(&text);
    for _ in 0..300 {
        assert!(session.send(std::slice::from_ref(&frame)));
    }
    assert!(session.queued_bytes() > 0);
    for _ in 0..300 {
        assert_eq!(ws.next().await, Got::Text(text.clone()));
    }
    session.close(CloseReason::App { code: 4000, reason: "done" });
    assert_eq!(ws.rest().await, [Got::Close(4000)]);
    assert_eq!(harness.closed().await, CloseReason::App { code: 4000, reason: "done" });
    harness.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_of_a_client_that_does_not_read_wait_as_one_pong() {
    let harness = Harness::start(Config { max_queue_bytes: 64 << 20, ..config() }).await;
    let mut ws = harness.websocket().await;
    let session = harness.server.sessions().pop().unwrap();
    // More than any socket buffer, so that the pongs stand behind it.
    let text = "4".repeat(100_000);
    let frame = Frame::text(&text);
    for _ in 0..300 {
        assert!(session.send(std::slice::from_ref(&frame)));
    }
    let queued = session.queued_bytes();
    for index in 0..1000_u16 {
        ws.raw(&masked(0x89, &index.to_be_bytes())).await;
    }
    ws.text("4signal").await;
    patiently(harness.server.app().signalled.notified()).await;
    assert!(session.queued_bytes() <= queued + 100, "{queued}, {}", session.queued_bytes());
    for _ in 0..300 {
        assert_eq!(ws.next().await, Got::Text(text.clone()));
    }
    // RFC 6455 §5.5.3: the latest.
    assert_eq!(ws.next().await, Got::Pong(999_u16.to_be_bytes().to_vec()));
    ws.text("4hi").await;
    assert_eq!(ws.next().await, Got::Text("4hi".to_owned()));
}

#[tokio::test]
async fn small_frames_fill_a_queue_too() {
    let mut harness = Harness::start(Config { max_queue_bytes: 100_000, ..config() }).await;
    harness.polling().await;
    let session = harness.server.sessions().pop().unwrap();
    let mut queued = 0;
    while session.queue(&[Frame::text("6")]) {
        queued += 1;
    }
    assert!((1000..=100_000 / 64).contains(&queued), "{queued}");
    assert_eq!(harness.closed().await, CloseReason::SlowReader);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_vanish_leave_nothing() {
    let mut harness = Harness::start(config()).await;
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(harness.websocket().await);
    }
    assert_eq!(harness.server.session_count(), 200);
    drop(clients);
    for _ in 0..200 {
        // A client that vanished with the handshake unread resets the connection.
        let reason = harness.closed().await;
        assert!(matches!(reason, CloseReason::TransportClosed | CloseReason::TransportError));
    }
    patiently(harness.server.settled()).await;
    harness.is_empty().await;
    assert!(harness.server.sessions().is_empty());
}
