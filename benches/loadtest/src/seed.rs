//! The run without a scenario: 100 clients in one room who post, vote and comment, and whether the server does what it is
//! there to do: every operation in under half a second, a thousand messages a second and more, everybody served.

use std::time::Duration;

use crate::cli::{Mix, Paced, Servers};
use crate::crowd::Counts;
use crate::error::Error;
use crate::report::{Report, Run, number, started_now};
use crate::rooms;
use crate::target;

const CLIENTS: usize = 100;
/// Commands a second, over all clients. Each is a message to the server, and its event one to every client.
const RATE: usize = 1100;
/// Messages a second: asked of the commands alone, deliveries come on top.
const LEAST_RATE: f64 = 1000.0;
const MOST_MILLIS: f64 = 500.0;

/// Runs it.
///
/// # Errors
/// Where there is nothing to report.
pub(crate) async fn run(servers: &Servers) -> Result<Report, Error> {
    let started_at = started_now();
    let (warmup, duration) = (Duration::from_secs(2), Duration::from_secs(10));
    let paced = Paced { rooms: 1, members: CLIENTS, rate: RATE, mix: Mix::default(), warmup, duration };
    let load = async |target: &target::Target| {
        let (mut run, counts) = rooms::load(target, paced).await?;
        check(&mut run, counts);
        Ok(run)
    };
    let runs = target::on_each(servers, load).await?;
    Ok(Report::new("100 clients", started_at, runs))
}

/// What is demanded.
fn check(run: &mut Run, counts: Counts) {
    let seconds = run.seconds.max(f64::MIN_POSITIVE);
    let rates = [("commands acked", counts.acks), ("messages delivered", counts.deliveries)];
    for (what, count) in rates {
        let rate = count as f64 / seconds;
        let text = format!("{} {what} a second, at least {}", number::plain(rate), number::plain(LEAST_RATE));
        run.check(rate >= LEAST_RATE, text);
    }
    let kinds = ["postLast", "postAck", "voteLast", "voteAck", "commentLast", "commentAck"];
    for key in kinds {
        let Some(latency) = run.latencies.iter().find(|latency| latency.key == key) else {
            run.check(false, format!("not one {key} was measured"));
            continue;
        };
        let (p99, max) = (latency.millis.p99, latency.millis.max);
        let text = format!("{}: p99 {p99:.1} ms, at most {max:.1} ms, under {MOST_MILLIS} ms", latency.label);
        run.check(max < MOST_MILLIS, text);
    }
    let served = run.faults.is_empty();
    let text = if served {
        format!("all {CLIENTS} clients got every event, once and in order")
    } else {
        format!("all {CLIENTS} clients get every event, once and in order")
    };
    run.check(served, text);
}
