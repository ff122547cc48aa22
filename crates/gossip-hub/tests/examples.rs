//! The examples of what can be one's own on a gateway, as they stand: a transport that is used by clients, a policy
//! whose answers change.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "its `main`")]
#[path = "../examples/access_policy.rs"]
mod access_policy;
#[expect(dead_code, reason = "its `main`")]
#[path = "../examples/custom_transport.rs"]
mod custom_transport;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gossip_hub::{Claims, Gateway, GatewayConfig, Key, LimitMode, LimitsConfig, SystemEnv, Verifier, VerifierConfig};
use gossip_proto::id::{RoomId, UserId};
use gossip_store::sqlite::SqliteStore;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use uuid::Uuid;

const SECRET: &str = "a secret of at least thirty-two bytes";
const ROOM: RoomId = RoomId(Uuid::from_u128(1));
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.unwrap()
}

/// A gateway that counts what is too much, and lets it pass.
async fn gateway() -> (Gateway, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_path(&dir.path().join("gossip.db"), Duration::from_secs(20)).await.unwrap();
    let limits = LimitsConfig { mode: LimitMode::Observe, ..LimitsConfig::default() };
    let config = GatewayConfig { limits, ..GatewayConfig::default() };
    let verifier = Verifier::new(Key::secret(SECRET), VerifierConfig::default());
    (Gateway::start(config, Arc::new(store), verifier, Arc::new(SystemEnv)).await.unwrap(), dir)
}

/// A client that sends and reads lines.
struct Client {
    read: Lines<BufReader<Box<dyn AsyncRead + Send + Unpin>>>,
    write: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Client {
    fn on(socket: impl AsyncRead + AsyncWrite + Send + 'static) -> Client {
        let (read, write) = tokio::io::split(socket);
        let read: Box<dyn AsyncRead + Send + Unpin> = Box::new(read);
        Client { read: BufReader::new(read).lines(), write: Box::new(write) }
    }

    /// On a socket that holds 1 KiB.
    fn new(gateway: &Gateway) -> Client {
        let (ours, theirs) = tokio::io::duplex(1024);
        tokio::spawn(custom_transport::serve(theirs, HERE, gateway.clone()));
        Client::on(ours)
    }

    /// Signs in and joins the room.
    async fn join(mut self) -> Client {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let claims = Claims {
            sub: UserId(Uuid::from_u128(7)),
            exp: i64::try_from(now).unwrap() + 3600,
            iat: None,
            role: "user",
            rooms: Some(json!("*")),
            iss: None,
            aud: None,
        };
        let token = Key::secret(SECRET).sign(&claims).unwrap();
        let answer = self.ask("authenticate", json!({ "token": token })).await;
        assert_eq!(answer["data"]["userId"], json!(claims.sub), "{answer}");
        let joined = self.ask("join_room", json!({ "roomId": ROOM })).await;
        assert_eq!(joined["data"]["status"], "joined", "{joined}");
        self
    }

    async fn line(&mut self, line: &str) {
        within(self.write.write_all(format!("{line}\n").as_bytes())).await.unwrap();
    }

    async fn send(&mut self, event: &str, data: Value) {
        self.line(&json!({ "event": event, "data": data, "id": 1 }).to_string()).await;
    }

    /// The next line; none at the end.
    async fn next(&mut self) -> Option<Value> {
        let line = within(self.read.next_line()).await.unwrap()?;
        Some(serde_json::from_str(&line).unwrap())
    }

    /// Sends, and takes the next line.
    async fn ask(&mut self, event: &str, data: Value) -> Value {
        self.send(event, data).await;
        self.next().await.unwrap()
    }
}

#[tokio::test]
async fn a_transport_of_ones_own_carries_events_both_ways() {
    let (gateway, _dir) = gateway().await;
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(custom_transport::run(listener, gateway.clone(), async { drop(stopped.await) }));
    let mut client = Client::on(TcpStream::connect(address).await.unwrap());
    let refused = client.ask("join_room", json!({ "roomId": ROOM })).await;
    assert_eq!((&refused["id"], &refused["data"]["code"]), (&json!(1), &json!("not_authenticated")));
    client.line("no JSON").await;
    let exception = client.next().await.unwrap();
    assert_eq!((&exception["event"], &exception["data"]["code"]), (&json!("exception"), &json!("invalid_input")));

    let mut member = Client::on(TcpStream::connect(address).await.unwrap()).join().await;
    let update = member.ask("new_gossip", json!({ "roomId": ROOM, "content": "psst" })).await;
    assert_eq!((&update["event"], &update["data"]["seq"]), (&json!("gossip_update"), &json!(1)), "{update}");
    assert_eq!(member.next().await.unwrap()["data"]["status"], "success");
    // Written over two lines by whoever broadcasts it.
    let data = serde_json::value::RawValue::from_string("{\n\"a\": 1}".to_owned()).unwrap();
    gateway.broadcast_to_room(ROOM, "notice", &data).await.unwrap();
    assert_eq!(member.next().await.unwrap(), json!({ "event": "notice", "data": { "a": 1 } }));

    stop.send(()).unwrap();
    assert_eq!(member.next().await.unwrap()["event"], "server_draining");
    let closed = json!({ "event": "closed", "data": { "reason": "server_draining", "stayAway": false } });
    assert_eq!(member.next().await, Some(closed));
    assert_eq!(member.next().await, None);
    within(running).await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_gets_everything_later() {
    const POSTS: u64 = 700;
    let (gateway, _dir) = gateway().await;
    let mut slow = Client::new(&gateway).join().await;
    let mut writer = Client::new(&gateway).join().await;
    let post = json!({ "roomId": ROOM, "content": "x".repeat(2000) });
    for seq in 1..=POSTS {
        // Its event, and then the answer.
        let update = writer.ask("new_gossip", post.clone()).await;
        assert_eq!(update["data"]["seq"], seq, "{update}");
        assert_eq!(writer.next().await.unwrap()["data"]["status"], "success");
    }
    // More than may wait, so the log must have had it.
    assert!(POSTS as usize * 2000 > 1024 * 1024);
    for seq in 1..=POSTS {
        let update = slow.next().await.unwrap();
        assert_eq!(update["data"]["seq"], seq, "{update}");
    }
}

#[tokio::test]
async fn a_line_without_end_ends_the_connection() {
    let (gateway, _dir) = gateway().await;
    let mut client = Client::new(&gateway);
    // It may be gone before the last of it.
    let _ = within(client.write.write_all(&vec![b'x'; 128 * 1024])).await;
    assert!(within(client.read.next_line()).await.is_ok_and(|line| line.is_none()));
}

#[tokio::test]
async fn a_policy_of_ones_own_answers_anew_when_it_changes() {
    let north = RoomId(Uuid::from_u128(1));
    assert_eq!(
        within(access_policy::story()).await.unwrap(),
        [
            "north: yes".to_owned(),
            "south: no: room access is by a rule: it does not allow this room".to_owned(),
            format!(r#"moved: room_closed {{"code":"forbidden","roomId":"{north}"}}"#),
            "north: no: room access is by a rule: it does not allow this room".to_owned(),
            "south: yes".to_owned(),
        ]
    );
}
