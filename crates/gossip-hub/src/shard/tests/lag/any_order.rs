//! Everything that can happen to a connection that lags, in any order: a client that reads as it likes gets each room's
//! events one after another, what waits for it is bounded, and every offset says exactly what it has. The roles of the
//! store, of who reads the log and of the session are played here, in steps between which anything may come.

use std::collections::{HashMap, VecDeque};

use super::*;

const ROOMS: [RoomId; 3] = [ROOM, OTHER, RoomId(Uuid::from_u128(9))];
/// With so many entries waiting a client is behind.
const BEHIND: usize = 12;
const PAGE: usize = 5;
const LARGEST_RUN: usize = 6;

struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn room(&mut self) -> RoomId {
        ROOMS[self.below(ROOMS.len())]
    }
}

type Joins = HashMap<RoomId, Seq>;

enum Entry {
    /// With the offset, and the joins that were written down when it was queued.
    Event(RoomId, Seq, Option<(Offset, Joins)>),
    Custom(u64),
    /// From where on the room's events come.
    Joined(RoomId, Seq),
    Left(RoomId),
    Other,
}

#[derive(Default)]
struct Waiting {
    queue: VecDeque<Entry>,
    most: usize,
    joins: Joins,
    /// Of the join under way, if it is replayed.
    since: Option<Seq>,
}

#[derive(Clone, Default)]
struct Socket(Arc<Mutex<Waiting>>);

impl Socket {
    fn push(&self, entry: impl FnOnce(&Waiting) -> Entry) {
        let mut waiting = self.0.lock().unwrap();
        let entry = entry(&waiting);
        waiting.queue.push_back(entry);
        waiting.most = waiting.most.max(waiting.queue.len());
    }

    fn is_drained(&self) -> bool {
        self.0.lock().unwrap().queue.len() < BEHIND / 2
    }

    fn queue(&self, event: &Event, offset: Option<&Offset>) {
        self.push(|waiting| {
            let room = || RoomId(event.data().split(' ').next().unwrap().parse::<Uuid>().unwrap());
            let seq = || Seq(event.data().split(' ').nth(1).unwrap().parse().unwrap());
            match event.name() {
                "e" => Entry::Event(room(), seq(), offset.map(|offset| (offset.clone(), waiting.joins.clone()))),
                "custom" => Entry::Custom(event.data().parse().unwrap()),
                "room_closed" => {
                    let data: serde_json::Value = serde_json::from_str(event.data()).unwrap();
                    Entry::Left(RoomId(data["roomId"].as_str().unwrap().parse().unwrap()))
                }
                _ => Entry::Other,
            }
        });
    }
}

impl Outbox for Socket {
    fn event(&self, event: &Arc<Event>) {
        self.queue(event, None);
    }

    fn tracked(&self, event: &Arc<Event>, offset: &Offset) {
        self.queue(event, Some(offset));
    }

    fn reply(&self, _: &ReplyTo, reply: &Result<Reply, Refusal>) {
        self.push(|waiting| match reply {
            Ok(Reply::Joined { room_id, seq, .. }) => Entry::Joined(*room_id, waiting.since.unwrap_or(*seq)),
            Ok(Reply::Left { room_id }) => Entry::Left(*room_id),
            _ => Entry::Other,
        });
    }

    fn flush(&self) {}

    fn is_behind(&self) -> bool {
        self.0.lock().unwrap().queue.len() >= BEHIND
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        unreachable!("asked in the test")
    }

    fn close(&self, _: Close) {
        unreachable!("nobody closes it")
    }

    fn is_closed(&self) -> bool {
        false
    }
}

/// How far a join is.
enum Join {
    /// What the client has is being read on to the snapshot.
    Early {
        room: RoomId,
        at: Seq,
        snapshot: Seq,
        fails: bool,
    },
    /// The second half is to come.
    Snapshot {
        room: RoomId,
        after: Seq,
        snapshot: Seq,
        is_replayed: bool,
        fails: bool,
    },
    CatchingUp {
        room: RoomId,
        after: Seq,
    },
}

/// What who reads for a connection that lags does next.
enum Reading {
    Idle,
    Wanted,
    Read { version: u64, events: Vec<(RoomId, u64, Arc<Event>)>, is_last: bool },
}

struct World {
    bench: Bench,
    rng: Rng,
    socket: Socket,
    is_tracked: bool,
    log: Vec<(RoomId, u64, Arc<Event>)>,
    /// So much of it the shard has heard of.
    passed: usize,
    join: Option<Join>,
    reading: Reading,
    customs: u64,
    /// The client: how far it is in each room, and the last custom event.
    seen: Joins,
    last_custom: u64,
    lags: usize,
}

impl World {
    fn new(seed: u64) -> World {
        let mut bench = Bench::new(10);
        let socket = Socket::default();
        let is_tracked = seed.is_multiple_of(2);
        let tracked = is_tracked.then(|| Tracked::new(Pid(Uuid::from_u128(7)), Offset::default(), Notes::lost()));
        let peer = Arc::new(Peer::new(ConnectionId(1), Box::new(socket.clone()), tracked));
        bench.shard.handle(Item::Open { peer, authenticate_by: Timestamp::from_millis(1_000) });
        bench.authenticate(1, Reach::All);
        World {
            bench,
            rng: Rng(seed),
            socket,
            is_tracked,
            log: Vec::new(),
            passed: 0,
            join: None,
            reading: Reading::Idle,
            customs: 0,
            seen: Joins::new(),
            last_custom: 0,
            lags: 0,
        }
    }

    fn last(&self, room: RoomId) -> Seq {
        Seq(self.log.iter().filter(|(of, ..)| *of == room).count() as u64)
    }

    fn commit(&mut self) {
        for _ in 0..=self.rng.below(3) {
            let room = self.rng.room();
            let seq = self.last(room).0 + 1;
            let position = Position(self.log.len() as u64 + 1);
            let event = Event::logged("e", format!("{room} {seq}"), position, Seq(seq));
            self.log.push((room, seq, Arc::new(event)));
        }
    }

    fn pass(&mut self) {
        let count = self.rng.below(LARGEST_RUN + 1).min(self.log.len() - self.passed);
        let events = self.log[self.passed..self.passed + count].to_vec();
        self.passed += count;
        if !events.is_empty() {
            self.bench.pass(&events);
        }
    }

    /// The first page of what comes after these, and whether it is the last.
    fn read(&self, after: &[(RoomId, Seq)]) -> (Vec<(RoomId, u64, Arc<Event>)>, bool) {
        let is_after = |(room, seq, _): &&(RoomId, u64, Arc<Event>)| {
            after.iter().any(|(wanted, after)| wanted == room && *seq > after.0)
        };
        let events: Vec<_> = self.log.iter().filter(is_after).take(PAGE).cloned().collect();
        let is_last = events.len() < PAGE;
        (events, is_last)
    }

    fn replay(&mut self, events: &[(RoomId, u64, Arc<Event>)], live_after: Vec<(RoomId, Seq)>) -> Progress {
        let (done, mut progress) = oneshot::channel();
        let replayed = |(room, seq, event): &(RoomId, u64, Arc<Event>)| Replayed {
            room: *room,
            seq: Seq(*seq),
            event: Arc::clone(event),
        };
        let events = events.iter().map(replayed).collect();
        self.bench.shard.handle(Item::Replay { id: ConnectionId(1), events, order: Order::OneRoom, live_after, done });
        progress.try_recv().unwrap()
    }

    fn begin_join(&mut self) {
        let room = self.rng.room();
        let since = (self.rng.below(3) == 0).then(|| Seq(self.rng.below(self.last(room).0 as usize + 2) as u64));
        self.socket.0.lock().unwrap().since = None;
        let needs_snapshot = self.is_tracked || since.is_some() || self.rng.below(2) == 0;
        let Subscribed::Loading { before } = self.bench.subscribe(1, room, needs_snapshot) else { return };
        let (snapshot, fails) = (self.last(room), self.rng.below(5) == 0);
        let since = since.filter(|since| *since <= snapshot);
        let after = since.unwrap_or(snapshot);
        if before.is_none_or(|before| since.is_some_and(|since| before < since)) && !fails {
            self.socket.0.lock().unwrap().joins.insert(room, after);
        }
        self.socket.0.lock().unwrap().since = since;
        self.join = Some(match before.filter(|before| since.is_none() && *before < snapshot) {
            Some(at) => Join::Early { room, at, snapshot, fails },
            None => Join::Snapshot { room, after, snapshot, is_replayed: since.is_some(), fails },
        });
    }

    fn go_on_joining(&mut self) {
        let is_drained = self.socket.is_drained();
        self.join = match self.join.take() {
            Some(Join::Early { room, at, snapshot, fails }) if is_drained => {
                let (mut events, _) = self.read(&[(room, at)]);
                events.retain(|(_, seq, _)| *seq <= snapshot.0);
                let at = events.last().map_or(at, |(_, seq, _)| Seq(*seq));
                self.replay(&events, Vec::new());
                let gives_up = fails && self.rng.below(2) == 0;
                Some(if at < snapshot && !gives_up {
                    Join::Early { room, at, snapshot, fails }
                } else {
                    Join::Snapshot { room, after: snapshot, snapshot, is_replayed: false, fails }
                })
            }
            Some(Join::Snapshot { room, after, snapshot, is_replayed, fails }) => {
                let reply = Reply::Joined { room_id: room, seq: snapshot, recovered: None, intents: None };
                let snapshot = Snapshot { after, reply, is_replayed };
                let snapshot = if fails { Err(Refusal::unavailable()) } else { Ok(snapshot) };
                let progress = self.bench.answered(1, room, snapshot);
                (progress == Progress::Behind).then_some(Join::CatchingUp { room, after })
            }
            Some(Join::CatchingUp { room, after }) if is_drained => {
                let (events, is_last) = self.read(&[(room, after)]);
                let after = events.last().map_or(after, |(_, seq, _)| Seq(*seq));
                let live_after = if is_last { vec![(room, after)] } else { Vec::new() };
                (self.replay(&events, live_after) == Progress::Behind).then_some(Join::CatchingUp { room, after })
            }
            waiting => waiting,
        };
    }

    fn refill(&mut self) {
        if !std::mem::take(&mut self.bench.shard.to_refill).is_empty() {
            self.lags += 1;
            self.reading = Reading::Wanted;
        }
        self.reading = match std::mem::replace(&mut self.reading, Reading::Idle) {
            Reading::Wanted if self.socket.is_drained() => {
                let missing = self.bench.missing().unwrap();
                let (events, is_last) = self.read(&missing.after);
                Reading::Read { version: missing.version, events, is_last }
            }
            Reading::Read { version, events, is_last } => match self.bench.refill(version, &events, is_last) {
                Progress::Behind => Reading::Wanted,
                Progress::Live => Reading::Idle,
                Progress::Gone => unreachable!("it is there"),
            },
            waiting => waiting,
        };
    }

    fn take(&mut self, count: usize) {
        for _ in 0..count {
            let Some(entry) = self.socket.0.lock().unwrap().queue.pop_front() else { return };
            match entry {
                Entry::Event(room, seq, offset) => {
                    let seen = self.seen.get_mut(&room).unwrap();
                    assert_eq!(seq, seen.next(), "the next of the room");
                    *seen = seq;
                    assert_eq!(offset.is_some(), self.is_tracked);
                    if let Some((offset, joins)) = offset {
                        self.check(&offset, &joins);
                    }
                }
                Entry::Custom(custom) => {
                    assert_eq!(custom, self.last_custom + 1);
                    self.last_custom = custom;
                }
                Entry::Joined(room, after) => drop(self.seen.insert(room, after)),
                Entry::Left(room) => drop(self.seen.remove(&room)),
                Entry::Other => {}
            }
        }
    }

    /// What would be sent to a client that comes back with this offset is what it has not seen.
    fn check(&self, offset: &Offset, joins: &Joins) {
        for (room, seen) in &self.seen {
            let Some(joined) = joins.get(room) else { continue };
            let up_to = |position: Position| {
                let before =
                    |(of, _, event): &&(RoomId, u64, Arc<Event>)| of == room && event.position() <= Some(position);
                Seq(self.log.iter().filter(before).count() as u64).max(*joined)
            };
            let told = match offset.behind.iter().find(|(behind, _)| behind == room) {
                Some((_, seq)) => seq.unwrap_or(*joined),
                None => up_to(offset.position),
            };
            // Who joins with a later `since` says that it has more.
            let has_more = told == *joined && seen < joined;
            assert!(told == *seen || has_more, "{offset} tells of {told} in {room}, it is at {seen}");
        }
    }

    fn step(&mut self) {
        match self.rng.below(20) {
            0..5 => self.commit(),
            5..9 => self.pass(),
            9..12 => {
                let count = self.rng.below(4);
                self.take(count);
            }
            12..15 => self.refill(),
            15..18 if self.join.is_some() => self.go_on_joining(),
            15 => self.begin_join(),
            16 if self.rng.below(4) == 0 => {
                let room = self.rng.room();
                if self.bench.shard.lagging_after(ConnectionId(1), room).is_some() || self.seen.contains_key(&room) {
                    self.socket.0.lock().unwrap().joins.remove(&room);
                    self.bench.leave(room);
                }
            }
            18 if self.rng.below(6) == 0 => {
                let room = self.rng.room();
                self.bench.shard.handle(Item::CloseRoom { id: ConnectionId(1), room, code: Code::Forbidden });
            }
            19 if self.rng.below(3) == 0 => {
                self.customs += 1;
                self.bench.tell_user(&self.customs.to_string());
            }
            _ => {}
        }
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            self.pass();
            self.go_on_joining();
            self.refill();
            self.take(3);
        }
        assert!(self.join.is_none() && matches!(self.reading, Reading::Idle) && self.passed == self.log.len());
        for (room, seen) in &self.seen {
            assert_eq!(*seen, self.last(*room), "all of {room}");
        }
        assert_eq!(self.last_custom, self.customs);
        let most = self.socket.0.lock().unwrap().most;
        assert!(most <= BEHIND + 2 * PAGE + LARGEST_RUN + 20, "{most} waited");
    }
}

#[test]
fn nothing_is_lost_doubled_or_out_of_order() {
    let mut lags = 0;
    for seed in 0..200 {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..600).for_each(|_| world.step());
            world.settle();
            world.lags
        });
        lags += outcome.unwrap_or_else(|_| panic!("seed {seed}"));
    }
    assert!(lags > 200, "{lags}: it is about clients that lag");
}
