//! More connections than gossipd may have files open: who is connected is served all the same, nothing spins meanwhile,
//! and when the crowd has gone others are let in.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "figures, for who looks into a run")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod fault;
#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::time::{Duration, Instant};

use fault::database::Database;
use fault::process::Process;
use gossip_core::env::Env;
use gossip_hub::SystemEnv;
use serde_json::json;
use support::server::{new_room, new_user, token};
use support::websocket::Client;
use support::within;
use tokio::net::TcpStream;

/// Files that gossipd may open beside those it has.
const LEFT: usize = 30;
const CROWD: usize = 300;
/// For how long its use of the processor is watched, and how much it may be in hundredths of a second: a loop would take
/// all of it.
const WATCHED: Duration = Duration::from_secs(1);
const TICKS_MAX: u64 = 30;
const LOOK: Duration = Duration::from_millis(10);

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            // tidy: sleep because a process does not tell others of its files
            tokio::time::sleep(LOOK).await;
        }
    };
    within(what, looking).await;
}

async fn client(process: &Process) -> Client {
    let token = token(new_user(), "user", SystemEnv.now().plus(Duration::from_secs(3600)));
    Client::socket_io(process.address(), Some(&token)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_file_to_open_nothing_spins_and_everybody_who_is_there_is_served() {
    let database = Database::sqlite();
    let process = Process::start(&database, &[("LOG_LEVEL", "info"), ("RATE_LIMIT_MODE", "observe")]);
    let room = new_room();
    let (mut one, mut other) = (client(&process).await, client(&process).await);
    for client in [&mut one, &mut other] {
        client.call("join_room", json!({ "roomId": room })).await;
    }
    let (before, sockets) = (process.files(), process.sockets());
    process.limit_files(before + LEFT);
    // What is not accepted waits in the kernel's queue.
    let mut crowd = Vec::new();
    for _ in 0..CROWD {
        crowd.push(within("a connection", TcpStream::connect(process.address())).await.unwrap());
    }
    until("the last file", || process.said("cannot accept connections") > 0).await;
    let full = process.files();
    assert!(full > before && full < before + CROWD, "{before}, {full}");

    let (ticks, begun) = (process.cpu_ticks(), Instant::now());
    // tidy: sleep because what is done in this time is what matters
    tokio::time::sleep(WATCHED).await;
    let ticks = process.cpu_ticks() - ticks;
    println!("{ticks} hundredths of a second of the processor in {:?}", begun.elapsed());
    assert!(ticks <= TICKS_MAX, "{ticks} ticks in {WATCHED:?}");
    for number in 0..20 {
        let posted = one.call("new_gossip", json!({ "roomId": room, "content": format!("news {number}") })).await;
        assert_eq!(posted["seq"], number + 1);
        assert_eq!(other.update().await["seq"], number + 1);
    }
    assert_eq!(process.files(), full);

    drop(crowd);
    let mut late = client(&process).await;
    let joined = late.call("join_room", json!({ "roomId": room })).await;
    assert_eq!(joined["seq"], 20);
    drop(late);
    until("its sockets", || process.sockets() <= sockets).await;
    // Said once each, however often it was tried.
    for said in ["cannot accept connections", "connections are accepted again"] {
        let times = process.said(said);
        assert!((1..=CROWD / LEFT).contains(&times), "{said}: {times} times");
    }
    process.assert_no_panic();
}
