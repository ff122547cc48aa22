//! The options of `soak`.

use std::time::Duration;

use clap::Args;

use super::{Mix, Output, Paced, Servers, duration, positive};

/// `soak`: a moderate load for a long time, with guests who come and go.
#[derive(Debug, Clone, Args)]
pub(crate) struct SoakArgs {
    /// How long
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub(crate) duration: Duration,
    #[arg(long, default_value_t = 20, value_parser = positive)]
    rooms: usize,
    /// Members of each room who stay, each a user of its own
    #[arg(long, default_value_t = 10, value_parser = positive)]
    members: usize,
    /// Commands a second, over all rooms
    #[arg(long, default_value_t = 200, value_parser = positive)]
    rate: usize,
    /// Of them posts, votes and comments
    #[arg(long, default_value_t = Mix::default())]
    mix: Mix,
    /// Guests at any time, who come into a room, stay for a few seconds, and drop
    #[arg(long, default_value_t = 20)]
    pub(crate) guests: usize,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl SoakArgs {
    /// What the members send. Nothing is left out of what is measured, so that it can be compared with what is stored.
    pub(crate) fn paced(&self) -> Paced {
        Paced {
            rooms: self.rooms,
            members: self.members,
            rate: self.rate,
            mix: self.mix,
            duration: self.duration,
            warmup: Duration::ZERO,
        }
    }
}
