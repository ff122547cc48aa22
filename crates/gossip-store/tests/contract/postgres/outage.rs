//! A server of the test's own that crashes or freezes: commands fail in time, and work again when it is back.

use std::time::{Duration, Instant};

use gossip_store::postgres::PostgresStore;
use gossip_store::{Error, JoinQuery, Store};
use gossip_test_postgres::Cluster;

use crate::support::{Fixture, PostgresDatabase, seq_of};

const TIMEOUT: Duration = Duration::from_secs(2);

async fn start() -> (Cluster, Fixture, PostgresStore) {
    let cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap().unwrap();
    let database = PostgresDatabase::create_on(cluster.url()).await;
    let store = PostgresStore::open(&database.url(), TIMEOUT).await.unwrap();
    (cluster, Fixture::of_postgres(database).await, store)
}

/// Everything fails, and before its time is over.
async fn fails_in_time(f: &Fixture, store: &PostgresStore) {
    let room = f.room();
    // More than a pool has connections: each may be dead in its own way.
    for _ in 0..3 {
        let begun = Instant::now();
        let error = store.commit(&[f.new_gossip(1, room, "lost")], &*f.env).await.unwrap_err();
        assert!(matches!(error, Error::Database { .. }), "{error:?}");
        assert!(begun.elapsed() < TIMEOUT, "a commit took {:?}", begun.elapsed());
    }
    let begun = Instant::now();
    assert!(store.room(room, JoinQuery::default()).await.is_err());
    assert!(begun.elapsed() < TIMEOUT * 3 / 2, "a read took {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashed_is_used_again_when_it_is_back() {
    let (cluster, f, store) = start().await;
    let room = f.room();
    let posted = |store: PostgresStore, text: &'static str| {
        let (batch, env) = ([f.new_gossip(1, room, text)], f.env.clone());
        async move { seq_of(&store.commit(&batch, &*env).await.unwrap().results[0]) }
    };
    // Several connections are open when it crashes.
    let (a, b, c) = tokio::join!(posted(store.clone(), "a"), posted(store.clone(), "b"), posted(store.clone(), "c"));
    assert!([a, b, c].iter().all(Result::is_ok));
    cluster.stop_immediately().unwrap();
    fails_in_time(&f, &store).await;
    cluster.start_again().unwrap();
    assert_eq!(posted(store.clone(), "d").await, Ok(4));
    assert_eq!(store.room(room, JoinQuery::default()).await.unwrap().seq.0, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_froze_is_given_up_in_time() {
    let (cluster, f, store) = start().await;
    let room = f.room();
    let post = f.new_gossip(1, room, "x");
    store.commit(std::slice::from_ref(&post), &*f.env).await.unwrap();
    cluster.pause().unwrap();
    fails_in_time(&f, &store).await;
    cluster.resume().unwrap();
    let committed = store.commit(&[post], &*f.env).await.unwrap();
    assert_eq!(seq_of(&committed.results[0]), Ok(2), "nothing of what failed was written");
}
