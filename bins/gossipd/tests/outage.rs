//! The database away, silent or slow (contract §2, `unavailable` and `unresolved`; §4, bounded memory): whoever asks is
//! told in time, nobody is disconnected, nothing is half written, and all goes on by itself when it is back. Where it is
//! only slow, who sends too much is slowed, and nothing that was taken in is dropped.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "figures and seeds, for who looks into a run")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod fault;
#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fault::crowd::Crowd;
use fault::database::Database;
use fault::process::Process;
use fault::senders::{ANSWERS_KIB_MAX, Senders, TAKEN_KIB_MAX};
use gossip_core::env::Env;
use gossip_hub::SystemEnv;
use gossip_proto::id::RoomId;
use serde_json::{Value, json};
use support::http::Http;
use support::rng::{self, Rng};
use support::server::{new_room, new_user, token};
use support::websocket::Client;
use support::within;
use tokio::task::JoinSet;

const CLIENTS: usize = 20;
/// `STORE_TIMEOUT`, and what a machine with much else to do may take beside it.
const IN_TIME: Duration = Duration::from_millis(2_000 + 400);

fn good_token(role: &'static str) -> String {
    token(new_user(), role, SystemEnv.now().plus(Duration::from_secs(86_400)))
}

/// What is asked while the database is away.
struct Questions {
    room: RoomId,
    intent: Value,
}

impl Questions {
    /// What writes.
    fn commands(&self) -> [(&'static str, Value); 3] {
        [
            ("new_gossip", json!({ "roomId": self.room, "content": "psst" })),
            ("comment_gossip", json!({ "intentId": self.intent, "content": "psst" })),
            ("vote_gossip", json!({ "intentId": self.intent, "action": "upvote" })),
        ]
    }

    fn reads(&self) -> [(&'static str, Value); 4] {
        [
            ("list_gossip", json!({ "roomId": self.room })),
            ("get_gossip", json!({ "intentId": self.intent })),
            ("list_updates", json!({ "intentId": self.intent })),
            ("join_room", json!({ "roomId": self.room, "since": 0 })),
        ]
    }
}

/// Somebody who asks one thing after the other, and whose socket is to stay.
struct Asker {
    client: Client,
    slowest: Duration,
}

impl Asker {
    /// Asks all at once, and takes the answers as they come.
    async fn ask_all(&mut self, questions: &[(&'static str, Value)]) -> Vec<Value> {
        let begun = Instant::now();
        let mut ids = Vec::new();
        for (event, data) in questions {
            ids.push(self.client.emit(event, &data.to_string()).await);
        }
        let mut answers = Vec::new();
        for id in ids {
            answers.push(self.client.ack(id).await);
            self.slowest = self.slowest.max(begun.elapsed());
        }
        answers
    }
}

/// Those who ask, each on a connection of their own: the answer to one does not wait for another's.
struct Askers {
    process: std::net::SocketAddr,
    questions: Arc<Questions>,
    askers: Vec<Asker>,
}

impl Askers {
    async fn new(process: &Process, room: RoomId) -> Askers {
        let mut author = Client::plain(process.address(), Some(&good_token("user"))).await;
        let posted = author.call("new_gossip", json!({ "roomId": room, "content": "psst" })).await;
        let questions = Arc::new(Questions { room, intent: posted["intent"]["id"].clone() });
        let count = questions.commands().len() + questions.reads().len() + 1;
        let mut askers = Vec::new();
        for number in 0..count {
            let token = good_token("user");
            let client = match number % 2 {
                0 => Client::plain(process.address(), Some(&token)).await,
                _ => Client::socket_io(process.address(), Some(&token)).await,
            };
            askers.push(Asker { client, slowest: Duration::ZERO });
        }
        Askers { process: process.address(), questions, askers }
    }

    /// Each asks its own thing `times`, one after the other; the last asks everything at once. `is_right` says what the
    /// answers must be. Gives how long the slowest took, of the ones and of the other.
    async fn ask(&mut self, times: usize, is_right: fn(&str, &Value) -> bool) -> [Duration; 2] {
        let mut asking = JoinSet::new();
        let (commands, reads) = (self.questions.commands(), self.questions.reads());
        let all: Vec<_> = commands.into_iter().chain(reads).collect();
        for (number, mut asker) in self.askers.drain(..).enumerate() {
            let questions = all.get(number).map_or_else(|| all.clone(), |question| vec![question.clone()]);
            asker.slowest = Duration::ZERO;
            asking.spawn(async move {
                for _ in 0..times {
                    let answers = asker.ask_all(&questions).await;
                    for ((event, _), answer) in questions.iter().zip(answers) {
                        assert!(is_right(event, &answer), "{event}: {answer}");
                    }
                }
                (number, asker)
            });
        }
        let mut askers = Vec::new();
        while let Some(asked) = within("answers", asking.join_next()).await {
            askers.push(asked.unwrap());
        }
        askers.sort_by_key(|(number, _)| *number);
        self.askers = askers.into_iter().map(|(_, asker)| asker).collect();
        let (at_once, one_by_one) = self.askers.split_last().unwrap();
        [one_by_one.iter().map(|asker| asker.slowest).max().unwrap(), at_once.slowest]
    }

    async fn is_ready(&self) -> bool {
        let begun = Instant::now();
        let mut http = Http::connect(self.process).await.unwrap();
        let answer = within("/readyz", http.get("/readyz", "Connection: close\r\n")).await.unwrap();
        assert!(begun.elapsed() <= IN_TIME, "/readyz took {:?}", begun.elapsed());
        assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
        answer.status == 200
    }

    /// Asks until all is well again.
    async fn back(&mut self) -> Duration {
        let begun = Instant::now();
        within("the database's return", async {
            while !self.is_ready().await {
                // tidy: sleep because another process does not say when it is ready again
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        self.ask(1, |_, answer| answer["status"] != "error").await;
        begun.elapsed()
    }
}

fn is_unavailable(event: &str, answer: &Value) -> bool {
    let is_command = matches!(event, "new_gossip" | "comment_gossip" | "vote_gossip");
    answer["code"] == "unavailable" || is_command && answer["code"] == "unresolved"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_stopped_and_frozen() {
    let seed = rng::seed();
    println!("GOSSIPD_TEST_SEED={seed}");
    let database = Database::own_postgres();
    let process = Process::start(&database, &[]);
    let mut crowd = Crowd::new(&process, CLIENTS, false, &mut Rng::new(seed));
    let mut askers = Askers::new(&process, new_room()).await;
    let (mut report, mut slowest) = (String::new(), Vec::new());
    for kind in ["stopped", "frozen", "frozen during a commit"] {
        crowd.acks(100).await;
        let mut held = None;
        match kind {
            "stopped" => database.server(|server| server.stop_immediately()),
            "frozen" => database.server(|server| server.pause()),
            _ => {
                held = Some(within("a commit", database.hold_commit()).await);
                database.server(|server| server.pause());
            }
        }
        assert!(!askers.is_ready().await);
        let [one_by_one, at_once] = askers.ask(2, is_unavailable).await;
        slowest.extend([one_by_one, at_once]);
        assert!(!askers.is_ready().await);
        match kind {
            "stopped" => database.server(|server| server.start_again()),
            _ => database.server(|server| server.resume()),
        }
        if let Some(held) = held {
            held.release().await;
        }
        let back = askers.back().await;
        report += &format!("{kind}: answers within {one_by_one:?}, to one who asks all at once {at_once:?}, ");
        report += &format!("all well {back:?} after the return; ");
        crowd.acks(100).await;
    }
    let figures = crowd.finish(&database, &report).await;
    assert_eq!(figures.connections, CLIENTS as u64, "a socket was closed");
    assert!(figures.unresolved > 0);
    assert!(figures.slowest_unavailable.max(figures.slowest_unresolved) <= IN_TIME, "{report}{figures:?}");
    assert!(slowest.iter().all(|slowest| *slowest <= IN_TIME), "{report}");
    process.assert_no_panic();
}

/// SQLite has one writer at a time; here it is another process. Who reads does not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_locked() {
    let seed = rng::seed();
    println!("GOSSIPD_TEST_SEED={seed}");
    let database = Database::sqlite();
    let process = Process::start(&database, &[]);
    let mut crowd = Crowd::new(&process, CLIENTS, false, &mut Rng::new(seed));
    let mut askers = Askers::new(&process, new_room()).await;
    crowd.acks(100).await;
    let lock = database.lock().await;
    let is_command_refused = |event: &str, answer: &Value| match event {
        "new_gossip" | "comment_gossip" | "vote_gossip" => answer["code"] == "unavailable",
        _ => answer["status"] != "error",
    };
    let slowest = askers.ask(2, is_command_refused).await;
    lock.release().await;
    let back = askers.back().await;
    crowd.acks(100).await;
    let report = format!("locked: answers within {slowest:?}, all well {back:?} after the release");
    let figures = crowd.finish(&database, &report).await;
    assert_eq!(figures.connections, CLIENTS as u64, "a socket was closed");
    assert!(figures.slowest_unavailable <= IN_TIME, "{figures:?}");
    assert!(slowest.into_iter().all(|slowest| slowest <= IN_TIME), "{report}");
    assert_eq!(figures.unresolved, 0);
    process.assert_no_panic();
}

/// Senders that never wait, a store that stands still for a while.
async fn queue_full(database: Database) {
    // So long that nobody is refused: what is shown is that they wait.
    let process = Process::start(&database, &[("STORE_TIMEOUT", "120s")]);
    let mut senders = Senders::connect(process.address()).await;
    let idle = process.resident_kib();
    let lock = database.lock().await;
    senders.start();
    let full = senders.stuck().await;
    let at_rest = process.resident_kib();
    lock.release().await;
    let peak = senders.answered(&process).await;
    let report = format!("RSS in KiB: {idle} before, {at_rest} with the queue full, {peak} at most; {full:?}");
    println!("{report}");
    full.assert_bounded();
    assert!(at_rest <= idle + TAKEN_KIB_MAX && peak <= idle + TAKEN_KIB_MAX + ANSWERS_KIB_MAX, "{report}");
    senders.compare(&database).await;
    process.assert_no_panic();
    drop(process);
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sqlite_slow_and_the_queue_full() {
    queue_full(Database::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn postgres_slow_and_the_queue_full() {
    queue_full(Database::postgres().await).await;
}
