//! The scenario `idle`: members who are connected, authenticated and in a room, and do nothing. What each costs the server
//! in memory, what all of them cost in processor time, and whether they are still there at the end: then a post in each
//! room must reach everybody.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::cli::IdleArgs;
use crate::crowd::{Command, Crowd, Operation, Plan};
use crate::error::Error;
use crate::meter::{Meter, Used};
use crate::report::{Better, Report, Run, Unit, number, started_now};
use crate::storm::{Silent, post};
use crate::target::{self, Target};

/// How long the posts at the end may take to reach everybody.
const LAST_POSTS: Duration = Duration::from_secs(30);
/// With fewer connections, what a server takes for the first of them would count as theirs.
const ENOUGH_TO_SHARE: usize = 5000;

/// Runs the scenario.
///
/// # Errors
/// Where there is nothing to report.
pub(crate) async fn run(args: &IdleArgs) -> Result<Report, Error> {
    args.check()?;
    let started_at = started_now();
    let runs = target::on_each(&args.servers, async |target| load(target, args).await).await?;
    Ok(Report::new("idle", started_at, runs))
}

async fn load(target: &Target, args: &IdleArgs) -> Result<Run, Error> {
    let meter = Meter::new(target.kind.name(), target.process);
    meter.during(connect_and_hold(target, args, &meter)).await
}

async fn connect_and_hold(target: &Target, args: &IdleArgs, meter: &Meter) -> Result<Run, Error> {
    meter.phase("connecting", None);
    let begun = Instant::now();
    let plan = Plan { rooms: args.rooms, members: args.connections / args.rooms, not_reading: 0 };
    let crowd = Rc::new(Crowd::gather(target, plan, meter).await?);
    let connecting = begun.elapsed();
    let readers = crowd.attend(&Rc::new(Silent));
    let at_once = meter.server_rss_each(args.connections);

    meter.phase("holding", Some(args.duration));
    meter.begin();
    sleep(args.duration).await;
    meter.end();
    let after = meter.server_rss_each(args.connections);

    meter.phase("posting", None);
    let command = Command { operation: Operation::Post, scheduled: Instant::now(), measured: true };
    for room in 0..args.rooms {
        post(&crowd, room, 0, command);
    }
    crowd.flush();
    let under_way = crowd.settle(LAST_POSTS).await;
    let found = Found {
        connections: args.connections,
        connecting,
        present: crowd.present(),
        reached: crowd.counts().deliveries,
        under_way,
        each_at_once: at_once,
        each_after: after,
        most_each: args.max_kib_each * 1024.0,
        used: meter.used(),
    };
    let mut run = target.run();
    run.set("connections", args.connections);
    run.set("rooms", args.rooms);
    found.tell(&mut run);
    meter.tell(&mut run);
    run.compare_by("serverCpu", Better::Less);
    crowd.tell_faults(&mut run, under_way, LAST_POSTS);
    run.latency("postLast", "post to last member, at the end", crowd.tally().last());
    drop(readers);
    Ok(run)
}

/// Counted in one run.
#[derive(Debug)]
struct Found {
    connections: usize,
    connecting: Duration,
    /// Connected at the end.
    present: usize,
    /// Whom a post at the end reached.
    reached: u64,
    /// Posts that did not reach everybody.
    under_way: u64,
    /// Bytes of the server for each, when all were connected.
    each_at_once: Option<f64>,
    /// The same at the end.
    each_after: Option<f64>,
    most_each: f64,
    used: Used,
}

impl Found {
    fn tell(&self, run: &mut Run) {
        if let Some(bytes) = self.each_after {
            run.compared("memoryEach", "server memory a connection", bytes, Unit::Bytes, Better::Less);
        }
        if let Some(bytes) = self.each_at_once {
            run.figure("memoryEachAtOnce", "the same right after connecting", bytes, Unit::Bytes);
        }
        let rate = self.connections as f64 / self.connecting.as_secs_f64().max(f64::MIN_POSITIVE);
        run.figure("connects", "connected and joined", rate, Unit::PerSecond);
        if let Some(seconds) = self.used.server_cpu_seconds {
            let each = seconds * 1e6 / self.used.seconds.max(f64::MIN_POSITIVE) / self.connections as f64;
            run.figure("cpuEach", "server CPU a connection and second", each, Unit::Micros);
        }
        let all = number::plain(self.connections as f64);
        let some =
            |count: f64| if count as usize == self.connections { "all".to_owned() } else { number::plain(count) };
        run.check(
            self.present == self.connections,
            format!("{} of {all} connections are there at the end", some(self.present as f64)),
        );
        run.check(
            self.under_way == 0 && self.reached == self.connections as u64,
            format!("a post in each room reached {} of {all} members", some(self.reached as f64)),
        );
        if let Some(bytes) = self.each_after
            && self.connections >= ENOUGH_TO_SHARE
        {
            run.check(
                bytes <= self.most_each,
                format!(
                    "at most {} of server memory a connection: {}",
                    number::text(self.most_each, Unit::Bytes),
                    number::text(bytes, Unit::Bytes)
                ),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_demanded() {
        let unmet = |change: fn(&mut Found)| {
            let mut found = Found {
                connections: 5000,
                connecting: Duration::from_millis(500),
                present: 5000,
                reached: 5000,
                under_way: 0,
                each_at_once: Some(9000.0),
                each_after: Some(8000.0),
                most_each: 8192.0,
                used: Used { seconds: 10.0, server_cpu_seconds: Some(0.5), ..Used::default() },
            };
            change(&mut found);
            let mut run = Run::new("gossipd");
            found.tell(&mut run);
            assert_eq!((run.value("connects"), run.value("cpuEach")), (Some(10_000.0), Some(10.0)));
            run.checks.iter().filter(|check| !check.met).map(|check| check.text.clone()).collect::<Vec<_>>()
        };
        assert!(unmet(|_| {}).is_empty());
        assert_eq!(unmet(|found| found.present = 4998), ["4,998 of 5,000 connections are there at the end"]);
        assert_eq!(unmet(|found| found.reached = 4999), ["a post in each room reached 4,999 of 5,000 members"]);
        assert_eq!(unmet(|found| found.under_way = 1).len(), 1);
        let too_much = unmet(|found| found.each_after = Some(10_240.0));
        assert_eq!(too_much, ["at most 8.00 KiB of server memory a connection: 10.0 KiB"]);
        assert!(unmet(|found| found.each_after = None).is_empty());
    }
}
