//! How a member comes into a room: events are kept for it while its snapshot and what it missed are read, so that what
//! those lack is not lost, and it goes live when it has the rest. Reading is not done here; see [`crate::join`] and
//! [`crate::catch_up`].

use std::sync::Arc;

use gossip_proto::id::{RoomId, Seq};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_store::Position;

use super::{ConnectionId, Order, Peer, Progress, Replayed, Shard, Snapshot, Subscribed, touch};
use crate::event::Event;
use crate::outbox::Asked;
use crate::run::RoomRun;
use crate::story;

/// Events kept for one member of a room. With more they are let go, and read from the log when it is ready for them.
pub(super) const MAX_KEPT: usize = 1024;

pub(super) enum Membership {
    Live {
        /// What the client was told the room was at: events up to it are not new to it.
        after: Seq,
    },
    Loading(Loading),
    /// Its connection lags: what comes after `after` is left in the log.
    Lagging {
        after: Seq,
    },
}

/// A member that is being caught up with.
#[derive(Default)]
pub(super) struct Loading {
    kept: Vec<Kept>,
    /// There were more than could be kept.
    is_overfull: bool,
    /// What the client has, where it was live before it asked for a snapshot: a failed one puts it back there.
    before: Option<Seq>,
    /// How far the others of a connection that can be recovered were when this began.
    others: Position,
}

struct Kept {
    /// Its place among all events of the shard.
    arrival: u64,
    /// None for a custom one.
    seq: Option<Seq>,
    event: Arc<Event>,
}

pub(super) struct Member {
    pub(super) peer: Arc<Peer>,
    pub(super) membership: Membership,
}

/// What becomes of events that are passed to members.
pub(super) struct Passing<'a> {
    /// Who is to be flushed.
    pub(super) dirty: &'a mut Vec<Arc<Peer>>,
    pub(super) delivered: &'a mut u64,
    /// Who begins to lag.
    pub(super) lagging: &'a mut Vec<Arc<Peer>>,
    /// The last position that has passed.
    pub(super) position: Position,
}

impl Member {
    /// What the client has of the room, where it is or was live; `passed` is the last event that did.
    pub(super) fn seen(&self, passed: Option<Seq>) -> Option<Seq> {
        match &self.membership {
            Membership::Lagging { after } => Some(*after),
            Membership::Live { after } => Some(passed.map_or(*after, |passed| passed.max(*after))),
            Membership::Loading(loading) => loading.before,
        }
    }

    /// As [`Member::pass`], for each event of a run: `arrivals` came before it.
    pub(super) fn pass_run(&mut self, arrivals: u64, run: &RoomRun, passing: &mut Passing<'_>) {
        if let Membership::Live { after } = self.membership
            && run.first > after
            && !self.peer.must_lag(passing.lagging)
        {
            self.peer.run(&run.run);
            touch(passing.dirty, &self.peer);
            *passing.delivered += run.run.events().len() as u64;
        } else {
            for (arrival, (seq, event)) in (arrivals + 1..).zip(run.events()) {
                self.pass(arrival, run.room, Some(seq), event, passing);
            }
        }
    }

    /// As [`Member::pass_run`], and sends it at once where nothing else is to go with it.
    pub(super) fn send_run(&mut self, arrivals: u64, run: &RoomRun, passing: &mut Passing<'_>) {
        if let Membership::Live { after } = self.membership
            && run.first > after
            && !self.peer.must_lag(passing.lagging)
            && self.peer.send_run(&run.run)
        {
            *passing.delivered += run.run.events().len() as u64;
        } else {
            self.pass_run(arrivals, run, passing);
        }
    }

    /// Sends an event on, keeps it for later, leaves it in the log, or drops what the member has already. A custom one
    /// has no `seq`.
    pub(super) fn pass(
        &mut self,
        arrival: u64,
        room: RoomId,
        seq: Option<Seq>,
        event: &Arc<Event>,
        passing: &mut Passing<'_>,
    ) {
        match &mut self.membership {
            Membership::Live { after } | Membership::Lagging { after } if seq.is_some_and(|seq| seq <= *after) => {}
            Membership::Live { .. } if !self.peer.must_lag(passing.lagging) => {
                self.peer.event(event);
                touch(passing.dirty, &self.peer);
                *passing.delivered += 1;
            }
            Membership::Live { .. } | Membership::Lagging { .. } => {
                let Some(seq) = seq else { return self.peer.keep_custom(passing.position, Some(room), event) };
                if let Membership::Live { .. } = self.membership {
                    self.membership = Membership::Lagging { after: Seq(seq.0.saturating_sub(1)) };
                }
                self.peer.keep(room, seq, event);
            }
            Membership::Loading(loading) if loading.kept.len() < MAX_KEPT => {
                loading.kept.push(Kept { arrival, seq, event: Arc::clone(event) });
            }
            Membership::Loading(loading) => {
                loading.is_overfull = true;
                loading.kept = Vec::new();
            }
        }
    }
}

impl Shard {
    pub(super) fn subscribe(
        &mut self,
        id: ConnectionId,
        room_id: RoomId,
        asked: Option<&Asked>,
        needs_snapshot: bool,
    ) -> Subscribed {
        let Some(peer) = self.enter(id, room_id) else { return Subscribed::TooManyRooms };
        let Some(room) = self.rooms.get_mut(&room_id) else { return Subscribed::Done };
        let before = room.members.get(&id).and_then(|member| member.seen(room.passed));
        match room.at {
            Some(at) if !needs_snapshot => {
                // What has not passed yet is still to come to who is live already.
                let after = before.unwrap_or(at);
                let membership = if peer.is_lagging() {
                    peer.lags_in_another_room();
                    Membership::Lagging { after }
                } else {
                    Membership::Live { after }
                };
                room.members.insert(id, Member { peer: Arc::clone(&peer), membership });
                let reply = Reply::Joined { room_id, seq: after, recovered: None, intents: None };
                if let Some(asked) = asked {
                    self.answer(&peer, asked, &Ok(reply));
                }
                Subscribed::Done
            }
            _ => {
                peer.set_behind(room_id, before);
                // Of a room that lags, what is kept from now on is not all that is missing.
                let is_overfull = before.is_some() && peer.is_lagging();
                let membership =
                    Membership::Loading(Loading { before, is_overfull, others: peer.position(), ..Loading::default() });
                room.members.insert(id, Member { peer, membership });
                Subscribed::Loading { before }
            }
        }
    }

    /// Begins to keep events of rooms that are caught up with together; those that are too many are returned.
    pub(super) fn expect(&mut self, id: ConnectionId, mut rooms: Vec<RoomId>) -> Vec<RoomId> {
        rooms.retain(|room_id| {
            let Some(peer) = self.enter(id, *room_id) else { return true };
            if let Some(room) = self.rooms.get_mut(room_id) {
                let membership = Membership::Loading(Loading::default());
                room.members.insert(id, Member { peer, membership });
            }
            false
        });
        rooms
    }

    /// Notes a room as one of the connection's; nothing if it would be one too many.
    fn enter(&mut self, id: ConnectionId, room: RoomId) -> Option<Arc<Peer>> {
        let connection = self.connections.get_mut(&id)?;
        if !connection.rooms.contains(&room) {
            if connection.rooms.len() >= self.limits.max_rooms {
                return None;
            }
            connection.rooms.insert(room);
        }
        let directory = &self.directory;
        self.rooms.entry(room).or_insert_with(|| {
            directory.rooms.add(room);
            super::Room::default()
        });
        Some(Arc::clone(&connection.peer))
    }

    pub(super) fn joined(
        &mut self,
        id: ConnectionId,
        room_id: RoomId,
        asked: &Asked,
        snapshot: Result<Snapshot, Refusal>,
    ) -> Progress {
        let Some((room_at, peer, loading)) = self.loading(id, room_id) else {
            // It has lost the room meanwhile, and was told so: the join is owed its answer all the same.
            if let Some(peer) = self.connections.get(&id).map(|connection| Arc::clone(&connection.peer)) {
                self.answer(&peer, asked, &Err(super::withdrawn()));
            }
            return Progress::Gone;
        };
        let (before, is_overfull) = (loading.before, loading.is_overfull);
        let Snapshot { after, reply, is_replayed } = match snapshot {
            Ok(snapshot) => snapshot,
            Err(refusal) => {
                self.answer(&peer, asked, &Err(refusal));
                match before {
                    Some(before) => {
                        if is_overfull {
                            // What is missing is in the log.
                            peer.begin_lag(&mut self.lagging);
                        }
                        self.go_live(id, Order::OneRoom, &[(room_id, before)]);
                    }
                    None => {
                        self.unsubscribe(id, room_id);
                        peer.not_joined();
                    }
                }
                return Progress::Gone;
            }
        };
        if !is_replayed {
            // Not earlier than the shard: what passed before the subscription, the snapshot has.
            *room_at = Some(room_at.map_or(after, |at| at.max(after)));
        }
        if is_replayed {
            // Before the ack: the connection may end between that and the first missed event.
            peer.set_behind(room_id, Some(after));
            peer.mark();
        }
        self.answer(&peer, asked, &Ok(reply));
        if is_replayed {
            return Progress::Behind;
        }
        self.go_live(id, Order::OneRoom, &[(room_id, after)])
    }

    /// Queues missed events; with `live_after` they were the last.
    pub(super) fn replay(
        &mut self,
        id: ConnectionId,
        events: &[Replayed],
        order: Order,
        live_after: &[(RoomId, Seq)],
    ) -> Progress {
        let Some(connection) = self.connections.get(&id) else { return Progress::Gone };
        let peer = Arc::clone(&connection.peer);
        if order == Order::AllRooms {
            peer.all_caught_up();
        }
        for Replayed { room, seq, event } in events {
            // It may have lost the room meanwhile.
            if let Some((.., loading)) = self.loading(id, *room) {
                loading.before = loading.before.map(|_| *seq);
                match order {
                    Order::OneRoom => peer.replayed(*room, *seq, event),
                    Order::AllRooms => peer.event(event),
                }
                self.delivered += 1;
            }
        }
        touch(&mut self.dirty, &peer);
        if live_after.is_empty() { Progress::Behind } else { self.go_live(id, order, live_after) }
    }

    /// From here on events reach the member as they come, those that were kept first. Where some could not be kept, the
    /// log must be read on, and nothing is passed. If the connection lags, or begins to here, so do these rooms, and the
    /// rest is not the caller's to bring.
    fn go_live(&mut self, id: ConnectionId, order: Order, live_after: &[(RoomId, Seq)]) -> Progress {
        let Some(connection) = self.connections.get(&id) else { return Progress::Gone };
        let peer = Arc::clone(&connection.peer);
        let (mut is_overfull, mut others) = (false, self.position);
        for (room, _) in live_after {
            if let Some((.., loading)) = self.loading(id, *room) {
                is_overfull |= std::mem::take(&mut loading.is_overfull);
                others = others.max(loading.others);
            }
        }
        if order == Order::OneRoom && peer.position() > others {
            // They lagged, and were brought further than this room may be, from a log that is ahead of what passes here:
            // one position says again what was seen of all when it has been read for all.
            peer.begin_lag(&mut self.lagging);
        }
        if is_overfull && !peer.is_lagging() {
            return Progress::Behind;
        }
        let mut passed: Vec<(RoomId, Kept)> = Vec::new();
        for &(room_id, after) in live_after {
            let Some(member) = self.rooms.get_mut(&room_id).and_then(|room| room.members.get_mut(&id)) else {
                continue;
            };
            let lagging = Membership::Lagging { after };
            if let Membership::Loading(loading) = std::mem::replace(&mut member.membership, lagging) {
                let new = loading.kept.into_iter().filter(|kept| kept.seq.is_none_or(|seq| seq > after));
                passed.extend(new.map(|kept| (room_id, kept)));
            }
        }
        passed.sort_unstable_by_key(|(_, kept)| kept.arrival);
        touch(&mut self.dirty, &peer);
        for (room, Kept { seq, event, .. }) in &passed {
            if peer.must_lag(&mut self.lagging) {
                if seq.is_none() {
                    peer.keep_custom(self.position, Some(*room), event);
                }
                continue;
            }
            match (order, seq) {
                (Order::OneRoom, Some(seq)) => peer.replayed(*room, *seq, event),
                _ => peer.event(event),
            }
            self.delivered += 1;
            if let Some(seq) = *seq {
                self.set_membership(id, *room, Membership::Lagging { after: seq });
            }
        }
        for (room, _) in live_after {
            self.join_the_others(&peer, *room, order);
        }
        Progress::Live
    }

    /// A room that has been caught up with is as the connection's others are: live, unless they lag.
    fn join_the_others(&mut self, peer: &Peer, room: RoomId, order: Order) {
        let Some(after) = self.lagging_after(peer.id, room) else { return };
        if !peer.is_lagging() {
            self.set_membership(peer.id, room, Membership::Live { after });
            return peer.caught_up(room);
        }
        peer.lags_in_another_room();
        if order == Order::OneRoom {
            peer.lags_with_others(room, after);
        }
    }

    fn loading(&mut self, id: ConnectionId, room: RoomId) -> Option<(&mut Option<Seq>, Arc<Peer>, &mut Loading)> {
        let room = self.rooms.get_mut(&room)?;
        let member = room.members.get_mut(&id)?;
        match &mut member.membership {
            Membership::Loading(loading) => Some((&mut room.at, Arc::clone(&member.peer), loading)),
            Membership::Live { .. } | Membership::Lagging { .. } => None,
        }
    }

    /// Takes a member out of a room and tells it (contract §3, `room_closed`).
    pub(super) fn close_room(&mut self, id: ConnectionId, room: RoomId, code: Code) {
        if let Some(at) = self.rooms.get(&room)
            && let Some(member) = at.members.get(&id)
        {
            let seen = match &member.membership {
                Membership::Live { .. } | Membership::Lagging { .. } => member.seen(at.passed),
                Membership::Loading(_) => None,
            };
            member.peer.closed(room, seen);
        }
        self.unsubscribe(id, room);
        self.tell(id, &super::room_closed(room, code));
        story::room_closed(id, room, code);
    }
}
