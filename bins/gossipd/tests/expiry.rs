//! What happens when a time is over (contract §1 and §4, Expiry): gossip, tokens and the time to authenticate, all by a
//! clock that the test turns. Nothing is slept for: where something must not have happened yet, something else that is
//! due just before shows that the server has looked.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gossip_core::env::Env;
use gossip_proto::id::RoomId;
use serde_json::{Value, json};
use support::clock::HandClock;
use support::server::{Home, Server, new_room, new_user, token};
use support::websocket::{Client, Got};

const NIL: &str = "00000000-0000-0000-0000-000000000000";
const MINUTE: i64 = 60_000;

fn at_home() -> (Arc<HandClock>, Home) {
    let clock = HandClock::new();
    (Arc::clone(&clock), Home::new(clock))
}

async fn member(server: &Server, room: RoomId, role: &'static str) -> Client {
    let mut client = server.client(role).await;
    client.call("join_room", json!({ "roomId": room })).await;
    client
}

/// Posts what lives for a minute, and takes the event of it.
async fn post(client: &mut Client, room: RoomId) -> Value {
    let data = json!({ "roomId": room, "content": "psst", "expiresInMinutes": 1 });
    let posted = client.call("new_gossip", data).await;
    assert_eq!(client.update().await["type"], "new_intent");
    posted["intent"]["id"].clone()
}

/// Takes the next event, which must be the expiry of `intent`, and gives its `seq`.
async fn expired(client: &mut Client, intent: &Value, old_status: &str) -> u64 {
    let event = client.update().await;
    assert_eq!(event["type"], "status_change", "{event}");
    assert_eq!((&event["intent"]["id"], &event["intent"]["status"]), (intent, &json!("expired")));
    let update = &event["update"];
    assert_eq!(update["userId"], NIL);
    assert_eq!(update["type"], "status_change");
    assert_eq!(update["content"], Value::Null);
    assert_eq!(update["metadata"], json!({ "oldStatus": old_status, "newStatus": "expired" }));
    event["seq"].as_u64().unwrap()
}

async fn status(client: &mut Client, intent: &Value) -> Value {
    client.call("get_gossip", json!({ "intentId": intent })).await["intent"]["status"].take()
}

/// How often the database says that `intent` expired: rows of `gossip_updates`, events in `gossip_log`.
async fn recorded(home: &Home, intent: &Value) -> (i64, i64) {
    let mut database = home.database().await;
    let updates = r#"SELECT count(*) FROM "gossip_updates" WHERE "intentId" = $1 AND "type" = 'status_change'
                     AND json_extract("metadata", '$.newStatus') = 'expired'"#;
    let log = r#"SELECT count(*) FROM "gossip_log" WHERE json_extract("payload", '$.intent.id') = $1
                 AND json_extract("payload", '$.type') = 'status_change'
                 AND json_extract("payload", '$.update.metadata.newStatus') = 'expired'"#;
    let intent = intent.as_str().unwrap();
    let updates = sqlx::query_scalar(updates).bind(intent).fetch_one(&mut database).await.unwrap();
    (updates, sqlx::query_scalar(log).bind(intent).fetch_one(&mut database).await.unwrap())
}

#[tokio::test]
async fn gossip_expires_when_its_minute_is_over_and_not_before() {
    let (clock, home) = at_home();
    let server = home.start(&[]).await;
    let room = new_room();
    let mut client = member(&server, room, "user").await;
    let second_earlier = post(&mut client, room).await;
    clock.advance_ms(999);
    let just_earlier = post(&mut client, room).await;
    clock.advance_ms(1);
    let intent = post(&mut client, room).await;

    clock.advance_ms(59_000);
    expired(&mut client, &second_earlier, "pending").await;
    assert_eq!(status(&mut client, &intent).await, "pending");
    clock.advance_ms(999);
    expired(&mut client, &just_earlier, "pending").await;
    assert_eq!(status(&mut client, &intent).await, "pending");
    client.call("vote_gossip", json!({ "intentId": intent, "action": "upvote" })).await;
    assert_eq!(client.update().await["type"], "vote");

    clock.advance_ms(2);
    let seq = expired(&mut client, &intent, "pending").await;
    for (event, data) in [
        ("vote_gossip", json!({ "intentId": intent, "action": "downvote" })),
        ("vote_gossip", json!({ "intentId": intent, "action": "remove" })),
        ("comment_gossip", json!({ "intentId": intent, "content": "too late" })),
    ] {
        assert_eq!(client.ask(event, &data.to_string()).await["code"], "closed", "{event}");
    }
    let mut admin = server.client("admin").await;
    let data = json!({ "intentId": intent, "status": "verified" });
    assert_eq!(admin.ask("update_gossip", &data.to_string()).await["code"], "closed");

    // The next event is the next one's: nothing of the first was said twice.
    let next = post_after(&mut client, room, seq).await;
    clock.advance_ms(MINUTE);
    expired(&mut client, &next, "pending").await;
    assert_eq!(client.take_events(), []);
    assert_eq!(recorded(&home, &intent).await, (1, 1));
}

/// Posts, and sees to it that no event came between.
async fn post_after(client: &mut Client, room: RoomId, seq: u64) -> Value {
    let data = json!({ "roomId": room, "content": "psst", "expiresInMinutes": 1 });
    let posted = client.call("new_gossip", data).await;
    assert_eq!(posted["seq"], seq + 1);
    assert_eq!(client.update().await["seq"], seq + 1);
    posted["intent"]["id"].clone()
}

#[tokio::test]
async fn what_was_judged_expires_too() {
    let (clock, home) = at_home();
    let server = home.start(&[]).await;
    let room = new_room();
    let mut admin = member(&server, room, "admin").await;
    for verdict in ["verified", "debunked"] {
        let intent = post(&mut admin, room).await;
        admin.call("update_gossip", json!({ "intentId": intent, "status": verdict })).await;
        assert_eq!(admin.update().await["type"], "status_change");
        assert_eq!(admin.update().await["type"], "verification");
        clock.advance_ms(MINUTE + 1);
        expired(&mut admin, &intent, verdict).await;
        assert_eq!(recorded(&home, &intent).await, (1, 1));
    }
}

#[tokio::test]
async fn what_came_due_during_downtime_expires_after_the_start_once() {
    let (clock, home) = at_home();
    let room = new_room();
    let server = home.start(&[]).await;
    let mut client = member(&server, room, "user").await;
    let intent = post(&mut client, room).await;
    drop(client);
    server.daemon.stop().await;
    clock.advance_ms(10 * MINUTE);
    assert_eq!(recorded(&home, &intent).await, (0, 0));

    for restart in 0..3 {
        let server = home.start(&[]).await;
        // Replayed or live, each event comes once.
        let mut client = server.client("user").await;
        client.call("join_room", json!({ "roomId": room, "since": 1 })).await;
        assert_eq!(expired(&mut client, &intent, "pending").await, 2);
        // Those of the restarts before; then one more, whose expiry shows that this daemon has looked for what is due.
        for seq in 3..3 + 2 * restart {
            assert_eq!(client.update().await["seq"], seq);
        }
        let next = post_after(&mut client, room, 2 + 2 * restart).await;
        clock.advance_ms(MINUTE + 1);
        assert_eq!(expired(&mut client, &next, "pending").await, 4 + 2 * restart);
        assert_eq!(recorded(&home, &intent).await, (1, 1));
        assert_eq!(status(&mut client, &intent).await, "expired");
        server.daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_due_at_once_expire_each_once() {
    const MANY: u64 = 600;
    let (clock, home) = at_home();
    let server = home.start(&[]).await;
    let room = new_room();
    let mut client = member(&server, room, "user").await;
    let data = json!({ "roomId": room, "content": "psst", "expiresInMinutes": 1 }).to_string();
    for _ in 0..MANY {
        client.shout("new_gossip", &data).await;
    }
    let mut open = BTreeSet::new();
    for seq in 1..=MANY {
        let event = client.update().await;
        assert_eq!((&event["type"], &event["seq"]), (&json!("new_intent"), &json!(seq)));
        open.insert(event["intent"]["id"].as_str().unwrap().to_owned());
    }
    clock.advance_ms(MINUTE + 1);
    for seq in MANY + 1..=2 * MANY {
        let event = client.update().await;
        assert_eq!((&event["intent"]["status"], &event["seq"]), (&json!("expired"), &json!(seq)));
        assert!(open.remove(event["intent"]["id"].as_str().unwrap()), "{event} came twice");
    }
    let next = post_after(&mut client, room, 2 * MANY).await;
    clock.advance_ms(MINUTE + 1);
    assert_eq!(expired(&mut client, &next, "pending").await, 2 * MANY + 2);

    let sql = r#"SELECT count(*), count(DISTINCT "intentId") FROM "gossip_updates" WHERE "type" = 'status_change'"#;
    let counted: (i64, i64) = sqlx::query_as(sql).fetch_one(&mut home.database().await).await.unwrap();
    assert_eq!(counted, (MANY as i64 + 1, MANY as i64 + 1));
}

/// The client must be told `code` and then sent away, with nothing in between.
async fn sent_away(client: &mut Client, code: &str) {
    let (name, exception) = client.event().await;
    assert_eq!((name.as_str(), &exception["code"], &exception["status"]), ("exception", &json!(code), &json!("error")));
    assert_eq!(exception.get("event"), None, "no event caused it");
    assert_eq!(client.next().await, Got::Disconnected);
    assert!(matches!(client.next().await, Got::Closed(_)));
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let (clock, home) = at_home();
    let server = home.start(&[]).await;
    let soon = |seconds| clock.now().plus(Duration::from_secs(seconds));
    let (user, room) = (new_user(), new_room());
    let short = token(user, "user", soon(30));
    let mut ends = Client::socket_io(server.address(), Some(&short)).await;
    let mut plain = Client::plain(server.address(), Some(&short)).await;
    let mut refreshed = Client::socket_io(server.address(), Some(&short)).await;
    let longer = token(user, "user", soon(60));
    let ack = refreshed.call("authenticate", json!({ "token": longer, "userId": user })).await;
    assert_eq!(ack["expiresAt"], soon(60).to_string());

    clock.advance_ms(29_999);
    for client in [&mut ends, &mut plain, &mut refreshed] {
        client.call("join_room", json!({ "roomId": room })).await;
    }
    clock.advance_ms(1);
    // Whatever the timer is up to: from this moment nothing is done with the token.
    let failed = refreshed.ask("authenticate", &json!({ "token": short }).to_string()).await;
    assert_eq!(failed["code"], "token_expired");
    sent_away(&mut ends, "token_expired").await;
    let (name, exception) = plain.event().await;
    assert_eq!((name.as_str(), &exception["code"]), ("exception", &json!("token_expired")));
    assert_eq!(plain.next().await, Got::Closed(Some(4001)));

    refreshed.call("new_gossip", json!({ "roomId": room, "content": "still here" })).await;
    assert_eq!(refreshed.update().await["type"], "new_intent");
    clock.advance_ms(30_000);
    sent_away(&mut refreshed, "token_expired").await;
}

#[tokio::test]
async fn who_does_not_authenticate_in_time_is_sent_away() {
    let (clock, home) = at_home();
    let server = home.start(&["--auth-timeout", "20s"]).await;
    let mut earlier = Client::socket_io(server.address(), None).await;
    clock.advance_ms(1_000);
    let mut silent = Client::socket_io(server.address(), None).await;
    let mut plain = Client::plain(server.address(), None).await;
    let mut done = Client::socket_io(server.address(), None).await;
    done.call("authenticate", json!({ "token": server.token("user") })).await;
    let failed = silent.ask("authenticate", r#"{"token":"x.y.z"}"#).await;
    assert_eq!(failed["code"], "invalid_token");

    clock.advance_ms(19_000);
    sent_away(&mut earlier, "not_authenticated").await;
    // A failed attempt leaves it open until its time, but gains it none.
    for client in [&mut silent, &mut plain] {
        let refused = client.ask("join_room", &json!({ "roomId": new_room() }).to_string()).await;
        assert_eq!(refused["code"], "not_authenticated");
    }
    clock.advance_ms(1_000);
    sent_away(&mut silent, "not_authenticated").await;
    let (name, exception) = plain.event().await;
    assert_eq!((name.as_str(), &exception["code"]), ("exception", &json!("not_authenticated")));
    assert_eq!(plain.next().await, Got::Closed(Some(4002)));
    done.call("join_room", json!({ "roomId": new_room() })).await;
}
