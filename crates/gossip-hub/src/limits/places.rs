//! How many sockets an address and a user have. Each is held by a guard that goes with its connection, so a count is
//! right however the connection ends. How many are too many is decided in [`super`].

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gossip_proto::id::{Pid, UserId};

/// There are as many as there may be.
#[derive(Debug)]
pub(super) struct Full;

/// The sockets of each address.
#[derive(Default)]
pub(super) struct Addresses(Mutex<HashMap<IpAddr, usize>>);

/// One socket of an address: counted until it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it is not counted any more"]
pub struct Place(Option<(Arc<Addresses>, IpAddr)>);

impl std::fmt::Debug for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Addresses")
    }
}

impl Addresses {
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, cap: usize) -> Result<Place, Full> {
        let mut counts = self.lock();
        if counts.get(&address).copied().unwrap_or(0) >= cap {
            return Err(Full);
        }
        *counts.entry(address).or_default() += 1;
        Ok(Place(Some((Arc::clone(self), address))))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Place {
    /// Of who has no address.
    pub(super) const NOWHERE: Place = Place(None);
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((addresses, address)) = self.0.take() else { return };
        let mut counts = addresses.lock();
        if let Some(count) = counts.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&address);
                give_back(&mut counts);
            }
        }
    }
}

/// The sockets of each user.
#[derive(Default)]
pub(super) struct Users {
    sockets: Mutex<HashMap<UserId, Sockets>>,
    next: AtomicU64,
}

#[derive(Default)]
struct Sockets {
    plain: usize,
    /// Those that can be recovered, each with the number of its seat. One that comes back takes its own seat over: the
    /// connection before it may not have been noticed as broken yet.
    tracked: Vec<(Pid, u64)>,
}

impl Sockets {
    fn count(&self) -> usize {
        self.plain + self.tracked.len()
    }
}

/// One socket of a user: counted until it is dropped.
pub(crate) struct Seat {
    users: Arc<Users>,
    user: UserId,
    tracked: Option<(Pid, u64)>,
}

impl Users {
    pub(super) fn take(self: &Arc<Self>, user: UserId, pid: Option<Pid>, cap: usize) -> Result<Seat, Full> {
        let mut users = self.lock();
        let tracked = pid.map(|pid| (pid, self.next.fetch_add(1, Ordering::Relaxed)));
        let sockets = users.get_mut(&user);
        let is_full = sockets.as_ref().map_or(0, |sockets| sockets.count()) >= cap;
        let own = sockets.and_then(|sockets| sockets.tracked.iter_mut().find(|(known, _)| Some(*known) == pid));
        match (own, tracked) {
            (Some(own), Some(tracked)) => *own = tracked,
            _ if is_full => return Err(Full),
            (_, Some(tracked)) => users.entry(user).or_default().tracked.push(tracked),
            (_, None) => users.entry(user).or_default().plain += 1,
        }
        Ok(Seat { users: Arc::clone(self), user, tracked })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, Sockets>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut users = self.users.lock();
        let Some(sockets) = users.get_mut(&self.user) else { return };
        match self.tracked {
            Some(seat) => sockets.tracked.retain(|known| *known != seat),
            None => sockets.plain -= 1,
        }
        if sockets.count() == 0 {
            users.remove(&self.user);
            give_back(&mut users);
        }
    }
}

/// After a crowd has left.
fn give_back<K: std::hash::Hash + Eq, V>(map: &mut HashMap<K, V>) {
    if map.capacity() > 1024 && map.len() < map.capacity() / 4 {
        map.shrink_to_fit();
    }
}
