//! One rate, kept for each key by itself: a map from keys to governor's state of a bucket, eight bytes each. Keys whose
//! bucket is full again are forgotten; for what they stand is not known here.

use std::convert::Infallible;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gossip_core::env::Env;
use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::{HashMapStateStore, ShrinkableKeyedStateStore};
use governor::state::{NotKeyed, StateStore};

use super::Rate;

/// A map that once had more keys than this gives memory back when few are left.
const WORTH_SHRINKING: usize = 1024;

pub(super) trait Key: Copy + Eq + Hash {}

impl<K: Copy + Eq + Hash> Key for K {}

/// Time as the gateway has it, so that tests turn it by hand.
struct EnvClock(Arc<dyn Env>);

impl Clock for EnvClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.uptime().into()
    }
}

/// What is asked of a bucket.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Ask<K> {
    /// Whether there is one left.
    Look(K),
    /// To take one.
    Take(K),
}

/// governor's own store, which can also be looked at without taking anything.
struct Store<K>(HashMapStateStore<K>);

impl<K: Key> StateStore for Store<K> {
    type Key = Ask<K>;

    fn measure_and_replace<T, F, E>(&self, ask: &Ask<K>, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let key = match ask {
            Ask::Take(key) => return self.0.measure_and_replace(key, decide),
            Ask::Look(key) => key,
        };
        let states = self.0.lock();
        let Some(state) = states.get(key) else { return decide(None).map(|(outcome, _)| outcome) };
        // What is an error is not written down.
        let looked = state.measure_and_replace(&NotKeyed::NonKey, |arrival| {
            Err::<(Infallible, Nanos), _>(decide(arrival).map(|(outcome, _)| outcome))
        });
        let Err(outcome) = looked;
        outcome
    }
}

impl<K: Key> ShrinkableKeyedStateStore<Ask<K>> for Store<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        self.0.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A rate for each key.
pub(super) struct Keyed<K: Key> {
    limiter: RateLimiter<Ask<K>, Store<K>, EnvClock, NoOpMiddleware<Nanos>>,
    /// The most keys since memory was last given back.
    peak: AtomicUsize,
}

impl<K: Key> Keyed<K> {
    pub(super) fn new(rate: Rate, env: &Arc<dyn Env>) -> Keyed<K> {
        let store = Store(HashMapStateStore::new(Default::default()));
        let limiter = RateLimiter::new(rate.quota(), store, EnvClock(Arc::clone(env)));
        Keyed { limiter, peak: AtomicUsize::new(0) }
    }

    /// Takes one of this key's.
    ///
    /// # Errors
    /// There is none: how long until there is.
    pub(super) fn take(&self, key: K) -> Result<(), Duration> {
        self.ask(Ask::Take(key))
    }

    /// As [`Keyed::take`], but takes nothing.
    pub(super) fn look(&self, key: K) -> Result<(), Duration> {
        self.ask(Ask::Look(key))
    }

    fn ask(&self, ask: Ask<K>) -> Result<(), Duration> {
        self.limiter.check_key(&ask).map_err(|denied| denied.wait_time_from(self.limiter.clock().now()))
    }

    /// Forgets the keys that have not been used for so long that nothing would be different without them.
    pub(super) fn forget_idle(&self) {
        let before = self.limiter.len();
        self.limiter.retain_recent();
        let peak = self.peak.fetch_max(before, Ordering::Relaxed).max(before);
        let left = self.limiter.len();
        if peak > WORTH_SHRINKING && left < peak / 4 {
            self.limiter.shrink_to_fit();
            self.peak.store(left, Ordering::Relaxed);
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.limiter.len()
    }
}
