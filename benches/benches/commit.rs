//! Durable commits, flushed to disk: batches of 1, 16 and 256 votes on one intent, and of as many posts to one room. What
//! a command costs should fall with the size of its batch. On Postgres too where `TEST_POSTGRES_URL` names a server, and
//! there 1,024 votes at once through a commit queue of one lane and of two: on one intent, and over 64 rooms. The
//! database made there is dropped in the end. Not measured: what comes before and after a commit (see `codec` and
//! `fanout`), and clients that wait for their acks (`cargo xtask loadtest` has those).

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gossip_benches::{Fixed, votes};
use gossip_core::access::Reach;
use gossip_core::command::{Action, Actor, Command};
use gossip_core::text::Limits;
use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::model::VoteAction;
use gossip_proto::reply::Outcome;
use gossip_store::Store;
use gossip_store::postgres::PostgresStore;
use gossip_store::queue::{Batch, CommitQueue, Config, Sink};
use gossip_store::sqlite::SqliteStore;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use uuid::Uuid;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Votes that come at once.
const WAVE: u64 = 1024;
/// Rooms that a wave is spread over.
const ROOMS: u64 = 64;

fn post(room: u64) -> Command {
    let limits = Limits::default();
    Command {
        actor: Actor { user: UserId::NIL, reach: Reach::All },
        action: Action::Post {
            room: RoomId(Uuid::from_u128(u128::from(room))),
            content: limits.gossip("hot").unwrap(),
            metadata: None,
            lives: limits.expiry(None).unwrap(),
        },
        request_id: None,
    }
}

/// An intent in each of the first so many rooms.
fn intents(runtime: &Runtime, store: &dyn Store, env: &Fixed, rooms: u64) -> Vec<IntentId> {
    let posts: Vec<Command> = (0..rooms).map(post).collect();
    let committed = runtime.block_on(store.commit(&posts, env)).unwrap();
    let id = |result| match result {
        Ok(Outcome::Intent { intent, .. }) => intent.id,
        other => panic!("{other:?}"),
    };
    committed.results.into_iter().map(id).collect()
}

fn measure(c: &mut Criterion, runtime: &Runtime, name: &str, store: &dyn Store, env: &Fixed) {
    let intent = intents(runtime, store, env, 1)[0];
    let mut group = c.benchmark_group(format!("commit on {name}"));
    for size in [1, 16, 256] {
        group.throughput(Throughput::Elements(size));
        // Up and down in turn, so that every vote changes something.
        let batches = [VoteAction::Upvote, VoteAction::Downvote].map(|action| votes(intent, size, action));
        let mut turn = batches.iter().cycle();
        group.bench_function(BenchmarkId::new("votes", size), |b| {
            b.iter(|| turn.next().map(|batch| runtime.block_on(store.commit(batch, env)).unwrap()));
        });
        let posts: Vec<Command> = (0..size).map(|_| post(0)).collect();
        group.bench_function(BenchmarkId::new("posts", size), |b| {
            b.iter(|| runtime.block_on(store.commit(&posts, env)).unwrap());
        });
    }
    group.finish();
}

/// Tells how many commands each transaction carried out.
struct Carried(mpsc::Sender<usize>);

impl Sink<()> for Carried {
    async fn committed(&mut self, batch: Batch<()>) {
        assert!(batch.results.iter().all(|(_, result)| result.is_ok()), "a vote was refused");
        // Nobody waits any more when the bench ends.
        let _ = self.0.send(batch.results.len()).await;
    }
}

/// What a second lane brings: `COMMIT_LANES`.
fn lanes(c: &mut Criterion, runtime: &Runtime, store: &PostgresStore, env: &Arc<Fixed>) {
    let intents = intents(runtime, store, env, ROOMS);
    let spread = |rooms: u64, action| -> Vec<Command> {
        intents.iter().take(rooms as usize).flat_map(|intent| votes(*intent, WAVE / rooms, action)).collect()
    };
    let mut group = c.benchmark_group("commit queue on Postgres");
    group.throughput(Throughput::Elements(WAVE)).sample_size(20);
    for (name, rooms) in [("one intent", 1), ("64 rooms", ROOMS)] {
        for lanes in [1, 2] {
            let (sender, mut carried) = mpsc::channel(16);
            let config = Config { lanes, timeout: TIMEOUT, ..Config::default() };
            let queue = CommitQueue::start(Arc::new(store.clone()), Arc::clone(env) as _, config, Carried(sender));
            let (queue, ended) = runtime.block_on(queue).unwrap();
            let waves = [VoteAction::Upvote, VoteAction::Downvote].map(|action| spread(rooms, action));
            let mut turn = waves.iter().cycle();
            let mut wave = async || {
                for vote in turn.next().into_iter().flatten() {
                    queue.submit(vote.clone(), ()).await.unwrap();
                }
                let mut left = WAVE;
                while left > 0 {
                    left -= carried.recv().await.unwrap() as u64;
                }
            };
            group.bench_function(BenchmarkId::new(name, format_args!("lanes {lanes}")), |b| {
                b.iter(|| runtime.block_on(wave()));
            });
            drop(queue);
            runtime.block_on(ended).unwrap();
        }
    }
    group.finish();
}

fn commit(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let sqlite = runtime.block_on(SqliteStore::open_path(&dir.path().join("gossip.db"), TIMEOUT)).unwrap();
    measure(c, &runtime, "SQLite", &sqlite, &Fixed::default());
    let Ok(server) = std::env::var("TEST_POSTGRES_URL") else {
        println!("TEST_POSTGRES_URL is not set: Postgres is left out; `cargo xtask postgres -- cargo bench` sets it");
        return;
    };
    let name = format!("gossip_bench_{}", std::process::id());
    let admin = |sql: String| async {
        let mut connection = PgConnection::connect(&server).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    };
    runtime.block_on(admin(format!("CREATE DATABASE {name}")));
    let (authority, _) = server.rsplit_once('/').unwrap();
    let postgres = runtime.block_on(PostgresStore::open(&format!("{authority}/{name}"), TIMEOUT)).unwrap();
    let env = Arc::new(Fixed::default());
    measure(c, &runtime, "Postgres", &postgres, &env);
    lanes(c, &runtime, &postgres, &env);
    runtime.block_on(postgres.close()).unwrap();
    runtime.block_on(admin(format!("DROP DATABASE {name} WITH (FORCE)")));
}

criterion_group!(benches, commit);
criterion_main!(benches);
