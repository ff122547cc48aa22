//! The options of `fanout` and `rooms`.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;

use super::{Output, Servers, duration, positive};
use crate::crowd::{Operation, Plan};
use crate::error::Error;

/// `fanout`: in each room a fixed number of posts is under way; one is until every member has it.
#[derive(Debug, Clone, Args)]
pub(crate) struct FanoutArgs {
    /// Members of each room, each a user of its own with a WebSocket
    #[arg(long, default_value_t = 1000, value_parser = positive)]
    pub(crate) members: usize,
    /// Bytes of a post's content
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(20..=2000))]
    pub(crate) size: u16,
    /// Posts under way at any time, in each room
    #[arg(long, default_value_t = 32, value_parser = positive)]
    pub(crate) in_flight: usize,
    /// Members of each room who post, in turn
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub(crate) senders: usize,
    #[arg(long, default_value_t = 1, value_parser = positive)]
    pub(crate) rooms: usize,
    /// So many of the members, in percent, stop reading once they have joined
    #[arg(long, default_value = "0%", value_parser = percent)]
    pub(crate) not_reading: f64,
    /// How long is measured
    #[arg(long, default_value = "10s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How long to post before that
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub(crate) warmup: Duration,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl FanoutArgs {
    /// # Errors
    /// Where there are more senders than members who read.
    pub(crate) fn plan(&self) -> Result<Plan, Error> {
        // Rounded up: who asks for some that do not read gets one at least.
        let not_reading = (self.members as f64 * self.not_reading / 100.0).ceil() as usize;
        let plan = Plan { rooms: self.rooms, members: self.members, not_reading };
        if self.senders + not_reading > self.members {
            return Err(Error::Usage(format!(
                "--senders {} with --members {}, of whom {not_reading} do not read",
                self.senders, self.members
            )));
        }
        Ok(plan)
    }
}

/// `rooms`: commands are sent by a schedule, whether the server keeps up or not.
#[derive(Debug, Clone, Args)]
pub(crate) struct RoomsArgs {
    #[command(flatten)]
    pub(crate) paced: Paced,
    #[command(flatten)]
    pub(crate) servers: Servers,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// A load by schedule.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Paced {
    #[arg(long, default_value_t = 100, value_parser = positive)]
    pub(crate) rooms: usize,
    /// Members of each room, each a user of its own with a WebSocket
    #[arg(long, default_value_t = 10, value_parser = positive)]
    pub(crate) members: usize,
    /// Commands a second, over all rooms
    #[arg(long, default_value_t = 1000, value_parser = positive)]
    pub(crate) rate: usize,
    /// Of them posts, votes and comments
    #[arg(long, default_value_t = Mix::default())]
    pub(crate) mix: Mix,
    /// How long is measured
    #[arg(long, default_value = "20s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// How long to send before that
    #[arg(long, default_value = "2s", value_parser = duration)]
    pub(crate) warmup: Duration,
}

/// Shares of posts, votes and comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mix {
    shares: [u32; 3],
}

impl Default for Mix {
    fn default() -> Mix {
        Mix { shares: [20, 60, 20] }
    }
}

impl Mix {
    /// Which command comes at this place: every share evenly spread.
    pub(crate) fn operation(self, place: u64) -> Operation {
        let sum: u32 = self.shares.iter().sum();
        let place = place % u64::from(sum.max(1));
        // Each place goes to who is furthest behind its share (smooth weighted round-robin).
        let mut credit = [0_i64; 3];
        let mut chosen = 0;
        for _ in 0..=place {
            for (credit, share) in credit.iter_mut().zip(self.shares) {
                *credit += i64::from(share);
            }
            chosen = (0..3).max_by_key(|&kind| (credit[kind], 3 - kind)).unwrap_or(0);
            credit[chosen] -= i64::from(sum);
        }
        Operation::ALL[chosen]
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Mix, String> {
        let shares: Vec<u32> = text.split('/').map_while(|share| share.parse().ok()).collect();
        match <[u32; 3]>::try_from(shares) {
            Ok(shares) if shares.iter().try_fold(0, |sum: u32, &share| sum.checked_add(share)) == Some(100) => {
                Ok(Mix { shares })
            }
            _ => Err("must be three shares that make 100: 20/60/20".into()),
        }
    }
}

impl std::fmt::Display for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [posts, votes, comments] = self.shares;
        write!(f, "{posts}/{votes}/{comments}")
    }
}

/// `1%`, or `0.5%`.
fn percent(text: &str) -> Result<f64, String> {
    match text.strip_suffix('%').unwrap_or(text).parse() {
        Ok(percent) if (0.0..100.0).contains(&percent) => Ok(percent),
        _ => Err("must be a share such as 1%, below 100%".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Scenario};

    fn fanout(args: &str) -> Option<Plan> {
        let all = ["gossip-loadtest", "fanout"].into_iter().chain(args.split_whitespace());
        match Cli::try_parse_from(all).ok()?.scenario {
            Some(Scenario::Fanout(args)) => args.plan().ok(),
            _ => unreachable!("`fanout` was asked for"),
        }
    }

    #[test]
    fn who_does_not_read() {
        let not_reading = |args: &str| fanout(args).map(|plan| plan.not_reading);
        assert_eq!(not_reading(""), Some(0));
        assert_eq!(not_reading("--members 1000 --not-reading 1%"), Some(10));
        assert_eq!(not_reading("--members 50 --not-reading 1%"), Some(1));
        assert_eq!(not_reading("--members 2 --not-reading 99%"), None);
        assert_eq!(not_reading("--not-reading 100%"), None);
        assert_eq!(not_reading("--members 10 --senders 11"), None);
    }

    #[test]
    fn a_mix_has_its_shares_evenly_spread() {
        let mix: Mix = "20/60/20".parse().unwrap();
        for from in [0, 3, 100, 12_345] {
            let ten: Vec<_> = (from..from + 10).map(|place| mix.operation(place)).collect();
            let count = |operation| ten.iter().filter(|&&each| each == operation).count();
            assert_eq!(Operation::ALL.map(count), [2, 6, 2], "{ten:?}");
        }
        let only: Mix = "0/0/100".parse().unwrap();
        assert!((0..200).all(|place| only.operation(place) == Operation::Comment));
        for bad in ["", "20/60", "20/60/20/0", "20/60/21", "-20/100/20", "4294967295/1/100"] {
            assert!(bad.parse::<Mix>().is_err(), "{bad}");
        }
        assert_eq!(mix.to_string(), "20/60/20");
    }
}
