//! Bytes without sense, in front of the upgrade and behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gossip_ws::engine::CloseReason;
use gossip_ws::http::Body;
use gossip_ws::listener::{self, Service};
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::{Got, Harness, PATIENCE, config, masked, patiently};

/// The same bytes on every run (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = self.next() % 300;
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// A frame that is nearly right.
    fn frame(&mut self) -> Vec<u8> {
        let heads = [0x81, 0x82, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8a, 0x83, 0xc1];
        let head = heads[(self.next() % heads.len() as u64) as usize];
        let mut payload = self.bytes();
        if self.next().is_multiple_of(2) {
            payload = payload.iter().map(|byte| b'0' + byte % 75).collect();
            payload.insert(0, b'4');
        }
        masked(head, &payload)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_never_ends_the_server() {
    let mut harness = Harness::start(config()).await;
    let mut healthy = harness.websocket().await;
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut opened = 0;
    for round in 0..300 {
        match round % 3 {
            0 => {
                let mut stream = TcpStream::connect(harness.addr).await.unwrap();
                let _ = stream.write_all(&noise.bytes()).await;
            }
            1 => {
                let mut ws = harness.websocket().await;
                opened += 1;
                ws.raw(&noise.bytes()).await;
            }
            _ => {
                let mut ws = harness.websocket().await;
                opened += 1;
                for _ in 0..5 {
                    ws.raw(&noise.frame()).await;
                }
            }
        }
        // In the midst of it another connection is served.
        healthy.text("3").await;
        healthy.text("4hi").await;
        loop {
            match healthy.next().await {
                Got::Text(text) if text == "2" => {}
                got => break assert_eq!(got, Got::Text("4hi".to_owned())),
            }
        }
    }
    for _ in 0..opened {
        assert_ne!(harness.closed().await, CloseReason::Internal);
    }
    drop(healthy);
    harness.closed().await;
    harness.is_empty().await;
}

/// Answers every request with this many bytes.
struct Bulk(usize);

impl Service for Bulk {
    type Body = Body;

    async fn call(&self, _: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        Response::new(Body::from(vec![0; self.0]))
    }
}

/// A bare listener without patience; dropping what is returned stops it.
async fn listen(bulk: usize) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let config = listener::Config {
        header_timeout: Duration::from_millis(50),
        write_timeout: Duration::from_millis(50),
        ..listener::Config::default()
    };
    let (stop, stopped) = oneshot::channel();
    let stopped = async { drop(stopped.await) };
    let serving = tokio::spawn(listener::serve(listener, Arc::new(Bulk(bulk)), config, stopped));
    (addr, stop, serving)
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off() {
    let (addr, stop, serving) = listen(0).await;
    for head in ["", "GET / HTTP/1.1\r\nHost:"] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        patiently(stream.read_to_end(&mut rest)).await.unwrap();
    }
    // Stopping does not wait for connections that have no request under way.
    let idle = TcpStream::connect(addr).await.unwrap();
    drop(stop);
    patiently(serving).await.unwrap();
    drop(idle);
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn half_a_request_does_not_hold_up_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let config = listener::Config { header_timeout: 2 * PATIENCE, grace: 2 * PATIENCE, ..listener::Config::default() };
    let (stop, stopped) = oneshot::channel();
    let deadline = async { stopped.await.unwrap() };
    let serving = tokio::spawn(listener::serve_until(listener, Arc::new(Bulk(0)), config, deadline));
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    // One that came later is answered, so the listener has read the first.
    let mut other = TcpStream::connect(addr).await.unwrap();
    other.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    patiently(other.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    stop.send(Instant::now() + Duration::from_millis(50)).unwrap();
    patiently(serving).await.unwrap();
    let mut rest = Vec::new();
    // Reset or ended, its connection does not outlive the listener.
    let _ = patiently(stream.read_to_end(&mut rest)).await;
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_cut_off() {
    let len = 50_000_000;
    let (addr, stop, serving) = listen(len).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // The request is under way for as long as the answer is.
    drop(stop);
    patiently(serving).await.unwrap();
    let mut rest = Vec::new();
    // Reset or ended, it is not all there.
    let _ = patiently(stream.read_to_end(&mut rest)).await;
    assert!(rest.len() < len);
}
