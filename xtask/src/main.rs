//! The workspace's own commands, run as `cargo xtask <command>`: one file per command.
//! It drives cargo, npm and python as a person would, and of our crates depends on the one that starts a Postgres alone.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool: what it prints is what it is for")]

mod autobahn;
mod ci;
mod deny;
mod error;
mod exec;
mod fuzz;
mod loadtest;
mod migrate;
mod needs;
mod peers;
mod postgres;
mod proxies;
mod steps;
mod test;
mod tidy;
mod types;

use std::{error::Error as _, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::{error::Error, exec::Workspace};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "The commands of the gossipd workspace")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Formats, tidy, lints, docs, unit tests, and end-to-end tests through real clients
    Test(test::Args),
    /// What lands must pass: `test --strict`, then the release build, the load test and the benches in brief, the
    /// examples, and Autobahn's suite
    Ci(ci::Args),
    /// What lints cannot check: arrows between crates, file headers, names in the documentation
    Tidy,
    /// The TypeScript types of the events, `clients/types`, from the server's AsyncAPI document
    Types(types::Args),
    /// Bring the configured database up to date: `gossipd migrate` with this environment
    Migrate,
    /// Every decoder, and whole sessions, fed with what no client would send: `cargo xtask fuzz session --seconds 600`
    Fuzz(fuzz::Args),
    /// Licenses, sources and versions of the dependencies, as deny.toml has it
    Deny,
    /// Start a temporary Postgres and run a command with its URL as TEST_POSTGRES_URL; without one, print the URL and
    /// wait for the end of input or Ctrl-C
    Postgres(postgres::Args),
    /// Autobahn's WebSocket suite against our framing; it needs a Python 2.7
    Autobahn(autobahn::Args),
    /// gossipd behind nginx and HAProxy, as deploy/ configures them: clients over every transport, and 10,000 that come
    /// and go
    Proxies(proxies::Args),
    /// Load on a running server, or on one of its own: `cargo xtask loadtest votes`, and `… votes --help`
    Loadtest(loadtest::Args),
}

/// The subcommands there are, so that `tidy` can tell whether a documented one exists.
fn command_names() -> Vec<String> {
    Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

fn dispatch(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Test(args) => test::run(&Workspace::load()?, &args)?,
        Command::Ci(args) => ci::run(&Workspace::load()?, &args)?,
        Command::Autobahn(args) => autobahn::run(&Workspace::load()?, &args)?,
        Command::Tidy => tidy::run(&Workspace::load()?)?,
        Command::Types(args) => types::run(&Workspace::load()?, &args)?,
        Command::Fuzz(args) => fuzz::run(&Workspace::load()?, &args)?,
        Command::Deny => deny::run(&Workspace::load()?, false)?,
        Command::Migrate => return migrate::run(),
        Command::Postgres(args) => return postgres::run(&args),
        Command::Proxies(args) => proxies::run(&Workspace::load()?, &args)?,
        Command::Loadtest(args) => return loadtest::run(&Workspace::load()?, &args),
    }
    Ok(ExitCode::SUCCESS)
}

fn main() -> ExitCode {
    match dispatch(Cli::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error}");
            let mut source = error.source();
            while let Some(cause) = source {
                eprintln!("  because {cause}");
                source = cause.source();
            }
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        assert_eq!(
            command_names(),
            ["test", "ci", "tidy", "types", "migrate", "fuzz", "deny", "postgres", "autobahn", "proxies", "loadtest"]
        );
    }
    #[test]
    fn what_follows_loadtest_is_passed_on() {
        for line in ["", "votes --compare", "fanout --server=loop --help", "--server loop"] {
            let words: Vec<&str> = line.split_whitespace().collect();
            let cli = Cli::try_parse_from(["xtask", "loadtest"].iter().chain(&words)).unwrap();
            let Command::Loadtest(args) = cli.command else { panic!("another command") };
            assert_eq!(args.scenario, words);
        }
    }
}
