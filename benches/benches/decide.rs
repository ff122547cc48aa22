//! Deciding a batch without a database: 256 votes on one intent, and on 256.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gossip_benches::{Fixed, votes};
use gossip_core::env::Env;
use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::model::{Intent, Status, VoteAction};
use gossip_store::batch::{Facts, decide};
use uuid::Uuid;

const SIZE: u64 = 256;

fn intent(id: u128, env: &Fixed) -> Intent {
    Intent {
        id: IntentId(Uuid::from_u128(id)),
        room_id: RoomId(Uuid::from_u128(id)),
        user_id: UserId::NIL,
        content: "x".repeat(200),
        status: Status::Pending,
        metadata: None,
        upvotes: 0,
        downvotes: 0,
        expires_at: None,
        created_at: env.now(),
        updated_at: env.now(),
    }
}

fn decide_batches(c: &mut Criterion) {
    let env = Fixed::default();
    let facts = |intents: &[Intent]| Facts {
        intents: intents.iter().map(|intent| (intent.id, Arc::new(intent.clone()))).collect(),
        ..Facts::default()
    };
    let mut group = c.benchmark_group("decide");
    group.throughput(Throughput::Elements(SIZE));
    let hot = [intent(0, &env)];
    let batch = votes(hot[0].id, SIZE, VoteAction::Upvote);
    group.bench_function("256 votes on one intent", |b| {
        b.iter_batched(|| facts(&hot), |facts| decide(&batch, facts, &env).unwrap(), BatchSize::SmallInput);
    });
    let many: Vec<Intent> = (0..u128::from(SIZE)).map(|id| intent(id, &env)).collect();
    let batch: Vec<_> = many.iter().flat_map(|intent| votes(intent.id, 1, VoteAction::Upvote)).collect();
    group.bench_function("256 votes on as many", |b| {
        b.iter_batched(|| facts(&many), |facts| decide(&batch, facts, &env).unwrap(), BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, decide_batches);
criterion_main!(benches);
