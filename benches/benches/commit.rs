//! Durable commits on SQLite, flushed to disk: batches of 1, 16 and 256 votes on one intent. What a command costs
//! should fall with the size of its batch.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a bench")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gossip_benches::{Fixed, votes};
use gossip_core::access::Reach;
use gossip_core::command::{Action, Actor, Command};
use gossip_core::text::Limits;
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::model::VoteAction;
use gossip_proto::reply::Outcome;
use gossip_store::Store;
use gossip_store::sqlite::SqliteStore;
use uuid::Uuid;

fn commit(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let env = Fixed::default();
    let (store, intent) = runtime.block_on(async {
        let path = dir.path().join("gossip.db");
        let store = SqliteStore::open_path(&path, Duration::from_secs(2)).await.unwrap();
        let limits = Limits::default();
        let post = Command {
            actor: Actor { user: UserId::NIL, reach: Reach::All },
            action: Action::Post {
                room: RoomId(Uuid::nil()),
                content: limits.gossip("hot").unwrap(),
                metadata: None,
                lives: limits.expiry(None).unwrap(),
            },
            request_id: None,
        };
        match store.commit(&[post], &env).await.unwrap().results.remove(0) {
            Ok(Outcome::Intent { intent, .. }) => (store, intent.id),
            other => panic!("{other:?}"),
        }
    });
    let mut group = c.benchmark_group("commit on SQLite");
    for size in [1, 16, 256] {
        group.throughput(Throughput::Elements(size));
        // Up and down in turn, so that every vote changes something.
        let batches = [VoteAction::Upvote, VoteAction::Downvote].map(|action| votes(intent, size, action));
        let mut turn = batches.iter().cycle();
        group.bench_function(BenchmarkId::new("votes", size), |b| {
            b.iter(|| turn.next().map(|batch| runtime.block_on(store.commit(batch, &env)).unwrap()));
        });
    }
    group.finish();
}

criterion_group!(benches, commit);
criterion_main!(benches);
