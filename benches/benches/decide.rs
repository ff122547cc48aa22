//! Deciding a batch without a database: 256 votes on one intent, and on 256. Not measured: loading what a decision needs,
//! and writing what it comes to, which are most of a transaction (see `commit`).

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use gossip_benches::{Fixed, intent, votes};
use gossip_proto::model::{Intent, VoteAction};
use gossip_store::batch::{Facts, decide};

const SIZE: u64 = 256;

fn decide_batches(c: &mut Criterion) {
    let env = Fixed::default();
    let facts = |intents: &[Intent]| Facts {
        intents: intents.iter().map(|intent| (intent.id, Arc::new(intent.clone()))).collect(),
        ..Facts::default()
    };
    let mut group = c.benchmark_group("decide");
    group.throughput(Throughput::Elements(SIZE));
    let hot = [intent(0)];
    let batch = votes(hot[0].id, SIZE, VoteAction::Upvote);
    group.bench_function("256 votes on one intent", |b| {
        b.iter_batched(|| facts(&hot), |facts| decide(&batch, facts, &env).unwrap(), BatchSize::SmallInput);
    });
    let many: Vec<Intent> = (0..u128::from(SIZE)).map(intent).collect();
    let batch: Vec<_> = many.iter().flat_map(|intent| votes(intent.id, 1, VoteAction::Upvote)).collect();
    group.bench_function("256 votes on as many", |b| {
        b.iter_batched(|| facts(&many), |facts| decide(&batch, facts, &env).unwrap(), BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, decide_batches);
criterion_main!(benches);
