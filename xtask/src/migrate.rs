//! `cargo xtask migrate`: `gossipd migrate` built from this tree, with the caller's folder and environment.
//! The migrations themselves and what they do are the daemon's.

use std::process::ExitCode;

use crate::{
    error::Error,
    exec::{cargo, exit_code, start},
};

/// Answers the daemon's own exit code; 1 if a signal ended it.
pub(crate) fn run() -> Result<ExitCode, Error> {
    let mut command = cargo();
    command.args(["run", "-q", "-p", "gossipd", "--", "migrate"]);
    command.status().map_err(start(&command)).map(exit_code)
}
