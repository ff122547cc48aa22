//! The scenario `soak`: the load of `rooms`, moderate, for as long as one likes, while guests come and go. Whether memory
//! and descriptors stay what they were, nothing is lost, and what is stored is what was acked.

mod guests;

use crate::cli::{SoakArgs, Tuning};
use crate::database::{Counts, Place};
use crate::error::Error;
use crate::limits;
use crate::meter::Meter;
use crate::report::{Report, Run, Sample, Unit, number, started_now};
use crate::rooms;
use crate::target::{self, Target};
use guests::Guests;

/// What a server may have in memory in the last third of the time beyond what it had in the first: a share, and some bytes.
const GROWTH: (f64, f64) = (1.1, 8.0 * 1_048_576.0);

/// Runs the scenario.
///
/// # Errors
/// Where there is nothing to report.
pub(crate) async fn run(args: &SoakArgs) -> Result<Report, Error> {
    let started_at = started_now();
    let mut runs = Vec::new();
    if let Some((url, secret)) = args.servers.remote() {
        let target = target::remote(url, secret).await?;
        runs.push(load(&target, args).await?);
    } else {
        let place = Place::of(args.servers.database_url.as_deref())?;
        for (kind, peer) in args.servers.in_turn() {
            let (mut run, stored) =
                target::on(kind, &place, Tuning::default(), async |target| load(target, args).await).await?;
            run.peer = peer;
            if let Some(stored) = stored {
                compare(&mut run, stored);
            }
            runs.push(run);
        }
    }
    Ok(Report::new("soak", started_at, runs))
}

async fn load(target: &Target, args: &SoakArgs) -> Result<Run, Error> {
    let meter = Meter::new(target.kind.name(), target.process);
    meter.during(soak(target, args, &meter)).await
}

async fn soak(target: &Target, args: &SoakArgs, meter: &Meter) -> Result<Run, Error> {
    let paced = args.paced();
    limits::raise_files(paced.rooms * paced.members + args.guests)?;
    let descriptors = meter.server_descriptors();
    let guests = Guests::new(target, meter);
    let (mut run, _) =
        rooms::measure(target, paced, meter, async |rooms| guests.come_and_go(rooms, args.guests).await).await?;
    let after = meter.server_closed(descriptors).await;

    run.set("guests", args.guests);
    run.figure("visits", "visits of guests", guests.visits() as f64, Unit::Count);
    guests.tell_faults(&mut run);
    memory(&mut run);
    if let Some((before, after)) = descriptors.zip(after) {
        let text = format!("descriptors are closed again: {before} before anybody came, {after} after all had gone");
        run.check(crate::meter::closed(before, after), text);
    }
    Ok(run)
}

/// Compares the first third of what was measured with the last.
fn memory(run: &mut Run) {
    let Some((first, last)) = thirds(&run.timeline) else { return };
    let text = |bytes: f64| number::text(bytes, Unit::Bytes);
    run.figure("rssFirstThird", "server memory in the first third", first, Unit::Bytes);
    run.figure("rssLastThird", "server memory in the last third", last, Unit::Bytes);
    let told = format!("memory stays: {} in the first third of the time, {} in the last", text(first), text(last));
    run.check(last <= first * GROWTH.0 + GROWTH.1, told);
}

/// The mean memory of the first and of the last third of the samples.
fn thirds(timeline: &[Sample]) -> Option<(f64, f64)> {
    let all: Vec<f64> = timeline.iter().filter_map(|sample| Some(sample.rss_bytes? as f64)).collect();
    let third = all.len() / 3;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (third > 0).then(|| (mean(&all[..third]), mean(&all[all.len() - third..])))
}

/// What the database holds must be what was acked.
fn compare(run: &mut Run, stored: Counts) {
    let acked = run.latencies.iter().find(|latency| latency.key == "voteAck").map_or(0, |latency| latency.count);
    let counted = stored.counted == stored.votes;
    let kept = i64::try_from(acked) == Ok(stored.updates);
    let (votes, updates) = (stored.votes, stored.updates);
    run.check(counted, format!("the intents count {} votes, {votes} stand", stored.counted));
    run.check(kept, format!("{acked} votes were acked, {updates} are stored"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::histogram;

    fn timeline(rss: &[u64]) -> Vec<Sample> {
        rss.iter().map(|&mib| Sample { rss_bytes: Some(mib << 20), ..Sample::default() }).collect()
    }

    #[test]
    fn memory_may_move_but_not_grow() {
        let flat = |rss: &[u64]| {
            let mut run = Run { timeline: timeline(rss), ..Run::new("gossipd") };
            memory(&mut run);
            run.checks.iter().map(|check| check.met).collect::<Vec<_>>()
        };
        assert_eq!(flat(&[50, 52, 60, 70, 55, 55]), [true]);
        assert_eq!(flat(&[50, 52, 60, 70, 75, 75]), [false]);
        assert_eq!(flat(&[50, 60]), [true; 0]);
        assert_eq!(thirds(&timeline(&[3, 5, 100, 7, 9, 1, 2])), Some((4.0 * 1_048_576.0, 1.5 * 1_048_576.0)));
    }

    #[test]
    fn what_is_stored_is_what_was_acked() {
        let unmet = |stored| {
            let mut run = Run::new("gossipd");
            let mut latency = histogram();
            [1, 2, 3].into_iter().for_each(|micros| latency.saturating_record(micros));
            run.latency("voteAck", "vote to ack", latency);
            compare(&mut run, stored);
            run.checks.iter().filter(|check| !check.met).count()
        };
        assert_eq!(unmet(Counts { counted: 2, votes: 2, updates: 3 }), 0);
        assert_eq!(unmet(Counts { counted: 3, votes: 2, updates: 3 }), 1);
        assert_eq!(unmet(Counts { counted: 2, votes: 2, updates: 2 }), 1);
    }
}
