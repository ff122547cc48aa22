//! Guests: each comes into a room, reads for a few seconds what everybody there gets, and drops without a word; then the
//! next one comes. What a guest gets must go on from where it joined, without a gap.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::crowd::joined_at;
use crate::error::Error;
use crate::meter::{Counter, Meter};
use crate::report::Run;
use crate::room::{Cursor, Faults, Room};
use crate::socket::{Packet, Socket};
use crate::target::Target;

/// How long the shortest visit is, and how many more seconds the longest.
const STAY: Duration = Duration::from_secs(1);
const LONGER: u64 = 5;
/// How long a guest who was refused waits.
const AGAIN: Duration = Duration::from_secs(1);

/// All of them, in turn.
#[derive(Debug)]
pub(super) struct Guests<'a> {
    target: &'a Target,
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    visits: Counter,
    meter: Meter,
    faults: RefCell<Faults>,
    /// How many visits failed, and how the first one did.
    failures: RefCell<(u64, Option<String>)>,
}

impl<'a> Guests<'a> {
    pub(super) fn new(target: &'a Target, meter: &Meter) -> Guests<'a> {
        let shared = Shared {
            visits: meter.counter("visits"),
            meter: meter.clone(),
            faults: RefCell::default(),
            failures: RefCell::default(),
        };
        Guests { target, shared: Rc::new(shared) }
    }

    /// Lets so many at a time come and go in these rooms, until it is dropped; then they are gone too.
    pub(super) async fn come_and_go(&self, rooms: &[String], at_once: usize) -> Infallible {
        let mut tasks = JoinSet::new();
        for place in 0..at_once {
            // The same few users over and over: as many tokens as there are guests at once.
            let token = match self.target.token() {
                Ok(token) => token,
                Err(error) => {
                    self.shared.failed(&error);
                    continue;
                }
            };
            let (shared, address, rooms) = (Rc::clone(&self.shared), self.target.socket_address, rooms.to_vec());
            tasks.spawn_local(async move {
                for visit in 0_usize.. {
                    let room = &rooms[(place + visit) % rooms.len()];
                    let stay = STAY + Duration::from_secs((place + visit) as u64 % LONGER);
                    let visited = shared.visit(address, &token, room, Instant::now() + stay).await;
                    if let Err(error) = visited {
                        shared.failed(&error);
                        sleep(AGAIN).await;
                    }
                }
            });
        }
        pending().await
    }

    pub(super) fn visits(&self) -> u64 {
        self.shared.visits.get()
    }

    pub(super) fn tell_faults(&self, run: &mut Run) {
        for line in self.shared.faults.borrow().lines() {
            run.fault(format!("guests: {line}"));
        }
        let (count, first) = &*self.shared.failures.borrow();
        if let Some(first) = first {
            run.fault(format!("{count} visits of guests failed, the first: {first}"));
        }
        if first.is_none() && self.shared.faults.borrow().lines().is_empty() {
            run.check(true, format!("in {} visits guests got every event, once and in order", self.visits()));
        }
    }
}

impl Shared {
    async fn visit(&self, address: std::net::SocketAddr, token: &str, id: &str, until: Instant) -> Result<(), Error> {
        let socket = Socket::connect(address, token, None).await?;
        let answer = socket.call("join_room", format_args!(r#"{{"roomId":"{id}"}}"#)).await?;
        let seq = joined_at(&answer).map_err(Error::Setup)?;
        // A room of its own, of which it is the only member.
        let (mut room, mut cursor) = (Room::new(id.to_owned(), 1, seq), Cursor::after(seq));
        while Instant::now() < until {
            let read = socket.read(|packet, _| {
                if let Packet::Event(event) = packet {
                    room.take(&mut cursor, event);
                }
                Ok(())
            });
            match timeout_at(until, read).await {
                Ok(read) => read?,
                Err(_) => break,
            }
        }
        self.faults.borrow_mut().add(room.finish([&cursor]));
        self.visits.add(1);
        Ok(())
    }

    fn failed(&self, error: &Error) {
        self.meter.error();
        let (count, first) = &mut *self.failures.borrow_mut();
        *count += 1;
        first.get_or_insert_with(|| error.chain());
    }
}
