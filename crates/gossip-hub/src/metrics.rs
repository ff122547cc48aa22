//! A gateway's figures as Prometheus reads them (contract §1, `/metrics`): what each is called and what it means. Counting
//! is done where things happen ([`crate::stats`], [`counts`]); here it is only read, when somebody asks.

pub(crate) mod counts;
mod process;
mod text;

use std::time::UNIX_EPOCH;

use crate::gateway::{Gateway, Inner};
use crate::outbox::Protocol;

pub use text::Metrics;

impl Gateway {
    /// All figures of the gateway and of its process, ready to be told; who serves them may add its own. Asks the
    /// database whether it answers, which takes `STORE_TIMEOUT` at most.
    pub async fn metrics(&self) -> Metrics {
        let inner = &self.inner;
        let is_store_ready = inner.store_answers().await;
        let process = tokio::task::spawn_blocking(process::Process::read).await.ok();
        let mut metrics = Metrics::default();
        connections(inner, &mut metrics);
        inner.stats.commands.tell(&mut metrics);
        metrics.counter(
            "gossipd_deliveries_total",
            "Events queued for members: one event for a hundred members is a hundred.",
            inner.stats.deliveries(),
        );
        queues(inner, &mut metrics);
        inner.stats.commits.tell(&mut metrics);
        metrics.counters(
            "gossipd_limits_reached_total",
            "How often each limit was reached: refused, or with RATE_LIMIT_MODE=observe let through.",
            "limit",
            inner.limits.refusals(),
        );
        let slow = inner.stats.slow_readers();
        metrics.counter(
            "gossipd_slow_readers_lagged_total",
            "How often a connection began to lag, its events left in the log until it takes more.",
            slow.lagged,
        );
        metrics.counter(
            "gossipd_slow_readers_closed_total",
            "Connections closed because their clients did not take what they were sent.",
            slow.closed,
        );
        metrics.gauge("gossipd_store_ready", "1 if the database answers in time, else 0.", is_store_ready);
        metrics.info("gossipd_store_info", "Which database it is.", "kind", inner.store.kind());
        metrics.gauge(
            "gossipd_draining",
            "1 if it is ending and takes no new connections, else 0.",
            self.is_draining(),
        );
        metrics.info("gossipd_build_info", "Which version this is.", "version", env!("CARGO_PKG_VERSION"));
        if let Some(process) = process {
            process.tell(inner.stats.began.duration_since(UNIX_EPOCH).unwrap_or_default(), &mut metrics);
        }
        metrics
    }
}

fn connections(inner: &Inner, metrics: &mut Metrics) {
    let names = || Protocol::ALL.into_iter();
    metrics.gauges(
        "gossipd_connections",
        "Connections that are open, authenticated or not.",
        "protocol",
        names().map(|protocol| (protocol.name(), inner.stats.active_of(protocol))),
    );
    metrics.counters(
        "gossipd_connections_opened_total",
        "Connections that were opened.",
        "protocol",
        names().map(|protocol| (protocol.name(), inner.stats.opened_of(protocol))),
    );
    let (rooms, users) = inner.rooms_and_users();
    metrics.gauge("gossipd_rooms", "Rooms with at least one member.", rooms);
    metrics.gauge("gossipd_users", "Users with at least one connection.", users);
}

fn queues(inner: &Inner, metrics: &mut Metrics) {
    metrics.gauge(
        "gossipd_commit_queue_commands",
        "Commands that wait for a transaction to take them.",
        inner.commands_waiting() as u64,
    );
    let inboxes: Vec<_> =
        inner.inboxes().iter().enumerate().map(|(shard, inbox)| (shard.to_string(), inbox.len() as u64)).collect();
    metrics.gauges(
        "gossipd_shard_inbox_items",
        "What waits for each task that writes to connections.",
        "shard",
        inboxes.iter().map(|(shard, items)| (shard.as_str(), *items)),
    );
}
