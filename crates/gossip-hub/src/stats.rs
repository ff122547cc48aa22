//! What a gateway tells of itself (contract §6, `/v1/stats`). Rates and latencies are of the last one to two minutes,
//! so that they show what is now and not what once was.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::directory::Directory;
use crate::metrics::counts::{Commands, Commits};
use crate::outbox::{Asked, Protocol};
use crate::shard::ConnectionId;
use crate::story;

/// Milliseconds from a command's arrival to its ack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Latency {
    /// Half are faster.
    pub p50: f64,
    /// All but one in twenty are faster.
    pub p95: f64,
    /// All but one in a hundred are faster.
    pub p99: f64,
}

/// What a gateway does now (contract §6).
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConnectionStats {
    /// Open now, authenticated or not.
    pub active_connections: u64,
    /// Opened since the start.
    pub total_connections: u64,
    /// Rooms with at least one member.
    pub rooms_subscribed: u64,
    /// Users with at least one connection.
    pub users_connected: u64,
    /// Milliseconds from a command's arrival to its ack, on average.
    pub average_latency: f64,
    /// The same, by percentile.
    pub latency: Latency,
    /// Client events handled and events delivered, a second.
    pub messages_per_second: f64,
    /// Of the client events handled, the share that was refused: 0…1.
    pub error_rate: f64,
    /// The process's resident memory; 0 where the system does not say.
    pub memory_bytes: u64,
    /// Since the gateway started.
    pub uptime_seconds: u64,
}

const WINDOW: Duration = Duration::from_secs(60);
/// Latencies above an hour count as an hour.
const MAX_MICROS: u64 = 3_600_000_000;

struct Window {
    began: Instant,
    latency: Histogram<u64>,
    answered: u64,
    refused: u64,
    delivered: u64,
}

impl Window {
    fn new(began: Instant) -> Self {
        // Two digits, which is 1 %; the histogram grows with what it sees.
        let mut latency = Histogram::new(2).unwrap_or_else(|_| unreachable!("two significant digits are allowed"));
        latency.auto(true);
        Window { began, latency, answered: 0, refused: 0, delivered: 0 }
    }
}

struct Windows {
    current: Window,
    previous: Option<Window>,
}

impl Windows {
    fn at(&mut self, now: Instant) -> &mut Window {
        let age = now.saturating_duration_since(self.current.began);
        if age >= WINDOW {
            let full = std::mem::replace(&mut self.current, Window::new(now));
            self.previous = (age < 2 * WINDOW).then_some(full);
        }
        &mut self.current
    }
}

/// Clients that did not take what they were sent as fast as it came, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlowReaders {
    /// How often a connection began to lag: what it missed is read from the log when it takes more.
    pub lagged: u64,
    /// How many were closed for it.
    pub closed: u64,
}

/// Collects; see [`ConnectionStats`] for what comes out.
pub(crate) struct Stats {
    started: Instant,
    /// The same by the system's clock.
    pub(crate) began: SystemTime,
    active: [AtomicU64; Protocol::COUNT],
    total: [AtomicU64; Protocol::COUNT],
    deliveries: AtomicU64,
    pub(crate) commands: Commands,
    /// Told of by the commit queue.
    pub(crate) commits: Arc<Commits>,
    lagged: AtomicU64,
    slow: AtomicU64,
    windows: Mutex<Windows>,
}

impl Stats {
    pub(crate) fn new(now: Instant) -> Self {
        let windows = Mutex::new(Windows { current: Window::new(now), previous: None });
        let [deliveries, lagged, slow] = [const { AtomicU64::new(0) }; 3];
        Stats {
            started: now,
            began: SystemTime::now(),
            active: Default::default(),
            total: Default::default(),
            deliveries,
            commands: Commands::default(),
            commits: Arc::default(),
            lagged,
            slow,
            windows,
        }
    }

    pub(crate) fn opened(&self, protocol: Protocol) {
        self.active[protocol as usize].fetch_add(1, Relaxed);
        self.total[protocol as usize].fetch_add(1, Relaxed);
    }

    pub(crate) fn closed(&self, protocol: Protocol) {
        self.active[protocol as usize].fetch_sub(1, Relaxed);
    }

    pub(crate) fn active(&self) -> u64 {
        Protocol::ALL.into_iter().map(|protocol| self.active_of(protocol)).sum()
    }

    pub(crate) fn active_of(&self, protocol: Protocol) -> u64 {
        self.active[protocol as usize].load(Relaxed)
    }

    pub(crate) fn opened_of(&self, protocol: Protocol) -> u64 {
        self.total[protocol as usize].load(Relaxed)
    }

    pub(crate) fn deliveries(&self) -> u64 {
        self.deliveries.load(Relaxed)
    }

    /// A connection began to lag.
    pub(crate) fn lagged(&self) {
        self.lagged.fetch_add(1, Relaxed);
    }

    /// A connection ended because its client was too slow.
    pub(crate) fn was_slow(&self) {
        self.slow.fetch_add(1, Relaxed);
    }

    pub(crate) fn slow_readers(&self) -> SlowReaders {
        SlowReaders { lagged: self.lagged.load(Relaxed), closed: self.slow.load(Relaxed) }
    }

    /// A client event was answered, `arrived` being when it came.
    pub(crate) fn answered(&self, event: Option<&str>, refused: Option<Code>, arrived: Instant, now: Instant) {
        let took = now.saturating_duration_since(arrived);
        self.commands.answered(event, refused, took);
        let micros = u64::try_from(took.as_micros()).unwrap_or(MAX_MICROS);
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.at(now);
        // It resizes itself, so recording cannot fail.
        let _ = window.latency.record(micros.min(MAX_MICROS));
        window.answered += 1;
        window.refused += u64::from(refused.is_some());
    }

    /// An event of this connection was answered; `commit` is the transaction that carried it out.
    pub(crate) fn tell_answered(
        &self,
        id: ConnectionId,
        asked: &Asked,
        reply: &Result<Reply, Refusal>,
        commit: Option<u64>,
    ) {
        let (refused, now) = (reply.as_ref().err().map(|refusal| refusal.code), Instant::now());
        self.answered(asked.to.event.as_deref(), refused, asked.arrived, now);
        story::answered(id, asked, reply, commit, now);
    }

    /// So many events were queued for members.
    pub(crate) fn delivered(&self, count: u64, now: Instant) {
        self.deliveries.fetch_add(count, Relaxed);
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).at(now).delivered += count;
    }

    pub(crate) fn read(&self, directory: &Directory, now: Instant) -> ConnectionStats {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        windows.at(now);
        let mut latency = windows.current.latency.clone();
        let (mut answered, mut refused) = (windows.current.answered, windows.current.refused);
        let mut delivered = windows.current.delivered;
        let mut began = windows.current.began;
        if let Some(previous) = &windows.previous {
            // Both resize themselves, so adding cannot fail.
            let _ = latency.add(&previous.latency);
            answered += previous.answered;
            refused += previous.refused;
            delivered += previous.delivered;
            began = previous.began;
        }
        drop(windows);
        let seconds = now.saturating_duration_since(began).as_secs_f64().max(1.0);
        let millis = |micros: u64| micros as f64 / 1000.0;
        ConnectionStats {
            active_connections: self.active(),
            total_connections: self.total.iter().map(|total| total.load(Relaxed)).sum(),
            rooms_subscribed: directory.rooms.len() as u64,
            users_connected: directory.users.len() as u64,
            average_latency: latency.mean() / 1000.0,
            latency: Latency {
                p50: millis(latency.value_at_quantile(0.5)),
                p95: millis(latency.value_at_quantile(0.95)),
                p99: millis(latency.value_at_quantile(0.99)),
            },
            messages_per_second: (answered + delivered) as f64 / seconds,
            error_rate: if answered == 0 { 0.0 } else { refused as f64 / answered as f64 },
            memory_bytes: resident_bytes(),
            uptime_seconds: now.saturating_duration_since(self.started).as_secs(),
        }
    }
}

/// From `/proc/self/status`, which gives it in KiB; 0 on systems without.
pub(crate) fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).and_then(|number| number.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_of_the_last_windows() {
        let start = Instant::now();
        let stats = Stats::new(start);
        let directory = Directory::default();
        let after = |seconds| start + Duration::from_secs(seconds);
        for n in 0..100 {
            let refused = (n < 10).then_some(Code::Forbidden);
            stats.answered(Some("vote_gossip"), refused, start, start + Duration::from_millis(n));
        }
        let read = stats.read(&directory, after(10));
        assert!((read.error_rate - 0.1).abs() < 1e-9);
        assert!((read.messages_per_second - 10.0).abs() < 0.1);
        assert!((read.latency.p50 - 50.0).abs() < 2.0, "{:?}", read.latency);
        assert!((read.average_latency - 49.5).abs() < 1.0);
        assert_eq!(stats.read(&directory, after(70)).error_rate, 0.1);
        let late = stats.read(&directory, after(400));
        assert_eq!((late.error_rate, late.messages_per_second, late.latency), (0.0, 0.0, Latency::default()));
        assert_eq!(late.uptime_seconds, 400);
    }
}
