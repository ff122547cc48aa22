//! What a run found, as a table for people and as JSON for programs. Nothing is measured here.

use std::fmt::Write as _;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::database::Counts;
use crate::process::Memory;
use crate::server::Kind;

/// The figures of one server in one run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    pub(crate) server: Kind,
    /// `postgres` or `sqlite`; unknown of a server that was not started here.
    pub(crate) database: Option<&'static str>,
    pub(crate) in_flight: usize,
    pub(crate) connections: usize,
    pub(crate) intents: usize,
    /// How long was measured.
    pub(crate) seconds: f64,
    /// Acked in that time.
    pub(crate) votes: u64,
    pub(crate) votes_per_second: f64,
    pub(crate) latency_millis: Latency,
    /// Acked in all, with the time before and after.
    pub(crate) acked: u64,
    /// Votes that were answered with an error.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Of the server, while measured; without its database, where that is a process of its own.
    pub(crate) server_cpu_seconds: Option<f64>,
    pub(crate) server_memory: Option<Memory>,
    /// Of the load test itself, while measured.
    pub(crate) client_cpu_seconds: Option<f64>,
    /// What the database held afterwards.
    pub(crate) stored: Option<Counts>,
    #[serde(skip)]
    pub(crate) histogram: Histogram<u64>,
}

/// Milliseconds from sending a vote to its ack.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Latency {
    /// Of microseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latency {
        let millis = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| millis(histogram.value_at_quantile(quantile));
        Latency { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: millis(histogram.max()) }
    }
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) runs: Vec<Run>,
    pub(crate) comparison: Option<Comparison>,
}

/// gossipd beside the baseline, over all their runs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Comparison {
    pub(crate) gossipd: Sum,
    pub(crate) baseline: Sum,
    /// How many votes gossipd does in the time the baseline does one.
    pub(crate) votes_ratio: f64,
    /// gossipd's p99 as a multiple of the baseline's.
    pub(crate) p99_ratio: f64,
}

/// The runs of one server as if they were one.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sum {
    pub(crate) votes_per_second: f64,
    pub(crate) latency_millis: Latency,
}

impl Comparison {
    /// Nothing where either server was not measured.
    pub(crate) fn of(runs: &[Run]) -> Option<Comparison> {
        let gossipd = sum(runs, Kind::Gossipd)?;
        let baseline = sum(runs, Kind::Baseline)?;
        Some(Comparison {
            gossipd,
            baseline,
            votes_ratio: gossipd.votes_per_second / baseline.votes_per_second,
            p99_ratio: gossipd.latency_millis.p99 / baseline.latency_millis.p99,
        })
    }
}

fn sum(runs: &[Run], kind: Kind) -> Option<Sum> {
    let mut runs = runs.iter().filter(|run| run.server == kind);
    let first = runs.next()?;
    let (mut latency, mut votes, mut seconds) = (first.histogram.clone(), first.votes, first.seconds);
    for run in runs {
        votes += run.votes;
        seconds += run.seconds;
        // Both have the same precision and grow, so one fits into the other.
        latency.add(&run.histogram).ok()?;
    }
    Some(Sum { votes_per_second: votes as f64 / seconds, latency_millis: Latency::of(&latency) })
}

impl Report {
    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{:<9} {:<9} {:>9} {:>6} {:>8} {:>8}  {:>7} {:>7} {:>7} {:>8}  {:>6} {:>10} {:>10} {:>9}\n",
            "server",
            "database",
            "in flight",
            "conns",
            "intents",
            "votes/s",
            "p50 ms",
            "p95 ms",
            "p99 ms",
            "max ms",
            "errors",
            "server CPU",
            "server RSS",
            "our CPU"
        );
        for run in &self.runs {
            let latency = run.latency_millis;
            let cores = |seconds: Option<f64>| or_dash(seconds.map(|s| format!("{:.2} s/s", s / run.seconds)));
            // Writing to a String does not fail.
            let _ = writeln!(
                text,
                "{:<9} {:<9} {:>9} {:>6} {:>8} {:>8.0}  {:>7.2} {:>7.2} {:>7.2} {:>8.2}  {:>6} {:>10} {:>10} {:>9}",
                run.server.name(),
                run.database.unwrap_or("-"),
                run.in_flight,
                run.connections,
                run.intents,
                run.votes_per_second,
                latency.p50,
                latency.p95,
                latency.p99,
                latency.max,
                run.errors,
                cores(run.server_cpu_seconds),
                or_dash(run.server_memory.map(|m| format!("{:.0} MiB", m.rss_bytes as f64 / 1_048_576.0))),
                cores(run.client_cpu_seconds),
            );
        }
        if let Some(both) = &self.comparison {
            let _ = writeln!(
                text,
                "gossipd / baseline: {:.2} times the votes/s ({:.0} / {:.0}), p99 {:.2} times as long ({:.2} ms / {:.2} ms)",
                both.votes_ratio,
                both.gossipd.votes_per_second,
                both.baseline.votes_per_second,
                both.p99_ratio,
                both.gossipd.latency_millis.p99,
                both.baseline.latency_millis.p99,
            );
        }
        text
    }

    /// What is wrong with the figures, a line each; none of it is to be overlooked.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for run in &self.runs {
            let name = run.server.name();
            if let Some(first) = &run.first_error {
                faults.push(format!("{name}: {} votes were refused, the first with {first}", run.errors));
            }
            if run.votes == 0 {
                faults.push(format!("{name}: not one vote was acked while measured"));
            }
            let Some(Counts { counted, votes, updates }) = run.stored else { continue };
            if counted != votes {
                faults.push(format!("{name}: the intents count {counted} votes, but {votes} stand"));
            }
            if i64::try_from(run.acked) != Ok(updates) {
                faults.push(format!("{name}: {} votes were acked, {updates} are stored", run.acked));
            }
        }
        faults
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::votes::histogram;

    fn run(server: Kind, millis: &[u64]) -> Run {
        let mut latency = histogram();
        for &millis in millis {
            latency.saturating_record(millis * 1000);
        }
        let votes = millis.len() as u64;
        let count = millis.len() as i64;
        Run {
            server,
            database: Some("sqlite"),
            in_flight: 1,
            connections: 1,
            intents: 1,
            seconds: 2.0,
            votes,
            votes_per_second: votes as f64 / 2.0,
            latency_millis: Latency::of(&latency),
            acked: votes,
            errors: 0,
            first_error: None,
            server_cpu_seconds: None,
            server_memory: None,
            client_cpu_seconds: None,
            stored: Some(Counts { counted: 1, votes: 1, updates: count }),
            histogram: latency,
        }
    }

    #[test]
    fn runs_of_a_server_are_taken_together() {
        let runs = [
            run(Kind::Baseline, &[10; 4]),
            run(Kind::Gossipd, &[1; 30]),
            run(Kind::Baseline, &[30; 4]),
            run(Kind::Gossipd, &[2; 10]),
        ];
        let both = Comparison::of(&runs).unwrap();
        assert!((both.votes_ratio - 5.0).abs() < 1e-9, "{both:?}");
        assert!((both.baseline.votes_per_second - 2.0).abs() < 1e-9, "{both:?}");
        assert!((both.p99_ratio - 2.0 / 30.0).abs() < 1e-3, "{both:?}");
        assert!(Comparison::of(&runs[..1]).is_none());
    }

    #[test]
    fn latencies_are_told_in_milliseconds() {
        let mut latency = histogram();
        for millis in 1..=1000 {
            latency.saturating_record(millis * 1000);
        }
        let Latency { p50, p95, p99, max } = Latency::of(&latency);
        for (got, expected) in [(p50, 500.0), (p95, 950.0), (p99, 990.0), (max, 1000.0)] {
            assert!((got / expected - 1.0_f64).abs() < 0.002, "{got} for {expected}");
        }
    }

    #[test]
    fn faults_are_told() {
        let faults = |change: fn(&mut Run)| {
            let mut run = run(Kind::Gossipd, &[1, 2]);
            change(&mut run);
            Report { runs: vec![run], comparison: None }.faults().len()
        };
        assert_eq!(faults(|_| {}), 0);
        assert_eq!(faults(|run| run.acked += 1), 1);
        assert_eq!(faults(|run| run.stored = Some(Counts { counted: 2, votes: 1, updates: 2 })), 1);
        assert_eq!(faults(|run| run.first_error = Some("closed".into())), 1);
        assert_eq!(faults(|run| run.votes = 0), 1);
        assert_eq!(faults(|run| run.stored = None), 0);
    }
}
