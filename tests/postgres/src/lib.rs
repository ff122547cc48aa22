//! A Postgres for tests: a temporary cluster on a port of its own, which a test may crash, start again and freeze.
//! It speaks no SQL and knows nothing of gossip: a test connects to [`Cluster::url`] with whatever it tests.
//!
//! Tests that only want a database share one server, which `cargo xtask test` starts: [`shared_url`]. A test that
//! harms its server has a [`Cluster`] to itself. For Unix; freezing one needs Linux.

mod account;
mod cluster;
mod error;
mod processes;
mod programs;
#[cfg(test)]
mod tests;
mod watchdog;

pub use crate::{cluster::Cluster, error::Error, programs::find as find_programs};

/// The environment variable that names the server which tests share.
pub const URL_VARIABLE: &str = "TEST_POSTGRES_URL";

/// The URL of the server that tests share, from [`URL_VARIABLE`]. Others use it at the same time, so a test makes a
/// database of its own there.
///
/// # Panics
///
/// If the variable is not set, saying how to get such a server: this is how a test without one fails.
#[must_use]
#[track_caller]
#[expect(clippy::panic, reason = "for tests alone, where the message must reach the person who runs them")]
pub fn shared_url() -> String {
    match std::env::var(URL_VARIABLE) {
        Ok(url) if !url.is_empty() => url,
        _ => panic!(
            "{URL_VARIABLE} is not set: run `cargo xtask test`, which starts a Postgres, \
             or `cargo xtask postgres -- cargo test -p …`"
        ),
    }
}
