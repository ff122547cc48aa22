//! When a batch may wait for more: under a steady load of many, where each transaction would else carry one or two
//! commands and cost what one of ten costs. Who comes alone, or after a rest, waits for nothing, and where waiting was for
//! nothing it is not tried again soon: a client that sends its next command upon the ack of the last must not pay for it.
//! Decisions only; the lane does the waiting.

use std::time::Duration;

use tokio::time::Instant;

/// If nothing comes for this long, no more is waited for. It doubles with each look at which something had come: a steady
/// stream needs few looks.
const LULL: Duration = Duration::from_millis(1);

/// Of so many commands each costs little more than itself: there is nothing to be gained by waiting.
pub(super) const ENOUGH: usize = 32;

/// The most batches that do not wait after one that did for nothing.
const MAX_SKIPPED: u32 = 64;

#[derive(Debug)]
pub(super) struct Gather {
    /// From the begin of one batch to that of the next.
    delay: Duration,
    began: Option<Instant>,
    /// So many batches do not wait.
    skip: u32,
    /// How many did not wait the last time.
    skipped: u32,
}

impl Gather {
    pub(super) fn new(delay: Duration) -> Gather {
        Gather { delay, began: None, skip: 0, skipped: 0 }
    }

    /// Until when the next batch may wait, if it should.
    pub(super) fn due(&mut self, now: Instant) -> Option<Instant> {
        let due = self.began? + self.delay;
        if due <= now {
            return None;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        Some(due)
    }

    /// Until when to look away before the look that comes after so many: a look takes what has come since, where one at
    /// each command would cost what is to be saved.
    pub(super) fn look_at(due: Instant, now: Instant, looks: u32) -> Instant {
        due.min(now + LULL.saturating_mul(1 << looks.min(8)))
    }

    /// The batch has waited, and became so much larger by it.
    pub(super) fn waited(&mut self, gained: usize) {
        self.skipped = if gained > 0 { 0 } else { (2 * self.skipped + 1).min(MAX_SKIPPED) };
        self.skip = self.skipped;
    }

    /// A batch begins.
    pub(super) fn begin(&mut self, now: Instant) {
        self.began = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(5);
    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn who_comes_alone_or_after_a_rest_waits_for_nothing() {
        let mut gather = Gather::new(DELAY);
        let now = Instant::now();
        assert_eq!(gather.due(now), None);
        gather.begin(now);
        assert_eq!(gather.due(now + DELAY), None);
        assert_eq!(gather.due(now + MS), Some(now + DELAY));
        assert_eq!(Gather::look_at(now + DELAY, now + MS, 0), now + 2 * MS);
        assert_eq!(Gather::look_at(now + DELAY, now + MS, 1), now + 3 * MS);
        assert_eq!(Gather::look_at(now + DELAY, now + DELAY - MS / 2, 40), now + DELAY);
    }

    #[test]
    fn what_was_for_nothing_is_tried_ever_less() {
        let mut gather = Gather::new(DELAY);
        let now = Instant::now();
        gather.begin(now);
        let mut waits = Vec::new();
        for batch in 0..400 {
            if gather.due(now).is_some() {
                waits.push(batch);
                gather.waited(0);
            }
        }
        assert_eq!(waits, [0, 2, 6, 14, 30, 62, 126, 191, 256, 321, 386]);
        // Once it pays, it is done again.
        while gather.due(now).is_none() {}
        gather.waited(3);
        assert!(gather.due(now).is_some());
    }

    #[test]
    fn without_a_delay_nothing_waits() {
        let mut gather = Gather::new(Duration::ZERO);
        let now = Instant::now();
        gather.begin(now);
        assert_eq!(gather.due(now), None);
    }
}
