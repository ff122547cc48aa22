//! Connections that lag: their clients take less than there is, so that events are left in the log, and read from there
//! when there is room for them again. All rooms of such a connection wait together and go on in the order of positions,
//! so that one position says what the client has of all of them. When to read is decided in [`crate::lag`].

use std::collections::VecDeque;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard, PoisonError};

use gossip_proto::id::{RoomId, Seq};
use gossip_store::Position;
use tokio::task::AbortHandle;

use super::joining::{Member, Membership};
use super::{ConnectionId, Peer, Progress, Replayed, Shard, touch};
use crate::event::Event;
use crate::story;

/// Events kept while the log is read, so that a room in which much happens is caught up with.
const MAX_KEPT: usize = 128;

/// Custom events are not in the log: so many bytes of them wait in their places, those beyond are let go.
const MAX_CUSTOM: usize = 64 * 1024;

/// What a custom event that waits costs beside its data.
const CUSTOM_COST: usize = 64;

/// A connection that lags.
#[derive(Default)]
pub(super) struct Lag {
    /// Grows when a room is added to those that lag: what was read before that lacks the room's events.
    version: u64,
    /// What passed since the log was last asked; none where that was too much, or where it was not asked.
    kept: Option<Vec<(RoomId, Seq, Arc<Event>)>>,
    customs: VecDeque<Custom>,
    customs_cost: usize,
}

/// A custom event that waits.
struct Custom {
    /// The last that had passed when it came.
    passed: Position,
    /// Where it was sent to a room.
    room: Option<RoomId>,
    event: Arc<Event>,
}

impl Custom {
    fn cost(&self) -> usize {
        cost_of(&self.event)
    }
}

impl Lag {
    fn keep(&mut self, room: RoomId, seq: Seq, event: &Arc<Event>) {
        match &mut self.kept {
            Some(kept) if kept.len() < MAX_KEPT => kept.push((room, seq, Arc::clone(event))),
            _ => self.kept = None,
        }
    }

    /// The custom events that came before this position passed.
    fn customs_before(&mut self, position: Position) -> impl Iterator<Item = Arc<Event>> {
        let count = self.customs.iter().take_while(|custom| custom.passed < position).count();
        let (cost, customs) = (&mut self.customs_cost, &mut self.customs);
        customs.drain(..count).map(|custom| {
            *cost -= custom.cost();
            custom.event
        })
    }
}

fn cost_of(custom: &Event) -> usize {
    custom.data().len() + custom.name().len() + CUSTOM_COST
}

/// What a connection that lags is to be sent.
pub(crate) struct Missing {
    /// To be given back with what was read.
    pub(crate) version: u64,
    /// The rooms, each with the last event that was queued for the client.
    pub(crate) after: Vec<(RoomId, Seq)>,
    /// The same rooms with their last event: so far the log must have them.
    pub(crate) last: Vec<(RoomId, Seq)>,
}

/// What was read of it.
pub(crate) struct Refill {
    /// Of the [`Missing`] that it was read for.
    pub(crate) version: u64,
    /// In the order of positions.
    pub(crate) events: Vec<Replayed>,
    /// There was no more.
    pub(crate) is_last: bool,
}

/// The task that reads for a connection; it ends with this.
pub(super) struct Refilling(AbortHandle);

impl Drop for Refilling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Peer {
    pub(super) fn is_lagging(&self) -> bool {
        self.lagging.load(Relaxed)
    }

    /// Whether events are left in the log for it. Where that begins, it is added to `lagging`, to be looked after before
    /// anything else is handled.
    pub(super) fn must_lag(self: &Arc<Self>, lagging: &mut Vec<Arc<Peer>>) -> bool {
        if !self.is_lagging() && self.outbox.is_behind() {
            self.begin_lag(lagging);
        }
        self.is_lagging()
    }

    pub(super) fn begin_lag(self: &Arc<Self>, lagging: &mut Vec<Arc<Peer>>) {
        if !self.lagging.swap(true, Relaxed) {
            *self.lag() = Some(Box::default());
            lagging.push(Arc::clone(self));
        }
    }

    fn lag(&self) -> MutexGuard<'_, Option<Box<Lag>>> {
        self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A room is among those that lag from now on.
    pub(super) fn lags_in_another_room(&self) {
        if let Some(lag) = &mut *self.lag() {
            lag.version += 1;
        }
    }

    /// An event passed that it is to get from the log, unless that was read already.
    pub(super) fn keep(&self, room: RoomId, seq: Seq, event: &Arc<Event>) {
        if let Some(lag) = &mut *self.lag() {
            lag.keep(room, seq, event);
        }
    }

    /// A custom event came, after this position had passed; `room` where it is for the members of one.
    pub(super) fn keep_custom(&self, passed: Position, room: Option<RoomId>, event: &Arc<Event>) {
        if let Some(lag) = &mut *self.lag()
            && lag.customs_cost + cost_of(event) <= MAX_CUSTOM
        {
            lag.customs_cost += cost_of(event);
            lag.customs.push_back(Custom { passed, room, event: Arc::clone(event) });
        }
    }

    /// The room is not its any more: what was sent to its members and waits is not to be sent.
    pub(super) fn drop_customs(&self, room: RoomId) {
        if let Some(lag) = &mut *self.lag() {
            lag.customs.retain(|custom| custom.room != Some(room));
            lag.customs_cost = lag.customs.iter().map(Custom::cost).sum();
        }
    }

    /// Queues an event that was missed, in the order of positions, after the custom ones that came before it.
    fn refill(&self, room: RoomId, seq: Seq, event: &Arc<Event>) {
        if let Some(lag) = &mut *self.lag() {
            let customs = lag.customs_before(event.position().unwrap_or_default());
            customs.for_each(|custom| self.event(&custom));
        }
        self.refilled(room, seq, event);
    }
}

impl Member {
    /// The connection begins to lag: what passes from now on comes later.
    fn lag(&mut self, passed: Option<Seq>) {
        if let Membership::Live { .. } = self.membership
            && let Some(after) = self.seen(passed)
        {
            self.membership = Membership::Lagging { after };
        }
    }
}

impl Shard {
    /// Brings the other rooms of who begins to lag to a halt, too.
    pub(super) fn settle_lags(&mut self) {
        for peer in std::mem::take(&mut self.lagging) {
            let Some(connection) = self.connections.get(&peer.id) else { continue };
            for room in &connection.rooms {
                if let Some(room) = self.rooms.get_mut(room)
                    && let Some(member) = room.members.get_mut(&peer.id)
                {
                    member.lag(room.passed);
                }
            }
            self.stats.lagged();
            story::lags(peer.id);
            self.to_refill.push(peer);
        }
    }

    /// Has `start` look after each connection that began to lag.
    pub(super) fn start_refills(&mut self, start: impl Fn(Arc<Peer>) -> AbortHandle) {
        for peer in std::mem::take(&mut self.to_refill) {
            let id = peer.id;
            let refilling = Refilling(start(peer));
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.refilling = Some(refilling);
            }
        }
    }

    /// The log is about to be read: what passes from now on is kept, as far as that can be.
    pub(super) fn missing(&mut self, id: ConnectionId) -> Option<Missing> {
        let connection = self.connections.get(&id)?;
        let mut lag = connection.peer.lag();
        let lag = lag.as_mut()?;
        lag.kept = Some(Vec::new());
        let mut missing = Missing { version: lag.version, after: Vec::new(), last: Vec::new() };
        for room_id in &connection.rooms {
            if let Some(room) = self.rooms.get(room_id)
                && let Some(Membership::Lagging { after }) = room.members.get(&id).map(|member| &member.membership)
            {
                missing.after.push((*room_id, *after));
                missing.last.push((*room_id, room.passed.map_or(*after, |passed| passed.max(*after))));
            }
        }
        Some(missing)
    }

    /// Queues what was read; where nothing is missing after it, events reach the client as they come again.
    pub(super) fn refill(&mut self, id: ConnectionId, refill: &Refill) -> Progress {
        let Some(connection) = self.connections.get(&id) else { return Progress::Gone };
        let peer = Arc::clone(&connection.peer);
        let Some(version) = peer.lag().as_ref().map(|lag| lag.version) else { return Progress::Gone };
        if version != refill.version {
            return Progress::Behind;
        }
        touch(&mut self.dirty, &peer);
        for Replayed { room, seq, event } in &refill.events {
            // It may have left the room meanwhile, and have come back in another place.
            if self.lagging_after(id, *room).is_some_and(|after| after.next() == *seq) {
                self.refill_one(&peer, *room, *seq, event);
            }
        }
        if !refill.is_last {
            return Progress::Behind;
        }
        let kept = peer.lag().as_mut().and_then(|lag| lag.kept.take());
        let Some(kept) = kept else { return Progress::Behind };
        for (room, seq, event) in kept {
            match self.lagging_after(id, room) {
                Some(after) if seq <= after => {}
                Some(after) if seq == after.next() && !peer.outbox.is_behind() => {
                    self.refill_one(&peer, room, seq, &event);
                }
                Some(_) => return Progress::Behind,
                None => {}
            }
        }
        self.end_lag(id);
        Progress::Live
    }

    fn refill_one(&mut self, peer: &Peer, room: RoomId, seq: Seq, event: &Arc<Event>) {
        peer.refill(room, seq, event);
        self.delivered += 1;
        self.set_membership(peer.id, room, Membership::Lagging { after: seq });
    }

    fn end_lag(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        // Its last act was to ask for this.
        connection.refilling = None;
        let peer = Arc::clone(&connection.peer);
        let rooms: Vec<_> = connection.rooms.iter().copied().collect();
        for room in rooms {
            if let Some(after) = self.lagging_after(id, room) {
                self.set_membership(id, room, Membership::Live { after });
            }
        }
        peer.lagging.store(false, Relaxed);
        let lag = peer.lag().take();
        for custom in lag.into_iter().flat_map(|lag| lag.customs) {
            peer.event(&custom.event);
        }
        peer.all_refilled();
        story::caught_up(id);
    }

    pub(super) fn lagging_after(&self, id: ConnectionId, room: RoomId) -> Option<Seq> {
        match self.rooms.get(&room)?.members.get(&id)?.membership {
            Membership::Lagging { after } => Some(after),
            Membership::Live { .. } | Membership::Loading(_) => None,
        }
    }

    pub(super) fn set_membership(&mut self, id: ConnectionId, room: RoomId, membership: Membership) {
        if let Some(member) = self.rooms.get_mut(&room).and_then(|room| room.members.get_mut(&id)) {
            member.membership = membership;
        }
    }
}
