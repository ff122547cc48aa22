//! `gossip-loadtest`, which `cargo xtask loadtest` builds and runs: load on a running server, a scenario at a time, each
//! in a module of its own. What libraries cost by themselves is measured by the benches beside it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool: what it prints is what it is for")]

mod baseline;
mod cli;
mod client;
mod database;
mod error;
mod process;
mod report;
mod server;
mod votes;

use std::error::Error as _;
use std::process::ExitCode;

use clap::Parser as _;
use tokio::runtime::{Builder, Runtime};

use crate::cli::{Cli, Scenario};
use crate::error::Error;

/// The allocator that gossipd has, so that the baseline has no worse one.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run(Cli::parse().scenario) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprint!(": {error}");
                cause = error.source();
            }
            eprintln!();
            ExitCode::from(if matches!(error, Error::Usage(_)) { 2 } else { 1 })
        }
    }
}

fn run(scenario: Scenario) -> Result<(), Error> {
    match scenario {
        Scenario::Votes(args) => {
            // One thread: the rest of the machine is the server's.
            let report = runtime(Builder::new_current_thread())?.block_on(votes::run(&args))?;
            print!("{}", report.table());
            let faults = report.faults();
            if faults.is_empty() { Ok(()) } else { Err(Error::Unsound(faults.join("\n       "))) }
        }
        Scenario::BaselineServer(args) => runtime(Builder::new_multi_thread())?.block_on(baseline::serve(&args)),
    }
}

fn runtime(mut builder: Builder) -> Result<Runtime, Error> {
    builder.enable_all().build().map_err(Error::io("starting a runtime"))
}
