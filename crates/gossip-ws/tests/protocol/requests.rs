//! Requests that are valid as far as they go and meant to cost the server something: too many, too long, without an end.
//! And what a panic of ours may do, which is to end one connection and be counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gossip_ws::engine::{CloseReason, Config};
use gossip_ws::http::Body;
use gossip_ws::listener::{self, Service};
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::{Got, Harness, config, masked, patiently, send_request};

/// Answers `ok`; panics where it is asked to.
struct Fragile(mpsc::UnboundedSender<()>);

impl Service for Fragile {
    type Body = Body;

    async fn call(&self, req: Request<Incoming>, _: SocketAddr) -> Response<Body> {
        assert_ne!(req.uri().path(), "/panic", "as asked");
        Response::new(Body::from("ok"))
    }

    fn panicked(&self) {
        self.0.send(()).unwrap();
    }
}

/// A listener that cuts connections off after this time. Panics are told.
async fn listen(patience: Duration) -> (SocketAddr, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (panicked, panics) = mpsc::unbounded_channel();
    let config = listener::Config { header_timeout: patience, write_timeout: patience, ..listener::Config::default() };
    tokio::spawn(listener::serve(listener, Arc::new(Fragile(panicked)), config, std::future::pending()));
    (addr, panics)
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(100);

/// What comes until the connection ends, however it does.
async fn rest(stream: &mut TcpStream) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = patiently(stream.read(&mut piece)).await {
        all.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(all).unwrap()
}

/// What is sent at once on a connection of its own, and what comes back.
async fn exchange(addr: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    // The server may have had enough before the end.
    let _ = stream.write_all(bytes).await;
    rest(&mut stream).await
}

#[tokio::test]
async fn a_panic_ends_one_connection_and_is_counted() {
    let (addr, mut panics) = listen(LONG).await;
    let mut other = TcpStream::connect(addr).await.unwrap();
    for _ in 0..3 {
        assert_eq!(exchange(addr, b"GET /panic HTTP/1.1\r\nHost: x\r\n\r\n").await, "");
        patiently(panics.recv()).await.unwrap();
    }
    other.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(rest(&mut other).await.ends_with("ok"));
    assert!(panics.try_recv().is_err());

    let mut harness = Harness::start(config()).await;
    let mut healthy = harness.websocket().await;
    for counted in 1..=3 {
        let mut ws = harness.websocket().await;
        ws.raw(&masked(0x81, b"4panic")).await;
        assert_eq!(ws.rest().await, [Got::Close(1011)]);
        assert_eq!(harness.closed().await, CloseReason::Internal);
        assert_eq!(harness.server.panics(), counted);
    }
    let polling = harness.polling().await;
    assert_eq!(harness.post(&polling, b"4panic").await.0, 400);
    assert_eq!(harness.closed().await, CloseReason::Internal);
    assert_eq!(harness.server.panics(), 4);
    healthy.text("4hi").await;
    assert_eq!(healthy.next().await, Got::Text("4hi".to_owned()));
    drop(healthy);
    assert_ne!(harness.closed().await, CloseReason::Internal);
    assert_eq!(harness.server.panics(), 4);
    harness.is_empty().await;
}

#[tokio::test]
async fn idle_connections_are_let_go_with_and_without_a_request_before() {
    let (addr, _panics) = listen(SHORT).await;
    let mut idle = Vec::new();
    for number in 0..100 {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        }
        idle.push(stream);
    }
    for (number, mut stream) in idle.into_iter().enumerate() {
        let answers = rest(&mut stream).await.matches("HTTP/1.1 200 ").count();
        assert_eq!(answers, usize::from(number % 2 == 0), "{number}");
    }
}

#[tokio::test]
async fn a_head_a_byte_at_a_time_is_cut_off() {
    let (addr, _panics) = listen(SHORT).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let (mut read, mut write) = stream.split();
    let mut sent = 0;
    let dripping = async {
        // Each of them long before the time is over, all of them never.
        for byte in b"GET / HTTP/1.1\r\nx: ".iter().chain(std::iter::repeat(&b'y')) {
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
            sent += 1;
            // tidy: sleep because a slow client is what this is about
            tokio::time::sleep(SHORT / 20).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = dripping => {}
        ended = patiently(read.read_to_end(&mut answer)) => drop(ended),
    }
    assert!(sent > 1 && !answer.starts_with(b"HTTP/1.1 200"), "{sent}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_turn_or_not_read() {
    let (addr, _panics) = listen(LONG).await;
    let one = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let last = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let all = format!("{}{last}", one.repeat(2_000));
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let (mut read, mut write) = stream.split();
    let mut answers = String::new();
    let (written, ended) = tokio::join!(write.write_all(all.as_bytes()), patiently(read.read_to_string(&mut answers)));
    written.unwrap();
    ended.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 200 ").count(), 2_001);

    // Who reads none of the answers is soon not read either, and then cut off.
    let (addr, _panics) = listen(SHORT).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let flood = one.repeat(1_000);
    let mut taken = 0;
    while patiently(stream.write_all(flood.as_bytes())).await.is_ok() {
        taken += flood.len();
        assert!(taken < 256 << 20, "there is no end to it");
    }
}

#[tokio::test]
async fn heads_beyond_all_measure_are_refused() {
    let (addr, _panics) = listen(LONG).await;
    let head = |lines: String| format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n");
    let many = |count: usize| head((0..count).map(|number| format!("x-{number}: y\r\n")).collect());
    assert!(exchange(addr, many(50).as_bytes()).await.starts_with("HTTP/1.1 200 "));
    for (what, head) in [
        ("many headers", many(1_000)),
        ("a long header", head(format!("x: {}\r\n", "y".repeat(100_000)))),
        ("a long target", head(String::new()).replacen("GET /", &format!("GET /{}", "y".repeat(100_000)), 1)),
    ] {
        let answer = exchange(addr, head.as_bytes()).await;
        // A refusal may be lost where the server closes with something unread.
        let refused = ["", "HTTP/1.1 431 ", "HTTP/1.1 414 "];
        assert!(
            refused.iter().any(|start| answer.get(..start.len().max(1)).unwrap_or("") == *start),
            "{what}: {answer}"
        );
    }
    for bad in ["Content-Length: 1\r\nContent-Length: 2\r\n", "Content-Length: -1\r\n", "x y: z\r\n", "\0: y\r\n"] {
        let answer = exchange(addr, head(bad.to_owned()).as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{bad:?}: {answer}");
    }
}

#[tokio::test]
async fn a_body_without_an_end_is_not_waited_for() {
    let mut harness = Harness::start(Config { body_timeout: SHORT, ..config() }).await;
    let polling = harness.polling().await;
    let mut stream = send_request(harness.addr, "POST", &polling, "Transfer-Encoding: chunked\r\n", b"").await;
    let (mut read, mut write) = stream.split();
    let dripping = async {
        while write.write_all(b"1\r\n4\r\n").await.is_ok() {
            // tidy: sleep because a slow client is what this is about
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    let mut answer = [0; 12];
    tokio::select! {
        () = dripping => {}
        _ = patiently(read.read_exact(&mut answer)) => {}
    }
    assert_eq!(harness.closed().await, CloseReason::TransportError);
    // Too long before it is too late: refused, as any body too long is, and the session lives.
    let polling = harness.polling().await;
    let mut stream = send_request(harness.addr, "POST", &polling, "Transfer-Encoding: chunked\r\n", b"").await;
    stream.write_all(format!("fa1\r\n4{}\r\n", "x".repeat(4000)).as_bytes()).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 413 "));
    assert_eq!(harness.post(&polling, b"1").await.0, 200);
    assert_eq!(harness.closed().await, CloseReason::ClientPacket);
    harness.is_empty().await;
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_or_not_to() {
    let harness = Harness::start(config()).await;
    let polling = harness.polling().await;
    let ask = |length: usize| format!("Expect: 100-continue\r\nContent-Length: {length}\r\n");
    let mut stream = send_request(harness.addr, "POST", &polling, &ask(3), b"").await;
    let mut go_on = [0; 25];
    patiently(stream.read_exact(&mut go_on)).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"4hi").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 200 "));
    assert_eq!(harness.get(&polling).await, (200, "4hi".to_owned()));
    // What would be too long need not be sent at all.
    let mut stream = send_request(harness.addr, "POST", &polling, &ask(1 << 30), b"").await;
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 413 "));
}
