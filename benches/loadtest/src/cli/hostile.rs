//! The options of `hostile`.

use std::time::Duration;

use clap::Args;

use super::{Mix, Output, Paced, Servers, duration, positive};
use crate::error::Error;
use crate::hostile::{CALM, GATHERING};

/// `hostile`: clients who mean harm beside honest ones, on a server with its limits in force.
#[derive(Debug, Clone, Args)]
pub(crate) struct HostileArgs {
    /// Clients who mean harm, as many of each kind, who come back when they are thrown out
    #[arg(long, default_value_t = 1000, value_parser = positive)]
    pub(crate) hostile: usize,
    /// Honest members of rooms, each a user of its own, with one command a second each: a mix that stays within the
    /// server's default rates
    #[arg(long, default_value_t = 100, value_parser = positive)]
    pub(crate) honest: usize,
    /// Rooms of the honest ones, as many in each
    #[arg(long, default_value_t = 5, value_parser = positive)]
    rooms: usize,
    /// How long is measured
    #[arg(long, default_value = "60s", value_parser = duration)]
    pub(crate) duration: Duration,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl HostileArgs {
    /// # Errors
    /// Where the honest ones cannot be spread evenly.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.honest.is_multiple_of(self.rooms) {
            return Ok(());
        }
        Err(Error::Usage(format!("--honest {} is no multiple of --rooms {}", self.honest, self.rooms)))
    }

    /// What the honest ones send: each 12 posts, 36 votes and 12 comments a minute.
    pub(crate) fn paced(&self) -> Paced {
        Paced {
            rooms: self.rooms,
            members: self.honest / self.rooms,
            rate: self.honest,
            mix: Mix::default(),
            duration: self.duration,
            warmup: CALM + GATHERING,
        }
    }
}
