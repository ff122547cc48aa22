//! Packets that are nothing but many: pings, pongs, what a session passes over, on either transport and in an upgrade.

use gossip_ws::engine::{CloseReason, Config, PacketRate};

use crate::support::{Echo, Got, Harness, Ws, config, masked};

/// Five at once, and then one in a second: no test takes so long that it matters.
fn slowly() -> Config {
    let rate = |count: u32| count.try_into().unwrap();
    Config { packet_rate: Some(PacketRate { per_second: rate(1), burst: rate(5) }), ..config() }
}

#[tokio::test]
async fn more_packets_than_the_rate_close_the_session() {
    let mut harness = Harness::start(slowly()).await;
    for packet in [masked(0x81, b"3"), masked(0x81, b"6"), masked(0x89, b"x"), masked(0x8a, b""), masked(0x81, b"4x")] {
        let mut ws = harness.websocket().await;
        ws.raw(&packet.repeat(5)).await;
        ws.text("4still here").await;
        let rest = ws.rest().await;
        assert_eq!(rest.last(), Some(&Got::Close(1008)), "{packet:?}");
        assert!(!rest.contains(&Got::Text("4still here".into())), "{packet:?}");
        assert_eq!(harness.closed().await, CloseReason::Flooding);
    }
    // As many as there may be are taken.
    let mut ws = harness.websocket().await;
    ws.raw(&masked(0x81, b"3").repeat(4)).await;
    ws.text("4still here").await;
    assert_eq!(ws.next().await, Got::Text("4still here".into()));
}

#[tokio::test]
async fn messages_that_are_too_large_count_too() {
    let app = Echo { tolerate_oversized: true, ..Echo::default() };
    let mut harness = Harness::with(slowly(), app).await;
    let mut ws = harness.websocket().await;
    ws.raw(&masked(0x81, &[b'4'; 1001]).repeat(6)).await;
    assert_eq!(harness.closed().await, CloseReason::Flooding);
}

#[tokio::test]
async fn packets_of_one_body_count_each() {
    let mut harness = Harness::start(slowly()).await;
    let polling = harness.polling().await;
    assert_eq!(harness.post(&polling, "6\x1e6\x1e6\x1e6\x1e6".as_bytes()).await.0, 200);
    assert_eq!(harness.post(&polling, b"6").await.0, 400);
    assert_eq!(harness.closed().await, CloseReason::Flooding);
    let polling = harness.polling().await;
    assert_eq!(harness.post(&polling, "3\x1e3\x1e3\x1e3\x1e3\x1e3".as_bytes()).await.0, 400);
    assert_eq!(harness.closed().await, CloseReason::Flooding);
}

#[tokio::test]
async fn an_upgrade_may_not_flood_either() {
    let harness = Harness::start(slowly()).await;
    let polling = harness.polling().await;
    let target = format!("/e/?{}", polling.replace("polling", "websocket"));
    let mut ws = Ws::connect(harness.addr, &target, "").await.unwrap();
    ws.raw(&masked(0x89, b"").repeat(6)).await;
    let rest = ws.rest().await;
    assert_eq!((rest.len(), rest.last()), (6, Some(&Got::Close(1008))), "five pongs and the end: {rest:?}");
    // The session is where it was.
    assert_eq!(harness.post(&polling, b"4hello").await.0, 200);
}

#[tokio::test]
async fn without_a_rate_there_is_none() {
    let harness = Harness::start(Config { packet_rate: None, ..config() }).await;
    let mut ws = harness.websocket().await;
    ws.raw(&masked(0x81, b"3").repeat(10_000)).await;
    ws.text("4still here").await;
    assert_eq!(ws.next().await, Got::Text("4still here".into()));
}
