//! Clients that do not take what they are sent: what is left in the log for them, and how they come to have it.

mod any_order;

use gossip_proto::id::Pid;
use gossip_store::Position;

use super::*;
use crate::recoveries::Notes;

fn at(room: RoomId, seq: u64, position: u64) -> (RoomId, u64, Arc<Event>) {
    (room, seq, Arc::new(Event::logged("e", seq.to_string(), Position(position), Seq(seq))))
}

fn custom(data: &str) -> Arc<Event> {
    Arc::new(Event::new("custom", data))
}

impl Bench {
    /// Members of two rooms, both at 5, of whom the first takes nothing from now on.
    fn stuck(tracked: bool) -> (Bench, Recorder) {
        let mut bench = Bench::new(10);
        let notes = || Tracked::new(Pid(Uuid::from_u128(7)), Offset::default(), Notes::lost());
        let client = bench.open_as(1, tracked.then(notes));
        for room in [ROOM, OTHER] {
            bench.subscribe(1, room, true);
            bench.joined(1, room, 5, &[]);
        }
        client.take();
        client.is_stuck(true);
        (bench, client)
    }

    fn missing(&mut self) -> Option<Missing> {
        let (done, mut missing) = oneshot::channel();
        self.shard.handle(Item::Missing { id: ConnectionId(1), done });
        missing.try_recv().unwrap().map(|missing| Missing {
            after: sorted(missing.after),
            last: sorted(missing.last),
            ..missing
        })
    }

    fn refill(&mut self, version: u64, events: &[(RoomId, u64, Arc<Event>)], is_last: bool) -> Progress {
        let (done, mut progress) = oneshot::channel();
        let replayed = |(room, seq, event): &(RoomId, u64, Arc<Event>)| Replayed {
            room: *room,
            seq: Seq(*seq),
            event: Arc::clone(event),
        };
        let refill = Refill { version, events: events.iter().map(replayed).collect(), is_last };
        self.shard.handle(Item::Refill { id: ConnectionId(1), refill, done });
        progress.try_recv().unwrap()
    }

    fn tell_user(&mut self, data: &str) {
        self.shard.handle(Item::Emit { audience: Audience::User(USER), event: custom(data) });
    }

    fn leave(&mut self, room: RoomId) {
        self.shard.handle(Item::Leave { id: ConnectionId(1), room, asked: asked() });
    }
}

fn sorted(mut rooms: Vec<(RoomId, Seq)>) -> Vec<(RoomId, Seq)> {
    rooms.sort_unstable();
    rooms
}

#[test]
fn who_takes_nothing_is_queued_nothing_and_gets_it_later() {
    let (mut bench, client) = Bench::stuck(false);
    let quick = bench.open(2);
    bench.subscribe(2, ROOM, false);
    bench.pass(&[at(ROOM, 6, 10), at(ROOM, 7, 11), at(OTHER, 6, 12)]);
    bench.pass(&[at(ROOM, 8, 13)]);
    assert_eq!(client.take(), [""; 0]);
    assert_eq!(quick.take(), ["joined at 5", "e 6", "e 7", "e 8"]);
    assert_eq!(bench.stats.slow_readers().lagged, 1);
    // Not before its turn, although it takes more.
    client.is_stuck(false);
    bench.pass(&[at(ROOM, 9, 14)]);
    assert_eq!(client.take(), [""; 0]);

    let missing = bench.missing().unwrap();
    assert_eq!(missing.after, [(ROOM, Seq(5)), (OTHER, Seq(5))]);
    assert_eq!(missing.last, [(ROOM, Seq(9)), (OTHER, Seq(6))]);
    let read = [at(ROOM, 6, 10), at(ROOM, 7, 11), at(OTHER, 6, 12), at(ROOM, 8, 13)];
    assert_eq!(bench.refill(missing.version, &read, false), Progress::Behind);
    let missing = bench.missing().unwrap();
    assert_eq!(missing.after, [(ROOM, Seq(8)), (OTHER, Seq(6))]);
    assert_eq!(bench.refill(missing.version, &[at(ROOM, 9, 14)], true), Progress::Live);
    bench.pass(&[at(ROOM, 10, 15), at(OTHER, 7, 16)]);
    assert_eq!(client.take(), ["e 6", "e 7", "e 6", "e 8", "e 9", "e 10", "e 7"]);
    assert!(bench.missing().is_none());
}

#[test]
fn the_run_that_is_sent_at_once_is_left_in_the_log_too() {
    let (mut bench, client) = Bench::stuck(false);
    let run = RoomRun { room: ROOM, first: Seq(6), run: Arc::new(Run::new([at(ROOM, 6, 10).2, at(ROOM, 7, 11).2])) };
    bench.shard.begin_sending(&run, &[]);
    bench.shard.send_some(&run, 0, 10);
    bench.shard.end_sending(&run, Vec::new());
    assert_eq!(client.take(), [""; 0]);
    assert_eq!(bench.missing().unwrap().after, [(ROOM, Seq(5)), (OTHER, Seq(5))]);
}

#[test]
fn what_passes_while_the_log_is_read_is_kept_or_read_again() {
    let (mut bench, client) = Bench::stuck(false);
    bench.pass(&[at(ROOM, 6, 10)]);
    client.is_stuck(false);
    let missing = bench.missing().unwrap();
    bench.pass(&[at(ROOM, 7, 11), at(OTHER, 6, 12)]);
    // The store was ahead of the shard.
    assert_eq!(bench.refill(missing.version, &[at(ROOM, 6, 10), at(ROOM, 7, 11)], true), Progress::Live);
    assert_eq!(client.take(), ["e 6", "e 7", "e 6"]);

    client.is_stuck(true);
    bench.pass(&[at(ROOM, 8, 13)]);
    client.is_stuck(false);
    let missing = bench.missing().unwrap();
    let many: Vec<_> = (9..200).map(|seq| at(ROOM, seq, seq + 5)).collect();
    bench.pass(&many);
    assert_eq!(bench.refill(missing.version, &[at(ROOM, 8, 13)], true), Progress::Behind);
    assert_eq!(client.take(), ["e 8"]);
    let missing = bench.missing().unwrap();
    assert_eq!(missing.after[0], (ROOM, Seq(8)));
    assert_eq!(bench.refill(missing.version, &many, true), Progress::Live);
    assert_eq!(client.take().len(), many.len());
}

#[test]
fn who_falls_behind_by_what_was_kept_goes_on_lagging() {
    let (mut bench, client) = Bench::stuck(false);
    bench.pass(&[at(ROOM, 6, 10)]);
    let missing = bench.missing().unwrap();
    bench.pass(&[at(ROOM, 7, 11)]);
    assert_eq!(bench.refill(missing.version, &[at(ROOM, 6, 10)], true), Progress::Behind);
    assert_eq!(client.take(), ["e 6"]);
    assert_eq!(bench.missing().unwrap().after[0], (ROOM, Seq(6)));
}

#[test]
fn one_position_tells_of_all_rooms_that_lag() {
    let (mut bench, client) = Bench::stuck(true);
    client.is_stuck(false);
    bench.pass(&[at(OTHER, 6, 9)]);
    client.is_stuck(true);
    bench.pass(&[at(ROOM, 6, 10), at(OTHER, 7, 11)]);
    client.is_stuck(false);
    let missing = bench.missing().unwrap();
    assert_eq!(bench.refill(missing.version, &[at(ROOM, 6, 10)], false), Progress::Behind);
    bench.pass(&[at(ROOM, 7, 12)]);
    let missing = bench.missing().unwrap();
    assert_eq!(bench.refill(missing.version, &[at(OTHER, 7, 11), at(ROOM, 7, 12)], true), Progress::Live);
    assert_eq!(client.take(), ["e 6 @9", "e 6 @10", "e 7 @11", "e 7 @12"]);
}

#[test]
fn a_room_that_lags_with_others_that_are_further_is_named() {
    let (mut bench, client) = Bench::stuck(true);
    bench.pass(&[at(OTHER, 6, 10), at(ROOM, 6, 11), at(OTHER, 7, 12)]);
    client.is_stuck(false);
    // It looks again at one room, and is brought to 6 of it; meanwhile the other goes on.
    assert_eq!(bench.subscribe(1, OTHER, true), Subscribed::Loading { before: Some(Seq(5)) });
    let (done, _progress) = oneshot::channel();
    let early = vec![Replayed { room: OTHER, seq: Seq(6), event: at(OTHER, 6, 10).2 }];
    bench.shard.handle(Item::Replay {
        id: ConnectionId(1),
        events: early,
        order: Order::OneRoom,
        live_after: vec![],
        done,
    });
    let missing = bench.missing().unwrap();
    assert_eq!(missing.after, [(ROOM, Seq(5))]);
    assert_eq!(bench.refill(missing.version, &[at(ROOM, 6, 11)], false), Progress::Behind);
    bench.joined(1, OTHER, 6, &[]);
    bench.pass(&[at(ROOM, 7, 13)]);
    let missing = bench.missing().unwrap();
    assert_eq!(missing.after, [(ROOM, Seq(6)), (OTHER, Seq(6))]);
    bench.refill(missing.version, &[at(OTHER, 7, 12), at(ROOM, 7, 13)], true);
    let named = |position, seq: u64| format!("{position};{}:{seq}", OTHER.0.as_simple());
    let expected = [
        format!("e 6 @{}", named(0, 6)),
        format!("e 6 @{}", named(11, 6)),
        "joined at 6".into(),
        "e 7 @12".into(),
        "e 7 @13".into(),
    ];
    assert_eq!(client.take(), expected);
}

#[test]
fn what_was_read_before_a_room_came_in_is_read_again() {
    let (mut bench, client) = Bench::stuck(false);
    bench.pass(&[at(ROOM, 6, 10)]);
    let missing = bench.missing().unwrap();
    let third = RoomId(Uuid::from_u128(9));
    bench.subscribe(1, third, true);
    bench.joined(1, third, 3, &[]);
    bench.pass(&[at(third, 4, 11), at(ROOM, 7, 12)]);
    assert_eq!(bench.refill(missing.version, &[at(ROOM, 6, 10), at(ROOM, 7, 12)], true), Progress::Behind);
    let missing = bench.missing().unwrap();
    assert_eq!(missing.after, [(ROOM, Seq(5)), (OTHER, Seq(5)), (third, Seq(3))]);
    // A room that is known to the shard, and needs no snapshot, is no other.
    bench.leave(third);
    assert_eq!(bench.subscribe(1, OTHER, false), Subscribed::Done);
    assert_eq!(bench.subscribe(1, OTHER, false), Subscribed::Done);
    client.is_stuck(false);
    let missing = bench.missing().unwrap();
    assert_eq!(bench.refill(missing.version, &[at(ROOM, 6, 10), at(ROOM, 7, 12)], true), Progress::Live);
    let left = "Left { room_id: RoomId(00000000-0000-0000-0000-000000000009) }";
    assert_eq!(client.take(), ["joined at 3", left, "joined at 5", "joined at 5", "e 6", "e 7"]);
}

#[test]
fn rooms_that_are_left_or_closed_meanwhile_bring_nothing_more() {
    let (mut bench, client) = Bench::stuck(false);
    let third = RoomId(Uuid::from_u128(9));
    bench.subscribe(1, third, true);
    bench.joined(1, third, 0, &[]);
    bench.pass(&[at(ROOM, 6, 10), at(OTHER, 6, 11), at(third, 1, 12)]);
    for room in [ROOM, OTHER, third] {
        bench.emit(Audience::Room(room));
    }
    let missing = bench.missing().unwrap();
    bench.leave(ROOM);
    bench.authenticate(1, Reach::Listed([OTHER].into()));
    let read = [at(ROOM, 6, 10), at(OTHER, 6, 11), at(third, 1, 12)];
    client.is_stuck(false);
    assert_eq!(bench.refill(missing.version, &read, true), Progress::Live);
    bench.pass(&[at(ROOM, 7, 13), at(OTHER, 7, 14), at(third, 2, 15)]);
    let lines = client.take();
    assert!(lines[1].starts_with("Left") && lines[2].starts_with("room_closed"), "{lines:?}");
    assert_eq!(lines[3..], ["e 6", "custom 0", "e 7"]);
}

#[test]
fn a_member_that_looks_again_is_brought_to_the_snapshot_first() {
    let (mut bench, client) = Bench::stuck(false);
    bench.pass(&[at(ROOM, 6, 10), at(ROOM, 7, 11)]);
    assert_eq!(bench.subscribe(1, ROOM, true), Subscribed::Loading { before: Some(Seq(5)) });
    assert_eq!(bench.joined_again(1, ROOM, 7, &[6, 7]), Progress::Live);
    bench.pass(&[at(ROOM, 8, 12)]);
    assert_eq!(client.take(), ["e 6", "e 7", "joined at 7"]);
    assert_eq!(bench.missing().unwrap().after, [(ROOM, Seq(7)), (OTHER, Seq(5))]);
}

#[test]
fn a_failed_snapshot_leaves_no_hole_whether_it_still_lags_or_not() {
    for still_lags in [true, false] {
        let (mut bench, client) = Bench::stuck(false);
        bench.pass(&[at(ROOM, 6, 10)]);
        bench.subscribe(1, ROOM, true);
        assert_eq!(bench.replay(1, ROOM, Order::OneRoom, &[6], &[]), Progress::Behind);
        bench.pass(&[at(ROOM, 7, 11)]);
        if !still_lags {
            client.is_stuck(false);
            let missing = bench.missing().unwrap();
            assert_eq!(missing.after, [(OTHER, Seq(5))]);
            assert_eq!(bench.refill(missing.version, &[], true), Progress::Live);
        }
        bench.not_joined(1, ROOM);
        let missing = bench.missing().unwrap();
        assert_eq!(missing.after, [(ROOM, Seq(6)), (OTHER, Seq(5))]);
        assert_eq!(client.take(), ["e 6", "refused Unavailable"]);
        // The other room waits with it.
        bench.pass(&[at(OTHER, 6, 12)]);
        assert_eq!(client.take(), [""; 0]);
    }
}

#[test]
fn who_is_caught_up_with_but_takes_nothing_lags_from_there() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    bench.subscribe(1, ROOM, true);
    bench.pass(&[at(ROOM, 1, 10), at(ROOM, 2, 11)]);
    bench.emit(Audience::Room(ROOM));
    bench.pass(&[at(ROOM, 3, 12)]);
    client.is_stuck(true);
    bench.joined(1, ROOM, 1, &[]);
    assert_eq!(client.take(), ["joined at 1"]);
    let missing = bench.missing().unwrap();
    assert_eq!((missing.after, missing.last), (vec![(ROOM, Seq(1))], vec![(ROOM, Seq(3))]));
    client.is_stuck(false);
    bench.refill(missing.version, &[at(ROOM, 2, 11), at(ROOM, 3, 12)], true);
    assert_eq!(client.take(), ["e 2", "e 3", "custom 0"]);
}

#[test]
fn custom_events_wait_in_their_places_as_far_as_there_is_room() {
    let (mut bench, client) = Bench::stuck(false);
    bench.pass(&[at(ROOM, 6, 10)]);
    bench.tell_user("1");
    bench.emit(Audience::Room(ROOM));
    bench.pass(&[at(OTHER, 6, 11)]);
    bench.tell_user("2");
    client.is_stuck(false);
    let missing = bench.missing().unwrap();
    bench.refill(missing.version, &[at(ROOM, 6, 10), at(OTHER, 6, 11)], false);
    bench.tell_user("3");
    let missing = bench.missing().unwrap();
    bench.pass(&[at(ROOM, 7, 12)]);
    bench.tell_user("4");
    assert_eq!(bench.refill(missing.version, &[], true), Progress::Live);
    let expected = ["e 6", "custom 1", "custom 0", "e 6", "custom 2", "custom 3", "e 7", "custom 4"];
    assert_eq!(client.take(), expected);

    // A flood of them is let go past a bound, and does not make a member of no room lag for ever.
    client.is_stuck(true);
    let large = "x".repeat(1000);
    (0..1000).for_each(|_| bench.tell_user(&large));
    client.is_stuck(false);
    let missing = bench.missing().unwrap();
    assert_eq!(bench.refill(missing.version, &[], true), Progress::Live);
    let kept = client.take().len();
    assert!((50..=64).contains(&kept), "{kept}");
}

#[test]
fn the_end_is_told_at_once() {
    let (mut bench, client) = Bench::stuck(false);
    bench.pass(&[at(ROOM, 6, 10)]);
    bench.emit(Audience::Everybody);
    let (done, _) = oneshot::channel();
    bench.shard.handle(Item::CloseSome { count: 1, close: Close::Draining, done });
    bench.shard.tick(Timestamp::from_millis(3_000));
    assert_eq!(client.take(), ["custom 0", "close server_draining", "refused TokenExpired", "close token_expired"]);
}

#[tokio::test]
async fn nothing_reads_for_a_connection_that_is_gone() {
    let (mut bench, _client) = Bench::stuck(false);
    bench.pass(&[at(ROOM, 6, 10)]);
    let (reading, has_ended) = oneshot::channel::<()>();
    let mut reading = Some(reading);
    let reading = std::sync::Mutex::new(reading.take());
    bench.shard.start_refills(|peer| {
        let reading = reading.lock().unwrap().take();
        tokio::spawn(async move {
            let _held = (reading, peer);
            std::future::pending::<()>().await;
        })
        .abort_handle()
    });
    bench.shard.handle(Item::Closed(ConnectionId(1)));
    // An error: what held the other end is gone.
    has_ended.await.unwrap_err();
    assert!(bench.missing().is_none());
    assert_eq!(bench.refill(0, &[at(ROOM, 6, 10)], true), Progress::Gone);
    assert!(bench.shard.rooms.is_empty() && bench.shard.to_refill.is_empty());
}

#[test]
fn a_room_that_comes_in_while_others_are_brought_beyond_what_passes_waits_with_them() {
    let (mut bench, client) = Bench::stuck(true);
    bench.pass(&[at(ROOM, 6, 10)]);
    client.is_stuck(false);
    let third = RoomId(Uuid::from_u128(9));
    // Its snapshot is read now, at 1; the log of the others a little later.
    bench.subscribe(1, third, true);
    let missing = bench.missing().unwrap();
    assert_eq!(bench.refill(missing.version, &[at(ROOM, 6, 10), at(ROOM, 7, 20)], true), Progress::Live);
    bench.joined(1, third, 1, &[]);
    bench.tell_user("0");
    bench.pass(&[at(third, 2, 15), at(ROOM, 7, 20)]);
    let missing = bench.missing().unwrap();
    let named = |position, seq: u64| format!("{position};{}:{seq}", third.0.as_simple());
    assert_eq!(bench.refill(missing.version, &[at(third, 2, 15), at(third, 3, 21)], true), Progress::Live);
    let expected = [
        format!("e 6 @10;{}:", third.0.as_simple()),
        format!("e 7 @20;{}:", third.0.as_simple()),
        "joined at 1".into(),
        format!("custom 0 @{}", named(20, 1)),
        format!("e 2 @{}", named(20, 2)),
        "e 3 @21".into(),
    ];
    assert_eq!(client.take(), expected);
}
