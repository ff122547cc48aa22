//! The end of a server: what was being opened at that moment must not outlive it.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use gossip_ws::engine::{CloseReason, Server};
use gossip_ws::http::Body;
use gossip_ws::listener::Service;
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::io::AsyncReadExt;

use crate::support::{Echo, Got, Harness, Http, Ws, config, patiently, send_request};

/// Shuts the server down between the answer to a request and its sending.
struct Stopping {
    http: Http<Echo>,
    stop: Arc<AtomicBool>,
}

impl Service for Stopping {
    type Body = Body;

    async fn call(&self, req: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let response = self.http.call(req, peer).await;
        if self.stop.load(Ordering::Relaxed) {
            self.http.0.close_all(CloseReason::Shutdown);
            // What is still being opened is waited for.
            let settled = pin!(self.http.0.settled()).poll(&mut Context::from_waker(Waker::noop()));
            assert!(settled.is_pending());
        }
        response
    }
}

async fn harness(stop: &Arc<AtomicBool>) -> Harness {
    let stop = Arc::clone(stop);
    let service = |server: Arc<Server<Echo>>| Stopping { http: Http(server), stop };
    Harness::behind(config(), Echo::default(), service).await
}

#[tokio::test]
async fn what_is_being_opened_is_closed_too() {
    for target in ["/plain", "/e/?EIO=4&transport=websocket"] {
        let stop = Arc::new(AtomicBool::new(true));
        let mut harness = harness(&stop).await;
        let mut ws = Ws::connect(harness.addr, target, "").await.unwrap();
        assert_eq!(ws.rest().await.last(), Some(&Got::Close(1012)), "{target}");
        assert_eq!(harness.closed().await, CloseReason::Shutdown);
        patiently(harness.server.settled()).await;
        harness.is_empty().await;
    }

    let stop = Arc::new(AtomicBool::new(true));
    let mut opening = harness(&stop).await;
    let (status, open) = opening.get("EIO=4&transport=polling").await;
    assert!(status == 200 && open.starts_with('0'), "{status} {open}");
    assert_eq!(opening.closed().await, CloseReason::Shutdown);
    opening.is_empty().await;

    // An upgrade ends as its session does.
    let stop = Arc::new(AtomicBool::new(false));
    let mut upgrading = harness(&stop).await;
    let polling = upgrading.polling().await;
    stop.store(true, Ordering::Relaxed);
    let target = format!("/e/?{}", polling.replace("polling", "websocket"));
    let mut ws = Ws::connect(upgrading.addr, &target, "").await.unwrap();
    assert_eq!(ws.rest().await, [Got::Close(1012)]);
    assert_eq!(upgrading.closed().await, CloseReason::Shutdown);
    stop.store(false, Ordering::Relaxed);
    assert_eq!(upgrading.get(&polling).await, (200, "1".to_owned()));
    patiently(upgrading.server.settled()).await;
    upgrading.is_empty().await;
}

#[tokio::test]
async fn nothing_is_opened_after_the_end() {
    let harness = Harness::start(config()).await;
    let polling = harness.polling().await;
    // Other reasons do not end the server.
    harness.server.close_all(CloseReason::Disconnected);
    let other = harness.polling().await;
    harness.server.close_all(CloseReason::Shutdown);
    for target in ["/plain", "/e/?EIO=4&transport=websocket"] {
        assert_eq!(Ws::connect(harness.addr, target, "").await.unwrap_err(), 503, "{target}");
    }
    let mut stream = send_request(harness.addr, "GET", "EIO=4&transport=polling", "", b"").await;
    let mut answer = String::new();
    patiently(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("retry-after: 1\r\n"), "{answer}");
    // The last packets are still to be had.
    for polling in [polling, other] {
        assert_eq!(harness.get(&polling).await, (200, "1".to_owned()));
    }
    patiently(harness.server.settled()).await;
}
