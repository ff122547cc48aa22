//! `gossip-loadtest`, which `cargo xtask loadtest` builds and runs: load on a running server, a scenario at a time, each
//! in a module of its own. What libraries cost by themselves is measured by the benches beside it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool: what it prints is what it is for")]

mod baseline;
mod cli;
mod client;
mod crowd;
mod database;
mod error;
mod fanout;
mod hostile;
mod idle;
mod limits;
mod meter;
mod process;
mod progress;
mod report;
mod room;
mod rooms;
mod seed;
mod server;
mod soak;
mod socket;
mod storm;
mod target;
mod votes;

use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use crate::cli::{Cli, Output, Scenario};
use crate::error::Error;
use crate::report::Report;

/// The allocator that gossipd has, so that the baseline has no worse one.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", error.chain());
            ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
        }
    }
}

/// Whether what was measured is as it should be.
fn run(cli: Cli) -> Result<bool, Error> {
    match cli.scenario {
        None => deliver(&on_one_thread(seed::run(&cli.servers))?, &cli.output),
        Some(Scenario::Fanout(args)) => deliver(&on_one_thread(fanout::run(&args))?, &args.output),
        Some(Scenario::Rooms(args)) => deliver(&on_one_thread(rooms::run(&args))?, &args.output),
        Some(Scenario::Idle(args)) => deliver(&on_one_thread(idle::run(&args))?, &args.output),
        Some(Scenario::Storm(args)) => deliver(&on_one_thread(storm::run(&args))?, &args.output),
        Some(Scenario::Hostile(args)) => deliver(&on_one_thread(hostile::run(&args))?, &args.output),
        Some(Scenario::Soak(args)) => deliver(&on_one_thread(soak::run(&args))?, &args.output),
        Some(Scenario::Votes(args)) => deliver(&on_one_thread(votes::run(&args))?, &args.output),
        Some(Scenario::BaselineServer(args)) => {
            runtime(Builder::new_multi_thread())?.block_on(baseline::serve(&args)).map(|()| true)
        }
    }
}

fn deliver(report: &Report, output: &Output) -> Result<bool, Error> {
    report.deliver(output.json.as_deref(), output.report.as_deref())
}

/// The rest of the machine is the server's.
fn on_one_thread<T>(scenario: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = runtime(Builder::new_current_thread())?;
    LocalSet::new().block_on(&runtime, scenario)
}

fn runtime(mut builder: Builder) -> Result<Runtime, Error> {
    builder.enable_all().build().map_err(Error::io("starting a runtime"))
}
