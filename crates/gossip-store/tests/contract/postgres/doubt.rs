//! The connection is lost while a COMMIT is under way: what is answered is what happened.

use std::net::ToSocketAddrs;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gossip_core::command::Command;
use gossip_proto::model::VoteAction;
use gossip_store::postgres::{Address, PostgresStore};
use gossip_store::{Error, Store};
use sqlx::postgres::PgConnectOptions;

use super::proxy::{Fault, Proxy};
use crate::support::{Fixture, PostgresDatabase, seq_of};

/// Short, since some of these wait for all of it, and long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A store behind a proxy; the fixture's own goes straight to the same database.
async fn behind_proxy() -> (Fixture, Proxy, Arc<dyn Store>) {
    let database = PostgresDatabase::create().await;
    let server = PgConnectOptions::from_str(&database.url()).unwrap();
    let at = (server.get_host(), server.get_port()).to_socket_addrs().unwrap().next().unwrap();
    let proxy = Proxy::start(at).await;
    let address = Address {
        host: "127.0.0.1".into(),
        port: proxy.port(),
        user: server.get_username().into(),
        password: None,
        database: server.get_database().unwrap().into(),
    };
    let store = PostgresStore::connect(&address, TIMEOUT).await.unwrap();
    (Fixture::of_postgres(database).await, proxy, Arc::new(store))
}

/// A batch for each kind of row by which a commit is known again: an intent, an update, a request id alone.
async fn batches(f: &Fixture) -> Vec<(Vec<Command>, u64)> {
    let intent = f.post(f.room(), 1, "x").await.id;
    let nothing = f.with_request_id(f.vote(1, intent, VoteAction::Remove), "r");
    vec![(vec![f.new_gossip(1, f.room(), "y")], 1), (vec![f.comment(1, intent, "hm")], 1), (vec![nothing], 0)]
}

async fn requests(f: &Fixture) -> i64 {
    f.postgres_row::<(i64,)>(r#"SELECT count(*) FROM "gossip_requests""#).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_is_found_and_told() {
    let (f, proxy, store) = behind_proxy().await;
    for (batch, events) in batches(&f).await {
        let before = f.log().await;
        proxy.arm(Fault::CutAfter);
        let committed = store.commit(&batch, &*f.env).await.unwrap();
        assert!(committed.results[0].is_ok());
        assert_eq!(committed.events.len() as u64, events);
        assert_eq!(f.log().await, [before, committed.events].concat());
    }
    assert_eq!(requests(&f).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_committed_is_an_error_and_not_there() {
    let (f, proxy, store) = behind_proxy().await;
    for (batch, events) in batches(&f).await {
        let before = f.log().await;
        proxy.arm(Fault::CutBefore);
        let error = store.commit(&batch, &*f.env).await.unwrap_err();
        assert!(matches!(error, Error::Database { .. }), "{error:?}");
        assert_eq!(f.log().await, before);
        assert_eq!(requests(&f).await, 0);
        let again = store.commit(&batch, &*f.env).await.unwrap();
        assert_eq!(again.events.len() as u64, events);
        if events == 0 {
            assert_eq!(requests(&f).await, 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_is_not_answered_is_asked_for() {
    let (f, proxy, store) = behind_proxy().await;
    let room = f.room();
    proxy.arm(Fault::Withhold);
    let committed = store.commit(&[f.new_gossip(1, room, "x")], &*f.env).await.unwrap();
    assert_eq!((committed.events.len(), f.log().await.len()), (1, 1));
    assert_eq!(seq_of(&store.commit(&[f.new_gossip(1, room, "x")], &*f.env).await.unwrap().results[0]), Ok(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_for_is_unresolved() {
    let (f, proxy, store) = behind_proxy().await;
    proxy.arm(Fault::CutAfterAndStay);
    let error = store.commit(&[f.new_gossip(1, f.room(), "x")], &*f.env).await.unwrap_err();
    assert!(matches!(error, Error::Unresolved(_)), "{error:?}");
    assert_eq!(f.log().await.len(), 1, "it was written, which the store could not know");
}
