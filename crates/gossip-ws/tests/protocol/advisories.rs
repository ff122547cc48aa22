//! What befell other servers of these protocols, replayed: each test says by which advisory or thread it is known. Some
//! more are where they belong by what they are about, and name it there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gossip_ws::engine::{CloseReason, Config, Server};
use gossip_ws::socket::{ConnectRequest, DisconnectReason, Event, Handler, Limits, Socket, Sockets};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Got, Harness, Ws, config, drained, masked, patiently, request, send_request, serve, websocket};

/// Counts its open sockets, and sends events back without their attachments.
#[derive(Default)]
struct App {
    open: Arc<AtomicI64>,
}

struct Connected {
    socket: Socket,
    open: Arc<AtomicI64>,
}

impl gossip_ws::socket::App for App {
    type Handler = Connected;

    async fn connect(&self, request: ConnectRequest) -> Option<Connected> {
        // As an application that asks a database does.
        tokio::task::yield_now().await;
        if &*request.nsp == "/none" {
            request.refuse(r#"{"message":"Invalid namespace"}"#);
            return None;
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Connected { socket: request.accept(None), open: Arc::clone(&self.open) })
    }
}

impl Handler for Connected {
    async fn event(&self, event: Event, _: Option<u64>) {
        let args: Vec<&str> = event.args.raw().iter().map(|arg| arg.get()).collect();
        self.socket.emit(&event.name, &args, &[]);
    }

    fn disconnected(&self, _: DisconnectReason) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn sockets(config: Config, limits: Limits) -> (Arc<Server<Sockets<App>>>, SocketAddr) {
    serve(config, Sockets::new(App::default(), limits)).await
}

async fn connected(addr: SocketAddr) -> Ws {
    let mut ws = websocket(addr).await;
    ws.text("40").await;
    assert!(matches!(ws.next().await, Got::Text(answer) if answer.starts_with("40{")));
    ws
}

/// CVE-2026-33151 (socket.io-parser) and socketioxide#775: attachments without bound, also before anybody is
/// authenticated. CVE-2026-69185: none where some are announced.
#[tokio::test]
async fn attachments_without_bound_and_without_attachments() {
    let limits = Limits { max_attachments: 8, max_binary_bytes: 4000, ..Limits::default() };
    let (server, addr) = sockets(config(), limits).await;
    let event = r#"["e",{"_placeholder":true,"num":0}]"#;
    for count in ["9", "99999", "999999999999999999999999", "0", "00", "", "-1", "1e3"] {
        for (kind, id) in [("45", ""), ("46", "1")] {
            let packet = format!("{kind}{count}-{id}{event}");
            for mut ws in [websocket(addr).await, connected(addr).await] {
                ws.text(&packet).await;
                assert_eq!(ws.rest().await, [Got::Close(1002)], "{packet}");
            }
        }
    }
    // As many as may be, each as long as may be, are too much together.
    for mut ws in [websocket(addr).await, connected(addr).await] {
        ws.text(&format!("458-{event}")).await;
        for _ in 0..5 {
            ws.binary(&[0; 1000]).await;
        }
        assert_eq!(ws.rest().await, [Got::Close(1002)]);
    }
    // And one too many is nobody's.
    let mut ws = connected(addr).await;
    ws.text(&format!("451-{event}")).await;
    ws.binary(b"x").await;
    assert!(matches!(ws.next().await, Got::Text(_)));
    ws.binary(b"x").await;
    assert_eq!(ws.rest().await, [Got::Close(1002)]);
    drained(&server).await;
}

/// CVE-2026-59725 (engine.io): a POST with binary where the protocol has none was never answered.
#[tokio::test]
async fn a_binary_post_is_answered() {
    let mut harness = Harness::start(config()).await;
    let octets = "Content-Type: application/octet-stream\r\n";
    for (headers, body) in [
        (octets.to_owned(), &b"4hi"[..]),
        ("Content-Type: application/octet-stream; charset=x\r\n".to_owned(), &[0, 1, 2, 255]),
        // The answer does not wait for a body that does not come.
        (format!("{octets}Content-Length: 900\r\n"), b""),
        (format!("{octets}Transfer-Encoding: chunked\r\n"), b""),
    ] {
        let polling = harness.polling().await;
        let (status, _) = request(harness.addr, "POST", &polling, &headers, body).await;
        assert_eq!(status, 400, "{headers}");
        assert_eq!(harness.closed().await, CloseReason::Protocol, "{headers}");
    }
    harness.is_empty().await;
}

/// CVE-2026-48779 (ws): memory for each of a message's tiny fragments, without a bound on their number.
#[tokio::test]
async fn fragments_of_nothing_have_an_end() {
    let mut harness = Harness::start(config()).await;
    for fragment in [&b""[..], b"x"] {
        let mut ws = harness.websocket().await;
        ws.raw(&masked(0x01, b"4")).await;
        let fragments = masked(0x00, fragment).repeat(100);
        for _ in 0..12 {
            ws.raw(&fragments).await;
        }
        assert_eq!(harness.closed().await, CloseReason::TooLarge);
        assert_eq!(ws.rest().await, [Got::Close(1009)]);
    }
    // Pings between them do not make it another message.
    let mut ws = harness.websocket().await;
    ws.raw(&masked(0x01, b"4")).await;
    for _ in 0..12 {
        ws.raw(&[masked(0x00, b"").repeat(100), masked(0x89, b"")].concat()).await;
    }
    assert_eq!(harness.closed().await, CloseReason::TooLarge);
    assert_eq!(ws.rest().await.last(), Some(&Got::Close(1009)));
    harness.is_empty().await;
}

/// CVE-2023-31125 (engine.io): an upgrade to a transport that there is not.
#[tokio::test]
async fn an_upgrade_to_no_transport() {
    let mut harness = Harness::start(config()).await;
    let polling = harness.polling().await;
    let live = polling.rsplit('=').next().unwrap();
    for transport in ["", "x", "polling", "webtransport", "WebSocket", "__proto__", "constructor", "handlesUpgrades"] {
        for sid in [String::new(), format!("&sid={live}"), "&sid=__proto__".to_owned()] {
            let target = format!("/e/?EIO=4&transport={transport}{sid}");
            assert_eq!(Ws::connect(harness.addr, &target, "").await.unwrap_err(), 400, "{target}");
        }
    }
    assert_eq!(harness.post(&polling, b"4hi").await.0, 200);
    assert_eq!(harness.get(&polling).await, (200, "4hi".to_owned()));
    assert_eq!(harness.post(&polling, b"1").await.0, 200);
    assert_eq!(harness.closed().await, CloseReason::ClientPacket);
    harness.is_empty().await;
}

/// CVE-2022-41940 (engine.io): a client that resets its connection while its upgrade is refused, or accepted.
#[tokio::test]
async fn resets_during_an_upgrade() {
    let harness = Harness::start(config()).await;
    let mut healthy = harness.websocket().await;
    for query in ["EIO=4&transport=websocket", "EIO=3&transport=websocket", "EIO=4&transport=websocket&sid=x", "x"] {
        for key in ["dGhlIHNhbXBsZSBub25jZQ==", "x"] {
            let mut stream = TcpStream::connect(harness.addr).await.unwrap();
            // So that dropping it resets it.
            stream.set_zero_linger().unwrap();
            let head = format!(
                "GET /e/?{query} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            drop(stream);
            healthy.text("4hi").await;
            assert_eq!(healthy.next().await, Got::Text("4hi".to_owned()));
        }
    }
    // How many of them became sessions is a matter of chance.
    drop(healthy);
    patiently(harness.server.settled()).await;
    assert_eq!(harness.server.session_count(), 0);
}

/// CVE-2023-32695 (socket.io-parser): an event whose name is no text, and cannot be made one.
#[tokio::test]
async fn names_of_events_that_are_no_names() {
    let (server, addr) = sockets(config(), Limits::default()).await;
    for packet in [
        r#"42[{"toString":"x"}]"#,
        r#"42[{"toString":{"a":1},"valueOf":1},1]"#,
        r#"42[["e"]]"#,
        "42[null]",
        "42[true]",
        "42[{}]",
        r#"451-[{"_placeholder":true,"num":0}]"#,
        r#"42[{"__proto__":{}}]"#,
    ] {
        let mut ws = connected(addr).await;
        ws.text(packet).await;
        assert_eq!(ws.rest().await, [Got::Close(1002)], "{packet}");
    }
    // Names that mean something to an object of JavaScript mean nothing here.
    let mut ws = connected(addr).await;
    for packet in [r#"42["__proto__",1]"#, r#"42["constructor",1]"#, r#"42["toString",{"__proto__":1}]"#] {
        ws.text(packet).await;
        assert_eq!(ws.next().await, Got::Text(packet.to_owned()));
    }
    drop(ws);
    drained(&server).await;
}

/// CVE-2020-36049 (socket.io-parser): a large packet that takes long, or much memory, to be read.
#[tokio::test(flavor = "multi_thread")]
async fn large_packets_of_every_part() {
    const LEN: usize = 900_000;
    let (server, addr) = sockets(Config { max_payload: 1_000_000, ..config() }, Limits::default()).await;
    let mut healthy = connected(addr).await;
    let many = |part: &str| part.repeat(LEN / part.len());
    for (what, packet) in [
        ("packet id", format!("42{}[\"e\"]", many("1"))),
        ("ack id", format!("43{}[]", many("9"))),
        ("attachments", format!("45{}-[\"e\"]", many("9"))),
        ("attachments without end", format!("45{}", many("9"))),
        ("namespace", format!("40/{}", many("a"))),
        ("namespace without end", format!("42/{}[\"e\"]", many("a"))),
        ("query of a namespace", format!("40/?{}", many("a=b&"))),
        ("depth", format!("42[\"e\",{}", many("["))),
        ("depth of objects", format!("42[\"e\",{}", many(r#"{"a":"#))),
        ("arguments", format!("42[\"e\"{}]", many(",1"))),
        ("placeholders", format!("458-[\"e\"{}]", many(r#",{"_placeholder":true,"num":9}"#))),
        ("auth", format!("40/a,[{}]", many(" "))),
    ] {
        let mut ws = connected(addr).await;
        ws.text(&packet).await;
        assert_eq!(ws.rest().await, [Got::Close(1002)], "{what}");
        healthy.text(r#"42["hi"]"#).await;
        assert_eq!(healthy.next().await, Got::Text(r#"42["hi"]"#.to_owned()), "{what}");
    }
    drop(healthy);
    drained(&server).await;
}

/// CVE-2020-36048 (engine.io): a POST as large as the client says, kept until it is all there.
#[tokio::test]
async fn a_large_post_is_refused_by_what_it_announces() {
    let mut harness = Harness::start(config()).await;
    let polling = harness.polling().await;
    for len in ["4001", "100000000", "9223372036854775807"] {
        let headers = format!("Content-Length: {len}\r\n");
        let mut stream = send_request(harness.addr, "POST", &polling, &headers, b"").await;
        let mut status = [0; 12];
        patiently(stream.read_exact(&mut status)).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 413", "{len}");
        // The session is as it was.
        assert_eq!(harness.post(&polling, b"4hi").await.0, 200, "{len}");
        assert_eq!(harness.get(&polling).await, (200, "4hi".to_owned()), "{len}");
    }
    assert_eq!(harness.post(&polling, b"1").await.0, 200);
    assert_eq!(harness.closed().await, CloseReason::ClientPacket);
    harness.is_empty().await;
}

/// socketioxide#627: a socket whose connection failed while it joined its namespace stayed there for ever.
#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_vanish_while_they_connect() {
    let (server, addr) = sockets(config(), Limits::default()).await;
    for round in 0..100 {
        let mut ws = websocket(addr).await;
        ws.text("40/a,").await;
        ws.text("40/none,").await;
        match round % 4 {
            0 => {}
            1 => ws.text("41/a,").await,
            2 => ws.raw(&masked(0x88, b"")).await,
            _ => ws.raw(b"\x81\x00").await,
        }
    }
    drained(&server).await;
    patiently(server.settled()).await;
    assert_eq!(server.app().app().open.load(Ordering::Relaxed), 0);
}

/// socketioxide#390: two pings at once, since the timer made up for the time before it was first awaited.
#[tokio::test]
async fn one_ping_at_a_time() {
    let ping_interval = Duration::from_millis(20);
    let ping_timeout = Duration::from_millis(300);
    let mut harness = Harness::start(Config { ping_interval, ping_timeout, ..config() }).await;
    let mut ws = harness.websocket().await;
    // Many intervals pass, in which it answers nothing.
    assert_eq!(ws.rest().await, [Got::Text("2".to_owned()), Got::Close(1001)]);
    assert_eq!(harness.closed().await, CloseReason::PingTimeout);
    harness.is_empty().await;
}
