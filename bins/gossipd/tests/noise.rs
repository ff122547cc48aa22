//! Random bytes and valid frames broken at random, on every way in: the process lives, nothing in it panics, somebody
//! else's connection gets its answers and its events, and nothing of the noise stays behind. What the answers to single
//! payloads must be is in `hostile.rs`.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use gossip_hub::SystemEnv;
use gossip_proto::id::RoomId;
use serde_json::{Value, json};
use support::polling::Polling;
use support::rng::{self, Rng};
use support::server::{Home, Server, new_room};
use support::websocket::{Client, open};
use support::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

const BATCHES: usize = 200;
/// At the same time, each on a connection of its own.
const ATTACKERS: usize = 6;
/// On one connection, if it lives so long.
const FRAMES: usize = 12;

/// What frames are broken from.
struct Corpus {
    address: SocketAddr,
    token: String,
    socket_io: Vec<String>,
    plain: Vec<String>,
}

/// What is put into frames to break them.
const SNIPPETS: [&str; 22] = [
    "[",
    "]",
    "{",
    "}",
    "\"",
    ",",
    ":",
    "\\",
    "\\ud800",
    "\\u0000",
    "\0",
    "\u{1e}",
    "1e400",
    "-1",
    "18446744073709551616",
    r#"{"__proto__":{}}"#,
    r#"{"_placeholder":true,"num":0}"#,
    "null",
    "451-/gossip,",
    "42/gossip,",
    "🦀",
    "[[[[[[[[[[[[[[[[[",
];

impl Corpus {
    fn new(server: &Server, room: RoomId, intent: &Value) -> Corpus {
        let token = server.token("admin");
        let events = [
            ("authenticate", json!({ "token": token })),
            ("join_room", json!({ "roomId": room, "since": 0, "history": 10 })),
            ("leave_room", json!({ "roomId": room })),
            ("new_gossip", json!({ "roomId": room, "content": "noise", "metadata": { "a": [1] }, "requestId": "r" })),
            ("update_gossip", json!({ "intentId": intent, "status": "verified", "reason": "so" })),
            ("vote_gossip", json!({ "intentId": intent, "action": "upvote" })),
            ("comment_gossip", json!({ "intentId": intent, "content": "noise" })),
            ("list_gossip", json!({ "roomId": room, "limit": 5, "status": "pending" })),
            ("get_gossip", json!({ "intentId": intent })),
            ("list_updates", json!({ "intentId": intent, "limit": 5 })),
        ];
        let mut socket_io: Vec<String> =
            ["2", "3", "5", "6", "1", "41/gossip,", "40/other,", "43/gossip,5[1]", "bAAAA", "42[\"x\"]"]
                .map(str::to_owned)
                .into();
        socket_io.push(r#"452-/gossip,6["new_gossip",{"content":{"_placeholder":true,"num":1}}]"#.to_owned());
        let mut plain = Vec::new();
        for (id, (event, data)) in events.iter().enumerate() {
            socket_io.push(format!(r#"42/gossip,{id}["{event}",{data}]"#));
            socket_io.push(format!(r#"42/gossip,["{event}",{data}]"#));
            plain.push(json!({ "event": event, "data": data, "id": id }).to_string());
        }
        Corpus { address: server.address(), token, socket_io, plain }
    }
}

/// Noise, or one of `valid` with up to four things done to it.
fn broken(rng: &mut Rng, valid: &[String]) -> Vec<u8> {
    if rng.below(8) == 0 {
        return rng.bytes(300);
    }
    let mut frame = rng.pick(valid).clone().into_bytes();
    for _ in 0..rng.below(5) {
        let (a, b) = (rng.below(frame.len() + 1), rng.below(frame.len() + 1));
        let (from, to) = (a.min(b), a.max(b));
        match rng.below(6) {
            0 => drop(frame.drain(from..to.min(from + 8))),
            1 => frame.truncate(to),
            2 => drop(frame.splice(from..from, rng.pick(&SNIPPETS).bytes())),
            3 => drop(frame.splice(from..to.min(from + 20), rng.pick(&SNIPPETS).bytes())),
            4 => {
                let again = frame[from..to].to_vec();
                frame.splice(to..to, again);
            }
            _ if from < frame.len() => frame[from] ^= 1 << rng.below(8),
            _ => {}
        }
    }
    frame
}

/// Broken frames in whole WebSocket messages: text, text that is no UTF-8, or binary.
async fn messages(rng: &mut Rng, corpus: &Corpus) -> usize {
    let is_plain = rng.below(2) == 0;
    let path = if is_plain { "/gossip/ws" } else { "/socket.io/?EIO=4&transport=websocket" };
    let mut socket = open(corpus.address, path, Some(&corpus.token).filter(|_| is_plain).map(String::as_str)).await;
    if !is_plain && rng.below(8) > 0 {
        let auth = json!({ "token": corpus.token });
        socket.send(format!("40/gossip,{auth}").into()).await.unwrap();
    }
    let valid = if is_plain { &corpus.plain } else { &corpus.socket_io };
    for _ in 0..FRAMES {
        let kind = if rng.below(6) == 0 { Data::Binary } else { Data::Text };
        let frame = Frame::message(broken(rng, valid), OpCode::Data(kind), true);
        // The server may have had enough of it already.
        if socket.send(Message::Frame(frame)).await.is_err() {
            break;
        }
    }
    // Closed in good order, so that the server has read all of it.
    if socket.close(None).await.is_ok() {
        within("the end", async { while let Some(Ok(_)) = socket.next().await {} }).await;
    }
    FRAMES
}

/// Whatever, on a WebSocket below the level of frames.
async fn frames(rng: &mut Rng, corpus: &Corpus) -> usize {
    let mut bytes = upgrade("/socket.io/?EIO=4&transport=websocket").into_bytes();
    bytes.extend(masked(rng, 0x81, format!("40/gossip,{}", json!({ "token": corpus.token })).as_bytes()));
    for _ in 0..FRAMES {
        let payload = broken(rng, &corpus.socket_io);
        // Mostly whole text messages; else any flags and opcode.
        let first = if rng.below(3) > 0 { 0x81 } else { rng.next() as u8 };
        let mut frame = masked(rng, first, &payload);
        match rng.below(8) {
            0 => frame[1] ^= 1 << rng.below(8),
            1 => frame.truncate(rng.below(frame.len())),
            2 => frame.splice(1..2, [0xff, rng.next() as u8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).for_each(drop),
            _ => {}
        }
        bytes.extend(frame);
    }
    raw(corpus.address, &bytes).await;
    FRAMES
}

fn upgrade(target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A client's frame (RFC 6455 §5.2).
fn masked(rng: &mut Rng, first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = (rng.next() as u32).to_be_bytes();
    let mut frame = vec![first];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 126);
            frame.extend((long as u16).to_be_bytes());
        }
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Requests broken at random, or no requests at all.
async fn requests(rng: &mut Rng, corpus: &Corpus) -> usize {
    let polling = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n";
    let post =
        "POST /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n40/gossip";
    let stats = format!("GET /v1/stats HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", corpus.token);
    let mut valid = vec![polling.to_owned(), post.to_owned(), stats, upgrade("/gossip/ws")];
    valid.push(
        "GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a\r\n\r\n5\r\nabcde\r\n0\r\n\r\n".to_owned(),
    );
    for _ in 0..FRAMES / 4 {
        raw(corpus.address, &broken(rng, &valid)).await;
    }
    FRAMES / 4
}

/// Sends bytes and reads to the end of whatever comes.
async fn raw(address: SocketAddr, bytes: &[u8]) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let (mut from, mut to) = stream.split();
    let write = async {
        // It may be cut off at any time.
        let _ = to.write_all(bytes).await;
        let _ = to.shutdown().await;
    };
    let read = async { from.read_to_end(&mut Vec::new()).await };
    let _ = within("the end", async { tokio::join!(write, read) }).await;
}

/// Broken packets, one or several to a POST.
async fn posts(rng: &mut Rng, corpus: &Corpus) -> usize {
    let token = Some(corpus.token.as_str());
    let Ok(mut polling) = within("a polling session", Polling::connect(corpus.address, token)).await else { return 0 };
    for _ in 0..FRAMES {
        let mut body = broken(rng, &corpus.socket_io);
        for _ in 0..rng.below(3) {
            body.push(0x1e);
            body.extend(broken(rng, &corpus.socket_io));
        }
        match within("an answer", polling.post(&body)).await {
            Ok(answer) => assert!(matches!(answer.status, 200 | 400), "{}", answer.status),
            Err(error) => panic!("no answer to a POST: {error}"),
        }
    }
    // In most cases it is gone already.
    drop(within("an answer", polling.post(b"1")).await);
    FRAMES
}

async fn attack(mut rng: Rng, corpus: Arc<Corpus>) -> usize {
    match rng.below(5) {
        0 | 1 => messages(&mut rng, &corpus).await,
        2 => frames(&mut rng, &corpus).await,
        3 => posts(&mut rng, &corpus).await,
        _ => requests(&mut rng, &corpus).await,
    }
}

/// Asks for something and takes what happened meanwhile: the next events, none left out.
async fn lives(healthy: &mut Client, room: RoomId, seq: &mut u64) {
    let posted = healthy.call("new_gossip", json!({ "roomId": room, "content": "still here" })).await;
    while Some(*seq) != posted["seq"].as_u64() {
        *seq += 1;
        assert_eq!(healthy.update().await["seq"], *seq);
    }
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_hurts_nobody_else() {
    let seed = rng::seed();
    println!("GOSSIPD_TEST_SEED={seed}");
    // A panic of a task of the server's would go unnoticed otherwise.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        tell(panic);
    }));
    let mut rng = Rng::new(seed);
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&[]).await;
    let room = new_room();
    let mut healthy = server.client("user").await;
    healthy.call("join_room", json!({ "roomId": room })).await;
    let posted = healthy.call("new_gossip", json!({ "roomId": room, "content": "psst" })).await;
    let corpus = Arc::new(Corpus::new(&server, room, &posted["intent"]["id"]));

    let (mut cases, mut seq) = (0, 0);
    for _ in 0..BATCHES {
        let mut attackers = JoinSet::new();
        for _ in 0..ATTACKERS {
            attackers.spawn(attack(rng.fork(), Arc::clone(&corpus)));
        }
        while let Some(attacked) = attackers.join_next().await {
            cases += attacked.unwrap();
        }
        lives(&mut healthy, room, &mut seq).await;
    }
    assert!(cases >= 2_000, "{cases}");
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "the server panicked");
    within("the last attacker's end", async {
        let left = || {
            let stats = server.daemon.gateway().connection_stats();
            (stats.active_connections, stats.users_connected, stats.rooms_subscribed)
        };
        while left() != (1, 1, 1) {
            lives(&mut healthy, room, &mut seq).await;
        }
    })
    .await;
}
