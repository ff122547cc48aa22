//! The scenario `fanout`: what deliveries to large rooms cost. Each room has a fixed number of posts under way; the next is
//! sent when every member has one of them.

use std::cell::{Cell, RefCell};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::cli::FanoutArgs;
use crate::crowd::{Command, Counts, Crowd, Driver, Operation, Plan};
use crate::error::Error;
use crate::meter::Meter;
use crate::report::{Better, Report, Run, Unit, started_now};
use crate::target::{self, Target};

/// How long the last posts may take to reach everybody.
const LAST_DELIVERIES: Duration = Duration::from_secs(15);

/// Runs the scenario.
///
/// # Errors
/// Where there is nothing to report.
pub(crate) async fn run(args: &FanoutArgs) -> Result<Report, Error> {
    let started_at = started_now();
    let plan = args.plan()?;
    let runs = target::on_each(&args.servers, async |target| load(target, args, plan).await).await?;
    Ok(Report::new("fanout", started_at, runs))
}

/// Keeps the posts under way.
#[derive(Debug)]
struct Window {
    rooms: Vec<String>,
    senders: usize,
    size: usize,
    sent: Cell<u64>,
    open: Cell<bool>,
    measuring: Cell<bool>,
    content: RefCell<String>,
}

impl Window {
    fn post(&self, crowd: &Crowd, room: usize, at: Instant) {
        let number = self.sent.replace(self.sent.get() + 1);
        let sender = usize::try_from(number % self.senders as u64).unwrap_or(0);
        let command = Command { operation: Operation::Post, scheduled: at, measured: self.measuring.get() };
        let mut content = self.content.borrow_mut();
        fill(&mut content, number, self.size);
        let data = format_args!(r#"{{"roomId":"{}","content":"{content}"}}"#, self.rooms[room]);
        crowd.send(crowd.member(room, sender), command, "new_gossip", data);
    }
}

impl Driver for Window {
    fn complete(&self, crowd: &Crowd, room: usize, at: Instant) {
        if self.open.get() {
            self.post(crowd, room, at);
        }
    }

    fn failed(&self, crowd: &Crowd, room: usize, at: Instant) {
        self.complete(crowd, room, at);
    }
}

/// Text of so many bytes that no other post has.
fn fill(content: &mut String, number: u64, size: usize) {
    const TEXT: &str = "The mayor's cat was seen at the harbour again, and nobody knows who let it out this time. ";
    content.clear();
    // Writing to a String does not fail.
    let _ = write!(content, "{number:08} ");
    while content.len() < size {
        content.push_str(&TEXT[..TEXT.len().min(size - content.len())]);
    }
    // It is trimmed where it is stored.
    if content.ends_with(' ') {
        content.pop();
        content.push('.');
    }
}

async fn load(target: &Target, args: &FanoutArgs, plan: Plan) -> Result<Run, Error> {
    let meter = Meter::new(target.kind.name(), target.process);
    meter.during(measure(target, args, plan, &meter)).await
}

async fn measure(target: &Target, args: &FanoutArgs, plan: Plan, meter: &Meter) -> Result<Run, Error> {
    meter.phase("connecting", None);
    let crowd = Rc::new(Crowd::gather(target, plan, meter).await?);
    let window = Rc::new(Window {
        rooms: (0..plan.rooms).map(|room| crowd.room_id(room)).collect(),
        senders: args.senders,
        size: args.size.into(),
        sent: Cell::new(0),
        open: Cell::new(true),
        measuring: Cell::new(false),
        content: RefCell::default(),
    });
    let rss_joined = meter.server_rss();
    let attending = crowd.attend(&window);

    meter.phase("warming up", Some(args.warmup));
    for room in 0..plan.rooms {
        for _ in 0..args.in_flight {
            window.post(&crowd, room, Instant::now());
        }
    }
    crowd.flush();
    sleep(args.warmup).await;
    window.measuring.set(true);
    let before = crowd.counts();
    meter.begin();
    meter.phase("measuring", Some(args.duration));
    sleep(args.duration).await;
    let counts = crowd.counts().since(before);
    meter.end();
    window.open.set(false);
    meter.phase("last deliveries", None);
    let left = crowd.settle(LAST_DELIVERIES).await;
    drop(attending);

    let mut run = target.run();
    settings(&mut run, args);
    figures(&mut run, &crowd, counts, meter);
    if let Some(bytes) = meter.server_rss_before() {
        run.figure("rssBefore", "server memory before anybody joined", bytes as f64, Unit::Bytes);
    }
    if let Some(bytes) = rss_joined {
        run.figure("rssJoined", "server memory when all had joined", bytes as f64, Unit::Bytes);
    }
    if plan.not_reading > 0 {
        let (all, ended) = crowd.not_reading().await?;
        run.figure("notReading", "members not reading", all as f64, Unit::Count);
        run.figure("notReadingEnded", "of them disconnected by the server", ended as f64, Unit::Count);
        // Neither is wrong; that the others were served is another check.
        run.check(true, format!("{all} members did not read, and {ended} of them were disconnected"));
    }
    meter.tell(&mut run);
    crowd.tell_faults(&mut run, left, LAST_DELIVERIES);
    Ok(run)
}

fn settings(run: &mut Run, args: &FanoutArgs) {
    run.set("rooms", args.rooms);
    run.set("members", args.members);
    run.set("in flight", args.in_flight);
    run.set("senders", args.senders);
    run.set("size", args.size);
    if args.not_reading > 0.0 {
        run.set("not reading", format!("{}%", args.not_reading));
    }
}

fn figures(run: &mut Run, crowd: &Crowd, counts: Counts, meter: &Meter) {
    let used = meter.used();
    let rate = |count: u64| count as f64 / used.seconds.max(f64::MIN_POSITIVE);
    if let Some(cpu) = used.server_cpu_seconds.filter(|&cpu| cpu > 0.0) {
        let each = counts.deliveries as f64 / cpu;
        run.compared("deliveriesPerCpu", "deliveries per server CPU second", each, Unit::PerCpuSecond, Better::More);
    }
    run.compared("deliveries", "deliveries", rate(counts.deliveries), Unit::PerSecond, Better::More);
    run.compared("posts", "posts", rate(counts.events), Unit::PerSecond, Better::More);
    run.figure("eventBytes", "bytes of an event", crowd.event_bytes(), Unit::Bytes);
    let tally = crowd.tally();
    run.latency("last", "post to last member", tally.last());
    run.latency("ack", "post to ack", tally.ack());
    run.latency("delivery", "post to each member", tally.each.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_differ_and_are_as_long_as_asked_for() {
        let content = |number, size| {
            let mut content = String::from("left from before");
            fill(&mut content, number, size);
            content
        };
        for size in 20..500 {
            let one = content(7, size);
            assert_eq!((one.len(), one.trim().len()), (size, size));
            assert_ne!(one, content(8, size));
        }
    }
}
