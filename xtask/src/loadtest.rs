//! `cargo xtask loadtest`: builds the server and the load test for release and runs the latter.
//! What is measured, and how, is the business of gossip-loadtest; a Postgres to measure on and servers to measure
//! beside ours can be had here.

use std::{
    env,
    ffi::OsString,
    process::{Command, ExitCode},
};

use crate::{
    error::Error,
    exec::{self, Workspace},
    peers, postgres,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Measure on a temporary Postgres with its default settings, fsync included
    #[arg(long)]
    postgres: bool,
    /// The scenario and its options; none for the default one
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "SCENARIO")]
    pub(crate) scenario: Vec<OsString>,
}

/// Answers the load test's own exit code; 1 if a signal ended it.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<ExitCode, Error> {
    exec::run(build(workspace).arg("-q"))?;
    let mut command = built(workspace);
    command.args(&args.scenario);
    peers::provide(workspace, &args.scenario, &mut command)?;
    let cluster = if args.postgres { Some(postgres::start()?) } else { None };
    if let Some(cluster) = &cluster {
        command.args(["--database-url", &cluster.url()]);
    }
    command.status().map_err(exec::start(&command)).map(exec::exit_code)
}

/// What builds the server and the load test for release.
pub(crate) fn build(workspace: &Workspace) -> Command {
    workspace.cargo(&["build", "--release", "-p", "gossipd", "-p", "gossip-loadtest"])
}

/// The load test that was built, and knows where the server is; its arguments are still to come.
pub(crate) fn built(workspace: &Workspace) -> Command {
    let program = |name: &str| workspace.target.join("release").join(format!("{name}{}", env::consts::EXE_SUFFIX));
    let mut command = Command::new(program("gossip-loadtest"));
    command.env("GOSSIPD_BIN", program("gossipd"));
    command
}
