//! The examples of a gateway in another program, as they stand: started, used by clients, stopped.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "its `main`")]
#[path = "../examples/axum.rs"]
mod axum;
#[expect(dead_code, reason = "its `main`")]
#[path = "../examples/embedded.rs"]
mod embedded;
#[expect(dead_code, reason = "the rest is for the tests of the protocols")]
#[path = "protocol/support.rs"]
mod support;

use std::net::SocketAddr;
use std::time::SystemTime;

use gossip_hub::{Claims, Key};
use gossip_proto::id::{RoomId, UserId};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use support::{Got, Ws, patiently};

const SECRET: &str = "a secret of at least thirty-two bytes";
const ROOM: RoomId = RoomId(Uuid::from_u128(1));

/// An example that runs, with a database of its own.
struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    _dir: TempDir,
}

/// Starts the example of a module.
macro_rules! start {
    ($example:ident) => {{
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, dir) = (listener.local_addr().unwrap(), tempfile::tempdir().unwrap());
        let url = format!("sqlite://{}", dir.path().join("gossip.db").display());
        let (stop, stopped) = oneshot::channel();
        // Spawned, which a `main` does not do but others may.
        let task = tokio::spawn(async move {
            $example::run(listener, &url, Key::secret(SECRET), async { drop(stopped.await) }).await.unwrap();
        });
        Running { address, stop, task, _dir: dir }
    }};
}

fn bearer(role: &'static str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let claims = Claims {
        sub: UserId(Uuid::from_u128(7)),
        exp: i64::try_from(now).unwrap() + 3600,
        iat: None,
        role,
        rooms: Some(json!("*")),
        iss: None,
        aud: None,
    };
    format!("Authorization: Bearer {}\r\n", Key::secret(SECRET).sign(&claims).unwrap())
}

impl Running {
    /// The status and body of an answer.
    async fn http(&self, method: &str, target: &str, headers: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        patiently(stream.read_to_string(&mut answer)).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        (head.split(' ').nth(1).expect(head).parse().unwrap(), body.to_owned())
    }

    /// A user on the plain WebSocket, in the room.
    async fn member(&self) -> Ws {
        let mut ws = Ws::connect(self.address, "/gossip/ws", &bearer("user")).await.unwrap();
        let joined = ask(&mut ws, "join_room", json!({ "roomId": ROOM })).await;
        assert_eq!((&joined["id"], &joined["data"]["seq"]), (&json!(1), &json!(0)), "{joined}");
        ws
    }

    /// Ends as by ctrl-c: the client is told, its connection closed for it to come back, and the example returns.
    async fn stop(self, mut client: Ws) {
        self.stop.send(()).unwrap();
        assert_eq!(json_of(client.next().await)["event"], "server_draining");
        assert_eq!(client.rest().await, [Got::Close(1012)]);
        patiently(self.task).await.unwrap();
    }
}

fn json_of(got: Got) -> Value {
    match got {
        Got::Text(text) => serde_json::from_str(&text).unwrap(),
        other => panic!("{other:?}"),
    }
}

async fn ask(ws: &mut Ws, event: &str, data: Value) -> Value {
    ws.text(&json!({ "event": event, "data": data, "id": 1 }).to_string()).await;
    json_of(ws.next().await)
}

#[tokio::test]
async fn a_service_serves_gossip_and_a_route_of_its_own() {
    let service = start!(embedded);
    let mut member = service.member().await;
    let update = ask(&mut member, "new_gossip", json!({ "roomId": ROOM, "content": "psst" })).await;
    assert_eq!((&update["event"], &update["data"]["seq"]), (&json!("gossip_update"), &json!(1)), "{update}");
    assert_eq!(json_of(member.next().await)["data"]["status"], "success");

    assert_eq!(service.http("POST", "/hello", &bearer("user"), "").await.0, 403);
    assert_eq!(service.http("POST", "/hello", "", "").await.0, 403);
    assert_eq!(service.http("POST", "/hello", &bearer("admin"), "").await.0, 204);
    let hello = json!({ "event": "hello", "data": { "text": "hello, everybody" } });
    assert_eq!(json_of(member.next().await), hello);
    assert_eq!(service.http("GET", "/healthz", "", "").await, (200, "ok\n".to_owned()));
    assert_eq!(service.http("GET", "/hello", "", "").await.0, 404);
    service.stop(member).await;
}

#[tokio::test]
async fn an_axum_router_serves_its_routes_and_gossip_the_rest() {
    let service = start!(axum);
    assert_eq!(service.http("GET", "/hello", "", "").await, (200, "hello\n".to_owned()));
    assert_eq!(service.http("GET", "/nowhere", "", "").await.0, 404);
    let mut member = service.member().await;

    let notices = format!("/notices/{ROOM}");
    assert_eq!(service.http("POST", &notices, "", "x").await.0, 401);
    assert_eq!(service.http("POST", &notices, &bearer("user"), "x").await.0, 403);
    assert_eq!(service.http("POST", "/notices/no-room", &bearer("admin"), "x").await.0, 400);
    assert_eq!(service.http("POST", &notices, &bearer("admin"), "Doors open at nine").await.0, 204);
    assert_eq!(json_of(member.next().await), json!({ "event": "notice", "data": { "text": "Doors open at nine" } }));

    // A body that goes through the router to the gateway.
    let (broadcast, body) = (format!("/v1/rooms/{ROOM}/broadcast"), r#"{"event":"bell","data":1}"#);
    let (status, answer) = service.http("POST", &broadcast, &bearer("service"), body).await;
    assert!((200..300).contains(&status), "{status} {answer}");
    assert_eq!(json_of(member.next().await), json!({ "event": "bell", "data": 1 }));

    // Socket.IO: by polling, with a body too, and on a WebSocket.
    let (status, open) = service.http("GET", "/socket.io/?EIO=4&transport=polling", "", "").await;
    assert_eq!(status, 200, "{open}");
    let polling = format!("/socket.io/?EIO=4&transport=polling&sid={}", support::sid(&open));
    assert_eq!(service.http("POST", &polling, "", "40/gossip,").await, (200, "ok".to_owned()));
    assert!(service.http("GET", &polling, "", "").await.1.starts_with("40/gossip,{"));
    // It goes, and fetches what is left for it: else the end waits for that.
    assert_eq!(service.http("POST", &polling, "", "1").await.0, 200);
    service.http("GET", &polling, "", "").await;
    let mut ws = Ws::connect(service.address, "/socket.io/?EIO=4&transport=websocket", "").await.unwrap();
    assert!(matches!(ws.next().await, Got::Text(open) if open.starts_with("0{")));
    drop(ws);
    service.stop(member).await;
}

#[test]
fn a_whole_service_is_less_than_60_lines() {
    assert!(include_str!("../examples/embedded.rs").lines().count() < 60);
}
