//! HTTP (contract §6): reads answer as a socket is answered, broadcasts reach every kind of socket, and who may not ask is
//! told so.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::sync::Arc;

use gossip_hub::SystemEnv;
use serde_json::{Value, json};
use support::http::{Answer, Http};
use support::server::{Home, Server, new_room, new_user};
use support::within;

async fn server() -> (Home, Server) {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&[]).await;
    (home, server)
}

async fn ask(server: &Server, method: &str, target: &str, token: Option<&str>, body: &str) -> Answer {
    let mut http = Http::connect(server.address()).await.unwrap();
    let header = token.map_or(String::new(), |token| format!("Authorization: Bearer {token}\r\n"));
    within(target, http.request(method, target, &header, body.as_bytes())).await.unwrap()
}

async fn get(server: &Server, target: &str, token: &str) -> Value {
    let answer = ask(server, "GET", target, Some(token), "").await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, code: &str, field: Option<&str>) {
    let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    assert_eq!((answer.status, body["code"].as_str(), body["field"].as_str()), (status, Some(code), field), "{body}");
    assert_eq!(body["status"], "error");
}

#[tokio::test]
async fn reads_answer_what_a_socket_is_answered() {
    let (_home, server) = server().await;
    let (room, user) = (new_room(), new_user());
    let token = server.token_of(user, "user");
    let mut client = server.client("admin").await;
    client.call("join_room", json!({ "roomId": room })).await;
    let posted = client.call("new_gossip", json!({ "roomId": room, "content": "<b>psst</b>" })).await;
    let intent = posted["intent"]["id"].as_str().unwrap().to_owned();
    client.call("comment_gossip", json!({ "intentId": intent, "content": "so they say" })).await;
    client.call("vote_gossip", json!({ "intentId": intent, "action": "upvote" })).await;
    client.call("new_gossip", json!({ "roomId": room, "content": "another" })).await;

    let mut asked = support::websocket::Client::socket_io(server.address(), Some(&token)).await;
    for (target, event, data) in [
        (format!("/v1/rooms/{room}/gossip"), "list_gossip", json!({ "roomId": room })),
        (format!("/v1/rooms/{room}/gossip?limit=1"), "list_gossip", json!({ "roomId": room, "limit": 1 })),
        (
            format!("/v1/rooms/{room}/gossip?status=verified"),
            "list_gossip",
            json!({ "roomId": room, "status": "verified" }),
        ),
        (format!("/v1/gossip/{intent}"), "get_gossip", json!({ "intentId": intent })),
        (format!("/v1/gossip/{intent}/updates?limit=10"), "list_updates", json!({ "intentId": intent, "limit": 10 })),
    ] {
        assert_eq!(get(&server, &target, &token).await, asked.call(event, data).await, "{target}");
    }
    let page = get(&server, &format!("/v1/rooms/{room}/gossip?limit=1"), &token).await;
    let before = page["nextBefore"].as_str().unwrap();
    let rest = get(&server, &format!("/v1/rooms/{room}/gossip?limit=1&before={before}"), &token).await;
    assert_eq!((&rest["intents"][0]["id"], &rest["nextBefore"]), (&json!(intent), &Value::Null));
}

#[tokio::test]
async fn events_are_those_of_the_log_and_page_by_seq() {
    let (_home, server) = server().await;
    let room = new_room();
    let token = server.token("user");
    let mut client = server.client("user").await;
    client.call("join_room", json!({ "roomId": room })).await;
    let mut live = Vec::new();
    // More than one answer has, by bytes, and more than one page of the log.
    for count in 0..200 {
        let content = format!("{count} {}", "\u{1f5e3}".repeat(if count < 100 { 0 } else { 1_900 }));
        client.call("new_gossip", json!({ "roomId": room, "content": content.trim() })).await;
        live.push(client.event().await.1);
    }
    let target = format!("/v1/rooms/{room}/events");
    let now = get(&server, &target, &token).await;
    assert_eq!(now, json!({ "status": "success", "events": [], "seq": 200, "recovered": true }));
    let (mut since, mut got, mut pages) = (0, Vec::new(), Vec::new());
    loop {
        let page = get(&server, &format!("{target}?since={since}"), &token).await;
        assert_eq!((&page["seq"], &page["recovered"]), (&json!(200), &json!(true)));
        let events = page["events"].as_array().unwrap();
        got.extend(events.iter().cloned());
        pages.push(events.len());
        match events.last() {
            Some(last) => since = last["seq"].as_u64().unwrap(),
            None => break,
        }
    }
    assert_eq!(got, live);
    assert!(pages.len() > 2 && pages[0] > 140, "{pages:?}");
    // Of events that are not there, or not any more, there are none.
    let ahead = get(&server, &format!("{target}?since=201"), &token).await;
    assert_eq!((&ahead["events"], &ahead["recovered"]), (&json!([]), &json!(false)));
}

#[tokio::test]
async fn broadcasts_reach_rooms_users_and_everybody() {
    let (_home, server) = server().await;
    let (room, user) = (new_room(), new_user());
    let (service, token) = (server.token("service"), server.token_of(user, "user"));
    let address = server.address();
    let mut member = support::websocket::Client::socket_io(address, Some(&token)).await;
    let mut plain = support::websocket::Client::plain(address, Some(&token)).await;
    let mut other = server.client("user").await;
    for client in [&mut member, &mut plain] {
        client.call("join_room", json!({ "roomId": room })).await;
    }
    for (target, event) in [
        (format!("/v1/rooms/{room}/broadcast"), "gossip_update"),
        (format!("/v1/users/{user}/broadcast"), "notification"),
        ("/v1/broadcast".to_owned(), "system_message"),
    ] {
        let data = json!({ "message": "a \"word\"\r\n<b>" });
        let body = json!({ "event": event, "data": data }).to_string();
        let answer = ask(&server, "POST", &target, Some(&service), &body).await;
        assert_eq!((answer.status, answer.body.as_str()), (202, r#"{"status":"success"}"#), "{target}");
        for client in [&mut member, &mut plain] {
            assert_eq!(client.event().await, (event.to_owned(), data.clone()), "{target}");
        }
    }
    // Of the three only the last was for everybody.
    assert_eq!(other.event().await.0, "system_message");
}

#[tokio::test]
async fn who_may_not_ask_or_asks_badly_is_told_so() {
    let (_home, server) = server().await;
    let room = new_room();
    let service = server.token("service");
    let good = r#"{"event":"x"}"#;
    for (method, target) in [
        ("GET", "/v1/stats".to_owned()),
        ("POST", "/v1/broadcast".into()),
        ("POST", format!("/v1/rooms/{room}/broadcast")),
        ("POST", format!("/v1/users/{room}/broadcast")),
    ] {
        refused(&ask(&server, method, &target, None, good).await, 401, "not_authenticated", None);
        refused(&ask(&server, method, &target, Some("x"), good).await, 401, "invalid_token", None);
        refused(&ask(&server, method, &target, Some(&server.token("user")), good).await, 403, "forbidden", None);
    }
    for (target, field) in [
        ("/v1/rooms/x/gossip", "roomId"),
        ("/v1/rooms/x/events", "roomId"),
        ("/v1/gossip/x", "intentId"),
        ("/v1/gossip/x/updates", "intentId"),
        (&format!("/v1/rooms/{room}/gossip?limit=0"), "limit"),
        (&format!("/v1/rooms/{room}/gossip?limit=x"), "limit"),
        (&format!("/v1/rooms/{room}/gossip?status=gone"), "status"),
        (&format!("/v1/rooms/{room}/gossip?before=x"), "before"),
        (&format!("/v1/rooms/{room}/events?since=-1"), "since"),
    ] {
        refused(&ask(&server, "GET", target, Some(&service), "").await, 400, "invalid_input", Some(field));
    }
    for (body, field) in [("", "body"), ("[]", "body"), ("{}", "event"), (r#"{"event":"disconnect"}"#, "event")] {
        refused(&ask(&server, "POST", "/v1/broadcast", Some(&service), body).await, 400, "invalid_input", Some(field));
    }
    let huge = format!(r#"{{"event":"x","data":"{}"}}"#, "x".repeat(70_000));
    refused(&ask(&server, "POST", "/v1/broadcast", Some(&service), &huge).await, 413, "too_large", None);
    refused(&ask(&server, "GET", &format!("/v1/gossip/{room}"), Some(&service), "").await, 404, "not_found", None);
    assert_eq!(ask(&server, "POST", &format!("/v1/rooms/{room}/gossip"), Some(&service), "").await.status, 405);
    assert_eq!(ask(&server, "GET", "/v1/broadcast", Some(&service), "").await.status, 405);
}

#[tokio::test]
async fn a_room_is_read_by_who_may_be_in_it() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&["--room-access", "members"]).await;
    let (room, user) = (new_room(), new_user());
    let token = server.token_of(user, "user");
    let service = server.token("service");
    let mut admin = server.client("admin").await;
    let intent = admin.call("new_gossip", json!({ "roomId": room, "content": "psst" })).await["intent"]["id"].clone();
    let intent = intent.as_str().unwrap();
    let rooms = [format!("/v1/rooms/{room}/gossip"), format!("/v1/rooms/{room}/events?since=0")];
    let intents = [format!("/v1/gossip/{intent}"), format!("/v1/gossip/{intent}/updates")];
    for is_member in [false, true, false] {
        let method = if is_member { "PUT" } else { "DELETE" };
        let member = format!("/v1/rooms/{room}/members/{user}");
        assert_eq!(ask(&server, method, &member, Some(&service), "").await.status, 204);
        for (targets, status) in [(&rooms, 403), (&intents, 404)] {
            for target in targets {
                let answer = ask(&server, "GET", target, Some(&token), "").await;
                assert_eq!(answer.status, if is_member { 200 } else { status }, "{target}: {}", answer.body);
            }
        }
    }
}

#[tokio::test]
async fn calls_count_with_what_sockets_of_the_user_ask() {
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start_limiting(&["--rate-other", "3/1h"]).await;
    let (room, user) = (new_room(), new_user());
    let token = server.token_of(user, "admin");
    let target = format!("/v1/rooms/{room}/gossip");
    let mut client = support::websocket::Client::socket_io(server.address(), Some(&token)).await;
    assert_eq!(client.call("list_gossip", json!({ "roomId": room })).await["status"], "success");
    assert_eq!(ask(&server, "GET", &target, Some(&token), "").await.status, 200);
    assert_eq!(ask(&server, "POST", "/v1/broadcast", Some(&token), r#"{"event":"x"}"#).await.status, 202);
    for (method, target) in [("GET", target.as_str()), ("POST", "/v1/broadcast"), ("GET", "/v1/stats")] {
        let answer = ask(&server, method, target, Some(&token), r#"{"event":"x"}"#).await;
        refused(&answer, 429, "rate_limited", None);
        assert!(answer.retry_after.is_some_and(|seconds| seconds > 1_000), "{method} {target}");
    }
    let data = json!({ "roomId": room }).to_string();
    assert_eq!(client.ask("list_gossip", &data).await["code"], "rate_limited");
    // Services speak for many.
    let service = server.token("service");
    for _ in 0..4 {
        assert_eq!(ask(&server, "GET", &target, Some(&service), "").await.status, 200);
    }
}

#[tokio::test]
async fn while_draining_it_tells_and_changes_nothing() {
    let (_home, server) = server().await;
    let (room, service) = (new_room(), server.token("service"));
    let soon = std::time::Duration::from_millis(1);
    within("drain", server.daemon.gateway().drain(soon, soon)).await;
    for (method, target) in [
        ("POST", "/v1/broadcast".to_owned()),
        ("POST", format!("/v1/rooms/{room}/broadcast")),
        ("POST", format!("/v1/users/{room}/broadcast")),
        ("PUT", format!("/v1/rooms/{room}/members/{room}")),
        ("DELETE", format!("/v1/rooms/{room}/members/{room}")),
        ("DELETE", format!("/v1/users/{room}/connections")),
    ] {
        let answer = ask(&server, method, &target, Some(&service), r#"{"event":"x"}"#).await;
        refused(&answer, 503, "unavailable", None);
        assert_eq!(answer.retry_after, Some(1), "{method} {target}");
    }
    for (target, status) in [("/healthz", 200), ("/metrics", 200), ("/v1/stats", 200), ("/readyz", 503)] {
        assert_eq!(ask(&server, "GET", target, Some(&service), "").await.status, status, "{target}");
    }
}
