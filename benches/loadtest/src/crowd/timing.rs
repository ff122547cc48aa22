//! How long commands took: from when one was to be sent to its ack, to each member that gets its event, and to the last of
//! them. Which event is a command's is known from its ack, which may come after the event.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::meter::Meter;
use crate::report::histogram;

/// How many events that everybody has are remembered, for acks that come after them.
const REMEMBERED: usize = 1024;
/// An ack may not name an event further ahead than this.
const MAX_AHEAD: u64 = 1_000_000;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Post,
    Vote,
    Comment,
}

impl Operation {
    pub(crate) const ALL: [Operation; 3] = [Operation::Post, Operation::Vote, Operation::Comment];

    /// The keys and labels of its latencies, to the ack and to the last member.
    pub(crate) fn names(self) -> [(&'static str, &'static str); 2] {
        match self {
            Operation::Post => [("postAck", "post to ack"), ("postLast", "post to last member")],
            Operation::Vote => [("voteAck", "vote to ack"), ("voteLast", "vote to last member")],
            Operation::Comment => [("commentAck", "comment to ack"), ("commentLast", "comment to last member")],
        }
    }
}

/// A command that was sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Command {
    pub(crate) operation: Operation,
    /// When it was to be sent; it may have been sent later.
    pub(crate) scheduled: Instant,
    /// Whether that is within what is measured.
    pub(crate) measured: bool,
}

/// What commands took, added up over all rooms. Microseconds, of the commands measured.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Each delivery on its own.
    pub(crate) each: Histogram<u64>,
    /// In the order of [`Operation::ALL`].
    pub(crate) times: [Times; 3],
    pub(crate) refusals: u64,
    pub(crate) first_refusal: Option<String>,
    under_way: u64,
}

/// Of one kind of command.
#[derive(Debug)]
pub(crate) struct Times {
    pub(crate) ack: Histogram<u64>,
    pub(crate) last: Histogram<u64>,
}

impl Tally {
    pub(super) fn new() -> Tally {
        let times = || Times { ack: histogram(), last: histogram() };
        Tally { each: histogram(), times: [times(), times(), times()], refusals: 0, first_refusal: None, under_way: 0 }
    }

    pub(super) fn sent(&mut self) {
        self.under_way += 1;
    }

    pub(super) fn refused(&mut self, why: &str) {
        self.refusals += 1;
        self.first_refusal.get_or_insert_with(|| why.to_owned());
        self.under_way -= 1;
    }

    /// Commands that are not answered, or whose event has not reached everybody.
    pub(super) fn under_way(&self) -> u64 {
        self.under_way
    }

    /// What the commands of all kinds took to the last member.
    pub(crate) fn last(&self) -> Histogram<u64> {
        self.sum(|times| &times.last)
    }

    /// What the commands of all kinds took to their acks.
    pub(crate) fn ack(&self) -> Histogram<u64> {
        self.sum(|times| &times.ack)
    }

    fn sum(&self, of: impl Fn(&Times) -> &Histogram<u64>) -> Histogram<u64> {
        let mut sum = histogram();
        for times in &self.times {
            // All have the same bounds, so one fits into another.
            let _ = sum.add(of(times));
        }
        sum
    }

    fn times(&mut self, command: Command) -> Option<&mut Times> {
        command.measured.then(|| &mut self.times[command.operation as usize])
    }

    fn finished(&mut self, command: Command, at: Instant, meter: &Meter) {
        self.under_way -= 1;
        let micros = micros(command.scheduled, at);
        meter.took(micros);
        if let Some(times) = self.times(command) {
            times.last.saturating_record(micros);
        }
    }
}

/// The events of one room on their way.
#[derive(Debug)]
pub(super) struct Timing {
    /// The seq of the first passage.
    first: u64,
    passages: VecDeque<Passage>,
}

#[derive(Debug, Default)]
struct Passage {
    /// The command it comes from; of several that make one event, the first that is acked.
    command: Option<Command>,
    /// When members got it, as long as the command is not known.
    arrivals: Vec<Instant>,
    /// Acked commands that wait for the last member.
    waiting: Vec<Command>,
    done: Option<Instant>,
}

impl Timing {
    /// Of a room that is at `seq`.
    pub(super) fn after(seq: u64) -> Timing {
        Timing { first: seq + 1, passages: VecDeque::new() }
    }

    /// Whether the events that acks name can be so far.
    pub(super) fn reaches(&self, seq: u64) -> bool {
        seq.saturating_sub(self.first) < MAX_AHEAD
    }

    /// Nothing for an event that is forgotten.
    fn passage(&mut self, seq: u64) -> Option<&mut Passage> {
        let place = usize::try_from(seq.checked_sub(self.first)?).ok()?;
        while self.passages.len() <= place {
            self.passages.push_back(Passage::default());
        }
        self.passages.get_mut(place)
    }

    /// An event reached a member, perhaps the last.
    pub(super) fn arrived(&mut self, seq: u64, at: Instant, last: bool, tally: &mut Tally, meter: &Meter) {
        if let Some(passage) = self.passage(seq) {
            match passage.command {
                Some(command) if command.measured => tally.each.saturating_record(micros(command.scheduled, at)),
                Some(_) => {}
                None => passage.arrivals.push(at),
            }
        }
        if last {
            self.complete(seq, at, tally, meter);
        }
    }

    /// An event has reached everybody.
    pub(super) fn complete(&mut self, seq: u64, at: Instant, tally: &mut Tally, meter: &Meter) {
        if let Some(passage) = self.passage(seq) {
            passage.done = Some(at);
            for command in std::mem::take(&mut passage.waiting) {
                tally.finished(command, at, meter);
            }
        }
        while self.passages.len() > REMEMBERED && self.passages.front().is_some_and(|passage| passage.done.is_some()) {
            self.passages.pop_front();
            self.first += 1;
        }
    }

    /// A command was acked with its event's seq.
    pub(super) fn acked(&mut self, seq: u64, command: Command, at: Instant, tally: &mut Tally, meter: &Meter) {
        if let Some(times) = tally.times(command) {
            times.ack.saturating_record(micros(command.scheduled, at));
        }
        let Some(passage) = self.passage(seq) else {
            // So late that everybody has had the event for long.
            tally.finished(command, at, meter);
            return;
        };
        if passage.command.is_none() {
            passage.command = Some(command);
            for arrival in std::mem::take(&mut passage.arrivals) {
                if command.measured {
                    tally.each.saturating_record(micros(command.scheduled, arrival));
                }
            }
        }
        match passage.done {
            Some(done) => tally.finished(command, done, meter),
            None => passage.waiting.push(command),
        }
    }
}

fn micros(from: Instant, to: Instant) -> u64 {
    u64::try_from(to.saturating_duration_since(from).max(Duration::from_micros(1)).as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        timing: Timing,
        tally: Tally,
        meter: Meter,
        begun: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            let (timing, tally) = (Timing::after(0), Tally::new());
            Bench { timing, tally, meter: Meter::new("test", None), begun: Instant::now() }
        }

        fn at(&self, millis: u64) -> Instant {
            self.begun + Duration::from_millis(millis)
        }

        fn ack(&mut self, seq: u64, scheduled: u64, millis: u64) {
            let command = Command { operation: Operation::Vote, scheduled: self.at(scheduled), measured: true };
            self.tally.sent();
            self.timing.acked(seq, command, self.at(millis), &mut self.tally, &self.meter);
        }

        fn arrive(&mut self, seq: u64, millis: u64, last: bool) {
            self.timing.arrived(seq, self.at(millis), last, &mut self.tally, &self.meter);
        }
    }

    fn millis(histogram: &Histogram<u64>) -> Vec<u64> {
        let values = histogram.iter_recorded().flat_map(|value| {
            let times = usize::try_from(value.count_at_value()).unwrap();
            std::iter::repeat_n(value.value_iterated_to() / 1000, times)
        });
        values.collect()
    }

    #[test]
    fn it_does_not_matter_whether_the_ack_comes_first() {
        for ack_after in [1, 4, 100] {
            let mut bench = Bench::new();
            let arrivals = [(2, false), (3, false), (5, true)];
            for (at, last) in arrivals {
                if ack_after < at {
                    bench.ack(1, 0, 10);
                    bench.arrive(1, at, last);
                    // Only once.
                    for (at, last) in arrivals.into_iter().filter(|&(other, _)| other > at) {
                        bench.arrive(1, at, last);
                    }
                    break;
                }
                bench.arrive(1, at, last);
            }
            if ack_after == 100 {
                bench.ack(1, 0, 10);
            }
            assert_eq!(millis(&bench.tally.each), [2, 3, 5]);
            assert_eq!(millis(&bench.tally.last()), [5]);
            assert_eq!(millis(&bench.tally.ack()), [10]);
            assert_eq!(bench.tally.under_way(), 0);
        }
    }

    #[test]
    fn votes_that_make_one_event_are_timed_each() {
        let mut bench = Bench::new();
        bench.arrive(1, 8, false);
        bench.ack(1, 1, 7);
        bench.ack(1, 3, 7);
        bench.arrive(1, 10, true);
        bench.ack(1, 5, 12);
        assert_eq!(millis(&bench.tally.last()), [5, 7, 9]);
        assert_eq!(millis(&bench.tally.each), [7, 9]);
        assert_eq!(bench.tally.under_way(), 0);
    }

    #[test]
    fn what_everybody_has_is_forgotten_in_time() {
        let mut bench = Bench::new();
        for seq in 1..=5000 {
            bench.arrive(seq, seq, true);
        }
        assert!(bench.timing.passages.len() <= REMEMBERED);
        bench.ack(1, 0, 6000);
        assert_eq!(bench.tally.under_way(), 0);
        assert!(bench.timing.reaches(10_000) && !bench.timing.reaches(u64::MAX));
    }
}
