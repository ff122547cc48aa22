//! A room's events as server-sent events (contract §6): live, resumed, slow, withdrawn and drained, through the running
//! daemon by a client that speaks HTTP by hand. Rules of joining and lag have tests of their own, on sockets.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "what shared helpers say of a failure")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod fault;
#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fault::database::Database;
use fault::process::Process;
use gossip_core::env::Env;
use gossip_hub::{SlowReaders, SystemEnv};
use gossip_proto::id::RoomId;
use serde_json::{Value, json};
use support::event_stream::{EventStream, Got, Sent};
use support::http::Http;
use support::server::{Home, Server, new_room, new_user, token};
use support::websocket::Client;
use support::within;

const SECOND: Duration = Duration::from_secs(1);

fn home() -> Home {
    Home::new(Arc::new(SystemEnv))
}

fn target(room: RoomId) -> String {
    format!("/v1/rooms/{room}/events")
}

async fn post(author: &mut Client, room: RoomId, content: &str) -> Value {
    author.call("new_gossip", json!({ "roomId": room, "content": content })).await
}

/// Posts so many, most of them at once.
async fn post_many(author: &mut Client, room: RoomId, content: &str, count: usize) {
    let data = json!({ "roomId": room, "content": content }).to_string();
    for some in vec![(); count].chunks(100) {
        let mut ids = Vec::new();
        for () in some {
            ids.push(author.emit("new_gossip", &data).await);
        }
        for id in ids {
            assert_eq!(author.ack(id).await["status"], "success");
        }
    }
}

/// A call of a service that must succeed.
async fn manage(server: &Server, method: &str, target: &str) {
    let mut http = Http::connect(server.address()).await.unwrap();
    let bearer = format!("Authorization: Bearer {}\r\n", server.token("service"));
    let answer = within(target, http.request(method, target, &bearer, b"")).await.unwrap();
    assert_eq!(answer.status, 204, "{}", answer.body);
}

/// Waits until so many are connected.
async fn connected(server: &Server, count: u64) {
    let gateway = server.daemon.gateway();
    let reached = async {
        while gateway.connection_stats().active_connections != count {
            tokio::task::yield_now().await;
        }
    };
    within("connections", reached).await;
}

/// The next event, which must be an exception with this code, and then the end.
async fn ends_with(stream: &mut EventStream, code: &str) {
    let Sent { id, name, data } = stream.event().await;
    assert_eq!((id, name.as_str(), &data["code"]), (None, "exception", &json!(code)));
    assert_eq!(stream.next().await, Got::End);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_live_in_order_with_their_ids() {
    let home = home();
    let server = home.start(&[]).await;
    let (room, user) = (new_room(), new_user());
    let token = server.token_of(user, "user");
    let (mut stream, joined) = EventStream::open(server.address(), room, &token, "").await;
    for header in ["content-type: text/event-stream\r\n", "cache-control: no-store\r\n", "x-accel-buffering: no\r\n"] {
        assert!(stream.head.contains(header), "{}", stream.head);
    }
    assert_eq!(joined.id, Some(0));
    assert_eq!(joined.data, json!({ "status": "joined", "roomId": room, "seq": 0 }));

    let mut author = server.client("user").await;
    author.call("join_room", json!({ "roomId": room })).await;
    for content in ["one\r\ntwo\n\ndata: three\rid: 9", "🦀\u{2028}\u{2029}\u{feff}é", "event: x\n\n: y"] {
        let intent = post(&mut author, room, content).await["intent"]["id"].take();
        author.call("vote_gossip", json!({ "intentId": intent, "action": "upvote" })).await;
        author.call("comment_gossip", json!({ "intentId": intent, "content": content })).await;
    }
    for seq in 1..=9 {
        let update = stream.update().await;
        assert_eq!(update["seq"], seq);
        assert_eq!(update, author.update().await);
    }

    let gateway = server.daemon.gateway();
    let told = json!({ "text": "a\nb" });
    gateway.broadcast_to_room(room, "note", &told).await.unwrap();
    gateway.broadcast_to_room(new_room(), "note", &"elsewhere").await.unwrap();
    gateway.broadcast_to_user(user, "a\nid: 99\r\n\r\ndata: b", &1).await.unwrap();
    gateway.broadcast_to_user(new_user(), "note", &"to another").await.unwrap();
    gateway.broadcast_to_all("room_closed", &json!({ "roomId": room })).await.unwrap();
    let custom = |name: &str, data: Value| Sent { id: None, name: name.into(), data };
    assert_eq!(stream.event().await, custom("note", told));
    assert_eq!(stream.event().await, custom(r"a\nid: 99\r\n\r\ndata: b", json!(1)));
    assert_eq!(stream.event().await, custom("room_closed", json!({ "roomId": room })));
    post(&mut author, room, "still there").await;
    stream.gets(10..=10).await;
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_misses_nothing_and_gets_nothing_twice() {
    const EVENTS: u64 = 1_000;
    let home = home();
    let server = home.start(&[]).await;
    let (address, room, token) = (server.address(), new_room(), server.token("user"));
    let mut author = server.plain("user").await;
    // It lost its stream before any event: what it was told first brings it back to where it was.
    let (_, joined) = EventStream::open(address, room, &token, "").await;
    let posting = post_many(&mut author, room, "psst", EVENTS as usize);
    let reading = async {
        let mut last = joined.id.unwrap();
        let mut step = 0;
        while last < EVENTS {
            let (mut stream, joined) = EventStream::resume(address, room, &token, last).await;
            assert_eq!((joined.id, &joined.data["recovered"]), (Some(last), &json!(true)));
            step = step % 97 + 1;
            let until = EVENTS.min(last + step);
            stream.gets(last + 1..=until).await;
            last = until;
        }
    };
    tokio::join!(posting, reading);

    // The URL of a stream stays as it is: what the client has since is in the header, and goes before `since`.
    let since = format!("{}?since=990", target(room));
    let mut stream = EventStream::ask(address, "GET", &since, &token, "").await.unwrap();
    assert_eq!(stream.event().await.id, Some(990));
    stream.gets(991..=EVENTS).await;
    let mut stream = EventStream::ask(address, "GET", &since, &token, "Last-Event-ID: 999\r\n").await.unwrap();
    assert_eq!(stream.event().await.id, Some(999));
    stream.gets(EVENTS..=EVENTS).await;

    // Further than the room is: nothing is replayed, and it goes on from where the room is.
    let (mut stream, joined) = EventStream::resume(address, room, &token, EVENTS + 1).await;
    let told = json!({ "status": "joined", "roomId": room, "seq": EVENTS, "recovered": false });
    assert_eq!((joined.id, joined.data), (Some(EVENTS), told));
    post(&mut author, room, "and on").await;
    stream.gets(EVENTS + 1..=EVENTS + 1).await;
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_membership_ends_it_within_a_second() {
    let home = home();
    let server = home.start(&["--room-access", "members"]).await;
    let (address, user, room) = (server.address(), new_user(), new_room());
    let token = server.token_of(user, "user");
    let refused = EventStream::ask(address, "GET", &target(room), &token, "").await.unwrap();
    assert_eq!((refused.status, refused.body().await["code"].take()), (403, json!("forbidden")));
    let membership = format!("/v1/rooms/{room}/members/{user}");
    manage(&server, "PUT", &membership).await;
    let (mut stream, _) = EventStream::open(address, room, &token, "").await;
    let begun = Instant::now();
    manage(&server, "DELETE", &membership).await;
    let closed = json!({ "roomId": room, "code": "forbidden" });
    assert_eq!(stream.event().await, Sent { id: None, name: "room_closed".into(), data: closed });
    assert_eq!(stream.next().await, Got::End);
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    let refused = EventStream::ask(address, "GET", &target(room), &token, "Last-Event-ID: 0\r\n").await.unwrap();
    assert_eq!(refused.status, 403);
    connected(&server, 0).await;
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ends_or_is_revoked_ends_it() {
    let home = home();
    let server = home.start(&[]).await;
    let (address, user, room) = (server.address(), new_user(), new_room());
    // Whole seconds: not before one is over.
    let expires_at = SystemEnv.now().plus(2 * SECOND);
    let short = token(new_user(), "user", expires_at);
    let (mut short, _) = EventStream::open(address, room, &short, "").await;
    let (mut revoked, _) = EventStream::open(address, room, &server.token_of(user, "user"), "").await;
    manage(&server, "DELETE", &format!("/v1/users/{user}/connections")).await;
    ends_with(&mut revoked, "invalid_token").await;
    ends_with(&mut short, "token_expired").await;
    assert!(SystemEnv.now().as_millis() < expires_at.plus(SECOND).as_millis());
    connected(&server, 0).await;
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_tells_and_ends_it() {
    let home = home();
    let server = home.start(&[]).await;
    let (address, room) = (server.address(), new_room());
    let (mut stream, _) = EventStream::open(address, room, &server.token("user"), "").await;
    let ending = async {
        assert_eq!(stream.event().await.name, "server_draining");
        assert!(matches!(stream.next().await, Got::Retry(4_000..)));
        assert_eq!(stream.next().await, Got::End);
    };
    let (clean, ()) = tokio::join!(server.daemon.stop(), ending);
    assert!(clean);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_ends_in_time_whoever_reads_nothing() {
    let home = home();
    let server = home.start(&["--drain-timeout", "4s"]).await;
    let room = new_room();
    let (_stream, _) = EventStream::open(server.address(), room, &server.token("user"), "").await;
    post_many(&mut server.plain("user").await, room, &"🦀".repeat(2000), 700).await;
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_is_gone_on_with() {
    const EVENTS: u64 = 60;
    let database = Database::sqlite();
    let mut process = Process::start(&database, &[]);
    let (address, room) = (process.address(), new_room());
    let token = token(new_user(), "user", SystemEnv.now().plus(3_600 * SECOND));
    let mut last = 0;
    for round in 1..=3 {
        let (mut stream, joined) = EventStream::resume(address, room, &token, last).await;
        assert_eq!(joined.data["recovered"], true);
        let mut author = Client::plain(address, Some(&token)).await;
        post_many(&mut author, room, "psst", EVENTS as usize).await;
        let until = round * EVENTS - 20;
        stream.gets(last + 1..=until).await;
        last = until;
        tokio::task::block_in_place(|| process.kill());
        // What was on its way may still come; then there is no end but a cut.
        loop {
            match stream.next().await {
                Got::Cut => break,
                Got::Event(_) => {}
                other => panic!("{other:?}"),
            }
        }
        tokio::task::block_in_place(|| process.start_again());
    }
    let (mut stream, _) = EventStream::resume(address, room, &token, last).await;
    stream.gets(last + 1..=3 * EVENTS).await;
    process.assert_no_panic();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_reading_gets_everything_once_when_it_goes_on() {
    const MANY: u64 = 700;
    let home = home();
    let server = home.start(&[]).await;
    let (room, token) = (new_room(), server.token("user"));
    let (mut slow, _) = EventStream::open(server.address(), room, &token, "").await;
    let (mut quick, _) = EventStream::open(server.address(), room, &token, "").await;
    let mut author = server.plain("user").await;
    // More than sockets and a queue take; a stream that is read is not held up.
    let content = "🦀".repeat(2000);
    tokio::join!(post_many(&mut author, room, &content, MANY as usize), quick.gets(1..=MANY));
    let slow_readers = || server.daemon.gateway().slow_readers();
    assert!(slow_readers().lagged >= 1);
    slow.gets(1..=50).await;
    tokio::join!(post_many(&mut author, room, &content, 50), slow.gets(51..=MANY), quick.gets(MANY + 1..=MANY + 50));
    slow.gets(MANY + 1..=MANY + 50).await;
    assert!(matches!(slow_readers(), SlowReaders { closed: 0, .. }));
    post(&mut author, room, "live").await;
    slow.gets(MANY + 51..=MANY + 51).await;
    // From the log, while it comes.
    let (mut late, _) = EventStream::resume(server.address(), room, &token, 0).await;
    late.gets(1..=MANY + 51).await;
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_left_is_gone_at_once() {
    let home = home();
    let server = home.start_limiting(&["--max-sockets-per-user", "2"]).await;
    let (address, room, token) = (server.address(), new_room(), server.token("user"));
    let (first, _) = EventStream::open(address, room, &token, "").await;
    let (second, _) = EventStream::open(address, room, &token, "").await;
    let refused = EventStream::ask(address, "GET", &target(room), &token, "").await.unwrap();
    assert_eq!((refused.status, refused.body().await["code"].take()), (429, json!("rate_limited")));
    assert_eq!(server.daemon.gateway().connection_stats().active_connections, 2);
    drop((first, second));
    connected(&server, 0).await;
    // HEAD is answered as GET would be, and leaves nothing behind.
    let head = EventStream::ask(address, "HEAD", &target(room), &token, "").await.unwrap();
    assert_eq!(head.status, 200);
    assert!(head.head.contains("content-type: text/event-stream\r\n"), "{}", head.head);
    connected(&server, 0).await;
    drop(head);
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_is_kept_open() {
    let home = home();
    let server = home.start(&["--ping-interval", "100ms"]).await;
    let (mut stream, _) = EventStream::open(server.address(), new_room(), &server.token("user"), "").await;
    for _ in 0..3 {
        assert_eq!(stream.next().await, Got::Comment);
    }
    assert!(server.daemon.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_stream_is_refused() {
    let home = home();
    let server = home.start(&[]).await;
    let (address, room, token) = (server.address(), target(new_room()), server.token("user"));
    let ask = async |method: &str, target: &str, token: &str, headers: &str| {
        EventStream::ask(address, method, target, token, headers).await.unwrap()
    };
    for (target, headers, field) in [
        (room.clone(), "Last-Event-ID: x\r\n", "Last-Event-ID"),
        (format!("{room}?since=-1"), "", "since"),
        (format!("{room}?since=18446744073709551616"), "", "since"),
        ("/v1/rooms/x/events".to_owned(), "", "roomId"),
    ] {
        let refused = ask("GET", &target, &token, headers).await;
        assert_eq!(refused.status, 400, "{target}");
        assert_eq!(refused.body().await["field"], field, "{target}");
    }
    assert_eq!(ask("GET", &room, "x", "").await.status, 401);
    assert_eq!(ask("POST", &room, &token, "").await.status, 405);
    assert_eq!(server.daemon.gateway().connection_stats().total_connections, 0, "none came as far as a join");
    assert!(server.daemon.stop().await);
}
