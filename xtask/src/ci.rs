//! `cargo xtask ci`: what must hold before a change lands, `cargo xtask test --strict` first.
//! It only checks: it publishes and deploys nothing.

use crate::{
    error::Error,
    exec::{self, Workspace},
    postgres::Shared,
    steps::{self, Step},
    test,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out what `cargo xtask test --strict` did just before
    #[arg(long)]
    after_test: bool,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<(), Error> {
    let postgres = Shared::from_env();
    let mut steps = if args.after_test { Vec::new() } else { test::every_step(workspace, &postgres) };
    let more: [(&str, &[&str]); 3] = [
        ("release", &["build", "--release", "-p", "gossipd"]),
        ("benches", &["bench", "--no-run", "-p", "gossip-benches"]),
        ("examples", &["build", "-p", "gossip-ws", "--examples"]),
    ];
    steps.extend(more.map(|(name, line)| Step::new(name, || exec::run(&mut workspace.cargo(line)))));
    steps::run_all(steps, true)
}
