//! A server under test that reports how its sessions end, and clients of plain bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gossip_ws::engine::{self, App, CloseReason, Config, Frame, Handler, Message, Pass, Server, Session};
use gossip_ws::http::{Body, empty};
use gossip_ws::listener::{self, Service};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};

/// Longer than anything takes, so that a hang is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it took too long")
}

/// Short where a test waits for it, long everywhere else.
pub(crate) fn config() -> Config {
    Config { path: "/e/".to_owned(), max_payload: 1000, ..Config::default() }
}

/// Sends everything back, but: `panic` panics, `bye` is answered and closes, `flood` is answered without end, and
/// `signal` tells the test that it came.
#[derive(Default)]
pub(crate) struct Echo {
    pub(crate) closed: Option<mpsc::UnboundedSender<CloseReason>>,
    pub(crate) tolerate_oversized: bool,
    pub(crate) never_established: bool,
    pub(crate) refusing: AtomicBool,
    pub(crate) signalled: Arc<Notify>,
    pub(crate) released: Arc<Notify>,
}

pub(crate) struct EchoSession {
    session: Arc<Session>,
    closed: mpsc::UnboundedSender<CloseReason>,
    tolerate_oversized: bool,
    established: bool,
    signalled: Arc<Notify>,
    released: Arc<Notify>,
}

impl App for Echo {
    type Handler = EchoSession;

    fn open(&self, session: Arc<Session>) -> EchoSession {
        EchoSession {
            session,
            closed: self.closed.clone().unwrap(),
            tolerate_oversized: self.tolerate_oversized,
            established: !self.never_established,
            signalled: Arc::clone(&self.signalled),
            released: Arc::clone(&self.released),
        }
    }

    fn admit(&self, _: &HeaderMap, _: SocketAddr) -> Result<Pass, Box<Response<Body>>> {
        if self.refusing.load(Ordering::Relaxed) {
            return Err(Box::new(empty(StatusCode::SERVICE_UNAVAILABLE)));
        }
        Ok(Pass::default())
    }
}

impl Handler for EchoSession {
    async fn message(&self, message: Message) -> Result<(), CloseReason> {
        match message {
            Message::Text(text) if text == "panic" => panic!("as asked"),
            Message::Text(text) if text == "signal" => self.signalled.notify_one(),
            Message::Text(text) if text == "hold" => {
                self.released.notified().await;
                self.session.send(&[Frame::text("4held")]);
            }
            Message::Text(text) if text == "bye" => {
                self.session.queue(&[Frame::text("4bye")]);
                self.session.close(CloseReason::Disconnected);
            }
            Message::Text(text) if text == "flood" => {
                let frame = Frame::text(&format!("4{}", "x".repeat(10_000)));
                while self.session.send(std::slice::from_ref(&frame)) {}
            }
            Message::Text(text) => drop(self.session.send(&[Frame::text(&format!("4{text}"))])),
            Message::Binary(data) => drop(self.session.send(&[Frame::binary(data)])),
        }
        Ok(())
    }

    fn oversized(&self, len: usize) -> Result<(), CloseReason> {
        if !self.tolerate_oversized {
            return Err(CloseReason::TooLarge);
        }
        self.session.send(&[Frame::text(&format!("4oversized {len}"))]);
        Ok(())
    }

    fn is_established(&self) -> bool {
        self.established
    }

    fn closed(&self, reason: CloseReason) {
        // The test may be over.
        let _ = self.closed.send(reason);
    }
}

/// `/e/` is Engine.IO, `/plain` WebSocket as it is.
pub(crate) struct Http<A>(pub(crate) Arc<Server<A>>);

impl<A: App> Service for Http<A> {
    type Body = Body;

    async fn call(&self, req: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if self.0.serves(req.uri().path()) {
            self.0.handle(req, peer).await
        } else if req.uri().path() == "/plain" {
            self.0.handle_plain(req, peer).await
        } else {
            empty(StatusCode::NOT_FOUND)
        }
    }
}

/// Serves `app` on a free port.
pub(crate) async fn serve<A: App>(config: Config, app: A) -> (Arc<Server<A>>, SocketAddr) {
    let server = Server::new(config, app);
    let addr = listen(Http(Arc::clone(&server))).await;
    (server, addr)
}

async fn listen<S: Service>(service: S) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let forever = std::future::pending();
    tokio::spawn(listener::serve(listener, Arc::new(service), listener::Config::default(), forever));
    addr
}

/// An echo server.
pub(crate) struct Harness {
    pub(crate) server: Arc<Server<Echo>>,
    pub(crate) addr: SocketAddr,
    closed: mpsc::UnboundedReceiver<CloseReason>,
}

impl Harness {
    pub(crate) async fn start(config: Config) -> Harness {
        Harness::with(config, Echo::default()).await
    }

    pub(crate) async fn with(config: Config, app: Echo) -> Harness {
        Harness::behind(config, app, Http).await
    }

    /// With a service of the test's own in front.
    pub(crate) async fn behind<S: Service>(
        config: Config,
        mut app: Echo,
        service: impl FnOnce(Arc<Server<Echo>>) -> S,
    ) -> Harness {
        let (sender, closed) = mpsc::unbounded_channel();
        app.closed = Some(sender);
        let server = Server::new(config, app);
        let addr = listen(service(Arc::clone(&server))).await;
        Harness { server, addr, closed }
    }

    /// Why the next session closed.
    pub(crate) async fn closed(&mut self) -> CloseReason {
        patiently(self.closed.recv()).await.unwrap()
    }

    /// Waits for all sessions to end, and checks that no end was reported twice.
    pub(crate) async fn is_empty(&mut self) {
        patiently(self.server.drained()).await;
        assert_eq!(self.server.session_count(), 0);
        assert!(self.closed.try_recv().is_err(), "closed was called again");
    }

    pub(crate) async fn get(&self, query: &str) -> (u16, String) {
        request(self.addr, "GET", query, "", b"").await
    }

    pub(crate) async fn post(&self, query: &str, body: &[u8]) -> (u16, String) {
        request(self.addr, "POST", query, "", body).await
    }

    /// Opens a polling session; the query of its requests.
    pub(crate) async fn polling(&self) -> String {
        let (status, body) = self.get("EIO=4&transport=polling").await;
        assert_eq!(status, 200, "{body}");
        format!("EIO=4&transport=polling&sid={}", sid(&body))
    }

    /// Opens a session on a WebSocket.
    pub(crate) async fn websocket(&self) -> Ws {
        websocket(self.addr).await
    }
}

pub(crate) async fn websocket(addr: SocketAddr) -> Ws {
    let mut ws = Ws::connect(addr, "/e/?EIO=4&transport=websocket", "").await.unwrap();
    assert!(matches!(ws.next().await, Got::Text(open) if open.starts_with('0')));
    ws
}

/// Whether every session is out of an engine's books, whatever its app.
pub(crate) async fn drained<A: engine::App>(server: &Server<A>) {
    patiently(server.drained()).await;
}

pub(crate) fn sid(open: &str) -> String {
    let rest = open.split_once(r#""sid":""#).expect(open).1;
    rest.split('"').next().unwrap().to_owned()
}

/// One HTTP request on a connection of its own.
pub(crate) async fn request(addr: SocketAddr, method: &str, query: &str, headers: &str, body: &[u8]) -> (u16, String) {
    let mut stream = send_request(addr, method, query, headers, body).await;
    let mut answer = Vec::new();
    patiently(stream.read_to_end(&mut answer)).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    (status(head), body.to_owned())
}

/// Sends a request, and leaves its answer to come.
pub(crate) async fn send_request(addr: SocketAddr, method: &str, query: &str, headers: &str, body: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let len = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{method} /e/?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{len}{headers}\r\n");
    // One write, so that a refusal of the head does not race the body.
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    stream
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).expect(head).parse().unwrap()
}

/// What a WebSocket client received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping,
    Pong(Vec<u8>),
    Close(u16),
    End,
}

/// A WebSocket client that sends what it is told to, right or wrong.
#[derive(Debug)]
pub(crate) struct Ws {
    stream: TcpStream,
}

impl Ws {
    /// Upgrades; or the refusal's status.
    pub(crate) async fn connect(addr: SocketAddr, target: &str, headers: &str) -> Result<Ws, u16> {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(patiently(stream.read_u8()).await.unwrap());
        }
        match status(std::str::from_utf8(&answer).unwrap()) {
            101 => Ok(Ws { stream }),
            refused => Err(refused),
        }
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        // The server may have had enough already.
        let _ = self.stream.write_all(bytes).await;
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.raw(&masked(0x81, text.as_bytes())).await;
    }

    pub(crate) async fn binary(&mut self, data: &[u8]) {
        self.raw(&masked(0x82, data)).await;
    }

    pub(crate) async fn next(&mut self) -> Got {
        patiently(self.read()).await.unwrap_or(Got::End)
    }

    async fn read(&mut self) -> std::io::Result<Got> {
        let head = self.stream.read_u8().await?;
        let len = match self.stream.read_u8().await? {
            126 => u64::from(self.stream.read_u16().await?),
            127 => self.stream.read_u64().await?,
            len => u64::from(len),
        };
        let mut payload = vec![0; usize::try_from(len).unwrap()];
        self.stream.read_exact(&mut payload).await?;
        Ok(match head {
            0x81 => Got::Text(String::from_utf8(payload).unwrap()),
            0x82 => Got::Binary(payload),
            0x88 => Got::Close(u16::from_be_bytes([payload[0], payload[1]])),
            0x89 => Got::Ping,
            0x8a => Got::Pong(payload),
            other => panic!("frame {other:#x}"),
        })
    }

    /// What comes, up to and with the close frame; then the connection must end.
    pub(crate) async fn rest(&mut self) -> Vec<Got> {
        let mut all = Vec::new();
        loop {
            match self.next().await {
                Got::End => return all,
                got => all.push(got),
            }
        }
    }
}

/// A client's frame: the first byte as given, then a mask.
pub(crate) fn masked(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![head];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | u8::try_from(len).unwrap()),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(len).unwrap().to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    let mask = [0x11, 0x22, 0x33, 0x44];
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
