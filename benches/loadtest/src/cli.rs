//! The options. Reading and checking only; each scenario's meaning is in its own module.

mod hostile;
mod idle;
mod load;
mod servers;
mod soak;
mod storm;
mod votes;

use std::time::Duration;

use clap::{Parser, Subcommand};

pub(crate) use hostile::HostileArgs;
pub(crate) use idle::IdleArgs;
pub(crate) use load::{FanoutArgs, Mix, Paced, RoomsArgs};
pub(crate) use servers::{Output, Servers};
pub(crate) use soak::SoakArgs;
pub(crate) use storm::StormArgs;
pub(crate) use votes::{BaselineArgs, Transaction, Tuning, VotesArgs};

/// Puts load on a running server, through sockets, and measures what comes back. Without a scenario: 100 clients in one
/// room, who post, vote and comment, and a verdict whether the server keeps up with them.
#[derive(Debug, Parser)]
#[command(name = "gossip-loadtest", bin_name = "cargo xtask loadtest", args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) scenario: Option<Scenario>,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Scenario {
    /// Deliveries to large rooms: how many, and what they cost the server
    Fanout(FanoutArgs),
    /// Many rooms with posts, votes and comments at a fixed rate, and how long they take
    Rooms(RoomsArgs),
    /// Members who do nothing: the memory and processor time that each costs the server
    Idle(IdleArgs),
    /// Clients who come and go by the thousand, and what those notice who stay
    Storm(StormArgs),
    /// Clients who mean harm, and what honest ones and the server notice of them
    Hostile(HostileArgs),
    /// A moderate load for as long as you like: whether anything grows, is lost or drifts
    Soak(SoakArgs),
    /// Durable votes a second, and how long their acks take
    Votes(VotesArgs),
    /// What `votes --baseline` measures: a server that runs one transaction per vote
    #[command(hide = true)]
    BaselineServer(BaselineArgs),
}

fn positive(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_000_000) => Ok(number),
        _ => Err("must be a whole number from 1 to 1000000".into()),
    }
}

/// `500ms`, `10s`, `5m`, `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis_each = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let millis = millis_each.and_then(|each| number.parse::<u32>().ok()?.checked_mul(each));
    millis
        .map(|millis| Duration::from_millis(millis.into()))
        .ok_or_else(|| "must look like 500ms, 10s, 5m or 1h".into())
}
