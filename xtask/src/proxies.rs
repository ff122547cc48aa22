//! `cargo xtask proxies`: gossipd behind nginx and HAProxy, each with the file that `deploy/` has for it. What is tried is
//! in `tests/js/proxies`; here is only what that needs, and how many clients come and go.

use crate::{
    error::Error,
    exec::{self, Workspace},
    needs,
    test::npm_with_clients,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many clients come and go through each of them
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
}

/// So many need a few seconds.
const BRIEFLY: u32 = 600;

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<(), Error> {
    exec::run(&mut workspace.cargo(&["build", "-p", "gossipd"]))?;
    check(workspace, false, args.connections)
}

/// The same with few clients, upon the daemon that is built.
pub(crate) fn briefly(workspace: &Workspace, install: bool) -> Result<(), Error> {
    check(workspace, install, BRIEFLY)
}

fn check(workspace: &Workspace, install: bool, connections: u32) -> Result<(), Error> {
    for need in [needs::NGINX, needs::HAPROXY, needs::OPENSSL] {
        need.require(workspace, install)?;
    }
    let mut npm = npm_with_clients(workspace, install)?;
    exec::run(npm.args(["run", "proxies"]).env("CONNECTIONS", connections.to_string()))
}
