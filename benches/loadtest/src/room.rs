//! Whether every event of a room reaches every member once and in order. Members get the same bytes, so the first one to
//! get an event has it read and kept, and for all others it is compared: what they get is as it should be if it is equal
//! to the event after their last. Only what is not is looked at closely. Nothing is known here of sockets or time.

mod event;
mod faults;

use std::collections::{BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::socket::packet;
use event::read;
pub(crate) use faults::Faults;

/// How many bytes of events that not every member has are kept whole; of older ones a hash.
const WHOLE: usize = 8 << 20;
/// No event can be further ahead of a member than this.
const MAX_AHEAD: u64 = 1_000_000;

/// A room as its members see it.
#[derive(Debug)]
pub(crate) struct Room {
    id: String,
    members: usize,
    /// The seq of the first slot: everybody has all before it.
    first: u64,
    slots: VecDeque<Slot>,
    /// The seq of the first slot that may still be whole.
    whole_from: u64,
    whole_bytes: usize,
    /// The highest seq that was seen or acked.
    highest: u64,
    events: u64,
    event_bytes: u64,
    faults: Faults,
}

/// An event that not every member has.
#[derive(Debug)]
struct Slot {
    kept: Kept,
    /// How many members have it.
    have: usize,
}

#[derive(Debug)]
enum Kept {
    /// Nobody has it: what has come is after it.
    Nothing,
    Whole(Box<[u8]>),
    Hash(u64),
}

/// How far a member is.
#[derive(Debug)]
pub(crate) struct Cursor {
    next: u64,
    /// What came before its turn.
    ahead: BTreeSet<u64>,
}

impl Cursor {
    /// Of a member that joined when the room was at `seq`.
    pub(crate) fn after(seq: u64) -> Cursor {
        Cursor { next: seq + 1, ahead: BTreeSet::new() }
    }
}

/// What an event was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Took {
    /// A member now has the event of this number.
    Event {
        seq: u64,
        /// Whether now every member has it.
        last: bool,
    },
    /// One that the member had, or no event of the room.
    Fault,
}

impl Room {
    /// A room at `seq`, with so many members, all of whom get what comes after that.
    pub(crate) fn new(id: String, members: usize, seq: u64) -> Room {
        Room {
            id,
            members,
            first: seq + 1,
            slots: VecDeque::new(),
            whole_from: seq + 1,
            whole_bytes: 0,
            highest: seq,
            events: 0,
            event_bytes: 0,
            faults: Faults::default(),
        }
    }

    /// A member got an event packet.
    pub(crate) fn take(&mut self, cursor: &mut Cursor, event: &[u8]) -> Took {
        let place = cursor.next.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        let expected = place.and_then(|place| self.slots.get(place));
        if expected.is_some_and(|slot| slot.is(event)) {
            let seq = cursor.next;
            // What the member has already comes after this.
            if !cursor.ahead.is_empty() {
                self.faults.late(seq);
            }
            cursor.step();
            return Took::Event { seq, last: self.got(seq) };
        }
        self.look(cursor, event)
    }

    /// An event that is not known to be the member's next.
    fn look(&mut self, cursor: &mut Cursor, event: &[u8]) -> Took {
        let Some(seq) = read(packet::array(event), &self.id) else {
            self.faults.foreign(event);
            return Took::Fault;
        };
        if seq < cursor.next.max(self.first) || cursor.ahead.contains(&seq) {
            self.faults.doubled(seq);
            return Took::Fault;
        }
        // It would only take memory.
        if seq - cursor.next > MAX_AHEAD {
            self.faults.foreign(event);
            return Took::Fault;
        }
        if !self.keep(seq, event) {
            self.faults.altered(seq);
        }
        if seq == cursor.next {
            if !cursor.ahead.is_empty() {
                self.faults.late(seq);
            }
            cursor.step();
        } else {
            if cursor.ahead.last().is_some_and(|&newest| newest > seq) {
                self.faults.late(seq);
            }
            cursor.ahead.insert(seq);
        }
        Took::Event { seq, last: self.got(seq) }
    }

    /// Keeps an event for those who get it later; whether it is the same that was kept before.
    fn keep(&mut self, seq: u64, event: &[u8]) -> bool {
        let place = usize::try_from(seq - self.first).unwrap_or(usize::MAX);
        while self.slots.len() <= place {
            self.slots.push_back(Slot { kept: Kept::Nothing, have: 0 });
        }
        let slot = &mut self.slots[place];
        if !matches!(slot.kept, Kept::Nothing) {
            return slot.is(event);
        }
        slot.kept = Kept::Whole(event.into());
        self.highest = self.highest.max(seq);
        self.events += 1;
        self.event_bytes += event.len() as u64;
        self.whole_bytes += event.len();
        // What comes late for everybody is before those that are hashed, and stays whole: that is rare.
        while self.whole_bytes > WHOLE && self.whole_from < seq {
            let place = usize::try_from(self.whole_from - self.first).unwrap_or(usize::MAX);
            if let Some(slot) = self.slots.get_mut(place)
                && let Kept::Whole(bytes) = &slot.kept
            {
                self.whole_bytes -= bytes.len();
                slot.kept = Kept::Hash(hash(bytes));
            }
            self.whole_from += 1;
        }
        true
    }

    /// One more has the event; whether all have.
    fn got(&mut self, seq: u64) -> bool {
        let place = usize::try_from(seq - self.first).unwrap_or(usize::MAX);
        let Some(slot) = self.slots.get_mut(place) else { return false };
        slot.have += 1;
        let last = slot.have == self.members;
        if last {
            self.forget();
        }
        last
    }

    /// Lets go of what everybody has.
    fn forget(&mut self) {
        while self.slots.front().is_some_and(|slot| slot.have >= self.members) {
            if let Some(Slot { kept: Kept::Whole(bytes), .. }) = self.slots.pop_front() {
                self.whole_bytes -= bytes.len();
            }
            self.first += 1;
        }
        self.whole_from = self.whole_from.max(self.first);
    }

    /// A command's ack named this event: it must come.
    pub(crate) fn promised(&mut self, seq: u64) {
        self.highest = self.highest.max(seq);
    }

    /// A member is gone. Which events all the others have now.
    pub(crate) fn left(&mut self, cursor: &Cursor, why: &str) -> Vec<u64> {
        self.faults.gone(why);
        self.members -= 1;
        for (seq, slot) in (self.first..).zip(&mut self.slots) {
            if seq < cursor.next.max(self.first) || cursor.ahead.contains(&seq) {
                slot.have -= 1;
            }
        }
        let members = self.members;
        let complete = (self.first..).zip(&self.slots).filter(|(_, slot)| slot.have >= members);
        // Those that the one who left had too were complete only without it.
        let complete = complete.filter(|&(seq, _)| seq >= cursor.next && !cursor.ahead.contains(&seq));
        let complete = complete.map(|(seq, _)| seq).collect();
        self.forget();
        complete
    }

    /// At the end: what members still lack is missing. What was wrong is in the answer.
    pub(crate) fn finish<'a>(&mut self, cursors: impl IntoIterator<Item = &'a Cursor>) -> &Faults {
        for cursor in cursors {
            let lacks = (self.highest + 1).saturating_sub(cursor.next);
            self.faults.missing(lacks.saturating_sub(cursor.ahead.len() as u64), cursor.next);
        }
        &self.faults
    }

    /// Different events, and their bytes.
    pub(crate) fn events(&self) -> (u64, u64) {
        (self.events, self.event_bytes)
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl Slot {
    fn is(&self, event: &[u8]) -> bool {
        match &self.kept {
            Kept::Nothing => false,
            Kept::Whole(bytes) => **bytes == *event,
            Kept::Hash(kept) => *kept == hash(event),
        }
    }
}

impl Cursor {
    fn step(&mut self) {
        self.next += 1;
        while self.ahead.first() == Some(&self.next) {
            self.ahead.pop_first();
            self.next += 1;
        }
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests;
