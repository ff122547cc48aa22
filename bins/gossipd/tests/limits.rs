//! How much one client may do (contract §4, Rate limits), through the running daemon and by a clock that the test turns:
//! rates of users and addresses, caps on sockets, what becomes of who floods, and whose word a proxy's is. Each limit's
//! own arithmetic is tested beside its code.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use support::clock::HandClock;
use support::http::{Answer, Http};
use support::server::{Home, Server, new_room, new_user};
use support::websocket::{Client, Got, open};
use support::within;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

const OPEN_POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const OPEN_WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

async fn limited(more: &[&str]) -> (Arc<HandClock>, Home, Server) {
    let clock = HandClock::new();
    let home = Home::new(Arc::<HandClock>::clone(&clock));
    let server = home.start_limiting(more).await;
    (clock, home, server)
}

/// The code of a refusal and how long it says to wait.
fn refusal(ack: &Value) -> (&str, Option<u64>) {
    (ack["code"].as_str().unwrap_or("none"), ack["retryAfterMs"].as_u64())
}

fn count(server: &Server, name: &str) -> u64 {
    server.daemon.gateway().refusals().into_iter().find(|(known, _)| *known == name).unwrap().1
}

/// A session in which no namespace was asked for yet.
async fn session(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let mut socket = open(address, OPEN_WEBSOCKET, None).await;
    assert!(text(&mut socket).await.starts_with("0{"));
    socket
}

async fn text(socket: &mut WebSocketStream<TcpStream>) -> String {
    match within("packet", socket.next()).await {
        Some(Ok(Message::Text(text))) => text.to_string(),
        other => panic!("no packet but {other:?}"),
    }
}

/// Asks for the namespace: what a CONNECT is answered, or the `data` of a CONNECT_ERROR.
async fn handshake(address: SocketAddr, auth: &Value) -> (WebSocketStream<TcpStream>, Result<Value, Value>) {
    let mut socket = session(address).await;
    socket.send(format!("40/gossip,{auth}").into()).await.unwrap();
    let answer = text(&mut socket).await;
    let body = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let answer = match (answer.strip_prefix("40/gossip,"), answer.strip_prefix("44/gossip,")) {
        (Some(connected), _) => Ok(body(connected)),
        (_, Some(error)) => Err(body(error)["data"].take()),
        _ => panic!("{answer}"),
    };
    (socket, answer)
}

async fn refused(address: SocketAddr, auth: &Value) -> Value {
    handshake(address, auth).await.1.unwrap_err()
}

async fn get(address: SocketAddr, target: &str, headers: &str) -> Answer {
    within(target, async { Http::connect(address).await.unwrap().get(target, headers).await.unwrap() }).await
}

#[track_caller]
fn is_rate_limited(answer: &Answer, retry_after_ms: u64) {
    assert_eq!((answer.status, answer.retry_after), (429, Some(retry_after_ms.div_ceil(1000))), "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["status"], "error");
    assert!(body["message"].is_string());
    assert_eq!(refusal(&body), ("rate_limited", Some(retry_after_ms)));
}

#[tokio::test]
async fn a_users_rate_is_one_for_all_sockets_and_survives_reconnecting() {
    let (clock, _home, server) = limited(&["--rate-new-gossip", "3/60s"]).await;
    let user = new_user();
    let token = server.token_of(user, "user");
    let post = json!({ "roomId": new_room(), "content": "psst", "requestId": "once" });
    {
        let mut one = Client::socket_io(server.address(), Some(&token)).await;
        let mut other = Client::plain(server.address(), Some(&token)).await;
        one.call("new_gossip", post.clone()).await;
        // A repetition changes nothing, but it is asked for.
        one.call("new_gossip", post.clone()).await;
        other.call("new_gossip", post.clone()).await;
        for client in [&mut one, &mut other] {
            let ack = client.ask("new_gossip", &post.to_string()).await;
            assert_eq!(refusal(&ack), ("rate_limited", Some(20_000)), "{ack}");
        }
        // Without an ack it is an exception.
        one.shout("new_gossip", &post.to_string()).await;
        let (name, body) = one.event().await;
        assert_eq!((&*name, refusal(&body)), ("exception", ("rate_limited", Some(20_000))));
        assert_eq!(body["event"], "new_gossip");
        // Other events have rates of their own, and so have other people.
        one.call("join_room", json!({ "roomId": new_room() })).await;
        server.client("user").await.call("new_gossip", post.clone()).await;
    }
    clock.advance_ms(19_999);
    let mut back = Client::socket_io(server.address(), Some(&server.token_of(user, "admin"))).await;
    assert_eq!(refusal(&back.ask("new_gossip", &post.to_string()).await), ("rate_limited", Some(1)));
    clock.advance_ms(1);
    back.call("new_gossip", post.clone()).await;
    assert_eq!(refusal(&back.ask("new_gossip", &post.to_string()).await), ("rate_limited", Some(20_000)));

    let mut service = server.client("service").await;
    for _ in 0..10 {
        service.call("new_gossip", json!({ "roomId": new_room(), "content": "psst" })).await;
    }
    assert_eq!(count(&server, "new_gossip"), 5);
}

#[tokio::test]
async fn each_event_has_its_rate_and_what_makes_no_sense_has_one_too() {
    let (_clock, _home, server) =
        limited(&["--rate-vote-gossip", "1/60s", "--rate-comment-gossip", "2/60s", "--rate-other", "5/60s"]).await;
    let mut client = server.client("user").await;
    let intent = json!({ "intentId": new_room() });
    for (event, allowed) in [("vote_gossip", 1), ("comment_gossip", 2)] {
        for _ in 0..allowed {
            // However wrong.
            assert_ne!(client.ask(event, &intent.to_string()).await["code"], "rate_limited");
        }
        assert_eq!(client.ask(event, &intent.to_string()).await["code"], "rate_limited", "{event}");
    }
    for (event, data, code) in [
        ("join_room", json!({ "roomId": new_room() }), None),
        ("update_gossip", intent.clone(), Some("invalid_input")),
        ("list_gossip", json!(5), Some("invalid_input")),
        ("no_such_event", json!({}), Some("unknown_event")),
    ] {
        assert_eq!(client.ask(event, &data.to_string()).await["code"].as_str(), code, "{event}");
    }
    // One with a binary attachment.
    client.write(r#"451-/gossip,["join_room",{"_placeholder":true,"num":0}]"#).await;
    client.write(Message::Binary(vec![1].into())).await;
    assert_eq!(client.event().await.1["code"], "invalid_input");
    for event in ["join_room", "update_gossip", "list_gossip", "no_such_event", "authenticate"] {
        assert_eq!(refusal(&client.ask(event, "{}").await), ("rate_limited", Some(12_000)), "{event}");
    }
    assert_eq!(count(&server, "other"), 5);

    let mut plain = server.plain("user").await;
    for _ in 0..5 {
        plain.write("nonsense").await;
        assert_eq!(plain.event().await.1["code"], "invalid_input");
    }
    plain.write("nonsense").await;
    assert_eq!(plain.event().await.1["code"], "rate_limited");
}

#[tokio::test]
async fn who_has_not_authenticated_has_a_small_budget() {
    let (clock, _home, server) = limited(&[]).await;
    let mut client = Client::socket_io(server.address(), None).await;
    for _ in 0..20 {
        assert_eq!(client.ask("join_room", "{}").await["code"], "invalid_input");
    }
    let token = json!({ "token": server.token("user") });
    assert_eq!(refusal(&client.ask("authenticate", &token.to_string()).await), ("rate_limited", Some(500)));
    clock.advance_ms(500);
    client.call("authenticate", token).await;
    client.call("join_room", json!({ "roomId": new_room() })).await;
    assert_eq!(count(&server, "unauthenticated"), 1);
}

#[tokio::test]
async fn an_address_with_too_many_bad_tokens_is_not_heard() {
    let (clock, _home, server) = limited(&["--rate-auth-failures", "4/60s"]).await;
    let (address, good) = (server.address(), server.token("admin"));
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let mut waiting = Client::socket_io(address, None).await;
    // Good ones cost nothing.
    for _ in 0..10 {
        assert!(handshake(address, &json!({ "token": good })).await.1.is_ok());
        assert_eq!(get(address, "/v1/stats", &bearer(&good)).await.status, 200);
    }
    assert_eq!(refused(address, &json!({ "token": "bad" })).await["code"], "invalid_token");
    assert_eq!(waiting.ask("authenticate", r#"{"token":"bad"}"#).await["code"], "invalid_token");
    assert_eq!(get(address, "/v1/stats", &bearer("bad")).await.status, 401);
    assert_eq!(get(address, "/gossip/ws", &(bearer("bad") + UPGRADE)).await.status, 401);

    // From now on good ones are not looked at either.
    for token in [&*good, "bad"] {
        let token_of = json!({ "token": token });
        assert_eq!(refusal(&refused(address, &token_of).await), ("rate_limited", Some(15_000)));
        let ack = waiting.ask("authenticate", &token_of.to_string()).await;
        assert_eq!(refusal(&ack), ("rate_limited", Some(15_000)));
        is_rate_limited(&get(address, "/v1/stats", &bearer(token)).await, 15_000);
        is_rate_limited(&get(address, "/gossip/ws", &(bearer(token) + UPGRADE)).await, 15_000);
    }
    clock.advance_ms(15_000);
    waiting.call("authenticate", json!({ "token": good })).await;
}

#[tokio::test]
async fn connections_are_opened_no_faster_than_the_rate() {
    let (clock, _home, server) = limited(&["--rate-connect", "3/3s"]).await;
    let address = server.address();
    let plain = Client::plain(address, None).await;
    let socket = session(address).await;
    assert_eq!(get(address, OPEN_POLLING, "").await.status, 200);
    is_rate_limited(&get(address, OPEN_POLLING, "").await, 1000);
    is_rate_limited(&get(address, OPEN_WEBSOCKET, UPGRADE).await, 1000);
    is_rate_limited(&get(address, "/gossip/ws", UPGRADE).await, 1000);
    assert_eq!(get(address, "/healthz", "").await.status, 200);
    clock.advance_ms(999);
    is_rate_limited(&get(address, OPEN_POLLING, "").await, 1);
    clock.advance_ms(1);
    assert_eq!(get(address, OPEN_POLLING, "").await.status, 200);
    assert_eq!(count(&server, "connect"), 4);
    drop((plain, socket));
}

#[tokio::test]
async fn an_address_has_so_many_sockets_and_no_more() {
    let (_clock, _home, server) = limited(&["--max-sockets-per-address", "3", "--rate-connect", "1000000/1s"]).await;
    let address = server.address();
    let open_ones = (session(address).await, Client::plain(address, None).await, session(address).await);
    is_rate_limited(&get(address, OPEN_POLLING, "").await, 10_000);
    is_rate_limited(&get(address, OPEN_WEBSOCKET, UPGRADE).await, 10_000);
    is_rate_limited(&get(address, "/gossip/ws", UPGRADE).await, 10_000);
    drop(open_ones);
    // The server hears of it a moment later; three may then be open again.
    let again = async {
        let mut sids = Vec::new();
        while sids.len() < 3 {
            let answer = get(address, OPEN_POLLING, "").await;
            if answer.status == 200 {
                let open: Value = serde_json::from_str(&answer.body[1..]).unwrap();
                sids.push(open["sid"].as_str().unwrap().to_owned());
            }
        }
        sids
    };
    let sids = within("room for three", again).await;
    is_rate_limited(&get(address, OPEN_POLLING, "").await, 10_000);
    // A request that is refused for another reason does not count.
    assert_eq!(get(address, "/socket.io/?EIO=3&transport=polling", "").await.status, 400);
    let target = format!("{OPEN_POLLING}&sid={}", sids[0]);
    let mut http = Http::connect(address).await.unwrap();
    assert_eq!(http.request("POST", &target, "", b"1").await.unwrap().status, 200);
    // What the server still has for it.
    assert_eq!(http.get(&target, "").await.unwrap().status, 200);
    let again = async { while get(address, OPEN_POLLING, "").await.status != 200 {} };
    within("room for one", again).await;
}

#[tokio::test]
async fn a_user_has_so_many_sockets_and_no_more() {
    let (_clock, _home, server) = limited(&["--max-sockets-per-user", "2", "--rate-connect", "1000000/1s"]).await;
    let address = server.address();
    let token = server.token("user");
    let auth = json!({ "token": token });
    let one = Client::socket_io(address, Some(&token)).await;
    let other = Client::plain(address, Some(&token)).await;
    assert_eq!(refusal(&refused(address, &auth).await), ("rate_limited", Some(10_000)));
    let recovering = json!({ "token": token, "recover": true });
    assert_eq!(refusal(&refused(address, &recovering).await), ("rate_limited", Some(10_000)));
    let bearer = format!("Authorization: Bearer {token}\r\n{UPGRADE}");
    is_rate_limited(&get(address, "/gossip/ws", &bearer).await, 10_000);
    let mut late = Client::socket_io(address, None).await;
    assert_eq!(refusal(&late.ask("authenticate", &auth.to_string()).await), ("rate_limited", Some(10_000)));
    assert_eq!(late.ask("join_room", &json!({ "roomId": new_room() }).to_string()).await["code"], "not_authenticated");
    assert_eq!(count(&server, "sockets_per_user"), 4);
    // Others are not touched, nor is who speaks for many.
    server.client("user").await;
    let service = server.token("service");
    let services = [(); 4].map(|()| Client::socket_io(address, Some(&service)));
    for service in services {
        service.await;
    }

    drop((one, other));
    let again = async {
        let mut open = Vec::new();
        while open.is_empty() {
            open.extend(Some(handshake(address, &auth).await).filter(|(_, answer)| answer.is_ok()));
        }
        open
    };
    let open = within("room for one", again).await;
    drop(late);
    let second = async { while get(address, "/gossip/ws", &bearer).await.status != 101 {} };
    within("room for another", second).await;
    let both = async { while handshake(address, &auth).await.1.is_err() {} };
    within("room for another again", both).await;
    drop(open);
}

#[tokio::test]
async fn a_client_that_comes_back_has_not_to_wait_for_the_end_of_its_own_socket() {
    let (_clock, _home, server) = limited(&["--max-sockets-per-user", "1", "--rate-connect", "1000000/1s"]).await;
    let address = server.address();
    let token = server.token("user");
    let (mut first, answer) = handshake(address, &json!({ "token": token, "recover": true })).await;
    let pid = answer.unwrap()["pid"].clone();
    assert_eq!(refused(address, &json!({ "token": token })).await["code"], "rate_limited");
    // The first socket is open and silent all the while, as one is whose network is gone.
    let back = json!({ "token": token, "recover": true, "pid": pid });
    let (mut second, answer) = handshake(address, &back).await;
    assert_eq!(answer.unwrap()["pid"], pid);
    while let Some(Ok(_)) = within("the end of the first", first.next()).await {}
    let (third, answer) = handshake(address, &back).await;
    assert_eq!(answer.unwrap()["pid"], pid);
    while let Some(Ok(_)) = within("the end of the second", second.next()).await {}
    // The ends of those replaced take nothing from who is there.
    assert_eq!(refused(address, &json!({ "token": token })).await["code"], "rate_limited");
    drop(third);
    let again = async { while handshake(address, &json!({ "token": token })).await.1.is_err() {} };
    within("room for one", again).await;
}

#[tokio::test]
async fn who_keeps_flooding_is_disconnected_and_told_to_stay_away() {
    let (_clock, _home, server) = limited(&["--rate-new-gossip", "1/60s"]).await;
    let post = json!({ "roomId": new_room(), "content": "psst" }).to_string();
    let token = server.token("user");
    for plain in [false, true] {
        let mut client = match plain {
            false => Client::socket_io(server.address(), Some(&token)).await,
            true => Client::plain(server.address(), Some(&token)).await,
        };
        let spent = if plain { 0 } else { 1 };
        for n in 0..100 + spent {
            let ack = client.ask("new_gossip", &post).await;
            assert_eq!(ack["code"] == "rate_limited", n >= spent, "{n}: {ack}");
        }
        // Each has its answer, the last one too.
        let ack = client.ask("new_gossip", &post).await;
        assert_eq!(ack["code"], "rate_limited");
        let (name, body) = match within("the exception", client.next()).await {
            Got::Event(name, _) if name == "gossip_update" => client.event().await,
            Got::Event(name, body) => (name, body),
            other => panic!("no exception but {other:?}"),
        };
        assert_eq!((&*name, refusal(&body)), ("exception", ("rate_limited", Some(10_000))));
        if plain {
            assert_eq!(client.next().await, Got::Closed(Some(4003)));
        } else {
            assert_eq!(client.next().await, Got::Disconnected);
            assert!(matches!(client.next().await, Got::Closed(_)));
        }
    }
    assert_eq!(count(&server, "flooding"), 2);
    // It is not the user who is kept out.
    Client::socket_io(server.address(), Some(&token)).await.call("join_room", json!({ "roomId": new_room() })).await;
}

#[tokio::test]
async fn a_flood_of_packets_ends_the_connection_however_empty_they_are() {
    let (_clock, _home, server) = limited(&[]).await;
    let mut client = server.client("user").await;
    let mut plain = server.plain("user").await;
    let ping = || Message::Ping(Vec::new().into());
    for n in 0..6000 {
        // The server stops reading; what cannot be sent then is of no interest.
        let _ = client.socket.feed(if n % 2 == 0 { "3".into() } else { ping() }).await;
        let _ = plain.socket.feed(ping()).await;
    }
    let _ = (client.socket.flush().await, plain.socket.flush().await);
    let (name, body) = within("the exception", client.event()).await;
    assert_eq!((&*name, refusal(&body)), ("exception", ("rate_limited", Some(10_000))));
    assert_eq!(client.next().await, Got::Disconnected);
    assert_eq!(within("the exception", plain.event()).await.1["code"], "rate_limited");
    assert_eq!(plain.next().await, Got::Closed(Some(4003)));
    assert_eq!(count(&server, "packets"), 2);
}

#[tokio::test]
async fn who_only_observes_refuses_nothing_and_counts() {
    let (_clock, _home, server) = limited(&[
        "--rate-limit-mode",
        "observe",
        "--rate-connect",
        "1/60s",
        "--rate-auth-failures",
        "1/60s",
        "--rate-new-gossip",
        "1/60s",
        "--max-sockets-per-user",
        "1",
        "--max-sockets-per-address",
        "1",
    ])
    .await;
    let (address, token) = (server.address(), server.token("user"));
    let mut one = Client::socket_io(address, Some(&token)).await;
    let _other = Client::socket_io(address, Some(&token)).await;
    let _plain = Client::plain(address, Some(&token)).await;
    for _ in 0..3 {
        assert_eq!(refused(address, &json!({ "token": "bad" })).await["code"], "invalid_token");
    }
    for _ in 0..130 {
        one.call("new_gossip", json!({ "roomId": new_room(), "content": "psst" })).await;
    }
    for _ in 0..6000 {
        one.socket.feed("3".into()).await.unwrap();
    }
    one.socket.flush().await.unwrap();
    one.call("join_room", json!({ "roomId": new_room() })).await;
    for (name, at_least, at_most) in [
        ("connect", 5, 5),
        ("auth_failures", 2, 2),
        ("new_gossip", 129, 129),
        ("flooding", 29, 29),
        ("sockets_per_user", 2, 2),
        ("sockets_per_address", 2, 5),
        ("packets", 1, 4000),
        ("other", 0, 0),
    ] {
        let count = count(&server, name);
        assert!((at_least..=at_most).contains(&count), "{name}: {count}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_trusted_says_where_a_client_is() {
    let one = "X-Forwarded-For: 198.51.100.1\r\n";
    let other = "X-Forwarded-For: 198.51.100.1, 198.51.100.2\r\n";
    let (_clock, _home, server) = limited(&["--trusted-proxies", "127.0.0.0/8", "--rate-connect", "1/60s"]).await;
    assert_eq!(get(server.address(), OPEN_POLLING, one).await.status, 200);
    is_rate_limited(&get(server.address(), OPEN_POLLING, one).await, 60_000);
    assert_eq!(get(server.address(), OPEN_POLLING, other).await.status, 200);
    is_rate_limited(&get(server.address(), OPEN_POLLING, other).await, 60_000);
    assert_eq!(get(server.address(), OPEN_POLLING, "").await.status, 200);
    // The rest of an address's limits go by the same.
    let bad = "Authorization: Bearer bad\r\n";
    for _ in 0..10 {
        assert_eq!(get(server.address(), "/v1/stats", &format!("{one}{bad}")).await.status, 401);
    }
    is_rate_limited(&get(server.address(), "/v1/stats", &format!("{one}{bad}")).await, 6000);
    assert_eq!(get(server.address(), "/v1/stats", &format!("{other}{bad}")).await.status, 401);

    let (_clock, _home, server) = limited(&["--trusted-proxies", "192.0.2.1", "--rate-connect", "1/60s"]).await;
    assert_eq!(get(server.address(), OPEN_POLLING, one).await.status, 200);
    is_rate_limited(&get(server.address(), OPEN_POLLING, other).await, 60_000);
}
