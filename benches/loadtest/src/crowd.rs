//! Many members in rooms: connected, joined, and read by a task each, on one thread. Their commands are sent and answered
//! here, what comes is given to the rooms to check and timed; which commands are sent, and when, is for the scenario's
//! [`Driver`] to say.

mod answer;
mod gather;
mod timing;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::error::Error;
use crate::meter::{Counter, Meter};
use crate::report::{Run, number};
use crate::room::{Cursor, Faults, Room, Took};
use crate::socket::{Packet, Socket};
pub(crate) use answer::{Answer, joined_at};
use gather::AT_ONCE;
pub(crate) use gather::{Plan, all_at_once};
use timing::Timing;
pub(crate) use timing::{Command, Operation, Tally};

/// After the last command, how long an event that is one too many may take to show.
const STRAYS: Duration = Duration::from_millis(200);

/// Everyone, and what is known of them.
#[derive(Debug)]
pub(crate) struct Crowd {
    members: Vec<Member>,
    venues: Vec<Venue>,
    tally: RefCell<Tally>,
    /// Members with something to write.
    dirty: RefCell<Vec<usize>>,
    /// Told when no command is under way.
    quiet: Notify,
    deliveries: Counter,
    events: Counter,
    acks: Counter,
    meter: Meter,
}

#[derive(Debug)]
struct Member {
    socket: Rc<Socket>,
    room: usize,
    /// Whether it reads at all.
    reads: bool,
    cursor: RefCell<Cursor>,
    /// Commands without an answer, by the ids of their acks.
    waiting: RefCell<HashMap<u64, Command>>,
    dirty: Cell<bool>,
    gone: Cell<bool>,
}

/// A room with its clock.
#[derive(Debug)]
struct Venue {
    room: RefCell<Room>,
    timing: RefCell<Timing>,
}

/// Who decides what is sent.
pub(crate) trait Driver {
    /// Every member of the room has one more event.
    fn complete(&self, _crowd: &Crowd, _room: usize, _at: Instant) {}

    /// A member's command succeeded.
    fn answered(&self, _crowd: &Crowd, _room: usize, _operation: Operation, _answer: &Answer<'_>) {}

    /// A command in the room was refused, or its member is gone.
    fn failed(&self, _crowd: &Crowd, _room: usize, _at: Instant) {}
}

impl Crowd {
    /// Which connection is this room's member of that number.
    pub(crate) fn member(&self, room: usize, number: usize) -> usize {
        room * (self.members.len() / self.venues.len()) + number
    }

    /// The room's id.
    pub(crate) fn room_id(&self, room: usize) -> String {
        self.venues[room].room.borrow().id().to_owned()
    }

    /// A member sends a command, which goes with the next [`flush`](Self::flush). One that is gone sends nothing.
    pub(crate) fn send(&self, member: usize, command: Command, event: &str, data: std::fmt::Arguments<'_>) {
        let who = &self.members[member];
        if who.gone.get() {
            return;
        }
        let id = who.socket.emit(event, data);
        who.waiting.borrow_mut().insert(id, command);
        self.tally.borrow_mut().sent();
        if !who.dirty.replace(true) {
            self.dirty.borrow_mut().push(member);
        }
    }

    /// Writes what was sent. Whose connection is broken hears of it by reading.
    pub(crate) fn flush(&self) {
        if self.dirty.borrow().is_empty() {
            return;
        }
        for member in self.dirty.take() {
            let member = &self.members[member];
            member.dirty.set(false);
            let _ = member.socket.flush();
        }
    }

    /// Begins to read, a task for each member who does; they end with the set.
    pub(crate) fn attend(self: &Rc<Self>, driver: &Rc<impl Driver + 'static>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for index in (0..self.members.len()).filter(|&index| self.members[index].reads) {
            let (crowd, driver) = (Rc::clone(self), Rc::clone(driver));
            tasks.spawn_local(async move { crowd.attend_as(index, &*driver).await });
        }
        tasks
    }

    async fn attend_as(&self, index: usize, driver: &impl Driver) {
        let member = &self.members[index];
        loop {
            let read = member.socket.read(|packet, at| match packet {
                Packet::Event(event) => {
                    self.event(member, event, at, driver);
                    Ok(())
                }
                Packet::Ack { id, data } => self.ack(member, id, data, at, driver),
                _ => Ok(()),
            });
            let ended = read.await.err();
            if let Some(error) = &ended {
                self.gone(member, error, driver);
            }
            self.flush();
            if ended.is_some() {
                return;
            }
        }
    }

    fn event(&self, member: &Member, event: &[u8], at: Instant, driver: &impl Driver) {
        let venue = &self.venues[member.room];
        let took = venue.room.borrow_mut().take(&mut member.cursor.borrow_mut(), event);
        match took {
            Took::Event { seq, last } => {
                self.deliveries.add(1);
                let timed = &mut *self.tally.borrow_mut();
                venue.timing.borrow_mut().arrived(seq, at, last, timed, &self.meter);
                if !last {
                    return;
                }
            }
            Took::Fault => {
                self.meter.error();
                return;
            }
        }
        self.complete(member.room, at, driver);
    }

    fn complete(&self, room: usize, at: Instant, driver: &impl Driver) {
        self.events.add(1);
        driver.complete(self, room, at);
        self.notify();
    }

    fn notify(&self) {
        if self.tally.borrow().under_way() == 0 {
            self.quiet.notify_waiters();
        }
    }

    fn ack(&self, member: &Member, id: u64, data: &[u8], at: Instant, driver: &impl Driver) -> Result<(), Error> {
        let Some(command) = member.waiting.borrow_mut().remove(&id) else {
            return Err(Error::Broken(format!("an answer to no command that is under way: {id}")));
        };
        let venue = &self.venues[member.room];
        let answer = Answer::read(data);
        let answer = answer.and_then(|answer| {
            let reached = venue.timing.borrow().reaches(answer.seq);
            reached.then_some(answer).ok_or_else(|| format!("an ack of an event that cannot be: {id}"))
        });
        match &answer {
            Ok(answer) => {
                self.acks.add(1);
                venue.room.borrow_mut().promised(answer.seq);
                let tally = &mut *self.tally.borrow_mut();
                venue.timing.borrow_mut().acked(answer.seq, command, at, tally, &self.meter);
            }
            Err(refusal) => {
                self.meter.error();
                self.tally.borrow_mut().refused(refusal);
            }
        }
        match &answer {
            Ok(answer) => driver.answered(self, member.room, command.operation, answer),
            Err(_) => driver.failed(self, member.room, at),
        }
        self.notify();
        Ok(())
    }

    /// A member lost its connection: nobody waits for it any more.
    fn gone(&self, member: &Member, error: &Error, driver: &impl Driver) {
        self.meter.error();
        member.gone.set(true);
        let at = Instant::now();
        let unanswered = member.waiting.take().len();
        for _ in 0..unanswered {
            self.tally.borrow_mut().refused("the connection was lost before the answer");
            driver.failed(self, member.room, at);
        }
        let venue = &self.venues[member.room];
        let complete = venue.room.borrow_mut().left(&member.cursor.borrow(), &error.chain());
        for seq in complete {
            venue.timing.borrow_mut().complete(seq, at, &mut self.tally.borrow_mut(), &self.meter);
            self.complete(member.room, at, driver);
        }
        self.notify();
    }

    /// Waits until every command is answered and its event has reached everybody, but not longer than `limit`, and then a
    /// little for what should not come. How many commands are still under way.
    pub(crate) async fn settle(&self, limit: Duration) -> u64 {
        let _ = timeout(limit, async {
            loop {
                let quiet = self.quiet.notified();
                if self.tally.borrow().under_way() == 0 {
                    return;
                }
                quiet.await;
            }
        })
        .await;
        sleep(STRAYS).await;
        self.tally.borrow().under_way()
    }

    /// How many bytes an event had, on average.
    pub(crate) fn event_bytes(&self) -> f64 {
        let both = self.venues.iter().map(|venue| venue.room.borrow().events());
        let (events, bytes) = both.fold((0, 0), |sum, room| (sum.0 + room.0, sum.1 + room.1));
        bytes as f64 / (events as f64).max(1.0)
    }

    /// What was wrong with what members got, over all rooms. To be asked once: from then on what lacks is missing.
    fn faults(&self) -> Faults {
        let mut faults = Faults::default();
        for (venue, members) in self.venues.iter().zip(self.members.chunks(self.members.len() / self.venues.len())) {
            let counted = members.iter().filter(|member| member.reads && !member.gone.get());
            let cursors: Vec<_> = counted.map(|member| member.cursor.borrow()).collect();
            faults.add(venue.room.borrow_mut().finish(cursors.iter().map(|cursor| &**cursor)));
        }
        faults
    }

    /// How many members are connected, as far as they read.
    pub(crate) fn present(&self) -> usize {
        self.members.iter().filter(|member| !member.gone.get()).count()
    }

    /// Of those who did not read: how many, and how many of them the server hung up on.
    ///
    /// # Errors
    /// None but of the runtime.
    pub(crate) async fn not_reading(&self) -> Result<(usize, usize), Error> {
        let sockets: Vec<_> = self.members.iter().filter(|member| !member.reads).map(|member| &member.socket).collect();
        let ended = all_at_once(sockets.len(), AT_ONCE, |index| {
            let socket = Rc::clone(sockets[index]);
            async move { Ok(socket.ended().await) }
        });
        Ok((sockets.len(), ended.await?.into_iter().filter(|&ended| ended).count()))
    }

    /// Tells what was wrong; `left` commands were still under way after `limit`.
    pub(crate) fn tell_faults(&self, run: &mut Run, left: u64, limit: Duration) {
        for line in self.faults().lines() {
            run.fault(line);
        }
        let tally = self.tally.borrow();
        if let Some(first) = &tally.first_refusal {
            run.fault(format!("{} commands were refused, the first with {first}", tally.refusals));
        }
        if left > 0 {
            run.fault(format!("{left} commands were not done {} s after the last one was sent", limit.as_secs()));
        }
        if self.events.get() == 0 {
            run.fault("not one event reached everybody");
        }
        if run.faults.is_empty() {
            let events = number::plain(self.events.get() as f64);
            run.check(true, format!("all of {events} events reached every member, once and in order"));
        }
    }

    pub(crate) fn tally(&self) -> std::cell::Ref<'_, Tally> {
        self.tally.borrow()
    }

    /// Events delivered, events that everybody has, and acks, so far.
    pub(crate) fn counts(&self) -> Counts {
        Counts { deliveries: self.deliveries.get(), events: self.events.get(), acks: self.acks.get() }
    }
}

/// What has come so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) deliveries: u64,
    pub(crate) events: u64,
    pub(crate) acks: u64,
}

impl Counts {
    /// What came since then.
    pub(crate) fn since(self, before: Counts) -> Counts {
        Counts {
            deliveries: self.deliveries - before.deliveries,
            events: self.events - before.events,
            acks: self.acks - before.acks,
        }
    }
}
