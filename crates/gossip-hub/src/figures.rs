//! The figures that the log has at info from time to time, so that it tells of load where nobody asks for
//! [`ConnectionStats`].

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::stats::ConnectionStats;

/// Tells the log what `read` says, for ever: first when a whole period is over.
pub(crate) async fn tell(every: Duration, read: impl Fn() -> ConnectionStats) {
    let mut ticks = interval_at(Instant::now() + every, every);
    // After a time in which the process did not run, once is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let stats = read();
        tracing::info!(
            connections = stats.active_connections,
            connections_total = stats.total_connections,
            rooms = stats.rooms_subscribed,
            users = stats.users_connected,
            messages_per_second = rounded(stats.messages_per_second, 10.0),
            average_ms = rounded(stats.average_latency, 1000.0),
            p99_ms = rounded(stats.latency.p99, 1000.0),
            error_rate = rounded(stats.error_rate, 10_000.0),
            memory_mib = stats.memory_bytes / (1024 * 1024),
            "figures"
        );
    }
}

fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::set_default;
    use tracing::{Event, Metadata, Subscriber, span};

    use super::*;

    /// Counts lines, and keeps their fields.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Line<'a>(&'a mut String);

    impl tracing::field::Visit for Line<'_> {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
            self.0.push_str(&format!("{field}={value:?} "));
        }
    }

    impl Subscriber for Lines {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() <= tracing::Level::INFO
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &Event<'_>) {
            let mut line = String::new();
            event.record(&mut Line(&mut line));
            self.0.lock().unwrap().push(line);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_has_them_every_thirty_seconds() {
        let lines = Lines::default();
        let _logging = set_default(lines.clone());
        let every = Duration::from_secs(30);
        let read = || ConnectionStats { active_connections: 7, messages_per_second: 12.34, ..Default::default() };
        let told = tokio::time::timeout(4 * every - Duration::from_secs(1), tell(every, read)).await;
        assert!(told.is_err());
        let lines = lines.0.lock().unwrap();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].contains("connections=7 ") && lines[0].contains("messages_per_second=12.3 "), "{}", lines[0]);
    }
}
