//! What can go wrong with a temporary cluster, worded for whoever runs the tests.

use std::io;

/// Why a cluster could not be had, or did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server's programs are not on this machine.
    #[error(
        "Postgres' programs initdb, pg_ctl and postgres are not on PATH, where `pg_config --bindir` says, or in \
         /usr/lib/postgresql/*/bin: install Debian's package postgresql, or that of postgresql.org"
    )]
    NotFound,
    /// Run by root, as which Postgres refuses to run, and there is nobody else.
    #[error("Postgres does not run as root, and there is neither a user `postgres` nor a user `nobody`")]
    NoAccount,
    /// None of the ports that were tried is free.
    #[error("no free TCP port was found on 127.0.0.1")]
    NoPort,
    /// One of Postgres' programs did not succeed.
    #[error("{program} failed: {said}")]
    Failed {
        /// Which.
        program: &'static str,
        /// What it said, and for a start the end of the server's log.
        said: String,
    },
    /// A process of the server did not stop or end in time.
    #[error("process {0} of the server goes on, though it was told to stop")]
    GoesOn(i32),
    /// The system refused something.
    #[error("could not {doing}")]
    System {
        /// What was attempted.
        doing: &'static str,
        /// Why it was refused.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: says what was attempted.
    pub(crate) fn on<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System { doing, source: source.into() }
    }

    /// Whether a server did not start because another program has its port.
    pub(crate) fn is_port_taken(&self) -> bool {
        matches!(self, Self::Failed { said, .. } if said.contains("Address already in use"))
    }
}
