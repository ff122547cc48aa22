//! How the clients of a crowd behave: those that work as fast as they are answered, whatever happens to the server, and
//! those that live through a deploy as a browser would. What they send and hear is the same.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::line::Dialect;

/// Commands that a client has under way at once.
const IN_FLIGHT: usize = 3;
/// How long who was refused waits.
pub(super) const PAUSE: Duration = Duration::from_millis(20);
/// The same, of who is patient, before the next try to connect.
const PATIENCE: Duration = Duration::from_millis(200);

pub(crate) enum Manner {
    /// In different dialects, as fast as they are answered. Those who are `restless` try another connection now and then
    /// when they are refused.
    Working { restless: bool },
    /// With Socket.IO's recovery, a command each now and then; they expect to be told of the server's end.
    Patient(Patient),
}

pub(crate) struct Patient {
    /// Between two commands of a client.
    pause: Duration,
    pub(crate) counts: watch::Sender<Counts>,
    departures: Mutex<Vec<Departure>>,
}

/// So far, over all clients.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    /// Rooms joined.
    pub(crate) joins: usize,
    pub(crate) connections: usize,
    /// Of them, those that go on with one before.
    pub(crate) recovered: usize,
}

/// A client lost the connection of whose end it had been told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Departure {
    pub(crate) told: Instant,
    pub(crate) ended: Instant,
}

impl Manner {
    pub(crate) fn patient(pause: Duration) -> Manner {
        Manner::Patient(Patient { pause, counts: watch::channel(Counts::default()).0, departures: Mutex::default() })
    }

    pub(crate) fn as_patient(&self) -> &Patient {
        match self {
            Manner::Patient(patient) => patient,
            Manner::Working { .. } => panic!("these clients do not wait"),
        }
    }

    pub(super) fn dialect(&self, number: usize) -> Dialect {
        match self {
            Manner::Patient(_) => Dialect::Recovering,
            Manner::Working { .. } if number.is_multiple_of(3) => Dialect::SocketIo,
            Manner::Working { .. } => Dialect::Plain,
        }
    }

    pub(super) fn is_restless(&self) -> bool {
        matches!(self, Manner::Working { restless: true })
    }

    pub(super) fn expects_the_end(&self) -> bool {
        matches!(self, Manner::Patient(_))
    }

    pub(super) fn in_flight(&self) -> usize {
        if self.expects_the_end() { 1 } else { IN_FLIGHT }
    }

    /// Between two new commands of a client.
    pub(super) fn pause(&self) -> Duration {
        match self {
            Manner::Patient(patient) => patient.pause,
            Manner::Working { .. } => Duration::ZERO,
        }
    }

    /// How long to wait after a connection could not be opened.
    pub(super) fn again(&self) -> Duration {
        if self.expects_the_end() { PATIENCE } else { PAUSE }
    }

    pub(super) fn arrived(&self, is_recovered: bool) {
        self.count(|counts| {
            counts.connections += 1;
            counts.recovered += usize::from(is_recovered);
        });
    }

    pub(super) fn joined(&self) {
        self.count(|counts| counts.joins += 1);
    }

    pub(super) fn departed(&self, told: Instant) {
        if let Manner::Patient(patient) = self {
            patient.departures.lock().unwrap().push(Departure { told, ended: Instant::now() });
        }
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        if let Manner::Patient(patient) = self {
            patient.counts.send_modify(change);
        }
    }
}

impl Patient {
    /// Of all clients so far, in the order of their ends.
    pub(crate) fn departures(&self) -> Vec<Departure> {
        let mut departures = self.departures.lock().unwrap().clone();
        departures.sort_unstable_by_key(|departure| departure.ended);
        departures
    }
}
