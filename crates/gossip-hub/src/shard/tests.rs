//! The shard's decisions, told as "these items, then exactly this reached the socket".

mod joining_again;
mod lag;
mod offsets;
mod runs;
mod withdrawn;

use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::sync::oneshot;
use uuid::Uuid;

use super::*;
use crate::offset::Offset;
use crate::outbox::{Outbox, Protocol};
use crate::run::Run;

/// Writes down what reaches it.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>, Arc<AtomicBool>);

impl Recorder {
    fn push(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// From now on its client takes nothing, or all.
    fn is_stuck(&self, is_stuck: bool) {
        self.1.store(is_stuck, Ordering::Relaxed);
    }
}

impl Outbox for Recorder {
    fn event(&self, event: &Arc<Event>) {
        self.push(format!("{} {}", event.name(), event.data()));
    }

    fn reply(&self, _: &ReplyTo, reply: &Result<Reply, Refusal>) {
        self.push(match reply {
            Ok(Reply::Joined { seq, .. }) => format!("joined at {seq}"),
            Ok(other) => format!("{other:?}"),
            Err(refusal) => format!("refused {:?}", refusal.code),
        });
    }

    fn tracked(&self, event: &Arc<Event>, offset: &Offset) {
        self.push(format!("{} {} @{offset}", event.name(), event.data()));
    }

    fn flush(&self) {
        self.push("flush".into());
    }

    fn is_behind(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn close(&self, close: Close) {
        self.push(format!("close {}", close.as_str()));
    }

    fn is_closed(&self) -> bool {
        false
    }
}

const ROOM: RoomId = RoomId(Uuid::from_u128(1));
const OTHER: RoomId = RoomId(Uuid::from_u128(2));
const LOADING: Subscribed = Subscribed::Loading { before: None };
const USER: UserId = UserId(Uuid::from_u128(3));

struct Bench {
    shard: Shard,
    directory: Arc<Directory>,
    stats: Arc<Stats>,
}

impl Bench {
    fn new(max_rooms: usize) -> Bench {
        let (directory, stats) = (Arc::<Directory>::default(), Arc::new(Stats::new(Instant::now())));
        let shard = Shard::new(Limits { max_rooms }, Arc::clone(&directory), Arc::clone(&stats));
        Bench { shard, directory, stats }
    }

    fn open(&mut self, id: u64) -> Recorder {
        self.open_as(id, None)
    }

    fn open_as(&mut self, id: u64, tracked: Option<Tracked>) -> Recorder {
        let recorder = Recorder::default();
        let peer = Arc::new(Peer::new(ConnectionId(id), Box::new(recorder.clone()), tracked));
        self.stats.opened(Protocol::Custom);
        self.shard.handle(Item::Open { peer, authenticate_by: Timestamp::from_millis(1_000) });
        self.authenticate(id, Reach::All);
        recorder
    }

    fn authenticate(&mut self, id: u64, reach: Reach) {
        let expires_at = Timestamp::from_millis(2_000);
        self.shard.handle(Item::Authenticated { id: ConnectionId(id), user: USER, reach, expires_at });
    }

    fn subscribe(&mut self, id: u64, room: RoomId, needs_snapshot: bool) -> Subscribed {
        let (done, mut subscribed) = oneshot::channel();
        self.shard.handle(Item::Subscribe { id: ConnectionId(id), room, asked: Some(asked()), needs_snapshot, done });
        subscribed.try_recv().unwrap()
    }

    /// The second half of a join, with what is to be replayed.
    fn joined(&mut self, id: u64, room: RoomId, seq: u64, replay: &[u64]) {
        let reply = Reply::Joined { room_id: room, seq: Seq(seq), recovered: None, intents: None };
        let after = Seq(replay.first().map_or(seq, |first| first - 1));
        let is_replayed = !replay.is_empty();
        let progress = self.answered(id, room, Ok(Snapshot { after, reply, is_replayed }));
        if is_replayed && progress == Progress::Behind {
            let end = Seq(*replay.last().unwrap());
            assert_eq!(self.replay(id, room, Order::OneRoom, replay, &[(room, end)]), Progress::Live);
        }
    }

    /// The second half of a join of a member that looks again: what it has not seen, from the log.
    fn joined_again(&mut self, id: u64, room: RoomId, seq: u64, early: &[u64]) -> Progress {
        let reply = Reply::Joined { room_id: room, seq: Seq(seq), recovered: None, intents: None };
        assert_eq!(self.replay(id, room, Order::OneRoom, early, &[]), Progress::Behind);
        self.answered(id, room, Ok(Snapshot { after: Seq(seq), reply, is_replayed: false }))
    }

    fn not_joined(&mut self, id: u64, room: RoomId) {
        assert_eq!(self.answered(id, room, Err(Refusal::unavailable())), Progress::Gone);
    }

    fn answered(&mut self, id: u64, room: RoomId, snapshot: Result<Snapshot, Refusal>) -> Progress {
        let (done, mut progress) = oneshot::channel();
        self.shard.handle(Item::Joined {
            id: ConnectionId(id),
            room,
            asked: asked(),
            snapshot: Box::new(snapshot),
            done,
        });
        progress.try_recv().unwrap()
    }

    fn replay(&mut self, id: u64, room: RoomId, order: Order, seqs: &[u64], live_after: &[(RoomId, Seq)]) -> Progress {
        let (done, mut progress) = oneshot::channel();
        let events = seqs.iter().map(|seq| Replayed { room, seq: Seq(*seq), event: event(*seq) }).collect();
        let live_after = live_after.to_vec();
        self.shard.handle(Item::Replay { id: ConnectionId(id), events, order, live_after, done });
        progress.try_recv().unwrap()
    }

    fn expect(&mut self, id: u64, rooms: &[RoomId]) -> Vec<RoomId> {
        let (done, mut refused) = oneshot::channel();
        self.shard.handle(Item::Expect { id: ConnectionId(id), rooms: rooms.to_vec(), done });
        refused.try_recv().unwrap()
    }

    fn commit(&mut self, room: RoomId, seqs: impl IntoIterator<Item = u64>) {
        self.pass(&seqs.into_iter().map(|seq| (room, seq, event(seq))).collect::<Vec<_>>());
    }

    fn pass(&mut self, events: &[(RoomId, u64, Arc<Event>)]) {
        let runs = events.chunk_by(|(room, seq, _), (next, after, _)| room == next && seq + 1 == *after).map(|run| {
            let events: Vec<_> = run.iter().map(|(.., event)| Arc::clone(event)).collect();
            RoomRun { room: run[0].0, first: Seq(run[0].1), run: Arc::new(Run::new(events)) }
        });
        self.shard.handle(Item::Committed { runs: runs.collect(), answers: Vec::new() });
    }

    fn emit(&mut self, audience: Audience) {
        self.shard.handle(Item::Emit { audience, event: Arc::new(Event::new("custom", "0")) });
    }
}

fn asked() -> Asked {
    Asked::new(ReplyTo::NOBODY, 1)
}

fn event(seq: u64) -> Arc<Event> {
    Arc::new(Event::new("e", seq.to_string()))
}

#[test]
fn what_passes_while_the_snapshot_is_read_comes_after_it_once() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    assert_eq!(bench.subscribe(1, ROOM, true), LOADING);
    bench.commit(ROOM, [4, 5, 6]);
    assert_eq!(client.take(), [""; 0]);
    bench.joined(1, ROOM, 5, &[3, 4, 5]);
    bench.commit(ROOM, [7]);
    assert_eq!(client.take(), ["joined at 5", "e 3", "e 4", "e 5", "e 6", "e 7"]);
}

#[test]
fn a_snapshot_ahead_of_the_shard_hides_what_it_has_already() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    bench.subscribe(1, ROOM, false);
    bench.joined(1, ROOM, 5, &[]);
    // The store had committed up to 5 before the shard heard of 4.
    bench.commit(ROOM, [4, 5]);
    bench.commit(ROOM, [6]);
    assert_eq!(client.take(), ["joined at 5", "e 6"]);
}

#[test]
fn a_second_member_is_told_where_the_shard_is() {
    let mut bench = Bench::new(10);
    let (first, second) = (bench.open(1), bench.open(2));
    bench.subscribe(1, ROOM, false);
    bench.joined(1, ROOM, 5, &[]);
    bench.commit(ROOM, [6]);
    assert_eq!(bench.subscribe(2, ROOM, false), Subscribed::Done);
    bench.commit(ROOM, [7]);
    assert_eq!(first.take(), ["joined at 5", "e 6", "e 7"]);
    assert_eq!(second.take(), ["joined at 6", "e 7"]);
}

#[test]
fn custom_events_keep_their_place_while_a_member_joins() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    bench.subscribe(1, ROOM, true);
    bench.commit(ROOM, [1]);
    bench.emit(Audience::Room(ROOM));
    bench.commit(ROOM, [2]);
    bench.joined(1, ROOM, 0, &[]);
    assert_eq!(client.take(), ["joined at 0", "e 1", "custom 0", "e 2"]);
}

#[test]
fn a_failed_snapshot_leaves_a_newcomer_out_and_a_member_in() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    bench.subscribe(1, ROOM, true);
    bench.not_joined(1, ROOM);
    bench.commit(ROOM, [1]);
    assert_eq!(client.take(), ["refused Unavailable"]);
    assert_eq!(bench.directory.rooms.len(), 0);

    bench.subscribe(1, ROOM, false);
    bench.joined(1, ROOM, 1, &[]);
    bench.subscribe(1, ROOM, true);
    bench.commit(ROOM, [2]);
    bench.not_joined(1, ROOM);
    bench.commit(ROOM, [3]);
    assert_eq!(client.take(), ["joined at 1", "refused Unavailable", "e 2", "e 3"]);
}

#[test]
fn a_token_with_fewer_rooms_ends_the_others_at_once() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    for room in [ROOM, OTHER] {
        bench.subscribe(1, room, false);
        bench.joined(1, room, 0, &[]);
    }
    bench.authenticate(1, Reach::Listed([OTHER].into()));
    bench.commit(ROOM, [1]);
    bench.commit(OTHER, [1]);
    let closed = format!(r#"room_closed {{"code":"forbidden","roomId":"{ROOM}"}}"#);
    assert_eq!(client.take(), ["joined at 0", "joined at 0", &closed, "e 1"]);
}

#[test]
fn rooms_are_bounded_and_joining_again_is_free() {
    let mut bench = Bench::new(1);
    bench.open(1);
    bench.subscribe(1, ROOM, false);
    bench.joined(1, ROOM, 0, &[]);
    assert_eq!(bench.subscribe(1, OTHER, false), Subscribed::TooManyRooms);
    assert_eq!(bench.subscribe(1, ROOM, false), Subscribed::Done);
    bench.shard.handle(Item::Leave { id: ConnectionId(1), room: ROOM, asked: asked() });
    assert_eq!(bench.subscribe(1, OTHER, false), LOADING);
}

#[test]
fn a_closed_connection_leaves_nothing_behind() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    bench.open(2);
    for room in [ROOM, OTHER] {
        bench.subscribe(1, room, true);
    }
    assert_eq!((bench.directory.rooms.len(), bench.directory.users.len(), bench.stats.active()), (2, 1, 2));
    bench.shard.handle(Item::Closed(ConnectionId(1)));
    bench.joined(1, ROOM, 5, &[]);
    bench.commit(ROOM, [6]);
    bench.emit(Audience::User(USER));
    assert_eq!(client.take(), [""; 0]);
    bench.shard.handle(Item::Closed(ConnectionId(2)));
    bench.shard.handle(Item::Closed(ConnectionId(2)));
    assert_eq!((bench.directory.rooms.len(), bench.directory.users.len(), bench.stats.active()), (0, 0, 0));
    assert!(bench.shard.connections.is_empty() && bench.shard.rooms.is_empty() && bench.shard.users.is_empty());
    assert!(bench.shard.deadlines.is_empty());
}

#[test]
fn time_ends_who_did_not_authenticate_and_whose_token_is_over() {
    let mut bench = Bench::new(10);
    let named = bench.open(1);
    let recorder = Recorder::default();
    let peer = Arc::new(Peer::new(ConnectionId(2), Box::new(recorder.clone()), None));
    bench.shard.handle(Item::Open { peer, authenticate_by: Timestamp::from_millis(1_000) });
    bench.shard.tick(Timestamp::from_millis(999));
    assert_eq!(recorder.take(), [""; 0]);
    bench.shard.tick(Timestamp::from_millis(1_000));
    assert_eq!(recorder.take(), ["refused NotAuthenticated", "close not_authenticated"]);
    assert_eq!(named.take(), [""; 0]);
    bench.shard.tick(Timestamp::from_millis(2_000));
    bench.shard.tick(Timestamp::from_millis(3_000));
    assert_eq!(named.take(), ["refused TokenExpired", "close token_expired"]);
}

#[test]
fn audiences() {
    let mut bench = Bench::new(10);
    let (inside, outside) = (bench.open(1), bench.open(2));
    bench.subscribe(1, ROOM, false);
    bench.joined(1, ROOM, 0, &[]);
    inside.take();
    bench.emit(Audience::Room(ROOM));
    assert_eq!((inside.take().len(), outside.take().len()), (1, 0));
    bench.emit(Audience::User(USER));
    assert_eq!((inside.take().len(), outside.take().len()), (1, 1));
    bench.emit(Audience::User(UserId::NIL));
    assert_eq!((inside.take().len(), outside.take().len()), (0, 0));
    bench.emit(Audience::Authenticated);
    assert_eq!((inside.take().len(), outside.take().len()), (1, 1));
    let stranger = Recorder::default();
    let peer = Arc::new(Peer::new(ConnectionId(3), Box::new(stranger.clone()), None));
    bench.shard.handle(Item::Open { peer, authenticate_by: Timestamp::from_millis(1_000) });
    bench.emit(Audience::Authenticated);
    assert_eq!(stranger.take().len(), 0);
    bench.emit(Audience::Everybody);
    assert_eq!(stranger.take().len(), 1);
}

#[test]
fn closing_goes_in_parts_and_ends_each_once() {
    let mut bench = Bench::new(10);
    let clients = [bench.open(1), bench.open(2), bench.open(3)];
    let ended = || clients.iter().map(|client| client.take().len()).sum::<usize>();
    let mut close = |count| {
        let (done, mut is_done) = oneshot::channel();
        bench.shard.handle(Item::CloseSome { count, close: Close::Draining, done });
        assert_eq!(is_done.try_recv(), Ok(()));
    };
    close(2);
    assert_eq!(ended(), 2);
    close(usize::MAX);
    assert_eq!(ended(), 1);
}
