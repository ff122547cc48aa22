//! A connection as its shard and the commands under way know it. Which rooms it is in, only the shard knows.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gossip_proto::id::{Pid, RoomId, Seq};
use gossip_proto::refusal::{Code, Refusal};
use gossip_store::{Position, RecoveryChange};

use crate::event::Event;
use crate::offset::{MAX_BEHIND, Offset};
use crate::outbox::{Close, Outbox, ReplyTo};
use crate::recoveries::Notes;
use crate::run::{RoomRun, Run};
use crate::under_way::UnderWay;

use super::lag::Lag;

/// The event that only brings an offset, to clients that asked to be recovered.
pub const RECOVERY: &str = "recovery";

/// For how long the store counts as failing for a connection for which it failed, in milliseconds.
const FAILING_MS: u64 = 1000;

/// Names a connection for as long as the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// What a connection that can be recovered has beside others.
pub(crate) struct Tracked {
    pub(crate) pid: Pid,
    /// What the client will have seen with all that was queued for it. Only the shard's task touches it.
    seen: Mutex<Seen>,
    notes: Notes,
    /// It is not to be recovered, whatever else is noted of it.
    is_forgotten: AtomicBool,
}

#[derive(Default)]
struct Seen {
    offset: Offset,
    /// Rooms that were caught up with further than the position, which is where the shard is: with the last position of
    /// each. Until the shard is there, the offset names them.
    ahead: Vec<(RoomId, Position)>,
    /// The last position that was replayed of a room that is being caught up with.
    replayed: Vec<(RoomId, Position)>,
    /// Rooms that lag with the others, but have less than the position says: until the others wait for them no more, the
    /// offset names them.
    late: Vec<RoomId>,
}

impl Seen {
    fn pass(&mut self, position: Position) {
        self.offset.position = self.offset.position.max(position);
        if !self.ahead.is_empty() {
            let reached = self.offset.position;
            for (room, _) in self.ahead.extract_if(.., |(_, position)| *position <= reached) {
                self.offset.caught_up(room);
            }
        }
    }

    /// Whether, as events pass from this position on, the offset is each one's position and nothing else.
    fn is_just_before(&self, position: Position) -> bool {
        self.offset.behind.is_empty() && self.ahead.is_empty() && self.offset.position < position
    }

    fn set_behind(&mut self, room: RoomId, seq: Option<Seq>) {
        // Caught up with again, it may still be further than the others.
        self.replayed.extend(self.ahead.extract_if(.., |(ahead, _)| *ahead == room));
        self.late.retain(|late| *late != room);
        self.offset.set_behind(room, seq);
    }

    fn replay(&mut self, room: RoomId, seq: Seq, position: Option<Position>) {
        self.set_behind(room, Some(seq));
        let position = position.unwrap_or_default();
        match self.replayed.iter_mut().find(|(replayed, _)| *replayed == room) {
            Some((_, last)) => *last = position.max(*last),
            None => self.replayed.push((room, position)),
        }
    }

    fn caught_up(&mut self, room: RoomId) {
        let last = self.replayed.extract_if(.., |(replayed, _)| *replayed == room).map(|(_, last)| last).max();
        match last {
            Some(last) if last > self.offset.position => self.ahead.push((room, last)),
            _ => self.offset.caught_up(room),
        }
    }

    /// From here on the room waits for others that lag, which may be further or less far than it is.
    fn lag(&mut self, room: RoomId, seq: Seq) {
        let last = self.replayed.extract_if(.., |(replayed, _)| *replayed == room).map(|(_, last)| last).max();
        self.set_behind(room, Some(seq));
        match last {
            Some(last) if last > self.offset.position => self.ahead.push((room, last)),
            _ => self.late.push(room),
        }
    }

    /// An event is next, in the order of positions, of all rooms that lag.
    fn refill(&mut self, room: RoomId, seq: Seq, position: Position) {
        if position > self.offset.position {
            self.all_refilled();
            self.pass(position);
        } else {
            self.set_behind(room, Some(seq));
            self.late.push(room);
        }
    }

    fn all_refilled(&mut self) {
        for room in std::mem::take(&mut self.late) {
            self.offset.caught_up(room);
        }
    }

    fn forget(&mut self, room: RoomId) {
        self.replayed.retain(|(replayed, _)| *replayed != room);
        self.ahead.retain(|(ahead, _)| *ahead != room);
        self.late.retain(|late| *late != room);
        self.offset.caught_up(room);
    }
}

impl Tracked {
    pub(crate) fn new(pid: Pid, seen: Offset, notes: Notes) -> Tracked {
        Tracked {
            pid,
            seen: Mutex::new(Seen { offset: seen, ..Seen::default() }),
            notes,
            is_forgotten: AtomicBool::new(false),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection as its shard and the commands under way know it.
pub(crate) struct Peer {
    pub(crate) id: ConnectionId,
    pub(crate) outbox: Box<dyn Outbox>,
    pub(crate) tracked: Option<Box<Tracked>>,
    /// Something was queued since the last flush.
    dirty: AtomicBool,
    /// Events are left in the log for it. Only the shard's task touches this and the next.
    pub(super) lagging: AtomicBool,
    pub(super) lag: Mutex<Option<Box<Lag>>>,
    /// Commands that were accepted and not answered yet.
    pub(crate) under_way: UnderWay,
    /// When the store last failed for it, in [`millis`]; 0 for never.
    failed: AtomicU64,
}

impl Peer {
    pub(crate) fn new(id: ConnectionId, outbox: Box<dyn Outbox>, tracked: Option<Tracked>) -> Peer {
        let tracked = tracked.map(Box::new);
        let (dirty, lagging, failed) = (AtomicBool::new(false), AtomicBool::new(false), AtomicU64::new(0));
        let lag = Mutex::default();
        Peer { id, outbox, tracked, dirty, lagging, lag, under_way: UnderWay::default(), failed }
    }

    /// Ends it, tells its client why, and sees to it that it is not recovered.
    pub(crate) fn revoke(&self) {
        if let Some(refusal) = Close::Revoked.refusal() {
            self.outbox.reply(&ReplyTo::NOBODY, &Err(refusal));
        }
        self.outbox.close(Close::Revoked);
        if let Some(tracked) = &self.tracked {
            // What is noted later looks at this.
            tracked.is_forgotten.store(true, SeqCst);
            tracked.notes.note(RecoveryChange::Forget { pid: tracked.pid });
        }
    }

    /// Whether it is not to be recovered although something of it was noted again.
    pub(crate) fn is_forgotten(&self) -> bool {
        self.tracked.as_ref().is_some_and(|tracked| tracked.is_forgotten.load(SeqCst))
    }

    /// The store failed for this connection.
    pub(crate) fn store_failed(&self) {
        self.failed.store(millis().max(1), Relaxed);
    }

    /// Whether the store failed for this connection a moment ago: then what it asks next is not to wait for it as long again.
    fn is_store_failing(&self) -> bool {
        let failed = self.failed.load(Relaxed);
        failed > 0 && millis().saturating_sub(failed) < FAILING_MS
    }

    /// Asks the store, but only for a moment if it has just failed for this connection. Requests are taken one by one:
    /// each waiting for itself, the last would be told after many times `timeout`.
    pub(crate) async fn unless_failing<T>(
        &self,
        timeout: Duration,
        asked: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        if self.is_store_failing() {
            return tokio::time::timeout(timeout / 40, asked).await.unwrap_or_else(|_| Err(Refusal::unavailable()));
        }
        let answer = asked.await;
        if matches!(&answer, Err(refusal) if refusal.code == Code::Unavailable) {
            self.store_failed();
        }
        answer
    }

    /// Queues an event in the order of positions.
    pub(super) fn event(&self, event: &Arc<Event>) {
        let Some(tracked) = &self.tracked else { return self.outbox.event(event) };
        let mut seen = tracked.seen();
        if let Some(position) = event.position() {
            seen.pass(position);
        }
        self.outbox.tracked(event, &seen.offset);
    }

    /// As [`Peer::event`], for each of a run.
    pub(super) fn run(&self, run: &Run) {
        match self.pass_run(run) {
            Some(false) => self.outbox.run(run),
            Some(true) => self.outbox.tracked_run(run),
            None => run.events().iter().for_each(|event| self.event(event)),
        }
    }

    /// As [`Peer::run`], and sends it, if nothing waits for the next flush; false if something does.
    pub(super) fn send_run(&self, run: &Run) -> bool {
        if self.dirty.load(Relaxed) {
            return false;
        }
        match self.pass_run(run) {
            Some(tracked) => self.outbox.send_run(run, tracked),
            None => {
                run.events().iter().for_each(|event| self.event(event));
                self.outbox.flush();
            }
        }
        true
    }

    /// Notes a run as seen, where the events' own positions will do as offsets; none where they will not. Says whether
    /// there are offsets at all.
    fn pass_run(&self, run: &Run) -> Option<bool> {
        let Some(tracked) = &self.tracked else { return Some(false) };
        let mut seen = tracked.seen();
        let (_, last) = RoomRun::positions(run).filter(|(first, _)| seen.is_just_before(*first))?;
        seen.pass(last);
        Some(true)
    }

    /// Queues an event of a room that is being caught up with: other rooms are further.
    pub(super) fn replayed(&self, room: RoomId, seq: Seq, event: &Arc<Event>) {
        let Some(tracked) = &self.tracked else { return self.outbox.event(event) };
        let mut seen = tracked.seen();
        seen.replay(room, seq, event.position());
        self.outbox.tracked(event, &seen.offset);
    }

    /// Tells a client that can be recovered what it has seen, where nothing else does in time.
    pub(super) fn mark(&self) {
        if let Some(tracked) = &self.tracked {
            self.outbox.tracked(&Arc::new(Event::new(RECOVERY, "{}")), &tracked.seen().offset);
        }
    }

    /// From here on less was seen of this room than of others.
    pub(super) fn set_behind(&self, room: RoomId, seq: Option<Seq>) {
        if let Some(tracked) = &self.tracked {
            tracked.seen().set_behind(room, seq);
        }
    }

    /// All that was missed of this room was queued.
    pub(super) fn caught_up(&self, room: RoomId) {
        if let Some(tracked) = &self.tracked {
            tracked.seen().caught_up(room);
        }
    }

    /// All that was missed of this room was queued, up to this seq, while others lag.
    pub(super) fn lags_with_others(&self, room: RoomId, seq: Seq) {
        if let Some(tracked) = &self.tracked {
            tracked.seen().lag(room, seq);
        }
    }

    /// Queues an event that is next, in the order of positions, of all rooms that lag.
    pub(super) fn refilled(&self, room: RoomId, seq: Seq, event: &Arc<Event>) {
        let Some(tracked) = &self.tracked else { return self.outbox.event(event) };
        let mut seen = tracked.seen();
        seen.refill(room, seq, event.position().unwrap_or_default());
        self.outbox.tracked(event, &seen.offset);
    }

    /// No room lags any more.
    pub(super) fn all_refilled(&self) {
        if let Some(tracked) = &self.tracked {
            tracked.seen().all_refilled();
        }
    }

    /// The client left this room.
    pub(super) fn left(&self, room: RoomId) {
        if let Some(tracked) = &self.tracked {
            tracked.seen().forget(room);
        }
    }

    /// This room was closed to the client, which has seen it up to `seq`, or as far as it was caught up with. It is not
    /// to come back; should that not be noted in time, it comes back without a hole.
    pub(super) fn closed(&self, room: RoomId, seq: Option<Seq>) {
        // A connection that has ended may have been gone on with elsewhere: its rooms are not this one's business.
        if let Some(tracked) = self.tracked.as_ref().filter(|_| !self.outbox.is_closed()) {
            let mut seen = tracked.seen();
            let is_noted = tracked.notes.note(RecoveryChange::Leave { pid: tracked.pid, room });
            match seq {
                Some(_) if is_noted => seen.forget(room),
                Some(seq) => seen.set_behind(room, Some(seq)),
                // It was being caught up with, and the process may end before what is noted is written.
                None => {}
            }
            if seen.offset.behind.len() > MAX_BEHIND {
                self.outbox.close(Close::NotRecovered);
            }
        }
    }

    /// A join failed, and may have been written down all the same: until the room is joined or left, the offset says
    /// that nothing was seen of it.
    pub(super) fn not_joined(&self) {
        if let Some(tracked) = &self.tracked
            && tracked.seen().offset.behind.len() > MAX_BEHIND
        {
            self.outbox.close(Close::NotRecovered);
        }
    }

    /// As much was seen of each room as of the others.
    pub(super) fn all_caught_up(&self) {
        if let Some(tracked) = &self.tracked {
            let seen = &mut *tracked.seen();
            *seen = Seen { offset: Offset { position: seen.offset.position, behind: Vec::new() }, ..Seen::default() };
        }
    }

    /// Up to where a client that can be recovered has seen its rooms.
    pub(super) fn position(&self) -> Position {
        self.tracked.as_ref().map_or(Position::default(), |tracked| tracked.seen().offset.position)
    }

    /// Marks that something was queued; true for the first since the last flush.
    pub(super) fn touch(&self) -> bool {
        !self.dirty.swap(true, Relaxed)
    }

    pub(super) fn flush(&self) {
        self.dirty.store(false, Relaxed);
        self.outbox.flush();
    }
}

/// A clock that only goes forward.
fn millis() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_millis()).unwrap_or(u64::MAX)
}
