//! Access that is withdrawn while clients are connected (contract §4, Access to rooms): memberships that go, users that
//! are sent away, tokens that are revoked. On every kind of socket.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use gossip_core::env::Env;
use gossip_hub::SystemEnv;
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::timestamp::Timestamp;
use serde_json::{Value, json};
use support::http::{Answer, Http};
use support::polling::Polling;
use support::server::{Home, Server, new_room, new_user, token_issued};
use support::websocket::{Client, Got};
use support::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What is withdrawn ends within this (contract §4).
const SECOND: Duration = Duration::from_secs(1);
const WEEK: Duration = Duration::from_secs(7 * 86_400);

fn home() -> Home {
    Home::new(Arc::new(SystemEnv))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

async fn call(server: &Server, method: &str, target: &str, token: &str) -> Answer {
    let mut http = Http::connect(server.address()).await.unwrap();
    within(target, http.request(method, target, &bearer(token), b"")).await.unwrap()
}

/// A call of a service that must succeed.
async fn manage(server: &Server, method: &str, target: &str) {
    let answer = call(server, method, target, &server.token("service")).await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""), "{method} {target}");
}

fn member(room: RoomId, user: UserId) -> String {
    format!("/v1/rooms/{room}/members/{user}")
}

/// One user on each kind of socket.
struct Sockets {
    websocket: Client,
    plain: Client,
    polling: Polling,
}

impl Sockets {
    async fn open(server: &Server, token: &str) -> Sockets {
        let address = server.address();
        Sockets {
            websocket: Client::socket_io(address, Some(token)).await,
            plain: Client::plain(address, Some(token)).await,
            polling: Polling::connect(address, Some(token)).await.unwrap(),
        }
    }

    async fn join(&mut self, room: RoomId) {
        let data = json!({ "roomId": room });
        self.websocket.call("join_room", data.clone()).await;
        self.plain.call("join_room", data.clone()).await;
        assert_eq!(self.polling.ask("join_room", &data.to_string()).await.unwrap()["status"], "joined");
    }

    /// The next event on each.
    async fn next(&mut self) -> [(String, Value); 3] {
        let polled = within("polling", self.polling.packet()).await.unwrap();
        let event: (String, Value) = serde_json::from_str(polled.strip_prefix("42/gossip,").unwrap()).unwrap();
        [self.websocket.event().await, self.plain.event().await, event]
    }

    async fn closed(&mut self, room: RoomId) {
        let closed = ("room_closed".to_owned(), json!({ "roomId": room, "code": "forbidden" }));
        assert_eq!(self.next().await, [closed.clone(), closed.clone(), closed]);
    }

    /// Each must be told why, and then be sent away for good.
    async fn sent_away(mut self) {
        for (name, exception) in self.next().await {
            assert_eq!(name, "exception");
            assert_eq!(
                (&exception["code"], &exception["message"]),
                (&json!("invalid_token"), &json!("the token was revoked"))
            );
        }
        assert_eq!(self.websocket.next().await, Got::Disconnected);
        assert!(matches!(self.websocket.next().await, Got::Closed(_)));
        assert_eq!(self.plain.next().await, Got::Closed(Some(4004)));
        assert_eq!(within("polling", self.polling.packet()).await.unwrap(), "41/gossip,");
    }
}

/// Posts to both rooms; of these a member of the second only sees the second.
async fn post(admin: &mut Client, rooms: [RoomId; 2]) {
    for room in rooms {
        admin.call("new_gossip", json!({ "roomId": room, "content": "psst" })).await;
    }
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Http,
    AnotherProcess,
    Delete,
    Update,
    DeleteAll,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_membership_ends_it_on_every_socket_within_a_second() {
    let home = home();
    let server = home.start(&["--room-access", "members"]).await;
    let another = home.start(&["--room-access", "members"]).await;
    let mut admin = server.client("admin").await;
    for way in [Way::Http, Way::AnotherProcess, Way::Delete, Way::Update, Way::DeleteAll] {
        let (user, rooms) = (new_user(), [new_room(), new_room()]);
        let [lost, kept] = rooms;
        let mut sockets = Sockets::open(&server, &server.token_of(user, "user")).await;
        let refused = sockets.websocket.ask("join_room", &json!({ "roomId": lost }).to_string()).await;
        assert_eq!(refused["code"], "forbidden");
        for room in rooms {
            manage(&server, "PUT", &member(room, user)).await;
            sockets.join(room).await;
            admin.call("join_room", json!({ "roomId": room })).await;
        }
        let its = |sql: &str| format!(r#"{sql} WHERE "roomId" = '{lost}' AND "userId" = '{user}'"#);
        let begun = Instant::now();
        match way {
            Way::Http => manage(&server, "DELETE", &member(lost, user)).await,
            Way::AnotherProcess => manage(&another, "DELETE", &member(lost, user)).await,
            Way::Delete => home.execute(its(r#"DELETE FROM "gossip_room_members""#)).await,
            Way::Update => {
                let update = format!(r#"UPDATE "gossip_room_members" SET "userId" = '{}'"#, new_user());
                home.execute(its(&update)).await;
            }
            Way::DeleteAll => {
                let again =
                    format!(r#"INSERT INTO "gossip_room_members" ("roomId", "userId") VALUES ('{kept}', '{user}')"#);
                home.execute(format!(r#"BEGIN; DELETE FROM "gossip_room_members"; {again}; COMMIT"#)).await;
            }
        }
        if let Way::Http = way {
            // It has ended when the answer comes: this is not sent to it any more.
            post(&mut admin, rooms).await;
            sockets.closed(lost).await;
        } else {
            sockets.closed(lost).await;
            post(&mut admin, rooms).await;
        }
        let took = begun.elapsed();
        println!("{way:?}: {took:?}");
        assert!(took < SECOND, "{way:?}: {took:?}");
        for (_, update) in sockets.next().await {
            assert_eq!((&update["type"], &update["roomId"]), (&json!("new_intent"), &json!(kept)), "{way:?}");
        }
        let refused = sockets.plain.ask("join_room", &json!({ "roomId": lost, "since": 0 }).to_string()).await;
        assert_eq!(refused["code"], "forbidden");
        // Who comes back sees what was missed, as every member does.
        manage(&another, "PUT", &member(lost, user)).await;
        let back = sockets.plain.call("join_room", json!({ "roomId": lost, "since": 0 })).await;
        assert_eq!(back["recovered"], true);
        assert_eq!(sockets.plain.update().await["roomId"], json!(lost));
    }
}

#[tokio::test]
async fn who_needs_no_membership_loses_nothing_with_it() {
    for access in ["members", "claims", "open"] {
        let home = home();
        let server = home.start(&["--room-access", access]).await;
        let (user, room, other) = (new_user(), new_room(), new_room());
        let role = if access == "members" { "admin" } else { "user" };
        let mut sockets = Sockets::open(&server, &server.token_of(user, role)).await;
        manage(&server, "PUT", &member(room, user)).await;
        sockets.join(room).await;
        manage(&server, "DELETE", &member(room, user)).await;
        post(&mut server.client("admin").await, [other, room]).await;
        for (_, update) in sockets.next().await {
            assert_eq!(update["roomId"], json!(room), "{access}");
        }
    }
}

#[tokio::test]
async fn members_are_managed_over_http_whatever_the_policy_is() {
    let home = home();
    let server = home.start(&["--max-payload", "1000"]).await;
    let room = new_room();
    let mut users: Vec<UserId> = (0..5).map(|_| new_user()).collect();
    users.sort();
    let before = SystemEnv.now();
    for user in &users {
        manage(&server, "PUT", &member(room, *user)).await;
        manage(&server, "PUT", &member(room, *user)).await;
    }
    let service = server.token("service");
    let members = format!("/v1/rooms/{room}/members");
    let list = async |query: &str| {
        let answer = call(&server, "GET", &format!("{members}{query}"), &service).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((body.as_object().unwrap().len(), &body["status"]), (3, &json!("success")));
        for member in body["members"].as_array().unwrap() {
            let added_at = Timestamp::parse(member["addedAt"].as_str().unwrap()).unwrap();
            assert!(member.as_object().unwrap().len() == 2 && added_at >= before && added_at <= SystemEnv.now());
        }
        let found: Vec<UserId> = body["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member["userId"].as_str().unwrap().parse().unwrap())
            .collect();
        (found, body["nextAfter"].as_str().map(str::to_owned))
    };
    assert_eq!(list("").await, (users.clone(), None));
    assert_eq!(list("?limit=5").await, (users.clone(), None));
    let (page, next) = list("?limit=3").await;
    assert_eq!((page.as_slice(), next), (&users[..3], Some(users[2].to_string())));
    assert_eq!(list(&format!("?limit=3&after={}", users[2])).await, (users[3..].to_vec(), None));
    manage(&server, "DELETE", &member(room, users[1])).await;
    manage(&server, "DELETE", &member(room, users[1])).await;
    users.remove(1);
    assert_eq!(list("").await, (users.clone(), None));

    let one = member(room, users[0]);
    let connections = format!("/v1/users/{}/connections", users[0]);
    for (method, target, field) in [
        ("GET", "/v1/rooms/room-1/members".to_owned(), "roomId"),
        ("PUT", format!("{members}/me"), "userId"),
        ("DELETE", format!("/v1/rooms/x/members/{}", users[0]), "roomId"),
        ("GET", format!("{members}?limit=0"), "limit"),
        ("GET", format!("{members}?after=x"), "after"),
        ("DELETE", "/v1/users/me/connections".to_owned(), "userId"),
        ("DELETE", format!("{connections}?notBefore=now"), "notBefore"),
        ("DELETE", format!("{connections}?notBefore=2999-01-01T00:00:00Z"), "notBefore"),
    ] {
        let answer = call(&server, method, &target, &service).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &body["status"], &body["code"]), (400, &json!("error"), &json!("invalid_input")));
        assert_eq!(body["field"], field, "{target}");
    }
    for (target, method, allowed) in
        [(&members, "POST", "GET, HEAD"), (&one, "GET", "PUT, DELETE"), (&connections, "GET", "DELETE")]
    {
        let answer = raw(&server, &format!("{method} {target} HTTP/1.1\r\n{}", bearer(&service)), "").await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(answer.to_lowercase().contains(&format!("\r\nallow: {}\r\n", allowed.to_lowercase())), "{answer}");
        let asked = "Origin: https://a.example\r\nAccess-Control-Request-Method: PUT\r\n";
        let preflight = raw(&server, &format!("OPTIONS {target} HTTP/1.1\r\n{asked}"), "").await.to_lowercase();
        let allows = format!("\r\naccess-control-allow-methods: {}\r\n", allowed.to_lowercase());
        assert!(preflight.starts_with("http/1.1 204 ") && preflight.contains(&allows), "{preflight}");
    }
    // A body means nothing, but there is an end to it.
    let put = format!("PUT {one} HTTP/1.1\r\n{}", bearer(&service));
    assert!(raw(&server, &put, &"x".repeat(1_000)).await.starts_with("HTTP/1.1 204 "));
    let refused = raw(&server, &put, &"x".repeat(1_001)).await;
    assert!(refused.starts_with("HTTP/1.1 413 ") && refused.contains(r#""code":"too_large""#), "{refused}");
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n800\r\n{}\r\n0\r\n\r\n", "x".repeat(2048));
    assert!(exchange(&server, &format!("{put}Host: a\r\n{chunked}")).await.starts_with("HTTP/1.1 413 "));

    let user = server.token("user");
    for (method, target) in [("GET", &members), ("PUT", &one), ("DELETE", &one), ("DELETE", &connections)] {
        for (token, status, code) in [(user.as_str(), 403, "forbidden"), ("x.y.z", 401, "invalid_token")] {
            let answer = call(&server, method, target, token).await;
            let body: Value = serde_json::from_str(&answer.body).unwrap();
            assert_eq!((answer.status, &body["code"]), (status, &json!(code)), "{method} {target}");
        }
        let answer = raw(&server, &format!("{method} {target} HTTP/1.1\r\n"), "").await;
        assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("not_authenticated"), "{answer}");
    }
    assert_eq!(list("").await, (users, None), "who was refused did nothing");
}

/// What is answered to a request on a connection of its own, head and all. `head` is the request line and more lines.
async fn raw(server: &Server, head: &str, body: &str) -> String {
    exchange(server, &format!("{head}Host: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
        .await
}

async fn exchange(server: &Server, request: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that refuses a body may reset the connection after its answer.
    let _end = within("answer", stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}

fn connections(user: UserId, not_before: Option<Timestamp>) -> String {
    let query = not_before.map_or(String::new(), |time| format!("?notBefore={time}"));
    format!("/v1/users/{user}/connections{query}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_is_sent_away_from_every_socket_here_and_at_another_process() {
    let home = home();
    let (server, another) = (home.start(&[]).await, home.start(&[]).await);
    let (user, room) = (new_user(), new_room());
    let token = server.token_of(user, "user");
    let mut bystander = server.client("user").await;
    let (mut here, mut there) = (Sockets::open(&server, &token).await, Sockets::open(&another, &token).await);
    here.join(room).await;
    there.join(room).await;
    let begun = Instant::now();
    manage(&server, "DELETE", &connections(user, None)).await;
    here.sent_away().await;
    there.sent_away().await;
    let took = begun.elapsed();
    assert!(took < SECOND, "{took:?}");
    // Nothing was said of the token, nor of anybody else.
    bystander.call("join_room", json!({ "roomId": room })).await;
    let mut again = Sockets::open(&server, &token).await;
    again.join(room).await;
    post(&mut bystander, [new_room(), room]).await;
    again.next().await;
    manage(&server, "DELETE", &connections(user, None)).await;
    again.sent_away().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_tokens_are_refused_everywhere_and_after_a_restart() {
    let home = home();
    let (server, another) = (home.start(&[]).await, home.start(&[]).await);
    let (user, now) = (new_user(), SystemEnv.now());
    let issued = |ago: u64| token_issued(user, "user", Some(now.minus(Duration::from_secs(ago))), now.plus(WEEK));
    let (old, middle, new) = (issued(100), issued(50), issued(0));
    let (sockets, later) = (Sockets::open(&another, &old).await, server.client("user").await);
    let not_before = now.minus(Duration::from_secs(60));
    manage(&server, "DELETE", &connections(user, Some(not_before))).await;
    sockets.sent_away().await;
    let revoked = Some(("invalid_token".to_owned(), "the token was revoked".to_owned()));
    // An earlier time takes nothing back.
    manage(&server, "DELETE", &connections(user, Some(not_before.minus(WEEK)))).await;

    let restarted = home.start(&[]).await;
    for server in [&server, &another, &restarted] {
        assert_eq!(server.refused(&old).await, revoked);
        for good in [&middle, &new] {
            assert_eq!(server.refused(good).await, None);
        }
        let stats = call(server, "GET", "/v1/stats", &old).await;
        assert_eq!(stats.status, 401);
        assert!(stats.body.contains("invalid_token"), "{}", stats.body);
        let upgrade = format!(
            "GET /gossip/ws HTTP/1.1\r\n{}Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            bearer(&old)
        );
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        stream.write_all(upgrade.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        within("upgrade", stream.read_exact(&mut answer)).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 401");
        let mut stranger = Client::socket_io(server.address(), None).await;
        let ack = stranger.ask("authenticate", &json!({ "token": old }).to_string()).await;
        assert_eq!((&ack["code"], &ack["message"]), (&json!("invalid_token"), &json!("the token was revoked")));
        stranger.call("authenticate", json!({ "token": new })).await;
        let ack = stranger.ask("authenticate", &json!({ "token": old }).to_string()).await;
        assert_eq!(ack["code"], "invalid_token");
    }
    drop(later);
    // A token that does not say when it was issued was issued before.
    assert_eq!(restarted.refused(&restarted.token_of(user, "user")).await, revoked);
    assert_eq!(restarted.refused(&restarted.token("user")).await, None);
}
