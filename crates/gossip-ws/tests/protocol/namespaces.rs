//! Socket.IO on the sessions: who is connected to what, and what ends it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gossip_ws::engine::{CloseReason, Config};
use gossip_ws::socket::{Args, ConnectRequest, DisconnectReason, Event, Handler, Limits, Socket, Sockets};
use tokio::sync::mpsc;

use crate::support::{Got, Ws, config, drained, masked, patiently, request, serve, sid, websocket};

/// Knows all namespaces but `/none`.
struct App(mpsc::UnboundedSender<(String, DisconnectReason)>);

struct Connected {
    socket: Socket,
    ended: mpsc::UnboundedSender<(String, DisconnectReason)>,
}

impl gossip_ws::socket::App for App {
    type Handler = Connected;

    async fn connect(&self, request: ConnectRequest) -> Option<Connected> {
        if &*request.nsp == "/none" {
            request.refuse(r#"{"message":"Invalid namespace","data":{"code":"x"}}"#);
            return None;
        }
        // As an application that asks a database does.
        tokio::task::yield_now().await;
        Some(Connected { socket: request.accept(Some(r#""pid":"p""#)), ended: self.0.clone() })
    }
}

impl Handler for Connected {
    async fn event(&self, event: Event, ack: Option<u64>) {
        let args: Vec<&str> = event.args.raw().iter().map(|arg| arg.get()).collect();
        match (&*event.name, ack) {
            ("leave", _) => self.socket.disconnect(),
            (_, Some(id)) => drop(self.socket.ack(id, &args, event.args.attachments())),
            (name, None) => drop(self.socket.emit(name, &args, event.args.attachments())),
        }
    }

    fn ack(&self, id: u64, args: Args) {
        self.socket.emit("acked", &[&id.to_string(), args.raw()[0].get()], &[]);
    }

    fn oversized(&self, len: usize) {
        self.socket.emit("oversized", &[&len.to_string()], &[]);
    }

    fn disconnected(&self, reason: DisconnectReason) {
        let _ = self.ended.send((self.socket.nsp().to_owned(), reason));
    }
}

struct Harness {
    server: Arc<gossip_ws::engine::Server<Sockets<App>>>,
    addr: std::net::SocketAddr,
    ended: mpsc::UnboundedReceiver<(String, DisconnectReason)>,
}

async fn start(config: Config) -> Harness {
    let (sender, ended) = mpsc::unbounded_channel();
    let (server, addr) = serve(config, Sockets::new(App(sender), Limits::default())).await;
    Harness { server, addr, ended }
}

impl Harness {
    async fn ended(&mut self) -> (String, DisconnectReason) {
        patiently(self.ended.recv()).await.unwrap()
    }

    async fn connected(&self, nsp: &str) -> Ws {
        let mut ws = websocket(self.addr).await;
        connect(&mut ws, nsp).await;
        ws
    }
}

async fn connect(ws: &mut Ws, nsp: &str) {
    ws.text(&format!("40{nsp}")).await;
    let Got::Text(answer) = ws.next().await else { panic!("no answer") };
    assert!(answer.starts_with(&format!(r#"40{nsp}{{"sid":""#)), "{answer}");
    assert!(answer.ends_with(r#"","pid":"p"}"#), "{answer}");
}

#[tokio::test]
async fn what_closes_the_session() {
    let mut harness = start(config()).await;
    let closed = DisconnectReason::Closed(CloseReason::Protocol);
    for sent in [
        "40",               // twice
        "42/other,[\"e\"]", // not connected
        "43/other,1[]",
        "41/other,",
        "44{}",
        "4",
        "4x",
        "42",
        "42[]",
        "42{}",
        "42[null]",
        "42[\"connect\"]",
        "40/a,[]",
        "43[]",
        "451-",
        "459999999999999-[\"e\"]",
        "42[\"e\",",
    ] {
        let mut ws = harness.connected("").await;
        ws.text(sent).await;
        assert_eq!(ws.rest().await, [Got::Close(1002)], "{sent}");
        assert_eq!(harness.ended().await, ("/".to_owned(), closed), "{sent}");
    }
    // Binary that no packet announced; text where binary was announced.
    let mut ws = harness.connected("").await;
    ws.binary(b"x").await;
    assert_eq!(ws.rest().await, [Got::Close(1002)]);
    let mut ws = harness.connected("").await;
    ws.text(r#"451-["e",{"_placeholder":true,"num":0}]"#).await;
    ws.text(r#"42["e"]"#).await;
    assert_eq!(ws.rest().await, [Got::Close(1002)]);
    drained(&harness.server).await;
}

#[tokio::test]
async fn namespaces_of_one_session() {
    let mut harness = start(config()).await;
    let mut ws = harness.connected("/a,").await;
    connect(&mut ws, "/b,").await;
    ws.text("40/none,").await;
    let refused = r#"44/none,{"message":"Invalid namespace","data":{"code":"x"}}"#;
    assert_eq!(ws.next().await, Got::Text(refused.to_owned()));
    // A packet with attachments stays together.
    ws.text(r#"452-/a,7["e",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#).await;
    ws.binary(&[1]).await;
    ws.binary(&[2]).await;
    let answer = r#"462-/a,7[{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#;
    assert_eq!(ws.next().await, Got::Text(answer.to_owned()));
    assert_eq!(ws.next().await, Got::Binary(vec![1]));
    assert_eq!(ws.next().await, Got::Binary(vec![2]));
    ws.text(r#"43/b,5["yes"]"#).await;
    assert_eq!(ws.next().await, Got::Text(r#"42/b,["acked",5,"yes"]"#.to_owned()));
    // Leaving one leaves the other, and the session.
    ws.text("41/a,").await;
    assert_eq!(harness.ended().await, ("/a".to_owned(), DisconnectReason::Left));
    ws.text(r#"42/b,["e",1]"#).await;
    assert_eq!(ws.next().await, Got::Text(r#"42/b,["e",1]"#.to_owned()));
    connect(&mut ws, "/a,").await;
    // The server's disconnect is told, then the session ends for all.
    ws.text(r#"42/a,["leave"]"#).await;
    assert_eq!(ws.rest().await, [Got::Text("41/a,".to_owned()), Got::Close(1000)]);
    let mut ended = [harness.ended().await, harness.ended().await];
    ended.sort_by(|a, b| a.0.cmp(&b.0));
    let closed = DisconnectReason::Closed(CloseReason::Disconnected);
    assert_eq!(ended, [("/a".to_owned(), closed), ("/b".to_owned(), closed)]);
    drained(&harness.server).await;
}

#[tokio::test]
async fn their_number_is_bounded() {
    let harness = start(config()).await;
    let mut ws = websocket(harness.addr).await;
    for index in 0..16 {
        connect(&mut ws, &format!("/{index},")).await;
    }
    ws.text("40/16,").await;
    assert_eq!(ws.rest().await, [Got::Close(1002)]);
    drained(&harness.server).await;
}

#[tokio::test]
async fn oversized_messages_are_the_namespaces_business() {
    let mut harness = start(config()).await;
    let mut ws = harness.connected("").await;
    let large = masked(0x81, format!(r#"451-["e",{{"_placeholder":true,"num":0}},"{}"]"#, "x".repeat(1000)).as_bytes());
    let len = large.len() - 8;
    ws.raw(&large).await;
    // Its attachment belongs to nothing now.
    ws.binary(b"x").await;
    ws.text(r#"42["e",1]"#).await;
    assert_eq!(ws.next().await, Got::Text(format!(r#"42["oversized",{len}]"#)));
    assert_eq!(ws.next().await, Got::Text(r#"42["e",1]"#.to_owned()));
    // The attachment is what is too large: its packet is lost, not the next.
    ws.text(r#"451-["e",{"_placeholder":true,"num":0}]"#).await;
    ws.binary(&[0; 1001]).await;
    ws.text(r#"42["e",2]"#).await;
    assert_eq!(ws.next().await, Got::Text(r#"42["oversized",1001]"#.to_owned()));
    assert_eq!(ws.next().await, Got::Text(r#"42["e",2]"#.to_owned()));
    drop(ws);
    harness.ended().await;
    // Where nobody is connected there is nobody to tell.
    let mut ws = websocket(harness.addr).await;
    ws.raw(&large).await;
    assert_eq!(ws.rest().await, [Got::Close(1009)]);
    drained(&harness.server).await;
}

#[tokio::test]
async fn a_session_without_a_namespace_ends() {
    let connect_timeout = Duration::from_millis(500);
    let mut harness = start(Config { connect_timeout, ..config() }).await;
    let mut refused = websocket(harness.addr).await;
    refused.text("40/none,").await;
    // One that moves to another namespace in time, one that only leaves.
    let mut moved = harness.connected("/a,").await;
    moved.text("41/a,").await;
    connect(&mut moved, "/b,").await;
    assert_eq!(harness.ended().await, ("/a".to_owned(), DisconnectReason::Left));
    let mut left = harness.connected("/c,").await;
    left.text("41/c,").await;
    assert_eq!(harness.ended().await, ("/c".to_owned(), DisconnectReason::Left));
    // A refused attempt is no namespace.
    left.text("40/none,").await;
    for ws in [&mut refused, &mut left] {
        assert_eq!(ws.rest().await.last(), Some(&Got::Close(1008)));
    }
    moved.text(r#"42/b,["e"]"#).await;
    assert_eq!(moved.next().await, Got::Text(r#"42/b,["e"]"#.to_owned()));
    // It has the whole time anew, however late it leaves.
    moved.text("41/b,").await;
    connect(&mut moved, "/c,").await;
    moved.text(r#"42/c,["e"]"#).await;
    assert_eq!(moved.next().await, Got::Text(r#"42/c,["e"]"#.to_owned()));
    assert_eq!(harness.server.session_count(), 1);
}

/// What is logged, in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn session_ids_stay_out_of_the_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // For this thread, and so for this test's whole runtime.
    let _logging = tracing::subscriber::set_default(subscriber);
    let harness = start(config()).await;
    // Of a polling session the id is all it takes to be it.
    let (_, open) = request(harness.addr, "GET", "EIO=4&transport=polling", "", b"").await;
    let polling = sid(&open);
    let session = format!("{:?}", harness.server.sessions());
    let query = format!("EIO=4&transport=polling&sid={polling}");
    assert_eq!(request(harness.addr, "POST", &query, "", b"4x").await.0, 400);
    let mut ws = Ws::connect(harness.addr, "/e/?EIO=4&transport=websocket", "").await.unwrap();
    let Got::Text(open) = ws.next().await else { panic!("no handshake") };
    let websocket = sid(&open);
    ws.raw(b"\x81\x024a").await;
    assert_eq!(ws.rest().await, [Got::Close(1002)]);
    drained(&harness.server).await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for line in ["session closed", "not a Socket.IO packet", "WebSocket ended"] {
        assert!(log.contains(line), "{log}");
    }
    for sid in [polling, websocket] {
        // Written with hyphens it would be the same.
        let log = log.replace('-', "");
        assert!(!log.contains(&sid), "{log}");
        assert!(!session.replace('-', "").contains(&sid), "{session}");
    }
}
