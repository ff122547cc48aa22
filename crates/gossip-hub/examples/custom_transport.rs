//! A transport of one's own on a gateway: lines of JSON over TCP, `{"event","data","id"}` in, `{"id","data"}` and
//! `{"event","data"}` out (the plain protocol's shapes, without its WebSocket). No authentication beside the
//! `authenticate` event, and no TLS: what that takes is in docs/embedding.md. To try it:
//! `JWT_SECRET=… cargo run -p gossip-hub --example custom_transport`, then `nc localhost 4000` and these lines:
//!
//! ```text
//! {"event":"authenticate","data":{"token":"…"},"id":1}
//! {"event":"join_room","data":{"roomId":"018f2a3e-0000-7000-8000-000000000001"},"id":2}
//! {"event":"new_gossip","data":{"roomId":"018f2a3e-0000-7000-8000-000000000001","content":"psst"},"id":3}
//! ```
//!
//! Backpressure, out: what waits for a client is in `Lines`, which is bounded. Past `BEHIND` bytes it says so
//! (`is_behind`), and the gateway leaves the client's events in the log until `drained` resolves; then it reads them from
//! there. So a slow client gets everything, late, and costs no more memory. Answers are queued as ever: past
//! `MAX_WAITING` the connection is cut. In: [`Connection::receive`] returns when the next event may be taken, and until
//! then no line is read.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gossip_hub::{
    Close, Connection, Event, Gateway, GatewayConfig, Key, Outbox, ReplyTo, SystemEnv, Verifier, VerifierConfig,
};
use gossip_proto::plain::{decode, encode_event, encode_reply};
use gossip_proto::refusal::Refusal;
use gossip_proto::reply::Reply;
use gossip_store::Store;
use gossip_store::sqlite::SqliteStore;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// So many bytes wait for a client that is behind; at half of it, it has caught up.
const BEHIND: usize = 64 * 1024;
/// With so many it is cut off.
const MAX_WAITING: usize = 1024 * 1024;
/// The longest line a client may send, in bytes.
const MAX_LINE: u64 = 64 * 1024;
/// How long a client may take to read what is left for it once it is told to go.
const GRACE: Duration = Duration::from_secs(5);

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// What is queued is still sent.
    Closing,
    /// Nothing is.
    Cut,
}

/// What waits for one client. All but [`Lines::send`] and [`Lines::overdue`] only notes something down.
struct Lines {
    queue: Mutex<Vec<u8>>,
    /// Bytes that the socket has not taken.
    waiting: AtomicUsize,
    stage: watch::Sender<Stage>,
    flushed: Notify,
    taken: Notify,
}

impl Lines {
    fn new() -> Lines {
        let (queue, waiting) = (Mutex::default(), AtomicUsize::new(0));
        Lines { queue, waiting, stage: watch::Sender::new(Stage::Open), flushed: Notify::new(), taken: Notify::new() }
    }

    fn push(&self, line: &str) {
        let len = line.len() + 1;
        if self.waiting.fetch_add(len, Ordering::SeqCst) + len > MAX_WAITING {
            return self.end(Stage::Cut);
        }
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // Data is sent as whoever broadcasts it wrote it. In JSON the end of a line is white space and nothing else.
        queue.extend(line.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        queue.push(b'\n');
    }

    fn end(&self, stage: Stage) {
        self.stage.send_if_modified(|now| {
            let goes_on = *now == Stage::Open || stage == Stage::Cut;
            if goes_on {
                *now = stage;
            }
            goes_on
        });
        self.flushed.notify_one();
        self.taken.notify_waiters();
    }

    fn is_open(&self) -> bool {
        *self.stage.borrow() == Stage::Open
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Writes what is flushed, until the connection is closed and nothing is left.
    async fn send(&self, mut socket: impl AsyncWrite + Unpin) -> io::Result<()> {
        loop {
            // Looked at first: nothing is queued after it.
            let is_last = !self.is_open();
            let lines = std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner));
            for part in lines.chunks(4096) {
                socket.write_all(part).await?;
                self.waiting.fetch_sub(part.len(), Ordering::SeqCst);
                self.taken.notify_waiters();
            }
            match (lines.is_empty(), is_last) {
                (true, true) => return socket.shutdown().await,
                (true, false) => self.flushed.notified().await,
                (false, _) => {}
            }
        }
    }

    async fn drained(&self) {
        loop {
            // Made before the look, so that what changes after it is not missed.
            let taken = self.taken.notified();
            if self.waiting() <= BEHIND / 2 || !self.is_open() {
                return;
            }
            taken.await;
        }
    }

    /// Resolves when the connection is to be dropped, whatever is left.
    async fn overdue(&self) {
        let mut stage = self.stage.subscribe();
        if stage.wait_for(|stage| *stage != Stage::Open).await.is_ok() {
            let _ = timeout(GRACE, stage.wait_for(|stage| *stage == Stage::Cut)).await;
        }
    }
}

/// The gateway's end of it.
struct LineOutbox(Arc<Lines>);

impl Outbox for LineOutbox {
    fn event(&self, event: &Arc<Event>) {
        self.0.push(&encode_event(event.name(), event.data()));
    }

    fn reply(&self, to: &ReplyTo, reply: &Result<Reply, Refusal>) {
        match (to.ack, reply) {
            (Some(id), Ok(reply)) => self.0.push(&encode_reply(id, &json(reply))),
            (Some(id), Err(refusal)) => self.0.push(&encode_reply(id, &json(refusal))),
            // Without an id a success is silent, a failure is told of.
            (None, Ok(_)) => {}
            (None, Err(refusal)) => {
                self.0.push(&encode_event("exception", &json(&refusal.exception(to.event.as_deref()))));
            }
        }
    }

    fn flush(&self) {
        self.0.flushed.notify_one();
    }

    fn is_behind(&self) -> bool {
        self.0.waiting() > BEHIND
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.drained())
    }

    fn close(&self, close: Close) {
        let told = serde_json::json!({ "reason": close.as_str(), "stayAway": close.stay_away() });
        self.0.push(&encode_event("closed", &told.to_string()));
        self.0.end(Stage::Closing);
    }

    fn is_closed(&self) -> bool {
        !self.0.is_open()
    }
}

/// Answers always become JSON.
fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).unwrap_or_else(|_| "null".to_owned())
}

/// Takes a client's lines, one after another, until it is gone or sends one that is too long.
async fn receive(socket: impl AsyncRead + Unpin, connection: &Connection) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    let mut line = String::new();
    loop {
        line.clear();
        (&mut socket).take(MAX_LINE).read_line(&mut line).await?;
        if !line.ends_with('\n') {
            return Ok(());
        }
        match decode(&line) {
            Ok(request) => connection.receive(&request.event, request.data.as_deref(), request.id).await,
            Err(error) => {
                let refusal = Refusal::invalid(error.field, error.to_string());
                connection.refuse(ReplyTo { event: None, ack: error.id }, refusal);
            }
        }
    }
}

/// One client, from its arrival to its end. What it comes on need not be TCP.
pub(crate) async fn serve(socket: impl AsyncRead + AsyncWrite, address: IpAddr, gateway: Gateway) {
    // Kept to the end: while it is there, the connection counts.
    let Ok(_place) = gateway.admit(Some(address)) else { return };
    if gateway.is_draining() {
        return;
    }
    let lines = Arc::new(Lines::new());
    let connection = gateway.connect(Box::new(LineOutbox(Arc::clone(&lines))), Some(address));
    let (read, write) = tokio::io::split(socket);
    let why = tokio::select! {
        _ = receive(read, &connection) => "the client is gone",
        _ = lines.send(write) => "closed",
        () = lines.overdue() => "too slow",
    };
    // Who still holds the outbox is not to wait for it. The connection is cleaned up by being dropped.
    lines.end(Stage::Cut);
    connection.log_end("lines", why);
}

/// Serves every client that comes, until `stop` resolves; then lets them go in good order.
pub(crate) async fn run(listener: TcpListener, gateway: Gateway, stop: impl Future<Output = ()>) {
    let mut clients = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => drop(clients.spawn(serve(socket, peer.ip(), gateway.clone()))),
                // One client's misfortune, or too many open files: not the end of the others.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            },
            Some(_) = clients.join_next() => {}
        }
    }
    drop(listener);
    let _ = timeout(Duration::from_secs(10), gateway.drain(Duration::from_secs(1), Duration::from_secs(1))).await;
    gateway.close_now().await;
    // Within GRACE.
    while clients.join_next().await.is_some() {}
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open("sqlite://gossip.db", Duration::from_secs(2)).await?);
    let verifier = Verifier::new(Key::secret(&std::env::var("JWT_SECRET")?), VerifierConfig::default());
    let gateway = Gateway::start(GatewayConfig::default(), Arc::clone(&store), verifier, Arc::new(SystemEnv)).await?;
    let listener = TcpListener::bind("127.0.0.1:4000").await?;
    run(listener, gateway, async { drop(tokio::signal::ctrl_c().await) }).await;
    Ok(store.close().await?)
}
