//! The scenario `soak`: the load of `rooms`, moderate, for as long as one likes, while guests come and go. Whether memory
//! and descriptors stay what they were, nothing is lost, what is stored is what was acked, and what the server says of who
//! is connected is what is held.

mod counts;
mod guests;
mod memory;

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::time::sleep;

use crate::cli::{SoakArgs, Tuning};
use crate::database::{Counts, Place};
use crate::error::Error;
use crate::limits;
use crate::meter::Meter;
use crate::report::{Report, Run, Unit, started_now};
use crate::rooms;
use crate::server::Kind;
use crate::target::{self, Target};
use counts::{Connected, Counting};
use guests::Guests;

/// At the end, how long no guests come any more, so that it is known who is there; less where the whole is short.
const QUIET: Duration = Duration::from_secs(4);

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
    let counting = Counting::new(target)?;
    let members = paced.rooms * paced.members;
    let quiet = QUIET.min(paced.duration / 4);
    let mut held = None;
    let beside = async |rooms: &[String]| -> Infallible {
        tokio::select! {
            never = guests.come_and_go(rooms, args.guests) => match never {},
            () = sleep(paced.duration - quiet) => {}
        }
        let expected =
            Connected { active_connections: members, rooms_subscribed: paced.rooms, users_connected: members };
        held = Some((expected, counting.until(expected, quiet / 2).await));
        pending().await
    };
    let (mut run, _) = rooms::measure(target, paced, meter, beside).await?;
    let after = meter.server_closed(descriptors).await;
    if target.kind == Kind::Gossipd {
        if let Some((expected, found)) = held {
            counts::tell(&mut run, "with all members", expected, found);
        }
        let gone = counting.until(Connected::default(), QUIET).await;
        counts::tell(&mut run, "when all had gone", Connected::default(), gone);
    }

    run.set("guests", args.guests);
    run.figure("visits", "visits of guests", guests.visits() as f64, Unit::Count);
    guests.tell_faults(&mut run);
    memory::tell(&mut run);
    if let Some((before, after)) = descriptors.zip(after) {
        let text = format!("descriptors are closed again: {before} before anybody came, {after} after all had gone");
        run.check(crate::meter::closed(before, after), text);
    }
    Ok(run)
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
