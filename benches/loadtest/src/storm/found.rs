//! What a storm came to: figures, and what is demanded of them. Arithmetic only.

use hdrhistogram::Histogram;

use super::bystanders::Times;
use crate::meter::{Used, closed};
use crate::report::{Better, Percentiles, Run, Unit, number};

/// Most that bystanders may wait, in milliseconds, of 99 in 100 deliveries.
const BYSTANDERS_P99: f64 = 250.0;
/// What a server may have in memory after the last round beyond what it had after the first: a share, and some bytes.
const GROWTH: (f64, f64) = (1.1, 8.0 * 1_048_576.0);

/// One cycle of every client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Until the last client had dropped.
    pub(super) seconds: f64,
    /// Of the server, when it had noticed.
    pub(super) rss: Option<u64>,
    /// The same.
    pub(super) descriptors: Option<usize>,
}

/// Counted in one run.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) clients: usize,
    pub(super) rounds: Vec<Round>,
    pub(super) failures: u64,
    pub(super) first_failure: Option<String>,
    pub(super) handshake: Histogram<u64>,
    pub(super) joined: Histogram<u64>,
    /// Of the bystanders before the storm.
    pub(super) calm: Option<Times>,
    /// Of the bystanders in the storm.
    pub(super) during: Option<Times>,
    /// What the server used in the calm.
    pub(super) calm_cores: Option<f64>,
    /// Of the server, with the bystanders alone.
    pub(super) descriptors: Option<usize>,
    /// The same.
    pub(super) rss_before: Option<u64>,
    pub(super) used: Used,
}

impl Found {
    pub(super) fn tell(self, run: &mut Run) {
        self.figures(run);
        self.checks(run);
        run.latency("handshake", "connect to namespace", self.handshake);
        run.latency("join", "join to ack", self.joined);
        if let (Some(during), Some(calm)) = (self.during, self.calm) {
            run.latency("bystanders", "bystanders' posts to each of them", during.each);
            run.latency_alone("bystandersLast", "bystanders' posts to the last of them", during.last);
            run.latency_alone("bystandersCalm", "the same before the storm, to each", calm.each);
        }
    }

    fn cycles(&self) -> f64 {
        (self.clients * self.rounds.len()) as f64 - self.failures as f64
    }

    fn figures(&self, run: &mut Run) {
        let cycles = self.cycles();
        let seconds: f64 = self.rounds.iter().map(|round| round.seconds).sum();
        run.compared("cycles", "cycles", cycles / seconds.max(f64::MIN_POSITIVE), Unit::PerSecond, Better::More);
        if let Some(cpu) = self.used.server_cpu_seconds {
            let each = |cpu: f64| cpu.max(0.0) * 1e6 / cycles.max(1.0);
            let without = cpu - self.calm_cores.unwrap_or(0.0) * self.used.seconds;
            let label = "server CPU a cycle, bystanders aside";
            run.compared("cpuPerCycle", label, each(without), Unit::Micros, Better::Less);
            run.figure("cpuPerCycleAll", "server CPU a cycle, all of it", each(cpu), Unit::Micros);
        }
        run.figure("failures", "cycles that failed", self.failures as f64, Unit::Count);
        if let Some(bytes) = self.rss_before {
            run.figure("rssBefore", "server memory before", bytes as f64, Unit::Bytes);
        }
        for (key, label, round) in [
            ("rssFirst", "server memory after the first round", self.rounds.first()),
            ("rssLast", "server memory after the last round", self.rounds.last()),
        ] {
            if let Some(bytes) = round.and_then(|round| round.rss) {
                run.figure(key, label, bytes as f64, Unit::Bytes);
            }
        }
    }

    fn checks(&self, run: &mut Run) {
        if let Some(first) = &self.first_failure {
            run.fault(format!("{} cycles failed, the first: {first}", number::plain(self.failures as f64)));
        } else {
            run.check(true, format!("none of {} cycles failed", number::plain(self.cycles())));
        }
        if let Some(during) = &self.during {
            let p99 = Percentiles::of(&during.each).p99;
            let told = number::text(p99, Unit::Millis);
            let met = p99 < BYSTANDERS_P99 && !during.each.is_empty();
            run.check(met, format!("p99 of what bystanders get under {BYSTANDERS_P99} ms: {told}"));
        }
        let after = self.rounds.last().and_then(|round| round.descriptors);
        if let Some((before, after)) = self.descriptors.zip(after) {
            run.check(closed(before, after), format!("descriptors are closed again: {before} before, {after} after"));
        }
        let rss: Option<Vec<f64>> = self.rounds.iter().map(|round| round.rss.map(|bytes| bytes as f64)).collect();
        if let Some([first, .., last]) = rss.as_deref() {
            let met = *last <= first * GROWTH.0 + GROWTH.1;
            let told: Vec<_> = rss.iter().flatten().map(|bytes| number::text(*bytes, Unit::Bytes)).collect();
            run.check(met, format!("memory does not grow with the rounds: {}", told.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::histogram;

    fn times(millis: u64) -> Times {
        let mut each = histogram();
        each.saturating_record(millis * 1000);
        Times { last: each.clone(), each }
    }

    fn found() -> Found {
        let round = |rss: u64| Round { seconds: 1.0, rss: Some(rss << 20), descriptors: Some(121) };
        Found {
            clients: 1000,
            rounds: vec![round(50), round(52)],
            failures: 0,
            first_failure: None,
            handshake: histogram(),
            joined: histogram(),
            calm: Some(times(1)),
            during: Some(times(20)),
            calm_cores: Some(0.1),
            descriptors: Some(120),
            rss_before: Some(40 << 20),
            used: Used { seconds: 2.0, server_cpu_seconds: Some(0.6), ..Used::default() },
        }
    }

    #[test]
    fn a_cycle_costs_what_the_storm_adds() {
        let mut run = Run::new("gossipd");
        found().tell(&mut run);
        for (key, expected) in [("cycles", 1000.0), ("cpuPerCycle", 200.0), ("cpuPerCycleAll", 300.0)] {
            assert!((run.value(key).unwrap() - expected).abs() < 1e-6, "{key}");
        }
        assert!(run.checks.len() == 4 && run.checks.iter().all(|check| check.met), "{:?}", run.checks);
    }

    #[test]
    fn what_is_demanded() {
        let wrong = |change: fn(&mut Found)| {
            let mut found = found();
            change(&mut found);
            let mut run = Run::new("gossipd");
            found.tell(&mut run);
            run.checks.iter().filter(|check| !check.met).count() + run.faults.len()
        };
        assert_eq!(wrong(|_| {}), 0);
        assert_eq!(wrong(|found| (found.failures, found.first_failure) = (1, Some("refused".into()))), 1);
        assert_eq!(wrong(|found| found.during = Some(times(300))), 1);
        assert_eq!(wrong(|found| found.during.as_mut().unwrap().each.reset()), 1);
        assert_eq!(wrong(|found| found.rounds[1].descriptors = Some(200)), 1);
        assert_eq!(wrong(|found| found.rounds[1].rss = Some(80 << 20)), 1);
        // Of a server elsewhere nothing is known.
        assert_eq!(wrong(|found| (found.descriptors, found.rounds[1].rss) = (None, None)), 0);
    }
}
