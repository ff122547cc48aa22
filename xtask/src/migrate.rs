//! `cargo xtask migrate`: `gossipd migrate` built from this tree, with the caller's folder and environment.
//! The migrations themselves and what they do are the daemon's.

use std::process::ExitCode;

use crate::{
    error::Error,
    exec::{cargo, start},
};

/// Answers the daemon's own exit code; 1 if a signal ended it.
pub(crate) fn run() -> Result<ExitCode, Error> {
    let mut command = cargo();
    command.args(["run", "-q", "-p", "gossipd", "--", "migrate"]);
    let status = command.status().map_err(start(&command))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
