//! One event on its way to every member of a room, in deliveries a second: one broadcast, and 32 in a row. First to
//! members that only count, which leaves the hub's own work (and about one atomic operation of theirs a flush); then to
//! 200 plain WebSockets on the loopback through the whole stack, until one thread has read every byte. Not measured:
//! commits, and the runs of events that they cause (see `commit` and `encode`), masked frames coming in, clients that
//! read slowly, and a network.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gossip_benches::update;
use gossip_core::access::{Identity, Role, RoomAccess, RoomsClaim};
use gossip_core::env::Env;
use gossip_hub::{
    Claims, Close, Connection, Event, Gateway, GatewayConfig, Key, LimitMode, LimitsConfig, Outbox, ReplyTo, SystemEnv,
    Verifier, VerifierConfig,
};
use gossip_proto::frame::{Opcode, encode_frame};
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::plain::encode_event;
use gossip_proto::refusal::Refusal;
use gossip_proto::reply::Reply;
use gossip_store::sqlite::SqliteStore;
use gossip_ws::gossip::{GossipService, ServiceConfig};
use gossip_ws::listener;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use uuid::Uuid;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than any run.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const SECRET: &str = "a secret of at least thirty-two bytes";
const ROOM: RoomId = RoomId(Uuid::from_u128(1));
const EVENT: &str = "gossip_update";
/// Broadcasts in a row.
const BURSTS: [u64; 2] = [1, 32];
const SOCKETS: u64 = 200;

fn user(number: u64) -> UserId {
    UserId(Uuid::from_u128(u128::from(number)))
}

fn join() -> Box<RawValue> {
    RawValue::from_string(format!(r#"{{"roomId":"{ROOM}"}}"#)).unwrap()
}

/// The event's data: JSON already, so that broadcasting copies it and no more.
fn data() -> Box<RawValue> {
    RawValue::from_string(update(1, 1)).unwrap()
}

async fn gateway(folder: &Path) -> Gateway {
    let store = SqliteStore::open_path(&folder.join("gossip.db"), TIMEOUT).await.unwrap();
    let limits = LimitsConfig { mode: LimitMode::Observe, ..LimitsConfig::default() };
    let config = GatewayConfig { room_access: Arc::new(RoomAccess::Open), limits, ..GatewayConfig::default() };
    let verifier = Verifier::new(Key::secret(SECRET), VerifierConfig::default());
    Gateway::start(config, Arc::new(store), verifier, Arc::new(SystemEnv)).await.unwrap()
}

/// What is on its way to the members of one shard, on a cache line of its own. Where shards do not take turns any more,
/// the count is the same and only costs more.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line {
    left: AtomicU64,
}

/// What is on its way, counted down by those who get it.
#[derive(Debug)]
struct Tally {
    lines: Vec<Line>,
    open: AtomicUsize,
    done: Notify,
}

impl Tally {
    fn new(lines: usize) -> Tally {
        Tally { lines: (0..lines).map(|_| Line::default()).collect(), open: AtomicUsize::new(0), done: Notify::new() }
    }

    /// Begins anew: `each` for each of `members`, dealt out to the lines in turn.
    fn expect(&self, members: usize, each: u64) {
        self.open.store(self.lines.len().min(members), Ordering::SeqCst);
        for (index, line) in self.lines.iter().enumerate() {
            let dealt = members.saturating_sub(index).div_ceil(self.lines.len()) as u64;
            line.left.store(dealt * each, Ordering::SeqCst);
        }
    }

    fn arrived(&self, line: usize, count: u64) {
        if self.lines[line].left.fetch_sub(count, Ordering::SeqCst) == count
            && self.open.fetch_sub(1, Ordering::SeqCst) == 1
        {
            self.done.notify_one();
        }
    }

    /// Waits for all of it; a fault, such as a refusal, would leave some of it out.
    async fn complete(&self) {
        tokio::time::timeout(TIMEOUT, self.done.notified()).await.unwrap();
    }
}

/// A member that only counts what it is sent.
struct Counter {
    tally: Arc<Tally>,
    line: usize,
    /// Since the last flush. Its shard alone comes here, so that reading and writing need not be one.
    queued: AtomicU64,
}

impl Counter {
    fn queue(&self) {
        self.queued.store(self.queued.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }
}

impl Outbox for Counter {
    fn event(&self, _: &Arc<Event>) {
        self.queue();
    }

    fn reply(&self, _: &ReplyTo, reply: &Result<Reply, Refusal>) {
        if reply.is_ok() {
            self.queue();
        }
    }

    fn flush(&self) {
        let queued = self.queued.load(Ordering::Relaxed);
        self.queued.store(0, Ordering::Relaxed);
        if queued > 0 {
            self.tally.arrived(self.line, queued);
        }
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn close(&self, _: Close) {}

    fn is_closed(&self) -> bool {
        false
    }
}

/// A room full of them.
struct Counted {
    gateway: Gateway,
    members: Vec<Connection>,
    tally: Arc<Tally>,
    data: Box<RawValue>,
}

impl Counted {
    async fn new(folder: &Path, members: usize) -> Counted {
        let gateway = gateway(folder).await;
        let shards = GatewayConfig::default().shards;
        let tally = Arc::new(Tally::new(shards));
        tally.expect(members, 1);
        let connect = |index: usize| {
            let counter = Counter { tally: Arc::clone(&tally), line: index % shards, queued: AtomicU64::new(0) };
            let connection = gateway.connect(Box::new(counter), None);
            let (user, expires_at) = (user(index as u64), SystemEnv.now().plus(DAY));
            let identity = Identity { user, role: Role::User, rooms: RoomsClaim::All, expires_at, issued_at: None };
            connection.authenticate(gateway.seat(identity, None, None).unwrap());
            connection
        };
        let members: Vec<_> = (0..members).map(connect).collect();
        let join = join();
        for member in &members {
            member.receive("join_room", Some(&join), Some(1)).await;
        }
        tally.complete().await;
        Counted { gateway, members, tally, data: data() }
    }

    async fn broadcast(&self, times: u64) {
        self.tally.expect(self.members.len(), times);
        for _ in 0..times {
            self.gateway.broadcast_to_room(ROOM, EVENT, &self.data).await.unwrap();
        }
        self.tally.complete().await;
    }
}

fn counted(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = c.benchmark_group("fan-out to counters");
    for members in [1_000, 10_000] {
        let folder = tempfile::tempdir().unwrap();
        let room = runtime.block_on(Counted::new(folder.path(), members));
        for times in BURSTS {
            group.throughput(Throughput::Elements(members as u64 * times));
            group.bench_function(BenchmarkId::new(format!("{times} broadcasts"), members), |b| {
                b.iter(|| runtime.block_on(room.broadcast(times)));
            });
        }
    }
    group.finish();
}

/// A member on a plain WebSocket.
struct Socket(TcpStream);

impl Socket {
    fn join(server: SocketAddr, token: &str) -> Socket {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        let mut socket = Socket(stream);
        let request = format!(
            "GET /gossip/ws HTTP/1.1\r\nHost: {server}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        socket.0.write_all(request.as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(socket.read::<1>());
        }
        assert!(head.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&head));
        let join = format!(r#"{{"event":"join_room","data":{},"id":1}}"#, join());
        // A mask of zeros is one too (RFC 6455 §5.3), and 125 the longest that needs no longer head.
        let mut frame = vec![0x81, 0x80 | u8::try_from(join.len()).unwrap(), 0, 0, 0, 0];
        assert!(join.len() <= 125);
        frame.extend_from_slice(join.as_bytes());
        socket.0.write_all(&frame).unwrap();
        let [_, len] = socket.read();
        let mut reply = vec![0; usize::from(len)];
        socket.0.read_exact(&mut reply).unwrap();
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.contains(r#""status":"joined""#), "{reply}");
        socket
    }

    fn read<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }
}

/// Reads so many bytes of each, one after the other: what is not read yet, the kernel keeps.
fn drain(sockets: &mut [Socket], buffer: &mut [u8]) {
    for socket in sockets {
        socket.0.read_exact(buffer).unwrap();
    }
}

fn sockets(c: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let gateway = runtime.block_on(gateway(folder.path()));
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
    let server = listener.local_addr().unwrap();
    // No heartbeat among the bytes that are counted.
    let config = ServiceConfig { ping_interval: DAY, ..ServiceConfig::default() };
    let service = Arc::new(GossipService::new(gateway.clone(), &config, None));
    runtime.spawn(listener::serve(listener, service, listener::Config::default(), std::future::pending()));
    let connect = |number| {
        let exp = SystemEnv.now().plus(DAY).as_millis() / 1000;
        let claims = Claims { sub: user(number), iat: None, exp, role: "user", rooms: None, iss: None, aud: None };
        Socket::join(server, &Key::secret(SECRET).sign(&claims).unwrap())
    };
    let mut members: Vec<_> = (0..SOCKETS).map(connect).collect();

    let data = data();
    let broadcast = |times| {
        runtime.block_on(async {
            for _ in 0..times {
                gateway.broadcast_to_room(ROOM, EVENT, &data).await.unwrap();
            }
        });
    };
    let (frame, _) = encode_frame(Opcode::Text, encode_event(EVENT, data.get()).as_bytes());
    let mut group = c.benchmark_group("fan-out to sockets");
    for times in BURSTS {
        let bytes = frame.repeat(usize::try_from(times).unwrap());
        let mut buffer = vec![0; bytes.len()];
        group.throughput(Throughput::Elements(SOCKETS * times));
        group.bench_function(BenchmarkId::new(format!("{times} broadcasts"), SOCKETS), |b| {
            b.iter(|| {
                broadcast(times);
                drain(&mut members, &mut buffer);
            });
            assert!(buffer == bytes, "other bytes than the event's");
        });
    }
    group.finish();
    drop(members);
    runtime.shutdown_timeout(TIMEOUT);
}

criterion_group!(benches, counted, sockets);
criterion_main!(benches);
