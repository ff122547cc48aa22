//! A shard owns a part of the connections: which rooms they are in, when they must be gone, and the order in which
//! everything reaches them. Maps and decisions only, without locks: whoever wants something of it puts an [`Item`]
//! into its inbox.
//!
//! A member that joins is first [`Loading`](Membership::Loading): events are kept for it while its snapshot is read,
//! so that what the snapshot has is not sent again and what it lacks is not lost.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use gossip_core::env::Env;
use gossip_proto::id::{RoomId, Seq, UserId};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use gossip_proto::timestamp::Timestamp;
use indexmap::IndexMap;
use tokio::sync::oneshot;

use crate::directory::Directory;
use crate::event::Event;
use crate::inbox::Inbox;
use crate::outbox::{Close, Outbox, ReplyTo};
use crate::stats::Stats;

/// Names a connection for as long as the process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// A connection as its shard and the commands under way know it.
pub(crate) struct Peer {
    pub(crate) id: ConnectionId,
    pub(crate) outbox: Box<dyn Outbox>,
    /// Something was queued since the last flush.
    dirty: AtomicBool,
}

impl Peer {
    pub(crate) fn new(id: ConnectionId, outbox: Box<dyn Outbox>) -> Peer {
        Peer { id, outbox, dirty: AtomicBool::new(false) }
    }
}

/// An event of a room, with its place.
#[derive(Debug, Clone)]
pub(crate) struct RoomEvent {
    pub(crate) room: RoomId,
    pub(crate) seq: Seq,
    pub(crate) event: Arc<Event>,
}

/// The answer to a command under way.
pub(crate) struct Answer {
    pub(crate) peer: Arc<Peer>,
    pub(crate) to: ReplyTo,
    pub(crate) arrived: Instant,
    pub(crate) reply: Result<Reply, Refusal>,
}

/// What became of the first half of a join.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Subscribed {
    /// The room was live here: the join is answered.
    Done,
    /// Events are being kept; a snapshot is wanted.
    Loading,
    /// The connection is in as many rooms as it may.
    TooManyRooms,
}

/// The second half of a join.
pub(crate) struct Snapshot {
    pub(crate) seq: Seq,
    pub(crate) reply: Reply,
    pub(crate) replay: Vec<Arc<Event>>,
}

/// Whom a custom event is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Audience {
    Room(RoomId),
    User(UserId),
    All,
}

/// What a shard is asked to do.
pub(crate) enum Item {
    Open { peer: Arc<Peer>, authenticate_by: Timestamp },
    Authenticated { id: ConnectionId, user: UserId, expires_at: Timestamp },
    Subscribe { id: ConnectionId, room: RoomId, to: ReplyTo, needs_snapshot: bool, done: oneshot::Sender<Subscribed> },
    Joined { id: ConnectionId, room: RoomId, to: ReplyTo, snapshot: Result<Snapshot, Refusal> },
    Leave { id: ConnectionId, room: RoomId, to: ReplyTo },
    Committed { events: Arc<[RoomEvent]>, answers: Vec<Answer> },
    Emit { audience: Audience, event: Arc<Event> },
    CloseAll(Close),
    Closed(ConnectionId),
}

enum Membership {
    Live,
    Loading {
        kept: Vec<RoomEvent>,
        /// Joined for the first time: a failed snapshot undoes it.
        is_new: bool,
    },
}

struct Member {
    peer: Arc<Peer>,
    membership: Membership,
}

#[derive(Default)]
struct Room {
    members: IndexMap<ConnectionId, Member>,
    /// The last event that passed, once that is known.
    at: Option<Seq>,
}

struct Connection {
    peer: Arc<Peer>,
    user: Option<UserId>,
    rooms: HashSet<RoomId>,
    deadline: Timestamp,
}

/// Events kept for one joining member; a join that takes longer than that is refused as `unavailable`.
const MAX_KEPT: usize = 10_000;

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
        }
    }

    pub(crate) fn handle(&mut self, item: Item) {
        match item {
            Item::Open { peer, authenticate_by } => self.open(peer, authenticate_by),
            Item::Authenticated { id, user, expires_at } => self.authenticated(id, user, expires_at),
            Item::Subscribe { id, room, to, needs_snapshot, done } => {
                // Who asked may be gone; then so is the connection, and this was for nothing.
                let _ = done.send(self.subscribe(id, room, &to, needs_snapshot));
            }
            Item::Joined { id, room, to, snapshot } => self.joined(id, room, &to, snapshot),
            Item::Leave { id, room, to } => self.leave(id, room, &to),
            Item::Committed { events, answers } => self.committed(&events, answers),
            Item::Emit { audience, event } => self.emit(audience, &event),
            Item::CloseAll(close) => self.close_all(close),
            Item::Closed(id) => self.closed(id),
        }
    }

    fn open(&mut self, peer: Arc<Peer>, deadline: Timestamp) {
        self.deadlines.insert((deadline, peer.id));
        self.connections.insert(peer.id, Connection { peer, user: None, rooms: HashSet::new(), deadline });
    }

    fn authenticated(&mut self, id: ConnectionId, user: UserId, expires_at: Timestamp) {
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
    }

    fn subscribe(&mut self, id: ConnectionId, room_id: RoomId, to: &ReplyTo, needs_snapshot: bool) -> Subscribed {
        let Some(connection) = self.connections.get_mut(&id) else {
            return Subscribed::Done;
        };
        let is_new = !connection.rooms.contains(&room_id);
        if is_new && connection.rooms.len() >= self.limits.max_rooms {
            return Subscribed::TooManyRooms;
        }
        connection.rooms.insert(room_id);
        let peer = Arc::clone(&connection.peer);
        if !self.rooms.contains_key(&room_id) {
            self.directory.rooms.add(room_id);
        }
        let room = self.rooms.entry(room_id).or_default();
        match room.at {
            Some(seq) if !needs_snapshot => {
                room.members.insert(id, Member { peer: Arc::clone(&peer), membership: Membership::Live });
                let reply = Reply::Joined { room_id, seq, recovered: None, intents: None };
                peer.outbox.reply(to, &Ok(reply));
                touch(&mut self.dirty, &peer);
                Subscribed::Done
            }
            _ => {
                let membership = Membership::Loading { kept: Vec::new(), is_new };
                room.members.insert(id, Member { peer, membership });
                Subscribed::Loading
            }
        }
    }

    fn joined(&mut self, id: ConnectionId, room_id: RoomId, to: &ReplyTo, snapshot: Result<Snapshot, Refusal>) {
        let Some(room) = self.rooms.get_mut(&room_id) else {
            return;
        };
        let Some(member) = room.members.get_mut(&id) else {
            return;
        };
        let peer = Arc::clone(&member.peer);
        let before = std::mem::replace(&mut member.membership, Membership::Live);
        let (kept, is_new) = match before {
            Membership::Loading { kept, is_new } => (kept, is_new),
            Membership::Live => (Vec::new(), false),
        };
        let snapshot = match snapshot {
            Ok(_) if kept.len() >= MAX_KEPT => Err(Refusal::unavailable()),
            other => other,
        };
        touch(&mut self.dirty, &peer);
        match snapshot {
            Ok(Snapshot { seq, reply, replay }) => {
                room.at = Some(room.at.map_or(seq, |at| at.max(seq)));
                peer.outbox.reply(to, &Ok(reply));
                let after = kept.iter().filter(|kept| kept.seq > seq).map(|kept| &kept.event);
                for event in replay.iter().chain(after) {
                    peer.outbox.event(event);
                    self.delivered += 1;
                }
            }
            Err(refusal) => {
                peer.outbox.reply(to, &Err(refusal));
                if is_new {
                    self.unsubscribe(id, room_id);
                } else {
                    // It was a member before and goes on as one.
                    for kept in kept {
                        peer.outbox.event(&kept.event);
                    }
                }
            }
        }
    }

    fn leave(&mut self, id: ConnectionId, room: RoomId, to: &ReplyTo) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let peer = Arc::clone(&connection.peer);
        self.unsubscribe(id, room);
        peer.outbox.reply(to, &Ok(Reply::Left { room_id: room }));
        touch(&mut self.dirty, &peer);
    }

    fn unsubscribe(&mut self, id: ConnectionId, room_id: RoomId) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.rooms.remove(&room_id);
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

    fn committed(&mut self, events: &[RoomEvent], answers: Vec<Answer>) {
        for committed in events {
            let Some(room) = self.rooms.get_mut(&committed.room) else {
                continue;
            };
            room.at = Some(committed.seq);
            for member in room.members.values_mut() {
                match &mut member.membership {
                    Membership::Live => {
                        member.peer.outbox.event(&committed.event);
                        touch(&mut self.dirty, &member.peer);
                        self.delivered += 1;
                    }
                    Membership::Loading { kept, .. } if kept.len() < MAX_KEPT => kept.push(committed.clone()),
                    Membership::Loading { .. } => {}
                }
            }
        }
        let now = Instant::now();
        for Answer { peer, to, arrived, reply } in answers {
            self.stats.answered(arrived, reply.is_err(), now);
            peer.outbox.reply(&to, &reply);
            touch(&mut self.dirty, &peer);
        }
    }

    fn emit(&mut self, audience: Audience, event: &Arc<Event>) {
        let dirty = &mut self.dirty;
        let delivered = &mut self.delivered;
        let mut send = |peer: &Arc<Peer>| {
            peer.outbox.event(event);
            touch(dirty, peer);
            *delivered += 1;
        };
        match audience {
            Audience::Room(room) => {
                let members = self.rooms.get(&room).into_iter().flat_map(|room| room.members.values());
                members.for_each(|member| send(&member.peer));
            }
            Audience::User(user) => {
                for id in self.users.get(&user).into_iter().flatten() {
                    if let Some(connection) = self.connections.get(id) {
                        send(&connection.peer);
                    }
                }
            }
            Audience::All => self.connections.values().for_each(|connection| send(&connection.peer)),
        }
    }

    fn close_all(&mut self, close: Close) {
        for connection in self.connections.values() {
            connection.peer.outbox.close(close);
        }
    }

    fn closed(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        self.deadlines.remove(&(connection.deadline, id));
        let user = connection.user;
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
        self.stats.closed();
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

    fn take_delivered(&mut self) -> u64 {
        std::mem::take(&mut self.delivered)
    }
}

fn touch(dirty: &mut Vec<Arc<Peer>>, peer: &Arc<Peer>) {
    if !peer.dirty.swap(true, Relaxed) {
        dirty.push(Arc::clone(peer));
    }
}

/// How often deadlines are looked at: a token ends within 1 s of its time (contract §1).
const TICK: Duration = Duration::from_millis(250);

/// After so many flushes others get their turn.
const FLUSHES_AT_ONCE: usize = 128;

/// Runs a shard until the task is ended: takes all that waits, then writes to each touched connection once.
pub(crate) async fn run(mut shard: Shard, inbox: Arc<Inbox<Item>>, env: Arc<dyn Env>) {
    let mut items = Vec::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = inbox.take(&mut items) => {}
            _ = ticks.tick() => shard.tick(env.now()),
        }
        for item in items.drain(..) {
            shard.handle(item);
        }
        if items.capacity() > 1024 {
            items = Vec::new();
        }
        let delivered = shard.take_delivered();
        if delivered > 0 {
            shard.stats.delivered(delivered, Instant::now());
        }
        let dirty = std::mem::take(&mut shard.dirty);
        for some in dirty.chunks(FLUSHES_AT_ONCE) {
            for peer in some {
                peer.dirty.store(false, Relaxed);
                peer.outbox.flush();
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The refusal for one room too many.
pub(crate) fn too_many_rooms(limits: Limits) -> Refusal {
    Refusal::new(Code::Forbidden, format!("a connection may be in at most {} rooms", limits.max_rooms))
}

#[cfg(test)]
mod tests;
