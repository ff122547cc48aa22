//! Who is connected and which rooms are watched, over all shards: counts only, touched when the first comes and the
//! last goes. Which connection is in which room, only its shard knows.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use gossip_proto::id::{RoomId, UserId};

/// Counts by key, without those that are zero.
#[derive(Debug)]
pub(crate) struct Counts<K>(Mutex<HashMap<K, usize>>);

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Counts(Mutex::default())
    }
}

impl<K: Eq + Hash> Counts<K> {
    pub(crate) fn add(&self, key: K) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }

    pub(crate) fn remove(&self, key: &K) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(key);
                // What a crowd left behind is given back.
                if counts.capacity() > 1024 && counts.len() < counts.capacity() / 4 {
                    counts.shrink_to_fit();
                }
            }
        }
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The two counts that statistics show.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    /// Connections of each user.
    pub(crate) users: Counts<UserId>,
    /// Shards with members of each room.
    pub(crate) rooms: Counts<RoomId>,
}
