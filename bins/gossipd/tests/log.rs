//! What the log tells of one connection at debug, as text and as JSON: a line for each thing that became of it, with
//! nothing in them that it wrote but for its `requestId`, escaped, and a way from its request to the transaction.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "what the server said, for who looks into a failure")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod fault;
#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::time::Duration;

use fault::database::Database;
use fault::process::Process;
use gossip_core::env::Env;
use gossip_hub::SystemEnv;
use rustix::process::Signal;
use serde_json::{Value, json};
use support::server::{new_room, new_user, token};
use support::websocket::Client;

/// What must be nowhere in the log.
const SAID: &str = "Frau Schmidt's cat";
/// Not the client's to name a line or a colour.
const EVIL: &str = "7\n\u{1b}[31mERROR all is lost";

struct Story {
    room: String,
    user: String,
    log: String,
}

/// One client's life on a server with this format.
async fn story(format: &str) -> Story {
    let database = Database::sqlite();
    let mut process = Process::start(&database, &[("LOG_LEVEL", "debug"), ("LOG_FORMAT", format)]);
    let (user, room) = (new_user(), new_room());
    let token = token(user, "user", SystemEnv.now().plus(Duration::from_secs(3600)));
    let mut client = Client::socket_io(process.address(), None).await;
    client.call("authenticate", json!({ "token": token })).await;
    client.call("join_room", json!({ "roomId": room })).await;
    let post = json!({ "roomId": room, "content": SAID, "requestId": EVIL });
    let posted = client.call("new_gossip", post).await;
    let intent = &posted["intent"]["id"];
    client.call("comment_gossip", json!({ "intentId": intent, "content": SAID })).await;
    client.ask("new_gossip", &json!({ "roomId": room, "content": "" }).to_string()).await;
    client.ask(EVIL, "{}").await;
    client.call("leave_room", json!({ "roomId": room })).await;
    client.write("41/gossip,").await;
    // Its end is told before the process's.
    while client.next().await != support::websocket::Got::Closed(None) {
        client.socket.close(None).await.ok();
    }
    process.signal(Signal::TERM);
    assert_eq!(tokio::task::block_in_place(|| process.ended()), Some(0));
    let log = process.log();
    for secret in [token.as_str(), SAID, "Schmidt", "\u{1b}", EVIL] {
        assert!(!log.contains(secret), "{secret:?} is in the log:\n{log}");
    }
    assert!(log.lines().all(|line| !line.contains(char::is_control)), "{log}");
    Story { room: room.to_string(), user: user.to_string(), log }
}

/// What is told, in order: the line's message, and what it must have besides.
fn expected(story: &Story) -> Vec<(&'static str, Vec<(&'static str, Value)>)> {
    let answered = |number: u64, event: &'static str, outcome: &'static str| {
        vec![("request", json!(number)), ("event", json!(event)), ("outcome", json!(outcome))]
    };
    let and = |mut fields: Vec<(&'static str, Value)>, more: &[(&'static str, Value)]| {
        fields.extend_from_slice(more);
        fields
    };
    let room = ("room", json!(story.room));
    vec![
        ("opened", vec![("protocol", json!("socketio")), ("address", json!("127.0.0.1"))]),
        ("authenticated", vec![("user", json!(story.user)), ("role", json!("user"))]),
        ("answered", answered(1, "authenticate", "success")),
        ("answered", and(answered(2, "join_room", "success"), &[room.clone(), ("seq", json!(0))])),
        (
            "answered",
            and(
                answered(3, "new_gossip", "success"),
                &[room.clone(), ("seq", json!(1)), ("commit", json!(1)), ("request_id", json!(format!("{EVIL:?}")))],
            ),
        ),
        ("answered", and(answered(4, "comment_gossip", "success"), &[("seq", json!(2)), ("commit", json!(2))])),
        ("answered", and(answered(5, "new_gossip", "invalid_input"), &[("field", json!("content"))])),
        ("answered", answered(6, "unknown", "unknown_event")),
        ("answered", and(answered(7, "leave_room", "success"), &[room])),
        ("ended", vec![("user", json!(story.user)), ("reason", json!("Left"))]),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connections_story_as_json() {
    let story = story("json").await;
    let lines: Vec<Value> = story.log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_it: Vec<&Value> = lines.iter().filter(|line| line["target"] == "gossip_hub::story").collect();
    let expected = expected(&story);
    assert_eq!(of_it.len(), expected.len(), "{of_it:#?}");
    for (line, (message, fields)) in of_it.iter().zip(&expected) {
        let told = &line["fields"];
        assert_eq!((&told["message"], &told["connection"]), (&json!(message), &json!(0)), "{line}");
        for (name, value) in fields {
            assert_eq!(&told[name], value, "{line}");
        }
        assert!(*message != "answered" || told["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
    }
    // From the request to its transaction.
    let commit = of_it[4]["fields"]["commit"].clone();
    let committed = lines.iter().find(|line| line["fields"]["commit"] == commit && line["fields"]["commands"] == 1);
    let committed = committed.unwrap();
    assert_eq!((&committed["target"], &committed["fields"]["events"]), (&json!("gossip_store::queue"), &json!(1)));
    assert!(committed["fields"]["ms"].as_f64().unwrap() > 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_connections_story_as_text() {
    let story = story("text").await;
    let of_it: Vec<&str> = story.log.lines().filter(|line| line.contains(" gossip_hub::story: ")).collect();
    let expected = expected(&story);
    assert_eq!(of_it.len(), expected.len(), "{of_it:#?}");
    for (line, (message, fields)) in of_it.iter().zip(&expected) {
        assert!(line.contains(&format!(" DEBUG gossip_hub::story: {message} connection=0 ")), "{line}");
        for (name, value) in fields {
            // Words are told with quotes or without.
            let (bare, quoted) = (value.as_str().map_or(value.to_string(), str::to_owned), value.to_string());
            let is_there = [bare, quoted].iter().any(|value| line.contains(&format!(" {name}={value}")));
            assert!(is_there, "{name}={value} in {line}");
        }
    }
}
