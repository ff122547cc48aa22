//! What is counted of commands and of transactions: once for each, with atomics, so that counting costs nothing that
//! matters. Labels are from fixed lists, whatever clients send.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use gossip_proto::refusal::Code;
use gossip_store::queue::{End, Observer};
use prometheus::{Histogram, HistogramOpts};

use super::Metrics;

/// The events that there are, then one for all others, and one for what was no event: a message that was too large, or
/// could not be read.
const EVENTS: [&str; 12] = [
    "authenticate",
    "join_room",
    "leave_room",
    "new_gossip",
    "update_gossip",
    "vote_gossip",
    "comment_gossip",
    "list_gossip",
    "get_gossip",
    "list_updates",
    "unknown",
    "none",
];

/// What an event counts as, in a word: one of few, whatever its name.
pub(crate) fn event_label(event: Option<&str>) -> &'static str {
    EVENTS[event_index(event)]
}

fn event_index(event: Option<&str>) -> usize {
    let (unknown, none) = (EVENTS.len() - 2, EVENTS.len() - 1);
    event.map_or(none, |event| EVENTS[..unknown].iter().position(|known| *known == event).unwrap_or(unknown))
}

/// `success`, then the codes of contract §2.
const OUTCOMES: [&str; 15] = [
    "success",
    "not_authenticated",
    "invalid_token",
    "token_expired",
    "forbidden",
    "not_found",
    "invalid_input",
    "too_large",
    "rate_limited",
    "closed",
    "conflict",
    "unknown_event",
    "unavailable",
    "unresolved",
    "internal",
];

/// What an answer counts as, in a word.
pub(crate) fn outcome_label(refused: Option<Code>) -> &'static str {
    OUTCOMES[outcome_index(refused)]
}

fn outcome_index(refused: Option<Code>) -> usize {
    match refused {
        None => 0,
        Some(Code::NotAuthenticated) => 1,
        Some(Code::InvalidToken) => 2,
        Some(Code::TokenExpired) => 3,
        Some(Code::Forbidden) => 4,
        Some(Code::NotFound) => 5,
        Some(Code::InvalidInput) => 6,
        Some(Code::TooLarge) => 7,
        Some(Code::RateLimited) => 8,
        Some(Code::Closed) => 9,
        Some(Code::Conflict) => 10,
        Some(Code::UnknownEvent) => 11,
        Some(Code::Unavailable) => 12,
        Some(Code::Unresolved) => 13,
        Some(Code::Internal) => 14,
    }
}

/// Seconds: from what a commit alone takes to what is far too long.
const SECONDS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Commands of a transaction.
const BATCHES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// The name is given when it is told.
fn histogram(buckets: &[f64]) -> Histogram {
    let options = HistogramOpts::new("unnamed", "unnamed").buckets(buckets.to_vec());
    Histogram::with_opts(options).unwrap_or_else(|_| unreachable!("the buckets rise"))
}

/// Answers to clients.
pub(crate) struct Commands {
    counts: [[AtomicU64; OUTCOMES.len()]; EVENTS.len()],
    seconds: [Histogram; EVENTS.len()],
}

impl Default for Commands {
    fn default() -> Self {
        Commands {
            counts: [const { [const { AtomicU64::new(0) }; OUTCOMES.len()] }; EVENTS.len()],
            seconds: std::array::from_fn(|_| histogram(&SECONDS)),
        }
    }
}

impl Commands {
    pub(crate) fn answered(&self, event: Option<&str>, refused: Option<Code>, took: Duration) {
        let event = event_index(event);
        self.counts[event][outcome_index(refused)].fetch_add(1, Relaxed);
        self.seconds[event].observe(took.as_secs_f64());
    }

    pub(super) fn tell(&self, metrics: &mut Metrics) {
        let rows = EVENTS.iter().zip(&self.counts).flat_map(|(event, counts)| {
            let label =
                |(outcome, count): (&&'static str, u64)| (vec![("event", *event), ("outcome", *outcome)], count);
            // A success of what can succeed is told from the start; a failure when there has been one.
            let is_told = move |(outcome, count): &(&&str, u64)| {
                *count > 0 || (**outcome == "success" && !matches!(*event, "unknown" | "none"))
            };
            OUTCOMES.iter().zip(counts.iter().map(|count| count.load(Relaxed))).filter(is_told).map(label)
        });
        metrics.table("gossipd_commands_total", "Events of clients that were answered, and how.", rows);
        metrics.histograms(
            "gossipd_command_duration_seconds",
            "From an event's arrival to its answer, whatever that was.",
            "event",
            EVENTS.iter().copied().zip(&self.seconds),
        );
    }
}

/// Transactions of the commit queue.
pub(crate) struct Commits {
    ends: [AtomicU64; 3],
    seconds: Histogram,
    commands: Histogram,
}

impl Default for Commits {
    fn default() -> Self {
        Commits { ends: Default::default(), seconds: histogram(&SECONDS), commands: histogram(&BATCHES) }
    }
}

impl Commits {
    pub(super) fn tell(&self, metrics: &mut Metrics) {
        let ends = ["committed", "failed", "unresolved"];
        metrics.counters(
            "gossipd_commits_total",
            "Transactions of commands, by how they ended.",
            "outcome",
            ends.into_iter().zip(self.ends.iter().map(|count| count.load(Relaxed))),
        );
        metrics.histogram(
            "gossipd_commit_duration_seconds",
            "How long each of these transactions took.",
            &self.seconds,
        );
        metrics.histogram(
            "gossipd_commit_batch_commands",
            "How many commands each of these transactions carried out.",
            &self.commands,
        );
    }
}

impl Observer for Commits {
    fn ended(&self, commands: usize, took: Duration, end: End) {
        let end = match end {
            End::Committed => 0,
            End::Failed => 1,
            End::Unresolved => 2,
        };
        self.ends[end].fetch_add(1, Relaxed);
        self.seconds.observe(took.as_secs_f64());
        self.commands.observe(commands as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_contracts_words() {
        let code = |index: usize| match serde_json::to_value(CODES[index]).unwrap() {
            serde_json::Value::String(word) => word,
            other => panic!("{other}"),
        };
        assert_eq!(OUTCOMES.len(), CODES.len() + 1);
        for (index, each) in CODES.iter().enumerate() {
            assert_eq!(outcome_label(Some(*each)), code(index));
        }
        assert_eq!(outcome_label(None), "success");
        assert_eq!(event_label(Some("vote_gossip")), "vote_gossip");
        for unknown in ["", "none", "unknown", "x\n\"", "Vote_gossip"] {
            assert_eq!(event_label(Some(unknown)), "unknown");
        }
        assert_eq!(event_label(None), "none");
    }

    const CODES: [Code; 14] = [
        Code::NotAuthenticated,
        Code::InvalidToken,
        Code::TokenExpired,
        Code::Forbidden,
        Code::NotFound,
        Code::InvalidInput,
        Code::TooLarge,
        Code::RateLimited,
        Code::Closed,
        Code::Conflict,
        Code::UnknownEvent,
        Code::Unavailable,
        Code::Unresolved,
        Code::Internal,
    ];
}
