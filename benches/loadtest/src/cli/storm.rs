//! The options of `storm`.

use clap::Args;

use super::{Output, Servers, positive};

/// `storm`: clients who connect, authenticate, join a room, and drop.
#[derive(Debug, Clone, Args)]
pub(crate) struct StormArgs {
    /// Clients, each a user of its own
    #[arg(long, default_value_t = 10_000, value_parser = positive)]
    pub(crate) clients: usize,
    /// How many of them are at it at any time
    #[arg(long, default_value_t = 500, value_parser = positive)]
    pub(crate) concurrency: usize,
    /// How often each comes and goes
    #[arg(long, default_value_t = 3, value_parser = positive)]
    pub(crate) cycles: usize,
    /// Members of a room who are there throughout; one of them posts every 20 ms. 0 for none
    #[arg(long, default_value_t = 100)]
    pub(crate) bystanders: usize,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) output: Output,
}
