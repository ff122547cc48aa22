//! The options of `votes` and of its baseline.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{Output, duration, positive};
use crate::error::Error;

/// `votes`: every vote changes something, and a fixed number of them is always under way.
#[derive(Debug, Clone, Args)]
pub(crate) struct VotesArgs {
    /// A running server, http://host:port; without it one is started, and killed at the end
    #[arg(long, requires = "token_secret", conflicts_with_all = ["database_url", "baseline", "compare"])]
    pub(crate) url: Option<String>,
    /// The JWT_SECRET of that server, which must run with ROOM_ACCESS claims or open, and RATE_LIMIT_MODE=observe
    #[arg(long, requires = "url")]
    pub(crate) token_secret: Option<String>,
    /// Where the server that is started keeps its data: postgres://… (in a database made for the run and dropped after
    /// it), sqlite://folder/file.db (in a temporary folder beside the file) [default: SQLite in the system's temporary
    /// folder]
    #[arg(long)]
    pub(crate) database_url: Option<String>,
    /// Votes under way at any time, over all connections
    #[arg(long, default_value_t = 64, value_parser = positive)]
    pub(crate) in_flight: usize,
    /// WebSockets, each of a user of its own [default: as many as are in flight, at most 64, but as many as it takes
    /// for no user to have two votes on one intent under way]
    #[arg(long, value_parser = positive)]
    pub(crate) connections: Option<usize>,
    /// Intents that are voted on; 1 for a hot one
    #[arg(long, default_value_t = 1000, value_parser = positive)]
    pub(crate) intents: usize,
    /// How long is measured
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How long to vote before that
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub(crate) warmup: Duration,
    /// Measure the server with one transaction per vote instead of gossipd
    #[arg(long, conflicts_with = "compare")]
    pub(crate) baseline: bool,
    /// Measure both in turn on the same database server
    #[arg(long)]
    pub(crate) compare: bool,
    /// How often each is measured with --compare
    #[arg(long, default_value_t = 2, requires = "compare", value_parser = positive)]
    pub(crate) rounds: usize,
    #[command(flatten)]
    pub(crate) tuning: Tuning,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// How the baseline talks to its database.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Tuning {
    /// Connections of the baseline to Postgres
    #[arg(long, default_value_t = 16, value_parser = positive)]
    pub(crate) pool: usize,
    /// The baseline's transaction on Postgres
    #[arg(long, value_enum, default_value_t = Transaction::Locked)]
    pub(crate) transaction: Transaction,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning { pool: 16, transaction: Transaction::Locked }
    }
}

/// What the baseline does for a vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transaction {
    /// BEGIN, lock the intent, read the vote that stands and write in one statement, COMMIT: four round trips
    Locked,
    /// BEGIN, lock the intent, read the vote that stands, write in one statement, COMMIT: five round trips
    Stepwise,
    /// All of it in one statement that commits itself: one round trip, for who can put every rule into SQL
    OneStatement,
}

/// `baseline-server`.
#[derive(Debug, Args)]
pub(crate) struct BaselineArgs {
    /// postgres://… or sqlite://…; its tables are created
    #[arg(long)]
    pub(crate) database_url: String,
    /// The port to listen on, on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// The secret that signs tokens (HS256)
    #[arg(long, env, hide_env_values = true)]
    pub(crate) jwt_secret: String,
    #[command(flatten)]
    pub(crate) tuning: Tuning,
}

impl VotesArgs {
    /// How many of the votes under way each connection has.
    ///
    /// # Errors
    /// Where there are more connections than votes, or a user would have two votes on one intent under way: a server may
    /// take those in any order, and then one of them changes nothing.
    pub(crate) fn windows(&self) -> Result<Vec<usize>, Error> {
        let least = self.in_flight.div_ceil(self.intents);
        let connections = self.connections.unwrap_or_else(|| self.in_flight.min(64).max(least));
        if connections > self.in_flight {
            return Err(Error::Usage(format!(
                "--connections {connections} with --in-flight {}: some would have nothing to do",
                self.in_flight
            )));
        }
        if connections < least {
            return Err(Error::Usage(format!(
                "--in-flight {} on --intents {} needs --connections {least} or more",
                self.in_flight, self.intents
            )));
        }
        let (each, over) = (self.in_flight / connections, self.in_flight % connections);
        Ok((0..connections).map(|connection| each + usize::from(connection < over)).collect())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Scenario};

    fn votes(args: &[&str]) -> Result<VotesArgs, clap::Error> {
        let all = ["gossip-loadtest", "votes"].iter().chain(args);
        match Cli::try_parse_from(all)?.scenario {
            Some(Scenario::Votes(args)) => Ok(args),
            _ => unreachable!("`votes` was asked for"),
        }
    }

    #[test]
    fn defaults() {
        let args = votes(&[]).unwrap();
        assert_eq!((args.in_flight, args.intents, args.rounds, args.tuning.pool), (64, 1000, 2, 16));
        assert_eq!((args.duration, args.warmup), (Duration::from_secs(10), Duration::from_secs(2)));
    }

    #[test]
    fn what_does_not_go_together() {
        for bad in [
            &["--url", "http://localhost:3000"][..],
            &["--token-secret", "s"],
            &["--url", "http://localhost:3000", "--token-secret", "s", "--compare"],
            &["--url", "http://localhost:3000", "--token-secret", "s", "--database-url", "sqlite://a"],
            &["--baseline", "--compare"],
            &["--rounds", "3"],
            &["--in-flight", "0"],
            &["--duration", "10"],
            &["--duration", "99999999m"],
        ] {
            assert!(votes(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn windows_sum_up_to_what_is_in_flight() {
        let windows = |args: &[&str]| votes(args).unwrap().windows().ok();
        assert_eq!(windows(&["--in-flight", "3"]), Some(vec![1; 3]));
        assert_eq!(windows(&["--in-flight", "1024"]), Some(vec![16; 64]));
        assert_eq!(windows(&["--in-flight", "10", "--connections", "4"]), Some(vec![3, 3, 2, 2]));
        // A hot intent: a user for each vote.
        assert_eq!(windows(&["--in-flight", "200", "--intents", "1"]), Some(vec![1; 200]));
        assert_eq!(windows(&["--in-flight", "200", "--intents", "1", "--connections", "100"]), None);
        assert_eq!(windows(&["--in-flight", "3", "--connections", "4"]), None);
    }
}
