//! In which order one voter goes over the intents: all of its share once, in an order of its own, before any a second
//! time. Arithmetic only.

/// A walk that never ends over the numbers `first`, `first + every`, … below `end`.
#[derive(Debug)]
pub(super) struct Walk {
    first: usize,
    every: usize,
    count: usize,
    stride: usize,
    at: usize,
    left: usize,
    odd: bool,
}

/// Where the walk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// Which of the numbers.
    pub(super) number: usize,
    /// Whether all were visited an odd number of times before: the other vote's turn.
    pub(super) odd: bool,
}

impl Walk {
    /// `seed` decides upon the order. `first` must be below `end`, and `every` at least one.
    pub(super) fn new(first: usize, every: usize, end: usize, seed: u64) -> Walk {
        let count = end.saturating_sub(first).div_ceil(every.max(1)).max(1);
        let random = mix(seed);
        let within = |bits: u64| usize::try_from(bits % count as u64).unwrap_or(0);
        // A stride that has no divisor in common with the count comes by every number once.
        let mut stride = within(random >> 32).max(1);
        while divisor(stride, count) != 1 {
            stride = stride % count + 1;
        }
        Walk { first, every, count, stride, at: within(random), left: count, odd: false }
    }

    pub(super) fn step(&mut self) -> Step {
        let step = Step { number: self.first + self.at * self.every, odd: self.odd };
        self.at = (self.at + self.stride) % self.count;
        self.left -= 1;
        if self.left == 0 {
            self.left = self.count;
            self.odd = !self.odd;
        }
        step
    }
}

fn divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// Spreads the bits of a small number over all (the finaliser of SplitMix64).
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn all_once_then_all_again_the_other_way() {
        for count in [1, 2, 3, 12, 97, 1000] {
            for seed in 0..20 {
                let mut walk = Walk::new(0, 1, count, seed);
                for odd in [false, true, false] {
                    let pass: Vec<_> = (0..count).map(|_| walk.step()).collect();
                    assert!(pass.iter().all(|step| step.odd == odd && step.number < count));
                    assert_eq!(pass.iter().map(|step| step.number).collect::<HashSet<_>>().len(), count);
                }
            }
        }
    }

    #[test]
    fn shares_do_not_meet_and_cover_everything() {
        let mut seen = HashSet::new();
        for first in 0..7 {
            let mut walk = Walk::new(first, 7, 100, 5);
            while let Step { number, odd: false } = walk.step() {
                assert!(number < 100 && seen.insert(number), "{number}");
            }
        }
        assert_eq!(seen.len(), 100);
    }

    #[test]
    fn seeds_differ() {
        let order = |seed| {
            let mut walk = Walk::new(0, 1, 1000, seed);
            (0..10).map(|_| walk.step().number).collect::<Vec<_>>()
        };
        assert_eq!((0..50).map(order).collect::<HashSet<_>>().len(), 50);
    }
}
