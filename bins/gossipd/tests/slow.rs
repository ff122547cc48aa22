//! Clients that read more slowly than events come (contract §4, Slow readers): they lag and lose nothing, hold little
//! of the server's memory and nobody up; those that read nothing do not stay.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gossip_hub::{SlowReaders, SystemEnv};
use gossip_proto::id::RoomId;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use support::server::{Home, Server, new_room, new_user};
use support::within;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Posts so many, 8 KiB each, while a member that reads gets them.
async fn post(server: &Server, room: RoomId, count: u64) {
    let (mut author, mut member) = (server.plain("user").await, server.client("user").await);
    let joined = member.call("join_room", json!({ "roomId": room })).await;
    let data = json!({ "roomId": room, "content": "🦀".repeat(2000) }).to_string();
    let mut seq = joined["seq"].as_u64().unwrap();
    let last = seq + count;
    while seq < last {
        let some = (last - seq).min(100);
        let mut ids = Vec::new();
        for _ in 0..some {
            ids.push(author.emit("new_gossip", &data).await);
        }
        let acks = async {
            for id in ids {
                assert_eq!(author.ack(id).await["status"], "success");
            }
        };
        let updates = async {
            for _ in 0..some {
                seq += 1;
                assert_eq!(member.update().await["seq"], seq);
            }
        };
        tokio::join!(acks, updates);
    }
}

/// More than sockets and a queue take.
const MANY: u64 = 1_200;

/// A Socket.IO client that reads when it is told to, and has little room for what it has not read.
struct Reader {
    socket: WebSocketStream<TcpStream>,
    /// The last offset, of a client that can be recovered.
    offset: Option<String>,
    /// What the handshake was answered.
    connected: Value,
}

impl Reader {
    async fn connect(address: SocketAddr, auth: Value) -> Reader {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(address).await.unwrap();
        let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
        let (socket, _) = within("websocket", tokio_tungstenite::client_async(url, stream)).await.unwrap();
        let mut reader = Reader { socket, offset: None, connected: Value::Null };
        assert!(reader.packet().await.unwrap().starts_with("0{"));
        reader.write(&format!("40/gossip,{auth}")).await;
        let answer = reader.packet().await.unwrap();
        reader.connected = serde_json::from_str(answer.strip_prefix("40/gossip,").unwrap()).unwrap();
        reader
    }

    async fn write(&mut self, packet: &str) {
        self.socket.send(packet.into()).await.unwrap();
    }

    /// The next packet that is no ping; nothing after the end.
    async fn packet(&mut self) -> Option<String> {
        loop {
            match within("packet", self.socket.next()).await {
                Some(Ok(Message::Text(text))) if text.as_str() == "2" => self.write("3").await,
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn join(&mut self, room: RoomId) -> Value {
        self.write(&format!(r#"42/gossip,7["join_room",{}]"#, json!({ "roomId": room }))).await;
        loop {
            let packet = self.packet().await.unwrap();
            if let Some(ack) = packet.strip_prefix("43/gossip,7") {
                return serde_json::from_str::<Value>(ack).unwrap()[0].take();
            }
            self.note_offset(&packet);
        }
    }

    fn note_offset(&mut self, packet: &str) -> Vec<Value> {
        let args: Vec<Value> = serde_json::from_str(packet.strip_prefix("42/gossip,").unwrap()).unwrap();
        if let Some(Value::String(offset)) = args.get(2) {
            self.offset = Some(offset.clone());
        }
        args
    }

    /// The seq of the next update.
    async fn seq(&mut self) -> u64 {
        loop {
            let packet = self.packet().await.unwrap();
            let args = self.note_offset(&packet);
            if args[0] == "gossip_update" {
                return args[1]["seq"].as_u64().unwrap();
            }
        }
    }

    async fn gets(&mut self, seqs: std::ops::RangeInclusive<u64>) {
        for seq in seqs {
            assert_eq!(self.seq().await, seq);
        }
    }
}

fn slow_readers(server: &Server) -> SlowReaders {
    server.daemon.gateway().slow_readers()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_reading_gets_everything_once_when_it_goes_on() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&[]).await;
    let room = new_room();
    let mut slow = Reader::connect(server.address(), json!({ "token": server.token("user") })).await;
    assert_eq!(slow.join(room).await["seq"], 0);
    // Who posts waits for a member that reads: this one holds nobody up.
    post(&server, room, MANY).await;
    assert_eq!(slow_readers(&server), SlowReaders { lagged: 1, closed: 0 });
    slow.gets(1..=100).await;
    // It goes on lagging while more comes than it reads.
    tokio::join!(post(&server, room, 100), slow.gets(101..=MANY));
    slow.gets(MANY + 1..=MANY + 100).await;
    assert_eq!(slow_readers(&server).closed, 0);
    // It has caught up, and gets what comes as it comes, in whatever room.
    assert_eq!(slow.join(room).await["seq"], MANY + 100);
    post(&server, room, 1).await;
    slow.gets(MANY + 101..=MANY + 101).await;
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_never_reads_is_closed_and_told_why() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&["--ping-interval", "1500ms", "--ping-timeout", "1500ms"]).await;
    let room = new_room();
    let mut slow = Reader::connect(server.address(), json!({ "token": server.token("user") })).await;
    slow.join(room).await;
    post(&server, room, MANY).await;
    let gone = async {
        while slow_readers(&server).closed == 0 {
            tokio::task::yield_now().await;
        }
    };
    within("the end of a client that does not read", gone).await;
    assert_eq!(slow_readers(&server).lagged, 1);
    let mut seen = 0;
    while let Some(packet) = slow.packet().await {
        seen += 1;
        assert_eq!(slow.note_offset(&packet)[1]["seq"], seen);
    }
    assert!(seen < MANY, "{seen}");
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_ends_in_time_whoever_lags() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&[]).await;
    let room = new_room();
    let mut slow = Reader::connect(server.address(), json!({ "token": server.token("user") })).await;
    slow.join(room).await;
    post(&server, room, MANY).await;
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_polls_slowly_gets_everything_once_and_no_poll_is_long() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&[]).await;
    let room = new_room();
    let mut polling = server.polling("user").await;
    let joined = polling.ask("join_room", &json!({ "roomId": room }).to_string()).await.unwrap();
    assert_eq!(joined["seq"], 0);
    // More than the hard bound, between two polls.
    post(&server, room, 700).await;
    assert_eq!(slow_readers(&server), SlowReaders { lagged: 1, closed: 0 });
    let (mut seq, mut since_poll) = (0, 0);
    while seq < 700 {
        let packet = within("packet", polling.packet()).await.unwrap();
        let Some(args) = packet.strip_prefix("42/gossip,") else { panic!("{packet}") };
        let args: Value = serde_json::from_str(args).unwrap();
        seq += 1;
        assert_eq!(args[1]["seq"], seq);
        since_poll += packet.len();
        if polling.is_empty() {
            assert!(since_poll < 512 << 10, "{since_poll} bytes waited");
            since_poll = 0;
        }
    }
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_cut_off_while_it_lags_is_recovered_with_what_it_has_not_read() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&[]).await;
    let (rooms, user) = ([new_room(), new_room()], new_user());
    let token = server.token_of(user, "user");
    let mut slow = Reader::connect(server.address(), json!({ "token": token, "recover": true })).await;
    for room in rooms {
        slow.join(room).await;
    }
    post(&server, rooms[0], MANY).await;
    post(&server, rooms[1], 10).await;
    assert_eq!(slow_readers(&server).lagged, 1);
    // So much that some of it was in the log alone.
    slow.gets(1..=MANY - 100).await;
    let (pid, offset) = (slow.connected["pid"].clone(), slow.offset.clone().unwrap());
    drop(slow);

    let auth = json!({ "token": token, "recover": true, "pid": pid, "offset": offset });
    let mut back = Reader::connect(server.address(), auth).await;
    assert_eq!(back.connected["pid"], pid);
    back.gets(MANY - 99..=MANY).await;
    back.gets(1..=10).await;
    post(&server, rooms[0], 1).await;
    back.gets(MANY + 1..=MANY + 1).await;
    assert!(server.daemon.stop().await);
}

/// The server's database, to do with as one likes.
async fn meddle(home: &Home) -> SqliteConnection {
    let mut database = home.database().await;
    let list = sqlx::query_as::<_, (i64, String, String)>("PRAGMA database_list").fetch_one(&mut database).await;
    SqliteConnectOptions::new().filename(list.unwrap().2).connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_away_for_a_while_is_waited_for() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&["--store-timeout", "1s"]).await;
    let room = new_room();
    let mut slow = Reader::connect(server.address(), json!({ "token": server.token("user") })).await;
    slow.join(room).await;
    post(&server, room, MANY).await;
    let mut database = meddle(&home).await;
    let rename = |from: &str, to: &str| format!("ALTER TABLE {from} RENAME TO {to}");
    sqlx::query(sqlx::AssertSqlSafe(rename("gossip_log", "gossip_log_away"))).execute(&mut database).await.unwrap();
    // What was queued before comes, and more is asked for, in vain.
    let mut seen = 0;
    while let Ok(seq) = timeout(Duration::from_millis(500), slow.seq()).await {
        seen += 1;
        assert_eq!(seq, seen);
    }
    assert!(seen < MANY);
    sqlx::query(sqlx::AssertSqlSafe(rename("gossip_log_away", "gossip_log"))).execute(&mut database).await.unwrap();
    slow.gets(seen + 1..=MANY).await;
    assert_eq!(slow_readers(&server).closed, 0);
    assert!(server.daemon.stop().await);
}
