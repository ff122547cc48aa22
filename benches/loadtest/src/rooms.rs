//! The scenario `rooms`: posts, votes and comments in many rooms, each command at its time, whether the server keeps up or
//! not. What is late counts from when it was due.

mod pace;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::cli::{Paced, RoomsArgs};
use crate::crowd::{Answer, Command, Counts, Crowd, Driver, Operation, Plan};
use crate::error::Error;
use crate::meter::Meter;
use crate::report::{Better, Report, Run, Unit, started_now};
use crate::target::{self, Target};
use pace::Pace;

/// How long the last commands may take to reach everybody.
const LAST_DELIVERIES: Duration = Duration::from_secs(15);
/// So many of a room's newest intents are voted and commented on.
const RECENT: usize = 32;

/// Runs the scenario.
///
/// # Errors
/// Where there is nothing to report.
pub(crate) async fn run(args: &RoomsArgs) -> Result<Report, Error> {
    let started_at = started_now();
    let runs = target::on_each(&args.servers, async |target| Ok(load(target, args.paced).await?.0)).await?;
    Ok(Report::new("rooms", started_at, runs))
}

/// One run, and what came while it was measured.
///
/// # Errors
/// Where the server refuses who is to take part, or knows no votes.
pub(crate) async fn load(target: &Target, paced: Paced) -> Result<(Run, Counts), Error> {
    if target.kind.only_posts() {
        return Err(Error::Usage(format!("{} knows no votes and comments", target.kind.name())));
    }
    let meter = Meter::new(target.kind.name(), target.process);
    meter.during(measure(target, paced, &meter, async |_| pending().await)).await
}

/// What the members of a room know of it.
#[derive(Debug, Default)]
struct Feed {
    id: String,
    commands: u64,
    /// The newest intents, the last one last.
    recent: VecDeque<Intent>,
}

#[derive(Debug)]
struct Intent {
    id: String,
    /// Who votes on it, and whether their last vote was up.
    up: HashMap<usize, bool>,
}

/// All rooms.
#[derive(Debug)]
struct Feeds {
    feeds: Vec<RefCell<Feed>>,
    paced: Paced,
}

impl Driver for Feeds {
    fn answered(&self, _crowd: &Crowd, room: usize, operation: Operation, answer: &Answer<'_>) {
        if let (Operation::Post, Some(id)) = (operation, answer.intent) {
            let mut feed = self.feeds[room].borrow_mut();
            feed.recent.push_back(Intent { id: id.to_owned(), up: HashMap::new() });
            if feed.recent.len() > RECENT {
                feed.recent.pop_front();
            }
        }
    }
}

impl Feeds {
    fn new(crowd: &Crowd, paced: Paced) -> Feeds {
        let feed = |room| RefCell::new(Feed { id: crowd.room_id(room), ..Feed::default() });
        Feeds { feeds: (0..paced.rooms).map(feed).collect(), paced }
    }

    /// The room's next command, by its next member.
    fn command(&self, crowd: &Crowd, room: usize, scheduled: Instant, measured: bool) {
        let mut feed = self.feeds[room].borrow_mut();
        let feed = &mut *feed;
        let number = feed.commands;
        feed.commands += 1;
        // Rooms begin at different places of the mix, so that they do not all post at once.
        let operation = self.paced.mix.operation(number + room as u64);
        // In turn, but not always the same one at the same place of the mix.
        let turn = number + number / self.paced.members as u64;
        let number_of_member = usize::try_from(turn % self.paced.members as u64).unwrap_or(0);
        let member = crowd.member(room, number_of_member);
        let pick = pick(number, feed.recent.len());
        let intent = pick.and_then(|pick| feed.recent.get_mut(pick));
        let command = |operation| Command { operation, scheduled, measured };
        match (operation, intent) {
            (Operation::Vote, Some(intent)) => {
                // Whatever stood, this is the other: every vote changes something.
                let up = intent.up.entry(member).and_modify(|up| *up = !*up).or_insert(number.is_multiple_of(2));
                let action = if *up { "upvote" } else { "downvote" };
                let data = format_args!(r#"{{"intentId":"{}","action":"{action}"}}"#, intent.id);
                crowd.send(member, command(operation), "vote_gossip", data);
            }
            (Operation::Comment, Some(intent)) => {
                let data = format_args!(
                    r#"{{"intentId":"{}","content":"Comment {number}: I was there, and it was a different cat."}}"#,
                    intent.id
                );
                crowd.send(member, command(operation), "comment_gossip", data);
            }
            // A room without an intent gets one.
            (Operation::Post, _) | (_, None) => {
                let data = format_args!(
                    r#"{{"roomId":"{}","content":"Gossip {number}: the mayor's cat was seen at the harbour again."}}"#,
                    feed.id
                );
                crowd.send(member, command(Operation::Post), "new_gossip", data);
            }
        }
    }
}

/// One of the newest intents, the newer the likelier; in the same order in every run.
fn pick(number: u64, count: usize) -> Option<usize> {
    let within = |place: u64, count: usize| usize::try_from(place % count.max(1) as u64).unwrap_or(0);
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    // The better of two.
    let place = within(spread, count).max(within(spread / 64, count));
    (count > 0).then_some(place)
}

/// One run that somebody else samples; `beside` is given the rooms' ids when everybody is there, and goes on until the
/// last command is sent.
///
/// # Errors
/// As of [`load`].
pub(crate) async fn measure(
    target: &Target,
    paced: Paced,
    meter: &Meter,
    beside: impl AsyncFnOnce(&[String]) -> Infallible,
) -> Result<(Run, Counts), Error> {
    meter.phase("connecting", None);
    let plan = Plan { rooms: paced.rooms, members: paced.members, not_reading: 0 };
    let crowd = Rc::new(Crowd::gather(target, plan, meter).await?);
    let feeds = Rc::new(Feeds::new(&crowd, paced));
    let attending: JoinSet<()> = crowd.attend(&feeds);

    let pace = Pace::new(Instant::now(), paced.rate, paced.warmup, paced.duration);
    let send = async {
        for number in 0..pace.commands() {
            let due = pace.due(number);
            if due > Instant::now() {
                crowd.flush();
                sleep_until(due.into()).await;
            }
            let room = usize::try_from(number % paced.rooms as u64).unwrap_or(0);
            feeds.command(&crowd, room, due, pace.measured(number));
        }
        crowd.flush();
    };
    let watch = async {
        meter.phase("warming up", Some(paced.warmup));
        sleep_until(pace.measure_from().into()).await;
        let before = crowd.counts();
        meter.begin();
        meter.phase("measuring", Some(paced.duration));
        sleep_until(pace.until().into()).await;
        let counts = crowd.counts().since(before);
        meter.end();
        meter.phase("last deliveries", None);
        counts
    };
    let ids: Vec<String> = (0..paced.rooms).map(|room| crowd.room_id(room)).collect();
    let ((), counts) = tokio::select! {
        done = async { tokio::join!(send, watch) } => done,
        never = beside(&ids) => match never {},
    };
    let left = crowd.settle(LAST_DELIVERIES).await;
    drop(attending);

    let mut run = target.run();
    run.set("rooms", paced.rooms);
    run.set("members", paced.members);
    run.set("commands a second", paced.rate);
    run.set("mix", paced.mix);
    figures(&mut run, &crowd, counts, meter);
    meter.tell(&mut run);
    run.compare_by("serverCpu", Better::Less);
    crowd.tell_faults(&mut run, left, LAST_DELIVERIES);
    Ok((run, counts))
}

fn figures(run: &mut Run, crowd: &Crowd, counts: Counts, meter: &Meter) {
    let seconds = meter.used().seconds.max(f64::MIN_POSITIVE);
    run.figure("commands", "commands acked", counts.acks as f64 / seconds, Unit::PerSecond);
    run.figure("deliveries", "deliveries", counts.deliveries as f64 / seconds, Unit::PerSecond);
    run.figure("events", "events that everybody has", counts.events as f64 / seconds, Unit::PerSecond);
    run.figure("eventBytes", "bytes of an event", crowd.event_bytes(), Unit::Bytes);
    let tally = crowd.tally();
    run.latency("last", "command to last member", tally.last());
    run.latency("ack", "command to ack", tally.ack());
    run.latency("delivery", "command to each member", tally.each.clone());
    for (operation, times) in Operation::ALL.into_iter().zip(&tally.times) {
        let [(ack, ack_label), (last, last_label)] = operation.names();
        for (key, label, histogram) in [(last, last_label, &times.last), (ack, ack_label, &times.ack)] {
            if !histogram.is_empty() {
                run.latency(key, label, histogram.clone());
                // All of them together are compared.
                if let Some(latency) = run.latencies.last_mut() {
                    latency.compared = false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_intents_are_all_picked_and_newer_ones_more_often() {
        let mut picked = [0; RECENT];
        for number in 0..10_000 {
            picked[pick(number, RECENT).unwrap()] += 1;
        }
        assert!(picked.iter().all(|&times| times > 0), "{picked:?}");
        assert!(picked[RECENT / 2..].iter().sum::<i32>() > 6000, "{picked:?}");
        assert_eq!((pick(7, 0), pick(7, 1)), (None, Some(0)));
    }
}
