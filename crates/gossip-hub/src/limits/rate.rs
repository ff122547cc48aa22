//! A rate as it is configured: so many in so long. How much of it is used, and by whom, is kept in [`super::keyed`].

use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;

/// So many in so long: as many at once at most, and then one after each `per / count` (contract §7: `30/60s`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    per: Duration,
}

impl Rate {
    /// The most of a rate's count.
    pub const MAX_COUNT: u32 = 1_000_000;
    /// The longest of a rate's time.
    pub const MAX_PER: Duration = Duration::from_secs(24 * 60 * 60);

    /// `count` in `per`; none where one is nothing, `count` is over [`Rate::MAX_COUNT`], or `per` is under a millisecond
    /// or over [`Rate::MAX_PER`].
    #[must_use]
    pub fn new(count: u32, per: Duration) -> Option<Rate> {
        let count = NonZeroU32::new(count).filter(|count| count.get() <= Rate::MAX_COUNT)?;
        (per >= Duration::from_millis(1) && per <= Rate::MAX_PER).then_some(Rate { count, per })
    }

    /// For the defaults: `count` of at least 1.
    pub(super) const fn seconds(count: u32, seconds: u64) -> Rate {
        Rate { count: NonZeroU32::MIN.saturating_add(count - 1), per: Duration::from_secs(seconds) }
    }

    pub(super) fn quota(self) -> Quota {
        // A millisecond has a nanosecond for each of the most there may be, so a period of nothing does not come up.
        let each = self.per / self.count.get();
        Quota::with_period(each).unwrap_or_else(|| Quota::per_second(self.count)).allow_burst(self.count)
    }
}
