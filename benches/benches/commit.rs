//! Durable commits, flushed to disk: batches of 1, 16 and 256 votes on one intent, and of as many posts to one room. What
//! a command costs should fall with the size of its batch. On Postgres too where `TEST_POSTGRES_URL` names a server; the
//! database made there is dropped in the end.

#![expect(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a bench")]

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
use gossip_store::sqlite::SqliteStore;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::runtime::Runtime;
use uuid::Uuid;

const TIMEOUT: Duration = Duration::from_secs(10);

fn post() -> Command {
    let limits = Limits::default();
    Command {
        actor: Actor { user: UserId::NIL, reach: Reach::All },
        action: Action::Post {
            room: RoomId(Uuid::nil()),
            content: limits.gossip("hot").unwrap(),
            metadata: None,
            lives: limits.expiry(None).unwrap(),
        },
        request_id: None,
    }
}

fn measure(c: &mut Criterion, runtime: &Runtime, name: &str, store: &dyn Store) {
    let env = Fixed::default();
    let intent: IntentId = match runtime.block_on(store.commit(&[post()], &env)).unwrap().results.remove(0) {
        Ok(Outcome::Intent { intent, .. }) => intent.id,
        other => panic!("{other:?}"),
    };
    let mut group = c.benchmark_group(format!("commit on {name}"));
    for size in [1, 16, 256] {
        group.throughput(Throughput::Elements(size));
        // Up and down in turn, so that every vote changes something.
        let batches = [VoteAction::Upvote, VoteAction::Downvote].map(|action| votes(intent, size, action));
        let mut turn = batches.iter().cycle();
        group.bench_function(BenchmarkId::new("votes", size), |b| {
            b.iter(|| turn.next().map(|batch| runtime.block_on(store.commit(batch, &env)).unwrap()));
        });
        let posts: Vec<Command> = (0..size).map(|_| post()).collect();
        group.bench_function(BenchmarkId::new("posts", size), |b| {
            b.iter(|| runtime.block_on(store.commit(&posts, &env)).unwrap());
        });
    }
    group.finish();
}

fn commit(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let sqlite = runtime.block_on(SqliteStore::open_path(&dir.path().join("gossip.db"), TIMEOUT)).unwrap();
    measure(c, &runtime, "SQLite", &sqlite);
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
    measure(c, &runtime, "Postgres", &postgres);
    runtime.block_on(postgres.close()).unwrap();
    runtime.block_on(admin(format!("DROP DATABASE {name} WITH (FORCE)")));
}

criterion_group!(benches, commit);
criterion_main!(benches);
