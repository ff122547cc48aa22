//! A new version is rolled out under load: gossipd is told to end (SIGTERM) and a new process takes its port and its
//! database, while clients work that ask for Socket.IO's recovery. All of them are told, let go of bit by bit, and come
//! back to where they were; what they sent and heard is compared with the database (contract §4, §7). `DEPLOY_CLIENTS`
//! asks for more clients than are good for every day. Also what a draining process still answers, and the second signal.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "figures and seeds, for who looks into a run")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod fault;
#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::time::{Duration, Instant};

use fault::crowd::{Crowd, ROOMS_EACH};
use fault::database::Database;
use fault::manner::{Counts, Departure, Manner};
use fault::process::Process;
use gossip_core::env::Env;
use gossip_hub::SystemEnv;
use rustix::process::Signal;
use support::http::Http;
use support::rng::{self, Rng};
use support::server::{new_user, token};
use support::websocket::{Client, Got};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Commands a second, over all clients.
const RATE: u32 = 200;
/// Members of each room.
const MEMBERS: usize = 40;
/// The default of `DRAIN_TIMEOUT`, and a moment for the process to be gone.
const END_MAX: Duration = Duration::from_secs(11);
/// A batch, and the time to the next one, of up to 2000 clients.
const BATCH: usize = 100;
const BATCH_EVERY: Duration = Duration::from_millis(100);

fn clients(default: usize) -> usize {
    std::env::var("DEPLOY_CLIENTS").map_or(default, |clients| clients.parse().unwrap())
}

/// When the new process is started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// When the old one has ended.
    After,
    /// While the old one still serves: it waits for the port.
    Before,
}

/// One at a time: a thousand clients and two processes keep a machine busy as it is.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn deploy(database: Database, start: Start, clients: usize, name: &str) {
    let _alone = ALONE.lock().await;
    let seed = rng::seed();
    println!("{name}: GOSSIPD_TEST_SEED={seed}");
    let mut rng = Rng::new(seed);
    let mut process = Process::start(&database, &[("SHARDS", "2"), ("RATE_LIMIT_MODE", "observe")]);
    let manner = Manner::patient(Duration::from_secs(1) / RATE * clients as u32);
    let mut crowd = Crowd::with(&process, clients, clients * ROOMS_EACH / MEMBERS, manner, &mut rng);
    all(&mut crowd, |counts| counts.joins == clients * ROOMS_EACH).await;
    crowd.acks(RATE as usize).await;

    let (begun, code) = tokio::task::block_in_place(|| {
        let mut begun = Instant::now();
        let code = match start {
            Start::After => {
                process.signal(Signal::TERM);
                process.ended()
            }
            Start::Before => process.replaced(|old| {
                begun = Instant::now();
                old.signal(Signal::TERM);
            }),
        };
        let took = begun.elapsed();
        if start == Start::After {
            process.start_again();
        }
        (took, code)
    });
    assert_eq!(code, Some(0), "not everything was done");
    assert!(begun < END_MAX, "{begun:?}");
    all(&mut crowd, |counts| counts.connections == 2 * clients).await;
    crowd.acks(RATE as usize).await;

    let patient = crowd.shared.clone();
    let figures = crowd.finish(&database, &format!("{name}, seed {seed}, {clients} clients, ended in {begun:?}")).await;
    assert_eq!((figures.connections, figures.recovered), (2 * clients as u64, clients as u64), "not all are back");
    spread(&patient.manner.as_patient().departures(), clients);
    process.assert_no_panic();
    drop(process);
    database.remove().await;
}

/// Waits until it is so of all.
async fn all(crowd: &mut Crowd, is_so: impl Fn(&Counts) -> bool) {
    let mut counts = crowd.shared.manner.as_patient().counts.subscribe();
    crowd.until("the clients", async { counts.wait_for(is_so).await.map(drop).unwrap() }).await;
}

/// Everybody was told, and they were let go of bit by bit.
fn spread(departures: &[Departure], clients: usize) {
    assert_eq!(departures.len(), clients, "somebody's connection ended without a word");
    let within = |from: usize| {
        let window = departures[from].ended + BATCH_EVERY;
        departures[from..].iter().take_while(|departure| departure.ended < window).count()
    };
    let most = (0..clients).map(within).max().unwrap();
    let took = departures[clients - 1].ended - departures[0].ended;
    let notice = departures.iter().map(|departure| departure.ended - departure.told).max().unwrap();
    println!(
        "ended over {took:?}, at most {most} of {clients} in {BATCH_EVERY:?}, at most {notice:?} after the notice"
    );
    let batches = clients.div_ceil(BATCH.max(clients / 20));
    let least = BATCH_EVERY * (batches as u32 - 1);
    assert!(took >= least / 2, "ended within {took:?}, not over {least:?}");
    if batches >= 10 {
        assert!(most <= clients * 2 / 5, "{most} of {clients} ended at once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_process_takes_over_on_sqlite() {
    deploy(Database::sqlite(), Start::After, clients(400), "a deploy on SQLite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_process_that_is_there_already_takes_over_on_sqlite() {
    deploy(Database::sqlite(), Start::Before, clients(200), "an overlapping deploy on SQLite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_process_that_is_there_already_takes_over_on_postgres() {
    deploy(Database::postgres().await, Start::Before, clients(200), "an overlapping deploy on Postgres").await;
}

/// The head and body of an answer.
async fn answer(process: &Process, target: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(process.address()).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
        assert_ne!(support::within(target, stream.read_buf(&mut answer)).await.unwrap(), 0, "{target}");
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_process_refuses_who_is_new_and_ends_at_once_when_told_again() {
    for again in [Signal::TERM, Signal::INT] {
        let database = Database::sqlite();
        let mut process = Process::start(&database, &[]);
        let token = token(new_user(), "user", SystemEnv.now().plus(Duration::from_secs(3600)));
        let mut client = Client::socket_io(process.address(), Some(&token)).await;
        // A polling client that never fetches its last packets keeps the process for some seconds.
        let mut polling = Http::connect(process.address()).await.unwrap();
        let target = "/socket.io/?EIO=4&transport=polling";
        assert_eq!(polling.get(target, "").await.unwrap().status, 200);

        process.signal(Signal::TERM);
        let (name, told) = client.event().await;
        assert_eq!((name.as_str(), &told), ("server_draining", &serde_json::json!({ "retryAfterMs": 1000 })));
        assert_eq!(client.next().await, Got::Closed(Some(1012)));

        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let websocket = "/socket.io/?EIO=4&transport=websocket";
        for (target, headers) in [(target, ""), (websocket, upgrade), ("/gossip/ws", upgrade)] {
            let answer = answer(&process, target, headers).await;
            assert!(answer.starts_with("HTTP/1.1 503 "), "{target}: {answer}");
            assert!(answer.to_ascii_lowercase().contains("\r\nretry-after: 1\r\n"), "{target}: {answer}");
        }
        assert!(answer(&process, "/healthz", "").await.starts_with("HTTP/1.1 200 "));
        assert!(answer(&process, "/readyz", "").await.starts_with("HTTP/1.1 503 "));

        let begun = Instant::now();
        process.signal(again);
        let code = tokio::task::block_in_place(|| process.ended());
        assert_eq!(code, Some(1), "what was under way was not finished");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        process.assert_no_panic();
    }
}
