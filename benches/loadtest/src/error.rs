//! Everything that can end a run early, worded for the person at the terminal. Votes that a server refuses are not here:
//! they are counted and reported with the rest.

use std::error::Error as _;
use std::io;

/// Why there is no figure, or one that is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The options do not fit each other.
    #[error("{0}")]
    Usage(String),
    /// A system call.
    #[error("{doing} failed")]
    Io {
        /// What was under way.
        doing: &'static str,
        /// Its failure.
        source: io::Error,
    },
    /// A statement.
    #[error("{doing} failed")]
    Database {
        /// What was under way.
        doing: &'static str,
        /// Its failure.
        source: sqlx::Error,
    },
    /// A server that ended, or said nothing of where it listens.
    #[error("{0} did not start: what it said is above")]
    Start(String),
    /// The server would not open a WebSocket.
    #[error("the server refused a WebSocket: {0}")]
    Refused(String),
    /// The server broke the protocol, or hung up.
    #[error("the connection to the server broke: {0}")]
    Broken(String),
    /// What must be before the load could not be made.
    #[error("the server refused what the load needs: {0}")]
    Setup(String),
    /// Votes were left unanswered.
    #[error("votes were still unanswered {0} s after the last one was sent")]
    Stalled(u64),
    /// The token or its key.
    #[error("tokens could not be made")]
    Token(#[from] gossip_hub::Error),
    /// A report that would not become JSON.
    #[error("the report could not be encoded")]
    Json(#[from] serde_json::Error),
    /// A task that panicked.
    #[error("a task of the load test failed")]
    Task(#[from] tokio::task::JoinError),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// For `map_err` on input and output.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { doing, source }
    }

    /// The error with its causes, in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        text
    }

    /// For `map_err` on statements.
    pub(crate) fn database(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
        move |source| Error::Database { doing, source }
    }
}
