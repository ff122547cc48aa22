//! Watches a run: what it counts, how long things take, and what the server and this program use meanwhile, a few times a
//! second, into the report's timeline and onto the terminal. A scenario counts through a [`Meter`]; what the numbers
//! mean is its own business. Made for one thread: counting is an addition.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::process::{self, Usage};
use crate::progress::Progress;
use crate::report::{Run, Sample, Unit, Window, histogram};

/// How often a sample is taken.
const EVERY: Duration = Duration::from_millis(250);
/// How long a server may take to notice that its clients are gone.
const CLOSED: Duration = Duration::from_secs(10);
/// What stays open for so long is the server's own.
const STILL: Duration = Duration::from_millis(500);
/// How often that is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// Descriptors of its own that a server may have opened meanwhile: its database's, say.
const OWN_DESCRIPTORS: usize = 16;

/// A number that only grows, shared with the meter.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Rc<Cell<u64>>);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.set(self.0.get() + more);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// Watches one run of one server. Clones are the same meter.
#[derive(Debug, Clone)]
pub(crate) struct Meter(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    /// The server's process, where it is one of ours.
    server: Option<u32>,
    begun: Instant,
    /// Of the server, before any load.
    rss_before: Option<u64>,
    counters: RefCell<BTreeMap<&'static str, Counter>>,
    errors: Cell<u64>,
    /// Of what took its time since the last sample.
    latest: RefCell<Histogram<u64>>,
    last: RefCell<Last>,
    timeline: RefCell<Vec<Sample>>,
    from: Cell<Option<Mark>>,
    to: Cell<Option<Mark>>,
    progress: Progress,
}

/// What the next sample is compared with.
#[derive(Debug)]
struct Last {
    at: Instant,
    counts: BTreeMap<&'static str, u64>,
    usage: Both,
}

/// Of the server and of this program.
#[derive(Debug, Clone, Copy)]
struct Both {
    server: Option<Usage>,
    own: Option<Usage>,
}

/// The begin or the end of what is measured.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Instant,
    usage: Both,
}

/// What was used while measured. Nothing where the system does not tell, or the server is not ours.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Used {
    pub(crate) seconds: f64,
    pub(crate) server_cpu_seconds: Option<f64>,
    pub(crate) own_cpu_seconds: Option<f64>,
    pub(crate) server_rss_bytes: Option<u64>,
    pub(crate) server_peak_bytes: Option<u64>,
}

impl Meter {
    /// Begins to watch the process, if there is one to watch; `title` is the server's name, for the terminal.
    pub(crate) fn new(title: &str, server: Option<u32>) -> Meter {
        let now = Instant::now();
        let usage = usage(server);
        Meter(Rc::new(Inner {
            server,
            begun: now,
            rss_before: usage.server.map(|usage| usage.memory.rss_bytes),
            counters: RefCell::default(),
            errors: Cell::new(0),
            latest: RefCell::new(histogram()),
            last: RefCell::new(Last { at: now, counts: BTreeMap::new(), usage }),
            timeline: RefCell::default(),
            from: Cell::new(None),
            to: Cell::new(None),
            progress: Progress::new(title),
        }))
    }

    /// The counter of this name, whose rate goes into the timeline.
    pub(crate) fn counter(&self, name: &'static str) -> Counter {
        self.0.counters.borrow_mut().entry(name).or_default().clone()
    }

    /// Something that the timeline's p99 is about took so many microseconds.
    pub(crate) fn took(&self, micros: u64) {
        self.0.latest.borrow_mut().saturating_record(micros);
    }

    /// As [`took`](Self::took), for who keeps such times until they are asked for; they are taken.
    pub(crate) fn took_all(&self, micros: &mut Histogram<u64>) {
        // Both have the same precision and bounds, so one fits into the other.
        let _ = self.0.latest.borrow_mut().add(&*micros);
        micros.reset();
    }

    /// Something failed.
    pub(crate) fn error(&self) {
        self.0.errors.set(self.0.errors.get() + 1);
    }

    /// So many failed so far.
    pub(crate) fn errors_are(&self, errors: u64) {
        self.0.errors.set(errors);
    }

    /// What the run is at, for the terminal, and how long that takes, if it is known.
    pub(crate) fn phase(&self, doing: &'static str, takes: Option<Duration>) {
        self.0.progress.phase(doing, takes);
    }

    /// What is measured begins.
    pub(crate) fn begin(&self) {
        self.0.from.set(Some(self.mark()));
    }

    /// What is measured ends.
    pub(crate) fn end(&self) {
        self.0.to.set(Some(self.mark()));
    }

    fn mark(&self) -> Mark {
        Mark { at: Instant::now(), usage: usage(self.0.server) }
    }

    /// What the server has in memory now.
    pub(crate) fn server_rss(&self) -> Option<u64> {
        usage_of(self.0.server).map(|usage| usage.memory.rss_bytes)
    }

    /// What the server had in memory before any load.
    pub(crate) fn server_rss_before(&self) -> Option<u64> {
        self.0.rss_before
    }

    /// What the server has in memory now for each of so many connections.
    pub(crate) fn server_rss_each(&self, connections: usize) -> Option<f64> {
        Some(each(self.server_rss()?, self.0.rss_before?, connections))
    }

    /// Processor seconds of the server so far.
    pub(crate) fn server_cpu(&self) -> Option<f64> {
        usage_of(self.0.server).map(|usage| usage.cpu.as_secs_f64())
    }

    /// How many descriptors the server has open.
    pub(crate) fn server_descriptors(&self) -> Option<usize> {
        process::descriptors(self.0.server?)
    }

    /// Waits until the server has no more descriptors open than it had before, or is not going to. How many it then has.
    pub(crate) async fn server_closed(&self, before: Option<usize>) -> Option<usize> {
        let before = before?;
        let begun = Instant::now();
        let mut last = (self.server_descriptors()?, begun);
        loop {
            let now = self.server_descriptors()?;
            if now != last.0 {
                last = (now, Instant::now());
            }
            let own = closed(before, now) && last.1.elapsed() > STILL;
            if now <= before || own || begun.elapsed() > CLOSED {
                return Some(now);
            }
            sleep(LOOK).await;
        }
    }

    /// Samples for as long as the work takes.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => self.sample(),
                done = &mut work => return done,
            }
        }
    }

    fn sample(&self) {
        let now = Instant::now();
        let inner = &*self.0;
        let mut last = inner.last.borrow_mut();
        let seconds = now.duration_since(last.at).as_secs_f64();
        // The first tick comes at once; rates over next to nothing would be noise.
        if seconds < EVERY.as_secs_f64() / 4.0 {
            return;
        }
        let counts: BTreeMap<_, _> = inner.counters.borrow().iter().map(|(&name, count)| (name, count.get())).collect();
        let usage = usage(inner.server);
        let mut latest = inner.latest.borrow_mut();
        let sample = Sample {
            at_s: now.duration_since(inner.begun).as_secs_f64(),
            rates: rates(&last.counts, &counts, seconds),
            p99_ms: (!latest.is_empty()).then(|| latest.value_at_quantile(0.99) as f64 / 1000.0),
            cpu_cores: cores(last.usage.server, usage.server, seconds),
            rss_bytes: usage.server.map(|usage| usage.memory.rss_bytes),
            own_cpu_cores: cores(last.usage.own, usage.own, seconds),
            own_rss_bytes: usage.own.map(|usage| usage.memory.rss_bytes),
        };
        latest.reset();
        inner.progress.show(&sample, inner.errors.get());
        inner.timeline.borrow_mut().push(sample);
        *last = Last { at: now, counts, usage };
    }

    /// What was used between the marks.
    pub(crate) fn used(&self) -> Used {
        let (Some(from), Some(to)) = (self.0.from.get(), self.0.to.get()) else { return Used::default() };
        let memory = to.usage.server.map(|usage| usage.memory);
        Used {
            seconds: to.at.duration_since(from.at).as_secs_f64(),
            server_cpu_seconds: spent(from.usage.server, to.usage.server),
            own_cpu_seconds: spent(from.usage.own, to.usage.own),
            server_rss_bytes: memory.map(|memory| memory.rss_bytes),
            server_peak_bytes: memory.map(|memory| memory.peak_bytes),
        }
    }

    /// Gives the run its timeline, how long was measured, and the figures that every scenario has of processors and
    /// memory.
    pub(crate) fn tell(&self, run: &mut Run) {
        self.0.progress.finish();
        let inner = &*self.0;
        let second = |mark: Mark| mark.at.duration_since(inner.begun).as_secs_f64();
        run.window =
            inner.from.get().zip(inner.to.get()).map(|(from, to)| Window { from_s: second(from), to_s: second(to) });
        run.timeline = inner.timeline.take();
        let used = self.used();
        run.seconds = used.seconds;
        let cores = |seconds: f64| seconds / used.seconds.max(f64::MIN_POSITIVE);
        if let Some(seconds) = used.server_cpu_seconds {
            run.figure("serverCpu", "server CPU", cores(seconds), Unit::Cores);
        }
        if let Some(bytes) = used.server_rss_bytes {
            run.figure("serverRss", "server memory (RSS)", bytes as f64, Unit::Bytes);
        }
        if let Some(bytes) = used.server_peak_bytes {
            run.figure("serverPeak", "server memory at most", bytes as f64, Unit::Bytes);
        }
        if let Some(seconds) = used.own_cpu_seconds {
            run.figure("ownCpu", "load test's own CPU", cores(seconds), Unit::Cores);
        }
    }
}

/// Whether a server has closed all connections, if it had so many descriptors open before them and so many after.
pub(crate) fn closed(before: usize, after: usize) -> bool {
    after <= before + OWN_DESCRIPTORS
}

fn usage(server: Option<u32>) -> Both {
    Both { server: usage_of(server), own: process::usage("self") }
}

fn usage_of(server: Option<u32>) -> Option<Usage> {
    process::usage(&server?.to_string())
}

fn spent(before: Option<Usage>, after: Option<Usage>) -> Option<f64> {
    Some(after?.cpu.saturating_sub(before?.cpu).as_secs_f64())
}

fn cores(before: Option<Usage>, after: Option<Usage>, seconds: f64) -> Option<f64> {
    Some(spent(before, after)? / seconds)
}

/// Bytes that came to those before, for each; none where there are fewer now.
fn each(now: u64, before: u64, connections: usize) -> f64 {
    now.saturating_sub(before) as f64 / connections.max(1) as f64
}

fn rates(
    before: &BTreeMap<&'static str, u64>,
    after: &BTreeMap<&'static str, u64>,
    seconds: f64,
) -> BTreeMap<&'static str, f64> {
    let more = |name: &str, count: u64| count.saturating_sub(before.get(name).copied().unwrap_or(0));
    after.iter().map(|(&name, &count)| (name, more(name, count) as f64 / seconds)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Memory;

    #[test]
    fn rates_are_of_what_came_since() {
        let before = BTreeMap::from([("posts", 10)]);
        let after = BTreeMap::from([("acks", 6), ("posts", 14)]);
        assert_eq!(rates(&before, &after, 2.0), BTreeMap::from([("acks", 3.0), ("posts", 2.0)]));
    }

    #[test]
    fn memory_is_shared_out() {
        assert!((each(3000, 1000, 10) - 200.0).abs() < 1e-9);
        assert!((each(1000, 3000, 10)).abs() < 1e-9);
        assert!((each(1000, 0, 0) - 1000.0).abs() < 1e-9);
    }

    #[test]
    fn cores_are_seconds_a_second() {
        let at =
            |millis| Some(Usage { cpu: Duration::from_millis(millis), memory: Memory { rss_bytes: 1, peak_bytes: 1 } });
        assert_eq!(cores(at(500), at(1000), 0.25), Some(2.0));
        assert_eq!(cores(at(500), None, 0.25), None);
        // A process that took the place of another.
        assert_eq!(cores(at(500), at(0), 0.25), Some(0.0));
    }

    #[tokio::test]
    async fn a_run_leaves_a_timeline() {
        let meter = Meter::new("test", None);
        let posts = meter.counter("posts");
        meter.begin();
        let done = meter.during(async {
            posts.add(3);
            meter.took(1000);
            tokio::time::sleep(EVERY * 2).await;
            7
        });
        assert_eq!(done.await, 7);
        meter.end();
        let mut run = Run::new("test");
        meter.tell(&mut run);
        assert!(run.timeline.iter().any(|sample| sample.rates.get("posts").is_some_and(|&rate| rate > 0.0)));
        assert!(run.timeline.iter().any(|sample| sample.p99_ms.is_some()));
        assert!(run.window.is_some() && run.seconds > 0.2, "{run:?}");
    }
}
