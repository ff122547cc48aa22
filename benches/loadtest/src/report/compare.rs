//! What all runs come to: how servers compare, and whether the ones that were to be tested did well. The runs of a server
//! are taken together as if they were one.

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Better, Check, Latency, Percentiles, Run, Unit};

/// One server's figure as a multiple of another's, over all their runs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Ratio {
    /// The figure's or latency's key; of a latency with the percentile: `delivery.p99`.
    pub(crate) key: String,
    pub(crate) label: String,
    pub(crate) unit: Unit,
    pub(crate) better: Better,
    pub(crate) server: String,
    pub(crate) other: String,
    pub(crate) value: f64,
    pub(crate) other_value: f64,
    pub(crate) ratio: f64,
}

/// Whether the servers that were to be tested did well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    pub(crate) passed: bool,
    pub(crate) reasons: Vec<Reason>,
}

/// What the verdict rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Reason {
    pub(crate) standing: Standing,
    pub(crate) text: String,
}

/// What a reason speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    Met,
    Missed,
    /// Of a peer: neither.
    Noted,
}

impl Ratio {
    /// The server that is tested (the first, where all are peers) beside each other one, by all that both have.
    pub(crate) fn of(runs: &[Run]) -> Vec<Ratio> {
        let Some(tested) = runs.iter().find(|run| !run.peer).or(runs.first()) else { return Vec::new() };
        let mut others: Vec<&str> = Vec::new();
        for run in runs {
            if run.server != tested.server && !others.contains(&run.server.as_str()) {
                others.push(&run.server);
            }
        }
        let mut ratios = Vec::new();
        for other in others {
            let both = |value: &dyn Fn(&str) -> Option<f64>| Some((value(&tested.server)?, value(other)?));
            for figure in &tested.figures {
                let (Some(better), Some(values)) = (figure.better, both(&|server| mean(runs, server, figure.key)))
                else {
                    continue;
                };
                let (key, label) = (figure.key.to_owned(), figure.label.clone());
                ratios.extend(ratio(key, label, figure.unit, better, &tested.server, other, values));
            }
            for latency in tested.latencies.iter().filter(|latency| latency.compared) {
                let Some(merged) = merged(runs, &tested.server, latency).zip(merged(runs, other, latency)) else {
                    continue;
                };
                let (ours, theirs) = (Percentiles::of(&merged.0), Percentiles::of(&merged.1));
                for (name, values) in [("p50", (ours.p50, theirs.p50)), ("p99", (ours.p99, theirs.p99))] {
                    let (key, label) = (format!("{}.{name}", latency.key), format!("{} {name}", latency.label));
                    ratios.extend(ratio(key, label, Unit::Millis, Better::Less, &tested.server, other, values));
                }
            }
        }
        ratios
    }
}

/// Nothing where there is nothing to divide by.
fn ratio(
    key: String,
    label: String,
    unit: Unit,
    better: Better,
    server: &str,
    other: &str,
    (value, other_value): (f64, f64),
) -> Option<Ratio> {
    let (server, other) = (server.to_owned(), other.to_owned());
    let ratio = value / other_value;
    ratio.is_finite().then_some(Ratio { key, label, unit, better, server, other, value, other_value, ratio })
}

/// A figure over a server's runs: the longer one was measured, the more it counts.
fn mean(runs: &[Run], server: &str, key: &str) -> Option<f64> {
    let (mut sum, mut weights) = (0.0, 0.0);
    for run in runs.iter().filter(|run| run.server == server) {
        if let Some(value) = run.value(key) {
            let weight = if run.seconds > 0.0 { run.seconds } else { 1.0 };
            sum += value * weight;
            weights += weight;
        }
    }
    (weights > 0.0).then(|| sum / weights)
}

fn merged(runs: &[Run], server: &str, latency: &Latency) -> Option<Histogram<u64>> {
    let of_server = runs.iter().filter(|run| run.server == server);
    let mut same = of_server.flat_map(|run| &run.latencies).filter(|each| each.key == latency.key && each.count > 0);
    let mut all = same.next()?.histogram.clone();
    // All have the same precision and bounds, so one fits into another.
    same.try_for_each(|each| all.add(&each.histogram)).ok()?;
    Some(all)
}

/// What to call each run: by its server, and where that has several by a number.
pub(super) fn names(runs: &[Run]) -> Vec<String> {
    let of = |server: &str, runs: &[Run]| runs.iter().filter(|run| run.server == server).count();
    let name = |(index, run): (usize, &Run)| {
        if of(&run.server, runs) > 1 {
            format!("{} #{}", run.server, of(&run.server, &runs[..=index]))
        } else {
            run.server.clone()
        }
    };
    runs.iter().enumerate().map(name).collect()
}

impl Verdict {
    /// A fault or an unmet demand of a server that is no peer fails; so does having none to judge.
    pub(crate) fn of(runs: &[Run]) -> Verdict {
        let mut reasons = Vec::new();
        let alone = runs.len() == 1;
        let judged = runs.iter().any(|run| !run.peer);
        for (run, name) in runs.iter().zip(names(runs)) {
            // Where there are only peers, they are what was to be tested.
            let standing = |met: bool| match (met, run.peer && judged) {
                (_, true) => Standing::Noted,
                (true, _) => Standing::Met,
                (false, _) => Standing::Missed,
            };
            let text = |text: &str| if alone { text.to_owned() } else { format!("{name}: {text}") };
            let faults = run.faults.iter().map(|fault| Reason { standing: standing(false), text: text(fault) });
            reasons.extend(faults);
            let noted = |check: &Check| if check.met { check.text.clone() } else { format!("not met: {}", check.text) };
            reasons.extend(run.checks.iter().map(|check| match standing(check.met) {
                Standing::Noted => Reason { standing: Standing::Noted, text: text(&noted(check)) },
                standing => Reason { standing, text: text(&check.text) },
            }));
        }
        if runs.is_empty() {
            reasons.push(Reason { standing: Standing::Missed, text: "nothing was measured".to_owned() });
        }
        // What is wrong is read first.
        reasons.sort_by_key(|reason| match reason.standing {
            Standing::Missed => 0,
            Standing::Met => 1,
            Standing::Noted => 2,
        });
        Verdict { passed: reasons.iter().all(|reason| reason.standing != Standing::Missed), reasons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::histogram;

    fn run(server: &str, peer: bool, rate: f64, millis: &[u64]) -> Run {
        let mut run = Run::new(server);
        (run.peer, run.seconds) = (peer, 2.0);
        run.compared("rate", "votes", rate, Unit::PerSecond, Better::More);
        run.figure("errors", "errors", 3.0, Unit::Count);
        let mut latency = histogram();
        millis.iter().for_each(|millis| latency.saturating_record(millis * 1000));
        run.latency("ack", "ack", latency);
        run
    }

    #[test]
    fn runs_of_a_server_are_taken_together() {
        let runs = [
            run("baseline", true, 2.0, &[10; 4]),
            run("gossipd", false, 15.0, &[1; 30]),
            run("baseline", true, 2.0, &[30; 4]),
            run("gossipd", false, 5.0, &[2; 10]),
        ];
        let ratios = Ratio::of(&runs);
        let keys: Vec<_> = ratios.iter().map(|ratio| ratio.key.as_str()).collect();
        assert_eq!(keys, ["rate", "ack.p50", "ack.p99"]);
        assert!(ratios.iter().all(|ratio| (ratio.server.as_str(), ratio.other.as_str()) == ("gossipd", "baseline")));
        assert!((ratios[0].ratio - 5.0).abs() < 1e-9, "{ratios:?}");
        assert!((ratios[2].ratio - 2.0 / 30.0).abs() < 1e-3, "{ratios:?}");
        assert!(Ratio::of(&runs[..1]).is_empty() && Ratio::of(&[]).is_empty());
        assert_eq!(names(&runs), ["baseline #1", "gossipd #1", "baseline #2", "gossipd #2"]);
        assert_eq!(names(&runs[..2]), ["baseline", "gossipd"]);
    }

    #[test]
    fn what_cannot_be_divided_is_left_out() {
        let runs = [run("gossipd", false, 1.0, &[1]), run("loop", true, 0.0, &[])];
        assert!(Ratio::of(&runs).is_empty());
    }

    #[test]
    fn faults_and_unmet_demands_fail() {
        let verdict = |change: fn(&mut Run)| {
            let mut runs = [run("loop", true, 1.0, &[1]), run("gossipd", false, 1.0, &[1])];
            runs[0].fault("out of order");
            runs[0].check(false, "slow");
            change(&mut runs[1]);
            Verdict::of(&runs)
        };
        // A peer's faults are told, and fail nothing.
        let good = verdict(|run| run.check(true, "quick"));
        assert!(good.passed);
        let texts: Vec<_> = good.reasons.iter().map(|reason| reason.text.as_str()).collect();
        assert_eq!(texts, ["gossipd: quick", "loop: out of order", "loop: not met: slow"]);
        assert!(!verdict(|run| run.check(false, "quick")).passed);
        assert!(!verdict(|run| run.fault("lost one")).passed);
        assert!(!verdict(|run| run.peer = true).passed);
        assert!(!Verdict::of(&[]).passed);
    }
}
