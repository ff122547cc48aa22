//! What is Postgres' own: a server that goes away, commits in doubt, tables that held gossip before, plans.

mod adoption;
mod doubt;
mod outage;
mod plans;
mod proxy;
mod withdrawal;

use std::error::Error as _;
use std::time::Duration;

use gossip_store::postgres::{Address, PostgresStore};

#[tokio::test]
async fn no_error_shows_the_password() {
    let address = Address {
        host: "127.0.0.1".into(),
        // Nobody listens there: it is for multiplexing, and needs rights to be taken.
        port: 1,
        user: "gossip".into(),
        password: Some("s3cret".into()),
        database: "none".into(),
    };
    let urls =
        ["postgres://u:s3cret@127.0.0.1:1/d", "postgres://u:s3cret@h:x/d", "postgres://u:s3c/ret@h/d?sslmode=s3cret"];
    let mut said = format!("{address:?}");
    let timeout = Duration::from_secs(1);
    let mut errors = vec![PostgresStore::connect(&address, timeout).await.unwrap_err()];
    for url in urls {
        errors.push(PostgresStore::open(url, timeout).await.unwrap_err());
    }
    for error in &errors {
        said += &format!("\n{error} {error:?} {:?}", error.source());
    }
    assert!(!said.contains("s3c"), "{said}");
}
