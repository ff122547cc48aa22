//! Clients that send as fast as TCP takes it, and only then read the answers. What the daemon has taken in of it is
//! told from outside: what was handed to TCP, but for what the kernel still holds.

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gossip_core::env::Env;
use gossip_hub::SystemEnv;
use gossip_proto::id::RoomId;
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::database::Database;
use super::process::Process;
use crate::support::server::{new_room, new_user, token};
use crate::support::within;

const SENDERS: usize = 20;
/// Characters of a post.
const CONTENT: usize = 1_900;
/// The header of a client's frame of this size.
const FRAME_HEADER: usize = 8;
/// Ids begin here, so that all have as many digits.
const FIRST_ID: u64 = 100_000;
/// Bytes that the client's kernel holds for each: little, so that it is soon the daemon that must say stop.
const SEND_BUFFER: u32 = 16 * 1024;
/// Commands that the daemon may have: those queued, a batch, and for each sender two on their way into the queue and
/// what one buffer of 64 KiB holds.
const TAKEN_MAX: u64 = 4_096 + 512 + SENDERS as u64 * (2 + 32);

/// What the daemon may grow by with these: 2 KiB of text each, as much again for what is around it, and what its
/// allocator keeps.
pub(crate) const TAKEN_KIB_MAX: usize = 32 * 1024;
/// What it may grow by beyond that while it answers: a client that is slow to read lets its answers pile up. The bound
/// of what may wait for one is 4 MiB.
pub(crate) const ANSWERS_KIB_MAX: usize = SENDERS * 4 * 1024;

const TICK: Duration = Duration::from_millis(50);

type Socket = WebSocketStream<tokio::net::TcpStream>;

pub(crate) struct Senders {
    server: SocketAddr,
    waiting: Vec<(RoomId, Socket)>,
    /// The clients' ports.
    ports: Vec<u16>,
    /// Frames handed to TCP as a whole.
    written: Arc<AtomicU64>,
    is_enough: Arc<AtomicBool>,
    /// The contents that were acked, in their order.
    working: JoinSet<Vec<String>>,
    acked: BTreeSet<String>,
}

/// How it stands when no sender gets on.
#[derive(Debug)]
pub(crate) struct Full {
    /// Commands that were handed to TCP.
    pub(crate) written: u64,
    pub(crate) in_kernel: u64,
    /// Commands that the daemon has read and not answered, at most.
    pub(crate) taken: u64,
}

impl Full {
    pub(crate) fn assert_bounded(&self) {
        assert!(self.taken <= TAKEN_MAX, "{self:?}");
    }
}

impl Senders {
    pub(crate) async fn connect(server: SocketAddr) -> Senders {
        let rooms = [(); 5].map(|()| new_room());
        let (mut waiting, mut ports) = (Vec::new(), Vec::new());
        for number in 0..SENDERS {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_send_buffer_size(SEND_BUFFER).unwrap();
            let stream = socket.connect(server).await.unwrap();
            ports.push(stream.local_addr().unwrap().port());
            let mut request = format!("ws://{server}/gossip/ws").into_client_request().unwrap();
            let token = token(new_user(), "user", SystemEnv.now().plus(Duration::from_secs(86_400)));
            request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
            let (socket, _) = within("websocket", tokio_tungstenite::client_async(request, stream)).await.unwrap();
            waiting.push((rooms[number % rooms.len()], socket));
        }
        let (working, acked) = (JoinSet::new(), BTreeSet::new());
        Senders { server, waiting, ports, written: Arc::default(), is_enough: Arc::default(), working, acked }
    }

    pub(crate) fn start(&mut self) {
        for (number, (room, socket)) in self.waiting.drain(..).enumerate() {
            let (written, is_enough) = (Arc::clone(&self.written), Arc::clone(&self.is_enough));
            self.working.spawn(send(number, room, socket, written, is_enough));
        }
    }

    /// Waits until no sender gets on any more, and has them stop.
    pub(crate) async fn stuck(&self) -> Full {
        let written = || self.written.load(Ordering::SeqCst);
        let (mut before, mut steady) = (0, 0);
        within("a full queue", async {
            while steady < 20 {
                // tidy: sleep because a write that must wait cannot be told from one that is about to be done
                tokio::time::sleep(TICK).await;
                steady = if written() > before { 0 } else { steady + 1 };
                before = written();
            }
        })
        .await;
        let frame = (FRAME_HEADER + text(0, new_room(), FIRST_ID).len()) as u64;
        let in_kernel = self.in_kernel();
        // Each may have written a part of its next frame.
        let taken = (written() + SENDERS as u64).saturating_sub(in_kernel / frame);
        self.is_enough.store(true, Ordering::SeqCst);
        Full { written: written(), in_kernel: in_kernel / frame, taken }
    }

    /// Bytes that were handed to TCP and not read from it: not sent or not acknowledged on the client's side, not read on
    /// the server's.
    fn in_kernel(&self) -> u64 {
        let table = read_to_string("/proc/net/tcp").unwrap();
        let port = |address: &str| u16::from_str_radix(address.split(':').nth(1).unwrap(), 16).unwrap();
        let sockets = table.lines().skip(1).map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (unsent, unread) = words[4].split_once(':').unwrap();
            let bytes = |hex| u64::from_str_radix(hex, 16).unwrap();
            (port(words[1]), port(words[2]), bytes(unsent), bytes(unread))
        });
        let server = self.server.port();
        let held = sockets.map(|(local, remote, unsent, unread)| match () {
            () if remote == server && self.ports.contains(&local) => unsent,
            () if local == server && self.ports.contains(&remote) => unread,
            () => 0,
        });
        held.sum()
    }

    /// Waits until every command is answered; gives the most memory that the daemon had meanwhile, in KiB.
    pub(crate) async fn answered(&mut self, process: &Process) -> usize {
        let mut peak = process.resident_kib();
        let mut ticks = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                answered = within("answers", self.working.join_next()) => match answered {
                    Some(acked) => self.acked.extend(acked.unwrap()),
                    None => return peak,
                },
                _ = ticks.tick() => peak = peak.max(process.resident_kib()),
            }
        }
    }

    /// Every command is in the database, once.
    pub(crate) async fn compare(self, database: &Database) {
        assert_eq!(self.acked.len() as u64, self.written.load(Ordering::SeqCst));
        let rows = database.rows(r#"SELECT "content" FROM "gossip_intents" ORDER BY "content""#).await;
        let contents: Vec<String> = rows.into_iter().map(|mut row| row.remove(0).unwrap()).collect();
        assert!(contents.iter().eq(&self.acked), "{} rows", contents.len());
    }
}

fn content(sender: usize, id: u64) -> String {
    format!("{sender:04} {id} {}", "x".repeat(CONTENT))
}

fn text(sender: usize, room: RoomId, id: u64) -> String {
    let data = json!({ "roomId": room, "content": content(sender, id) });
    format!(r#"{{"id":{id},"event":"new_gossip","data":{data}}}"#)
}

/// Sends until it is enough, and then takes an answer to each. Its commands take effect in the order sent.
async fn send(
    sender: usize,
    room: RoomId,
    mut socket: Socket,
    written: Arc<AtomicU64>,
    is_enough: Arc<AtomicBool>,
) -> Vec<String> {
    let mut next = FIRST_ID;
    while !is_enough.load(Ordering::SeqCst) {
        socket.send(text(sender, room, next).into()).await.unwrap();
        written.fetch_add(1, Ordering::SeqCst);
        next += 1;
    }
    let mut acked = Vec::new();
    let mut last = 0;
    for id in FIRST_ID..next {
        let (answered, answer) = answer(&mut socket).await;
        assert_eq!((answered, &answer["status"]), (id, &json!("success")), "{answer}");
        let seq = answer["seq"].as_u64().unwrap();
        assert!(seq > last, "{seq} after {last}");
        last = seq;
        assert_eq!(answer["intent"]["content"], content(sender, id));
        acked.push(content(sender, id));
    }
    // One ack each: after the last there is nothing but the answer to this.
    let end = format!(r#"{{"id":{next},"event":"leave_room","data":{{"roomId":"{room}"}}}}"#);
    socket.send(end.into()).await.unwrap();
    assert_eq!(answer(&mut socket).await, (next, json!({ "status": "left", "roomId": room })));
    acked
}

async fn answer(socket: &mut Socket) -> (u64, Value) {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let mut frame: Value = serde_json::from_str(&text).unwrap();
                return (frame["id"].as_u64().unwrap(), frame["data"].take());
            }
            Some(Ok(Message::Ping(_))) => {}
            other => panic!("no answer but {other:?}"),
        }
    }
}
