//! The keys that verify tokens (contract §7): where they are configured, and that they may change while the server runs.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gossip_core::env::Env;
use gossip_hub::{Claims, Key, SystemEnv};
use gossipd::Daemon;
use gossipd::config::Cli;
use serde_json::json;
use support::server::{Home, SECRET, new_room, new_user};
use support::websocket::Client;

const WEEK: Duration = Duration::from_secs(7 * 86_400);

fn home() -> Home {
    Home::new(Arc::new(SystemEnv))
}

const OTHER_SECRET: &str = "another secret of thirty-two bytes and more";
/// [`SECRET`] and [`OTHER_SECRET`] in base64url.
const K: [&str; 2] = [
    "YSBzZWNyZXQgb2YgYXQgbGVhc3QgdGhpcnR5LXR3byBieXRlcw",
    "YW5vdGhlciBzZWNyZXQgb2YgdGhpcnR5LXR3byBieXRlcyBhbmQgbW9yZQ",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_while_the_server_runs() {
    let home = home();
    let file = home.file("jwks.json");
    let write = |keys: &[&str]| {
        let keys: Vec<_> = keys.iter().map(|k| json!({ "kty": "oct", "k": k, "kid": k })).collect();
        std::fs::write(&file, json!({ "keys": keys }).to_string()).unwrap();
    };
    write(&K[..1]);
    let server = home.start(&["--jwt-jwks-file", file.to_str().unwrap()]).await;
    let exp = SystemEnv.now().plus(WEEK).as_millis() / 1000;
    let claims =
        Claims { sub: new_user(), iat: None, exp, role: "user", rooms: Some("*".into()), iss: None, aud: None };
    let [old, new] = [SECRET, OTHER_SECRET].map(|secret| Key::secret(secret).sign(&claims).unwrap());
    assert_eq!(server.refused(&old).await, None);
    assert!(server.refused(&new).await.is_some());
    let mut client = Client::socket_io(server.address(), Some(&old)).await;

    // A key comes, a file breaks, a key goes. Each is seen when a token that was refused is accepted.
    write(&K);
    let begun = Instant::now();
    while server.refused(&new).await.is_some() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the file was not read again");
        // tidy: sleep because nothing tells that a file was read.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(server.refused(&old).await, None);
    std::fs::write(&file, "{").unwrap();
    assert_eq!((server.refused(&old).await, server.refused(&new).await), (None, None));
    write(&K[1..]);
    let begun = Instant::now();
    while server.refused(&old).await.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the file was not read again");
        // tidy: sleep because nothing tells that a file was read.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(server.refused(&new).await, None);
    // Who is in, stays in, until its token ends.
    client.call("join_room", json!({ "roomId": new_room() })).await;
    client.call("authenticate", json!({ "token": new })).await;
}

#[tokio::test]
async fn the_keys_are_in_one_place_and_good_at_the_start() {
    let home = home();
    let (broken, good) = (home.file("broken.json"), home.file("good.json"));
    std::fs::write(&broken, r#"{"keys":[]}"#).unwrap();
    std::fs::write(&good, json!({ "keys": [{ "kty": "oct", "k": K[0] }] }).to_string()).unwrap();
    let (broken, good, missing) = (broken.to_str().unwrap(), good.to_str().unwrap(), "/nowhere/jwks.json");
    let database = format!("sqlite://{}", home.file("gossip.db").display());
    let pairs = |more: &[&str]| more.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    for (args, said) in [
        (pairs(&["--jwt-jwks-file", broken]), "JWT_JWKS_FILE: "),
        (pairs(&["--jwt-jwks-file", missing]), "JWT_JWKS_FILE: "),
        (pairs(&["--jwt-jwks-file", good, "--jwt-secret", SECRET]), "JWT_SECRET, JWT_PUBLIC_KEY_FILE, JWT_JWKS_FILE: "),
        (
            pairs(&["--jwt-jwks-file", good, "--jwt-public-key-file", good]),
            "JWT_SECRET, JWT_PUBLIC_KEY_FILE, JWT_JWKS_FILE: ",
        ),
        (pairs(&[]), "set JWT_SECRET, JWT_PUBLIC_KEY_FILE or JWT_JWKS_FILE"),
    ] {
        let all = ["gossipd", "--ws-port", "0", "--database-url", &database].into_iter().map(str::to_owned).chain(args);
        let settings = Cli::read(all.map(OsString::from)).unwrap().settings;
        let Err(error) = Daemon::start(&settings, false, Arc::new(SystemEnv)).await else { panic!("it started") };
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(said), "{error}");
    }
}
