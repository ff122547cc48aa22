//! Everything that can go wrong in a command, worded for the person at the terminal.
//! It holds no retry or exit-code policy: `main.rs` prints it, `steps.rs` decides what stops.

use std::{fmt, io, path::PathBuf};

/// Why a command stopped. `Display` says what happened here and leaves the cause to `source`.
#[derive(Debug)]
pub(crate) enum Error {
    /// A program could not be started.
    Start { program: String, source: io::Error },
    /// A program ran and did not succeed.
    Failed { line: String, status: String },
    /// A tool this machine lacks, with what to do about it.
    Missing { what: String, how: String },
    /// A file or folder could not be read or written.
    File { path: PathBuf, source: io::Error },
    /// `cargo metadata` answered something unexpected.
    Metadata(String),
    /// The tidy check found this many problems, already printed.
    Untidy(usize),
    /// So many of Autobahn's cases did not pass, or were not run; where the suite's own account is.
    Nonconforming { failed: usize, reports: PathBuf },
    /// No fuzz target has this name.
    NoTarget { name: String, known: Vec<String> },
    /// The temporary Postgres did not start.
    Postgres(gossip_test_postgres::Error),
    /// What a program of ours printed is not the document that it should be.
    Document(String),
    /// What is generated is not as it would be generated now.
    Stale { file: &'static str, command: &'static str },
    /// A named step failed.
    Step { name: &'static str, source: Box<Error> },
}

impl Error {
    /// For `map_err` on an operation upon `path`.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { program, .. } => write!(f, "could not start `{program}`"),
            Self::Failed { line, status } => write!(f, "`{line}` ended with {status}"),
            Self::Missing { what, how } => write!(f, "missing: {what}. To get it: {how}"),
            Self::File { path, .. } => write!(f, "could not use {}", path.display()),
            Self::Metadata(what) => write!(f, "`cargo metadata` gave no usable answer: {what}"),
            Self::Untidy(1) => write!(f, "tidy found 1 problem, listed above"),
            Self::Untidy(count) => write!(f, "tidy found {count} problems, listed above"),
            Self::Nonconforming { failed, reports } => {
                write!(f, "cases of Autobahn's suite that did not pass: {failed}. Its account: {}", reports.display())
            }
            Self::NoTarget { name, known } => {
                write!(f, "no fuzz target is called {name} (there are {})", known.join(", "))
            }
            Self::Postgres(_) => write!(f, "could not start a temporary Postgres"),
            Self::Document(what) => write!(f, "the server's document cannot be read: {what}"),
            Self::Stale { file, command } => write!(f, "{file} is not what it should be; `{command}` makes it so"),
            Self::Step { name, .. } => write!(f, "the step `{name}` failed"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Start { source, .. } | Self::File { source, .. } => Some(source),
            Self::Postgres(source) => Some(source),
            Self::Step { source, .. } => Some(source.as_ref()),
            Self::Failed { .. }
            | Self::Missing { .. }
            | Self::Metadata(_)
            | Self::Document(_)
            | Self::Stale { .. }
            | Self::NoTarget { .. }
            | Self::Nonconforming { .. }
            | Self::Untidy(_) => None,
        }
    }
}
