//! The options of `idle`.

use std::time::Duration;

use clap::Args;

use super::{Output, Servers, duration, positive};
use crate::error::Error;

/// `idle`: members who do nothing.
#[derive(Debug, Clone, Args)]
pub(crate) struct IdleArgs {
    /// Connections, each of a user of its own in one room
    #[arg(long, default_value_t = 10_000, value_parser = positive)]
    pub(crate) connections: usize,
    /// Rooms they are spread over, as many in each
    #[arg(long, default_value_t = 100, value_parser = positive)]
    pub(crate) rooms: usize,
    /// How long they are held
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// KiB of the server's memory that a connection may cost, where there are 5000 or more to share what all need
    #[arg(long, default_value_t = 8.0)]
    pub(crate) max_kib_each: f64,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl IdleArgs {
    /// # Errors
    /// Where the connections cannot be spread evenly.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.connections.is_multiple_of(self.rooms) {
            return Ok(());
        }
        Err(Error::Usage(format!("--connections {} is no multiple of --rooms {}", self.connections, self.rooms)))
    }
}
