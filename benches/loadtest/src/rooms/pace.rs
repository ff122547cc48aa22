//! When each command is due. A command is never put off because an answer is late.

use std::time::{Duration, Instant};

/// A fixed rate from a beginning to an end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    begin: Instant,
    rate: u64,
    warmup: Duration,
    duration: Duration,
}

impl Pace {
    /// Of `rate` commands a second.
    pub(super) fn new(begin: Instant, rate: usize, warmup: Duration, duration: Duration) -> Pace {
        Pace { begin, rate: rate as u64, warmup, duration }
    }

    /// How many commands there are in all.
    pub(super) fn commands(&self) -> u64 {
        self.before(self.warmup + self.duration)
    }

    /// When a command is due.
    pub(super) fn due(&self, number: u64) -> Instant {
        let nanos = u128::from(number) * 1_000_000_000 / u128::from(self.rate);
        self.begin + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Whether a command is due while it is measured.
    pub(super) fn measured(&self, number: u64) -> bool {
        self.due(number) >= self.measure_from()
    }

    pub(super) fn measure_from(&self) -> Instant {
        self.begin + self.warmup
    }

    pub(super) fn until(&self) -> Instant {
        self.measure_from() + self.duration
    }

    /// How many commands are due before so much time has passed.
    fn before(&self, time: Duration) -> u64 {
        let number = (time.as_nanos() * u128::from(self.rate)).div_ceil(1_000_000_000);
        u64::try_from(number).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_due_at_the_rate() {
        let begin = Instant::now();
        for (rate, warmup, duration) in [(1000, 2000, 20_000), (3, 500, 1500), (7, 0, 1), (1_000_000, 10, 10)] {
            let pace = Pace::new(begin, rate, Duration::from_millis(warmup), Duration::from_millis(duration));
            let all = pace.commands();
            assert_eq!(all, ((warmup + duration) * rate as u64).div_ceil(1000));
            assert_eq!(pace.due(0), begin);
            assert!(pace.due(all - 1) < pace.until() && pace.due(all) >= pace.until());
            assert!((1..all).all(|number| pace.due(number) > pace.due(number - 1)));
            let measured = (0..all).filter(|&number| pace.measured(number)).count() as u64;
            assert!(measured.abs_diff(duration * rate as u64 / 1000) <= 1, "{measured} at {rate}");
        }
    }
}
