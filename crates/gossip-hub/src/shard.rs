//! A shard owns a part of the connections: which rooms they are in, when they must be gone, and the order in which
//! everything reaches them. Maps and decisions only, without locks: whoever wants something of it puts an [`Item`]
//! into its inbox.
//!
//! How a member comes into a room is in [`joining`]. Its snapshot may be ahead of the shard, which hears of a commit a
//! little after the store: a live member knows from where on events are new to it.

mod access;
mod item;
mod joining;
mod lag;
mod peer;
mod run;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hint::black_box;
use std::sync::Arc;

use gossip_core::access::Reach;
use gossip_proto::id::{RoomId, Seq, UserId};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_proto::timestamp::Timestamp;
use gossip_store::Position;
use indexmap::IndexMap;

use crate::directory::Directory;
use crate::event::Event;
use crate::outbox::{Asked, Close, ReplyTo};
use crate::run::RoomRun;
use crate::stats::Stats;

pub(crate) use item::{Answer, Audience, Item, Order, Progress, Replayed, Snapshot, Subscribed};
use joining::{Member, Passing};
use lag::Refilling;
pub(crate) use lag::{Missing, Refill};
pub use peer::RECOVERY;
pub(crate) use peer::{ConnectionId, Peer, Tracked};
pub(crate) use run::run;

#[derive(Default)]
struct Room {
    members: IndexMap<ConnectionId, Member>,
    /// Where the room is, once that is known; a snapshot may have told before the event passed.
    at: Option<Seq>,
    /// The last event that passed here.
    passed: Option<Seq>,
}

impl Room {
    fn reach(&mut self, last: Seq) {
        self.at = Some(self.at.map_or(last, |at| at.max(last)));
        self.passed = Some(last);
    }
}

struct Connection {
    peer: Arc<Peer>,
    user: Option<UserId>,
    reach: Reach,
    rooms: HashSet<RoomId>,
    deadline: Timestamp,
    /// Was told to go.
    is_ending: bool,
    /// Reads what it missed while it lags.
    refilling: Option<Refilling>,
}

/// Members whose records are brought near before they are written to.
const LOOKAHEAD: usize = 16;

/// Bounds of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_rooms: usize,
}

pub(crate) struct Shard {
    limits: Limits,
    directory: Arc<Directory>,
    stats: Arc<Stats>,
    connections: HashMap<ConnectionId, Connection>,
    rooms: HashMap<RoomId, Room>,
    users: HashMap<UserId, HashSet<ConnectionId>>,
    /// When each connection must be gone: unauthenticated, or with its token.
    deadlines: BTreeSet<(Timestamp, ConnectionId)>,
    dirty: Vec<Arc<Peer>>,
    delivered: u64,
    /// Events of rooms that came so far.
    arrivals: u64,
    /// The last position that passed.
    position: Position,
    /// Who began to lag, by what is being handled and by what was.
    lagging: Vec<Arc<Peer>>,
    to_refill: Vec<Arc<Peer>>,
}

impl Shard {
    pub(crate) fn new(limits: Limits, directory: Arc<Directory>, stats: Arc<Stats>) -> Shard {
        Shard {
            limits,
            directory,
            stats,
            connections: HashMap::new(),
            rooms: HashMap::new(),
            users: HashMap::new(),
            deadlines: BTreeSet::new(),
            dirty: Vec::new(),
            delivered: 0,
            arrivals: 0,
            position: Position::default(),
            lagging: Vec::new(),
            to_refill: Vec::new(),
        }
    }

    pub(crate) fn handle(&mut self, item: Item) {
        match item {
            Item::Open { peer, authenticate_by } => self.open(peer, authenticate_by),
            Item::Authenticated { id, user, reach, expires_at } => self.authenticated(id, user, reach, expires_at),
            Item::Subscribe { id, room, asked, needs_snapshot, done } => {
                // Who asked may be gone; then so is the connection, and this was for nothing.
                let _ = done.send(self.subscribe(id, room, asked.as_ref(), needs_snapshot));
            }
            Item::Expect { id, rooms, done } => drop(done.send(self.expect(id, rooms))),
            Item::Joined { id, room, asked, snapshot, done } => {
                let _ = done.send(self.joined(id, room, &asked, *snapshot));
            }
            Item::Replay { id, events, order, live_after, done } => {
                let _ = done.send(self.replay(id, &events, order, &live_after));
            }
            Item::Missing { id, done } => drop(done.send(self.missing(id))),
            Item::Refill { id, refill, done } => drop(done.send(self.refill(id, &refill))),
            Item::CloseRoom { id, room, code } => self.close_room(id, room, code),
            Item::Withdraw { user, room } => self.withdraw(user, room),
            Item::Recheck { user, done } => drop(done.send(self.recheck(user))),
            Item::CloseUser { user } => self.close_user(user),
            Item::Leave { id, room, asked } => self.leave(id, room, &asked),
            Item::Committed { runs, answers } => self.committed(&runs, answers),
            Item::Tell { id, event } => self.tell(id, &event),
            Item::Emit { audience, event } => self.emit(audience, &event),
            Item::CloseSome { count, close, done } => {
                self.close_some(count, close);
                // Who asked may have run out of time.
                let _ = done.send(());
            }
            Item::Closed(id) => self.closed(id),
        }
        self.settle_lags();
    }

    fn open(&mut self, peer: Arc<Peer>, deadline: Timestamp) {
        self.deadlines.insert((deadline, peer.id));
        self.connections.insert(
            peer.id,
            Connection {
                peer,
                user: None,
                reach: Reach::Listed([].into()),
                rooms: HashSet::new(),
                deadline,
                is_ending: false,
                refilling: None,
            },
        );
    }

    /// A token came, the first or another: rooms that it does not reach are closed to the connection.
    fn authenticated(&mut self, id: ConnectionId, user: UserId, reach: Reach, expires_at: Timestamp) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        self.deadlines.remove(&(connection.deadline, id));
        connection.deadline = expires_at;
        self.deadlines.insert((expires_at, id));
        if connection.user.replace(user).is_none() {
            self.users.entry(user).or_default().insert(id);
            self.directory.users.add(user);
        }
        connection.reach = reach;
        self.close_unreached(id);
    }

    fn tell(&mut self, id: ConnectionId, event: &Arc<Event>) {
        if let Some(connection) = self.connections.get(&id) {
            connection.peer.event(event);
            touch(&mut self.dirty, &connection.peer);
        }
    }

    /// Queues the answer to a request.
    fn answer(&mut self, peer: &Arc<Peer>, asked: &Asked, reply: &Result<Reply, Refusal>) {
        self.answer_of(peer, asked, reply, None);
    }

    /// Queues the answer to a command, which this transaction carried out.
    fn answer_of(&mut self, peer: &Arc<Peer>, asked: &Asked, reply: &Result<Reply, Refusal>, commit: Option<u64>) {
        self.stats.tell_answered(peer.id, asked, reply, commit);
        peer.outbox.reply(&asked.to, reply);
        touch(&mut self.dirty, peer);
    }

    fn leave(&mut self, id: ConnectionId, room: RoomId, asked: &Asked) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let peer = Arc::clone(&connection.peer);
        self.unsubscribe(id, room);
        peer.left(room);
        self.answer(&peer, asked, &Ok(Reply::Left { room_id: room }));
    }

    fn unsubscribe(&mut self, id: ConnectionId, room_id: RoomId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.rooms.remove(&room_id);
            connection.peer.drop_customs(room_id);
        }
        let Some(room) = self.rooms.get_mut(&room_id) else {
            return;
        };
        room.members.swap_remove(&id);
        if room.members.is_empty() {
            self.rooms.remove(&room_id);
            self.directory.rooms.remove(&room_id);
        } else if room.members.capacity() > 1024 && room.members.len() < room.members.capacity() / 4 {
            room.members.shrink_to_fit();
        }
    }

    fn committed(&mut self, runs: &[RoomRun], answers: Vec<Answer>) {
        for run in runs {
            self.reach(run);
            let Shard { rooms, dirty, delivered, lagging, position, .. } = self;
            let Some(room) = rooms.get_mut(&run.room) else {
                continue;
            };
            let passing = &mut Passing { dirty, delivered, lagging, position: *position };
            for member in room.members.values_mut() {
                member.pass_run(self.arrivals, run, passing);
            }
            self.arrivals += run.run.events().len() as u64;
        }
        self.answer_all(answers);
    }

    /// The first step of a commit that is the last of what there is to do, and of one run: it is written to each member
    /// as it comes to it, rather than queued for all and then written. Those who are answered too get both together.
    pub(crate) fn begin_sending(&mut self, run: &RoomRun, answers: &[Answer]) {
        answers.iter().for_each(|answer| touch(&mut self.dirty, &answer.peer));
        self.reach(run);
    }

    fn reach(&mut self, run: &RoomRun) {
        self.position = RoomRun::positions(&run.run).map_or(self.position, |(_, last)| last);
        if let Some(room) = self.rooms.get_mut(&run.room) {
            room.reach(run.last());
        }
    }

    /// Sends to so many members, from a place in the room on; false if there are no more. Nothing else may be handled
    /// before all have it.
    pub(crate) fn send_some(&mut self, run: &RoomRun, from: usize, count: usize) -> bool {
        let Shard { rooms, dirty, delivered, lagging, position, .. } = self;
        let Some(room) = rooms.get_mut(&run.room) else {
            return false;
        };
        let passing = &mut Passing { dirty, delivered, lagging, position: *position };
        let until = room.members.len().min(from + count);
        for start in (from..until).step_by(LOOKAHEAD) {
            let Some(some) = room.members.get_range_mut(start..until.min(start + LOOKAHEAD)) else { break };
            // What is kept of each lies far apart in memory: looked at together it comes together, not one after the other.
            black_box(some.values().filter(|member| member.peer.outbox.is_closed()).count());
            for member in some.values_mut() {
                member.send_run(self.arrivals, run, passing);
            }
        }
        until < room.members.len()
    }

    /// The last step.
    pub(crate) fn end_sending(&mut self, run: &RoomRun, answers: Vec<Answer>) {
        self.arrivals += run.run.events().len() as u64;
        self.answer_all(answers);
        self.settle_lags();
    }

    fn answer_all(&mut self, answers: Vec<Answer>) {
        for Answer { peer, asked, reply, commit } in answers {
            self.answer_of(&peer, &asked, &reply, commit);
            peer.under_way.finish(1);
        }
    }

    fn emit(&mut self, audience: Audience, event: &Arc<Event>) {
        let Shard { connections, rooms, users, dirty, delivered, arrivals, lagging, position, .. } = self;
        if let Audience::Room(room) = audience {
            *arrivals += 1;
            let passing = &mut Passing { dirty, delivered, lagging, position: *position };
            for member in rooms.get_mut(&room).into_iter().flat_map(|room| room.members.values_mut()) {
                member.pass(*arrivals, room, None, event, passing);
            }
            return;
        }
        // That the server goes away is not to wait until the client has caught up.
        let waits = !matches!(audience, Audience::Everybody);
        let mut send = |connection: &Connection| {
            if waits && connection.peer.must_lag(lagging) {
                return connection.peer.keep_custom(*position, None, event);
            }
            connection.peer.event(event);
            touch(dirty, &connection.peer);
            *delivered += 1;
        };
        match audience {
            Audience::Room(_) => {}
            Audience::User(user) => {
                users.get(&user).into_iter().flatten().filter_map(|id| connections.get(id)).for_each(send);
            }
            Audience::Authenticated => connections.values().filter(|each| each.user.is_some()).for_each(&mut send),
            Audience::Everybody => connections.values().for_each(&mut send),
        }
    }

    fn close_some(&mut self, count: usize, close: Close) {
        for connection in self.connections.values_mut().filter(|connection| !connection.is_ending).take(count) {
            connection.is_ending = true;
            connection.peer.outbox.close(close);
        }
    }

    fn closed(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        self.deadlines.remove(&(connection.deadline, id));
        let (user, protocol) = (connection.user, connection.peer.outbox.protocol());
        for room in std::mem::take(&mut connection.rooms) {
            self.unsubscribe(id, room);
        }
        self.connections.remove(&id);
        if let Some(user) = user
            && let Some(connections) = self.users.get_mut(&user)
        {
            connections.remove(&id);
            if connections.is_empty() {
                self.users.remove(&user);
            }
            self.directory.users.remove(&user);
        }
        if self.connections.capacity() > 1024 && self.connections.len() < self.connections.capacity() / 4 {
            self.connections.shrink_to_fit();
            self.users.shrink_to_fit();
            self.rooms.shrink_to_fit();
        }
        self.stats.closed(protocol);
    }

    /// Ends the connections whose time is over.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        while let Some(&(deadline, id)) = self.deadlines.first() {
            if deadline > now {
                return;
            }
            self.deadlines.remove(&(deadline, id));
            if let Some(connection) = self.connections.get(&id) {
                let close = if connection.user.is_some() { Close::TokenExpired } else { Close::AuthTimeout };
                if let Some(refusal) = close.refusal() {
                    connection.peer.outbox.reply(&ReplyTo::NOBODY, &Err(refusal));
                }
                connection.peer.outbox.close(close);
            }
        }
    }
}

/// What a client is told of a room that it has no longer.
pub(crate) fn room_closed(room: RoomId, code: Code) -> Arc<Event> {
    Arc::new(Event::room_closed(room, code))
}

fn withdrawn() -> Refusal {
    Refusal::new(Code::Forbidden, "access to the room was withdrawn")
}

fn touch(dirty: &mut Vec<Arc<Peer>>, peer: &Arc<Peer>) {
    if peer.touch() {
        dirty.push(Arc::clone(peer));
    }
}

/// The refusal for one room too many.
pub(crate) fn too_many_rooms(limits: Limits) -> Refusal {
    Refusal::new(Code::Forbidden, format!("a connection may be in at most {} rooms", limits.max_rooms))
}

#[cfg(test)]
mod tests;
