//! The scenario `hostile`: clients who mean harm beside honest ones, on a server with its limits in force. What the honest
//! ones notice, what the server has in memory at most and when the others have gone, and whether it lets go of all of
//! them. Each kind of harm is in `attacks`; the hostile ones have a thread and addresses of their own.

mod attacks;
mod gang;
mod wire;

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cli::{HostileArgs, Tuning};
use crate::database::Place;
use crate::error::Error;
use crate::limits;
use crate::meter::{Meter, closed};
use crate::report::{Report, Run, Unit, number, started_now};
use crate::rooms;
use crate::server::Kind;
use crate::target::{self, Target};
use gang::{Counts, Gang};

/// How the server is started beyond what every scenario does: with the limits it has by itself, in force.
const SETTINGS: [(&str, &str); 1] = [("RATE_LIMIT_MODE", "enforce")];
/// How long the honest ones are alone at first, and how long the hostile ones are then at it before anything is measured.
pub(crate) const CALM: Duration = Duration::from_secs(3);
pub(crate) const GATHERING: Duration = Duration::from_secs(2);
/// Most that honest ones may wait for the last delivery, in milliseconds, of 99 in 100 commands.
const HONEST_P99: f64 = 100.0;
/// Measured for less time than this, there are too few commands to demand a time of.
const ENOUGH: Duration = Duration::from_secs(10);
/// What a server may have in memory at most beyond what it had before: some bytes, and some for each hostile client. Of
/// what one sends a server holds at most a message that is too long to be taken, which is four times `MAX_PAYLOAD`.
const PEAK: (u64, u64) = (32 << 20, 256 << 10);
/// What it may have when they have gone beyond what it had before: a share, and some bytes, as SQLite keeps up to 8 MiB
/// of what was written, whoever wrote it, and the allocator some of what is busy.
const AFTER: (f64, f64) = (1.25, 16.0 * 1_048_576.0);
/// How long it may take to have given back what it will: sessions that nobody ended are ended when they are silent.
const GIVE_BACK: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(250);

/// Runs the scenario.
///
/// # Errors
/// Where there is nothing to report.
pub(crate) async fn run(args: &HostileArgs) -> Result<Report, Error> {
    args.check()?;
    let started_at = started_now();
    let mut runs = Vec::new();
    if let Some((url, secret)) = args.servers.remote() {
        let target = target::remote(url, secret).await?;
        runs.push(load(&target, args).await?);
    } else {
        let place = Place::of(args.servers.database_url.as_deref())?;
        for (kind, _) in args.servers.in_turn() {
            if kind != Kind::Gossipd {
                return Err(Error::Usage(format!("{} knows no limits that could be tried", kind.name())));
            }
            let tuning = Tuning::default();
            let (run, _) =
                target::on_with(kind, &place, tuning, &SETTINGS, async |target| load(target, args).await).await?;
            runs.push(run);
        }
    }
    Ok(Report::new("hostile", started_at, runs))
}

async fn load(target: &Target, args: &HostileArgs) -> Result<Run, Error> {
    limits::raise_files(args.hostile + args.honest)?;
    let meter = Meter::new(target.kind.name(), target.process);
    meter.during(together(target, args, &meter)).await
}

async fn together(target: &Target, args: &HostileArgs, meter: &Meter) -> Result<Run, Error> {
    let descriptors = meter.server_descriptors();
    let mut before = None;
    let mut gang = Gang::new(target, args.hostile)?;
    let beside = async |rooms: &[String]| -> Infallible {
        sleep(CALM).await;
        before = meter.server_rss();
        gang.begin(rooms);
        pending().await
    };
    let (mut run, _) = rooms::measure(target, args.paced(), meter, beside).await?;
    let peak = meter.used().server_peak_bytes;
    meter.phase("all have gone", None);
    let counts = gang.end();
    let after = meter.server_closed(descriptors).await;
    let rss_after = given_back(meter, before).await;

    run.set("hostile clients", args.hostile);
    run.set("honest clients", args.honest);
    let found =
        Found { hostile: args.hostile, demanding: args.duration >= ENOUGH, before, peak, after: rss_after, counts };
    found.tell(&mut run);
    if let Some((before, after)) = descriptors.zip(after) {
        let text = format!("descriptors are closed again: {before} before anybody came, {after} after all had gone");
        run.check(closed(before, after), text);
    }
    Ok(run)
}

/// What the server has in memory, as soon as that is little enough or it is not going to be.
async fn given_back(meter: &Meter, before: Option<u64>) -> Option<u64> {
    let until = Instant::now() + GIVE_BACK;
    loop {
        let now = meter.server_rss()?;
        if before.is_none_or(|before| is_back(before, now)) || Instant::now() > until {
            return Some(now);
        }
        sleep(LOOK).await;
    }
}

fn is_back(before: u64, after: u64) -> bool {
    after as f64 <= before as f64 * AFTER.0 + AFTER.1
}

/// Counted in one run.
#[derive(Debug)]
struct Found {
    hostile: usize,
    /// Whether it took long enough to demand a time.
    demanding: bool,
    /// Of the server, with the honest ones alone.
    before: Option<u64>,
    peak: Option<u64>,
    after: Option<u64>,
    counts: Vec<Counts>,
}

impl Found {
    fn tell(&self, run: &mut Run) {
        for counts in &self.counts {
            let label = format!("{}: connections", counts.name);
            run.figure(counts.name, label, counts.begun as f64, Unit::Count);
        }
        let all: u64 = self.counts.iter().map(|counts| counts.begun).sum();
        let ended: u64 = self.counts.iter().map(|counts| counts.ended).sum();
        run.figure("ended", "of all of them, ended by the server", ended as f64, Unit::Count);
        let idle: Vec<_> = self.counts.iter().filter(|counts| counts.begun == 0).map(|counts| counts.name).collect();
        let told = if idle.is_empty() { String::new() } else { format!(", but none for {}", idle.join(", ")) };
        run.check(idle.is_empty(), format!("{} connections meant harm{told}", number::plain(all as f64)));
        if let Some(last) = run.latencies.iter().find(|latency| latency.key == "last")
            && self.demanding
        {
            let (p99, count) = (last.millis.p99, last.count);
            let text = number::text(p99, Unit::Millis);
            run.check(
                p99 < HONEST_P99 && count > 0,
                format!("p99 from an honest command to its last delivery under {HONEST_P99} ms: {text}"),
            );
        }
        let bytes = |bytes: u64| number::text(bytes as f64, Unit::Bytes);
        if let Some((before, peak)) = self.before.zip(self.peak) {
            let most = before + PEAK.0 + PEAK.1 * self.hostile as u64;
            run.figure("rssBefore", "server memory before the hostile ones came", before as f64, Unit::Bytes);
            run.check(peak <= most, format!("server memory stays under {}: {} at most", bytes(most), bytes(peak)));
        }
        if let Some((before, after)) = self.before.zip(self.after) {
            run.figure("rssAfter", "server memory after they had gone", after as f64, Unit::Bytes);
            let text = format!("server memory is given back: {} before, {} after", bytes(before), bytes(after));
            run.check(is_back(before, after), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::histogram;

    #[test]
    fn what_is_demanded() {
        let unmet = |change: fn(&mut Found), millis: u64| {
            let counts = |name| Counts { name, begun: 5, ended: 4 };
            let mut found = Found {
                hostile: 100,
                demanding: true,
                before: Some(40 << 20),
                peak: Some(90 << 20),
                after: Some(50 << 20),
                counts: vec![counts("slowHeaders"), counts("garbage")],
            };
            change(&mut found);
            let mut run = Run::new("gossipd");
            let mut last = histogram();
            last.saturating_record(millis * 1000);
            run.latency("last", "command to last member", last);
            found.tell(&mut run);
            run.checks.iter().filter(|check| !check.met).count()
        };
        assert_eq!(unmet(|_| {}, 20), 0);
        assert_eq!(unmet(|_| {}, 150), 1);
        assert_eq!(unmet(|found| found.demanding = false, 150), 0);
        assert_eq!(unmet(|found| found.peak = Some(120 << 20), 20), 1);
        assert_eq!(unmet(|found| found.after = Some(67 << 20), 20), 1);
        assert_eq!(unmet(|found| found.counts[1].begun = 0, 20), 1);
        // Of a server elsewhere nothing is known.
        assert_eq!(unmet(|found| (found.before, found.peak, found.after) = (None, None, None), 20), 0);
    }
}
