//! Crowds that come, join rooms and vanish without a goodbye leave nothing behind in the daemon: no connection, no user,
//! no room, no file descriptor, no memory. The daemon is a process of its own here, so that its memory is nobody else's.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gossip_core::env::Env;
use gossip_hub::SystemEnv;
use gossip_proto::id::RoomId;
use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use support::http::Http;
use support::polling::Polling;
use support::server::{SECRET, new_room, new_user, token};
use support::websocket::Client;
use support::within;
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

const CLIENTS: usize = 2_000;
const ROUNDS: usize = 3;
const ROOMS: usize = 20;
const ROOMS_EACH: usize = 2;
/// How many come in at the same time.
const DOOR: usize = 64;
/// What memory at rest may grow by from the first round to a later one, in KiB: this, or a tenth.
const SLACK_KIB: usize = 4 * 1024;

/// gossipd as a process, ended with this.
struct Process {
    child: Child,
    address: SocketAddr,
    _directory: TempDir,
}

impl Process {
    fn start() -> Process {
        let directory = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_gossipd"))
            .current_dir(directory.path())
            .env_clear()
            .env("WS_HOST", "127.0.0.1")
            .env("WS_PORT", "0")
            .env("JWT_SECRET", SECRET)
            .env("RATE_LIMIT_MODE", "observe")
            .env("PING_INTERVAL", "1s")
            .env("PING_TIMEOUT", "1s")
            .env("LOG_LEVEL", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(address) = line.trim().strip_prefix("gossipd listening on http://") else { panic!("{line:?}") };
        Process { address: address.parse().unwrap(), child, _directory: directory }
    }

    /// Resident memory in KiB.
    fn resident_kib(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Resident memory in KiB, once it has stopped to fall: the allocator takes a second to give back what is free.
    async fn resident_kib_at_rest(&self) -> usize {
        let mut lowest = self.resident_kib();
        let mut steady = 0;
        while steady < 25 {
            // tidy: sleep because memory that is no longer given back cannot be told from memory not given back yet
            tokio::time::sleep(Duration::from_millis(50)).await;
            let now = self.resident_kib();
            steady = if now < lowest - lowest / 100 { 0 } else { steady + 1 };
            lowest = lowest.min(now);
        }
        lowest
    }

    fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    async fn stats(&self) -> Value {
        let bearer = format!("Authorization: Bearer {}\r\nConnection: close\r\n", good_token("service"));
        let mut http = Http::connect(self.address).await.unwrap();
        let answer = within("/v1/stats", http.get("/v1/stats", &bearer)).await.unwrap();
        serde_json::from_str(&answer.body).unwrap()
    }

    /// Connections, users and rooms.
    async fn crowd(&self) -> [u64; 3] {
        let stats = self.stats().await;
        ["activeConnections", "usersConnected", "roomsSubscribed"].map(|key| stats[key].as_u64().unwrap())
    }

    /// Asks again and again until `is_so`; within `seconds`, or says what it was instead.
    async fn until<T: std::fmt::Debug>(
        &self,
        seconds: u64,
        read: impl AsyncFn() -> T,
        is_so: impl Fn(&T) -> bool,
    ) -> T {
        let patience = tokio::time::Instant::now() + Duration::from_secs(seconds);
        loop {
            let now = read().await;
            if is_so(&now) {
                return now;
            }
            assert!(tokio::time::Instant::now() < patience, "after {seconds} s it still is {now:?}");
            // tidy: sleep because another process does not say when its figures change
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn good_token(role: &'static str) -> String {
    token(new_user(), role, SystemEnv.now().plus(Duration::from_secs(3_600)))
}

/// Two thousand sockets are more than many systems allow a process that does not ask.
fn allow_many_sockets() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// What is left of a client that vanished: one that fell silent still has its socket.
type Remains = Option<Client>;

#[derive(Clone)]
struct Invitation {
    address: SocketAddr,
    rooms: [RoomId; ROOMS_EACH],
    door: Arc<Semaphore>,
    inside: Arc<Semaphore>,
    over: watch::Receiver<bool>,
}

impl Invitation {
    /// Half of them say who they are in the handshake, half afterwards.
    async fn websocket(mut self, number: usize) -> Remains {
        let permit = self.door.acquire().await.unwrap();
        let token = good_token("user");
        let is_early = number.is_multiple_of(4);
        let mut client = Client::socket_io(self.address, Some(token.as_str()).filter(|_| is_early)).await;
        if !is_early {
            client.call("authenticate", json!({ "token": token })).await;
        }
        for room in self.rooms {
            client.call("join_room", json!({ "roomId": room })).await;
        }
        drop(permit);
        self.inside.add_permits(1);
        let over = async { self.over.wait_for(|over| *over).await.map(drop).unwrap() };
        tokio::select! {
            () = over => {}
            end = async { loop { client.event().await; } } => end,
        }
        // The one half ends its TCP connection, the other says nothing any more.
        Some(client).filter(|_| number.is_multiple_of(8) || number % 8 == 2)
    }

    async fn polling(mut self, number: usize) -> Remains {
        let permit = self.door.acquire().await.unwrap();
        let mut client = within("polling", Polling::open(self.address)).await.unwrap();
        let mut packets = vec![format!("40/gossip,{}", json!({ "token": good_token("user") }))];
        packets.extend(self.rooms.iter().enumerate().map(|(id, room)| {
            let data = json!({ "roomId": room });
            format!(r#"42/gossip,{id}["join_room",{data}]"#)
        }));
        let posted = within("post", client.post(packets.join("\u{1e}").as_bytes())).await.unwrap();
        assert_eq!(posted.status, 200);
        assert!(within("connect", client.packet()).await.unwrap().starts_with("40/gossip,"));
        for _ in self.rooms {
            let ack = within("join_room", client.packet()).await.unwrap();
            assert!(ack.starts_with("43/gossip,") && ack.contains(r#""status":"joined""#), "{ack}");
        }
        drop(permit);
        self.inside.add_permits(1);
        // The one half breaks off its poll; the other takes the answer of its last one, and that was it.
        let breaks_off = number % 4 == 1;
        while !*self.over.borrow_and_update() {
            within("drain", client.drain()).await.unwrap();
            tokio::select! {
                polled = within("poll", client.poll()) => polled.unwrap(),
                changed = self.over.changed(), if breaks_off => changed.unwrap(),
            }
        }
        None
    }
}

/// Lets a crowd in and vanish. Gives the memory at the peak.
async fn round(process: &Process) -> usize {
    let rooms = [(); ROOMS].map(|()| new_room());
    let (vanish, over) = watch::channel(false);
    let (door, inside) = (Arc::new(Semaphore::new(DOOR)), Arc::new(Semaphore::new(0)));
    let mut crowd = JoinSet::new();
    for number in 0..CLIENTS {
        let rooms = std::array::from_fn(|n| rooms[(number + n) % ROOMS]);
        let (door, inside, over) = (Arc::clone(&door), Arc::clone(&inside), over.clone());
        let invitation = Invitation { address: process.address, rooms, door, inside, over };
        if number.is_multiple_of(2) {
            crowd.spawn(invitation.websocket(number));
        } else {
            crowd.spawn(invitation.polling(number));
        }
    }
    let everybody = inside.acquire_many(CLIENTS as u32);
    let early_end = async { crowd.join_next().await.map(|left| left.map(drop)) };
    tokio::select! {
        all = everybody => drop(all.unwrap()),
        left = early_end => panic!("a client left early: {left:?}"),
    }
    let full = [CLIENTS as u64, CLIENTS as u64, ROOMS as u64];
    process.until(10, || process.crowd(), |crowd| *crowd == full).await;
    let mut author = Client::plain(process.address, Some(&good_token("service"))).await;
    for room in rooms {
        author.call("new_gossip", json!({ "roomId": room, "content": "x".repeat(500) })).await;
    }
    let peak = process.resident_kib();
    drop(author);
    vanish.send_replace(true);
    let remains = crowd.join_all().await;
    assert!(remains.iter().flatten().count() >= CLIENTS / 8);
    process.until(20, || process.crowd(), |crowd| *crowd == [0, 0, 0]).await;
    drop(remains);
    peak
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_vanishes_leaves_nothing_behind() {
    allow_many_sockets();
    let process = Process::start();
    assert_eq!(process.crowd().await, [0, 0, 0]);
    let before = process.resident_kib();
    let mut report = format!("RSS in KiB: {before} before");
    let mut rest: Option<(usize, usize)> = None;
    for number in 0..ROUNDS {
        let peak = round(&process).await;
        let resident = process.resident_kib_at_rest().await;
        // The first round opens what the daemon keeps for good, such as connections to its database.
        let descriptors_max = rest.map_or(64, |(descriptors, _)| descriptors);
        let descriptors = process.until(10, async || process.descriptors(), |open| *open <= descriptors_max).await;
        report += &format!("; round {number}: {peak} at its peak, {resident} after, {descriptors} descriptors");
        println!("{report}");
        if let Some((_, first)) = rest {
            assert!(resident <= (first + first / 10).max(first + SLACK_KIB), "{report}");
        }
        rest.get_or_insert((descriptors, resident));
    }
}
