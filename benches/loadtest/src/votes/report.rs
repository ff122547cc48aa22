//! What was found of one server's votes, as the report tells it, and what is wrong with it.

use hdrhistogram::Histogram;

use crate::database::Counts;
use crate::meter::Meter;
use crate::report::{Better, Run, Unit};
use crate::server::Kind;

/// Counted in one run.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) server: Kind,
    /// `postgres` or `sqlite`; unknown of a server that was not started here.
    pub(super) database: Option<&'static str>,
    pub(super) in_flight: usize,
    pub(super) connections: usize,
    pub(super) intents: usize,
    /// Acked in all, with the time before and after what was measured.
    pub(super) acked: u64,
    /// Votes that were answered with an error.
    pub(super) errors: u64,
    pub(super) first_error: Option<String>,
    /// What the database held afterwards.
    pub(super) stored: Option<Counts>,
    /// Microseconds from sending a vote to its ack, of those acked while measured.
    pub(super) latency: Histogram<u64>,
}

impl Found {
    /// For the report.
    pub(super) fn run(self, meter: &Meter) -> Run {
        let mut run = Run::new(self.server.name());
        run.peer = self.server == Kind::Baseline;
        run.set("database", self.database.unwrap_or("unknown"));
        run.set("in flight", self.in_flight);
        run.set("connections", self.connections);
        run.set("intents", self.intents);
        meter.tell(&mut run);
        let rate = self.latency.len() as f64 / run.seconds.max(f64::MIN_POSITIVE);
        run.compared("votes", "votes", rate, Unit::PerSecond, Better::More);
        // First of all what the scenario is about.
        run.figures.rotate_right(1);
        if let Some(seconds) = meter.used().server_cpu_seconds {
            let micros = seconds * 1e6 / self.latency.len().max(1) as f64;
            run.compared("cpuPerVote", "server CPU a vote", micros, Unit::Micros, Better::Less);
        }
        run.figure("errors", "votes refused", self.errors as f64, Unit::Count);
        run.faults = self.faults();
        if run.faults.is_empty() {
            let stored = if self.stored.is_some() { ", and every one is stored and counted" } else { "" };
            run.check(true, format!("all of {} votes were acked{stored}", self.acked));
        }
        run.latency("ack", "vote to ack", self.latency);
        run
    }

    /// None of it is to be overlooked.
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(first) = &self.first_error {
            faults.push(format!("{} votes were refused, the first with {first}", self.errors));
        }
        if self.latency.is_empty() {
            faults.push("not one vote was acked while measured".to_owned());
        }
        let Some(Counts { counted, votes, updates }) = self.stored else { return faults };
        if counted != votes {
            faults.push(format!("the intents count {counted} votes, but {votes} stand"));
        }
        if i64::try_from(self.acked) != Ok(updates) {
            faults.push(format!("{} votes were acked, {updates} are stored", self.acked));
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::histogram;

    fn found(server: Kind) -> Found {
        let mut latency = histogram();
        [1000, 2000].into_iter().for_each(|micros| latency.saturating_record(micros));
        Found {
            server,
            database: Some("sqlite"),
            in_flight: 1,
            connections: 1,
            intents: 1,
            acked: 2,
            errors: 0,
            first_error: None,
            stored: Some(Counts { counted: 1, votes: 1, updates: 2 }),
            latency,
        }
    }

    #[test]
    fn faults_are_told() {
        let faults = |change: fn(&mut Found)| {
            let mut found = found(Kind::Gossipd);
            change(&mut found);
            found.faults().len()
        };
        assert_eq!(faults(|_| {}), 0);
        assert_eq!(faults(|found| found.acked += 1), 1);
        assert_eq!(faults(|found| found.stored = Some(Counts { counted: 2, votes: 1, updates: 2 })), 1);
        assert_eq!(faults(|found| found.first_error = Some("closed".into())), 1);
        assert_eq!(faults(|found| found.latency.reset()), 1);
        assert_eq!(faults(|found| found.stored = None), 0);
    }

    #[test]
    fn a_run_is_about_votes() {
        let run = found(Kind::Baseline).run(&Meter::new("baseline", None));
        assert!(run.peer && run.faults.is_empty() && run.checks[0].met);
        assert_eq!((run.figures[0].key, run.latencies[0].count), ("votes", 2));
    }
}
