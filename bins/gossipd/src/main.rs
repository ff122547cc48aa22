//! The `gossipd` program: reads its configuration, does what it says, and waits for a signal. Everything else is in
//! the library.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks to its user")]

use std::process::ExitCode;
use std::sync::Arc;

use gossip_core::env::Env;
use gossip_hub::SystemEnv;
use gossip_store::queue::chain;
use gossipd::config::{Cli, Command};
use gossipd::daemon::{admin_token, key, open_store};
use gossipd::{Daemon, Error, telemetry, token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Gives memory back to the system when a crowd has left; glibc's allocator keeps nearly all of it. How soon it does is
/// set in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::read(std::env::args_os()) {
        Ok(cli) => cli,
        Err(unusable) if unusable.exit_code == 0 => {
            print!("{}", unusable.text);
            return ExitCode::SUCCESS;
        }
        Err(unusable) => {
            eprint!("{}", unusable.text);
            return ExitCode::from(unusable.exit_code);
        }
    };
    match run(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(cli: &Cli) -> Result<(), Error> {
    telemetry::start(&cli.settings)?;
    match &cli.command {
        None => serve(cli).await,
        Some(Command::Migrate) => {
            open_store(&cli.settings, cli.dev).await?;
            println!("the database is up to date");
            Ok(())
        }
        Some(Command::Token(args)) => {
            let key = key(&cli.settings, cli.dev)?;
            println!("{}", token::of_args(args, &cli.settings, &key, SystemEnv.now())?);
            Ok(())
        }
    }
}

/// A connection is a file descriptor: as many as the system allows, rather than the few that shells give by default.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    match raised {
        Ok(()) => tracing::debug!(from = ?limit.current, to = ?limit.maximum, "file descriptors"),
        Err(error) => tracing::warn!(%error, limit = ?limit.current, "the limit of file descriptors stays as it is"),
    }
}

async fn serve(cli: &Cli) -> Result<(), Error> {
    raise_file_limit();
    let failed = |source| Error::Listen { address: "signals".into(), source };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let daemon = tokio::select! {
        daemon = Daemon::start(&cli.settings, cli.dev, Arc::new(SystemEnv)) => daemon?,
        // Nothing is under way yet.
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    println!("gossipd listening on http://{}", daemon.address());
    if cli.dev && !cli.settings.has_public_keys() {
        println!("an admin's token for all rooms: {}", admin_token(&cli.settings, &SystemEnv)?);
    }
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = daemon.failed() => return Err(Error::Failed),
    }
    tracing::info!("draining; a second signal ends at once");
    let gateway = daemon.gateway().clone();
    let drained = tokio::select! {
        drained = daemon.stop() => drained,
        () = gateway.failed() => return Err(Error::Failed),
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
    };
    if drained { Ok(()) } else { Err(Error::NotDrained) }
}
