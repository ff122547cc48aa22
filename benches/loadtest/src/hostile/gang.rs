//! The hostile clients as a whole: a thread of their own, so that they are felt by the honest ones only through the
//! server, and addresses of their own, since a server's limits are by address. Each comes back when it is thrown out.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio::time::sleep;

use super::attacks::{ATTACKS, Attack, Attacker};
use crate::error::Error;
use crate::target::Target;

/// How long one who was thrown out waits, so that not all there is to do is to let them in.
const REST: Duration = Duration::from_millis(500);
/// How many come from one address.
const AN_ADDRESS: usize = 50;

/// All of them. Dropped, they are gone.
#[derive(Debug)]
pub(super) struct Gang {
    address: SocketAddr,
    /// Of each client a token, where its kind needs one.
    clients: Vec<(&'static Attack, String)>,
    tallies: Vec<Arc<Tally>>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

/// Of one kind.
#[derive(Debug, Default)]
struct Tally {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// What a kind came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) name: &'static str,
    /// Connections that were opened.
    pub(super) begun: u64,
    /// Of them, those that the server ended or refused.
    pub(super) ended: u64,
}

impl Gang {
    /// So many, of each kind as many.
    ///
    /// # Errors
    /// Where tokens cannot be made.
    pub(super) fn new(target: &Target, count: usize) -> Result<Gang, Error> {
        let client = |number: usize| Ok((&ATTACKS[number % ATTACKS.len()], target.token()?));
        Ok(Gang {
            address: target.socket_address,
            clients: (0..count).map(client).collect::<Result<_, Error>>()?,
            tallies: ATTACKS.iter().map(|_| Arc::default()).collect(),
            running: None,
        })
    }

    /// Sets them on the server; `rooms` are the honest ones'.
    pub(super) fn begin(&mut self, rooms: &[String]) {
        let (stop, stopped) = oneshot::channel();
        let (address, rooms) = (self.address, rooms.to_vec());
        let (clients, tallies) = (std::mem::take(&mut self.clients), self.tallies.clone());
        let thread = thread::spawn(move || {
            let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
            LocalSet::new().block_on(&runtime, async move {
                let rooms = Rc::new(rooms);
                for (number, (attack, token)) in clients.into_iter().enumerate() {
                    let (kind, place) = (number % ATTACKS.len(), number / ATTACKS.len());
                    let source = source(address, kind, place);
                    let attacker = Attacker::new(address, source, token, Rc::clone(&rooms), number);
                    let tally = Arc::clone(&tallies[kind]);
                    tokio::task::spawn_local(async move { attacker.come_again(attack, &tally).await });
                }
                // Whoever waits for the end is gone, or tells it.
                let _ = stopped.await;
            });
        });
        self.running = Some((stop, thread));
    }

    /// Ends them, and tells what they did.
    pub(super) fn end(mut self) -> Vec<Counts> {
        self.stop();
        let count = |(attack, tally): (&Attack, &Arc<Tally>)| Counts {
            name: attack.name,
            begun: tally.begun.load(Ordering::Relaxed),
            ended: tally.ended.load(Ordering::Relaxed),
        };
        ATTACKS.iter().zip(&self.tallies).map(count).collect()
    }

    fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            // A panic of the thread is on standard error, and its kinds lack in the counts.
            let _ = thread.join();
        }
    }
}

impl Drop for Gang {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Attacker {
    async fn come_again(&self, attack: &Attack, tally: &Tally) {
        // Not all at the same moment.
        sleep(REST * u32::try_from(self.number % 100).unwrap_or(0) / 100).await;
        loop {
            tally.begun.fetch_add(1, Ordering::Relaxed);
            if self.attack(attack.kind).await.is_err() {
                tally.ended.fetch_add(1, Ordering::Relaxed);
            }
            sleep(REST).await;
        }
    }
}

/// The address to connect from, of the loopback net where the server is there: none that honest clients have.
fn source(server: SocketAddr, kind: usize, place: usize) -> Option<IpAddr> {
    if !server.is_ipv4() || !server.ip().is_loopback() {
        return None;
    }
    let part = |number: usize| u8::try_from(number + 1).unwrap_or(254).min(254);
    Some(Ipv4Addr::new(127, 0, part(kind), part(place / AN_ADDRESS)).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_own_addresses() {
        let local: SocketAddr = "127.0.0.1:3000".parse().unwrap();
        assert_eq!(source(local, 0, 0), Some("127.0.1.1".parse().unwrap()));
        assert_eq!(source(local, 8, 49), Some("127.0.9.1".parse().unwrap()));
        assert_eq!(source(local, 8, 50), Some("127.0.9.2".parse().unwrap()));
        assert_eq!(source("192.0.2.1:3000".parse().unwrap(), 0, 0), None);
    }
}
