//! From long-polling to a WebSocket, and the many ways not to arrive.

use std::time::Duration;

use gossip_ws::engine::{CloseReason, Config};

use crate::support::{Got, Harness, Ws, config, patiently};

fn target(polling: &str) -> String {
    format!("/e/?{}", polling.replace("polling", "websocket"))
}

async fn open(harness: &Harness, polling: &str) -> Ws {
    Ws::connect(harness.addr, &target(polling), "").await.unwrap()
}

async fn probe(harness: &Harness, polling: &str) -> Ws {
    let mut ws = open(harness, polling).await;
    ws.text("2probe").await;
    assert_eq!(ws.next().await, Got::Text("3probe".to_owned()));
    ws
}

#[tokio::test]
async fn nothing_is_lost_on_the_way() {
    let mut harness = Harness::start(config()).await;
    let polling = harness.polling().await;
    // A poll that waits is let go by the probe, and so are the ones after it, until the upgrade (socketioxide#497).
    let waiting = tokio::spawn({
        let (addr, polling) = (harness.addr, polling.clone());
        async move { crate::support::request(addr, "GET", &polling, "", b"").await }
    });
    let mut ws = probe(&harness, &polling).await;
    assert_eq!(patiently(waiting).await.unwrap(), (200, "6".to_owned()));
    for _ in 0..3 {
        assert_eq!(harness.get(&polling).await, (200, "6".to_owned()));
    }
    // Packets for which no poll comes arrive on the WebSocket, before those that are sent later.
    assert_eq!(harness.post(&polling, b"4one\x1e4two").await.0, 200);
    ws.text("5").await;
    ws.text("4three").await;
    for text in ["4one", "4two", "4three"] {
        assert_eq!(ws.next().await, Got::Text(text.to_owned()));
    }
    // Polling is over, and a second upgrade is none.
    assert_eq!(harness.get(&polling).await.0, 400);
    assert_eq!(harness.post(&polling, b"4x").await.0, 400);
    assert_eq!(open(&harness, &polling).await.rest().await, [Got::Close(1002)]);
    ws.text("4four").await;
    assert_eq!(ws.next().await, Got::Text("4four".to_owned()));
    drop(ws);
    assert_eq!(harness.closed().await, CloseReason::TransportClosed);
    harness.is_empty().await;
}

#[tokio::test]
async fn a_failed_probe_leaves_the_session_on_polling() {
    let upgrade_timeout = Duration::from_millis(500);
    let mut harness = Harness::start(Config { upgrade_timeout, ..config() }).await;
    let polling = harness.polling().await;
    for (sent, code) in [
        (&[][..], Some(1008)),
        (&["2probe"][..], Some(1008)),
        (&["5"][..], Some(1002)),
        (&["2probe", "4hello"][..], Some(1002)),
        (&["2"][..], Some(1002)),
        (&["2probe", ""][..], Some(1002)),
    ] {
        let mut ws = open(&harness, &polling).await;
        for packet in sent {
            ws.text(packet).await;
        }
        let rest = ws.rest().await;
        assert_eq!(rest.last(), code.map(Got::Close).as_ref(), "{sent:?}");
        // Also while one is half open, there is no second.
        assert_eq!(harness.post(&polling, b"4hi").await.0, 200, "{sent:?}");
        assert_eq!(harness.get(&polling).await, (200, "4hi".to_owned()), "{sent:?}");
    }
    // A WebSocket that just goes away.
    drop(probe(&harness, &polling).await);
    assert_eq!(harness.post(&polling, b"4hi").await.0, 200);
    assert_eq!(harness.get(&polling).await, (200, "4hi".to_owned()));
    assert_eq!(harness.post(&polling, b"1").await.0, 200);
    assert_eq!(harness.closed().await, CloseReason::ClientPacket);
    harness.is_empty().await;
}

#[tokio::test]
async fn one_upgrade_at_a_time_and_none_outlives_the_session() {
    let mut harness = Harness::start(config()).await;
    let polling = harness.polling().await;
    let mut first = probe(&harness, &polling).await;
    assert_eq!(open(&harness, &polling).await.rest().await, [Got::Close(1002)]);
    assert_eq!(harness.post(&polling, b"4bye").await.0, 200);
    assert_eq!(harness.closed().await, CloseReason::Disconnected);
    assert!(matches!(first.rest().await[..], [Got::Close(_)]));
    harness.is_empty().await;
}

#[tokio::test]
async fn heartbeats_go_on_during_an_upgrade() {
    let mut harness = Harness::start(Config {
        ping_interval: Duration::from_millis(150),
        ping_timeout: Duration::from_millis(150),
        ..config()
    })
    .await;
    // Half-open upgrades must not keep a session that is gone (socketioxide#731).
    let polling = harness.polling().await;
    let mut ws = probe(&harness, &polling).await;
    assert_eq!(harness.closed().await, CloseReason::PingTimeout);
    assert!(matches!(ws.rest().await[..], [Got::Close(_)]));
    harness.is_empty().await;
}
