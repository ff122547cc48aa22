//! What a client that can be recovered is told that it has seen: with every event, of all its rooms.

use gossip_proto::id::Pid;
use gossip_store::Position;

use super::*;
use crate::recoveries::Notes;

fn at(room: RoomId, seq: u64, position: u64) -> (RoomId, u64, u64) {
    (room, seq, position)
}

fn logged(seq: u64, position: u64) -> Arc<Event> {
    Arc::new(Event::logged("e", seq.to_string(), Position(position), Seq(seq)))
}

impl Bench {
    fn tracked(&mut self, id: u64, seen: Offset) -> Recorder {
        self.open_as(id, Some(Tracked::new(Pid(Uuid::from_u128(7)), seen, Notes::lost())))
    }

    fn commit_at(&mut self, events: &[(RoomId, u64, u64)]) {
        let event = |(room, seq, position): &(RoomId, u64, u64)| (*room, *seq, logged(*seq, *position));
        self.pass(&events.iter().map(event).collect::<Vec<_>>());
    }

    fn replay_at(&mut self, order: Order, events: &[(RoomId, u64, u64)], live_after: &[(RoomId, u64)]) -> Progress {
        let (done, mut progress) = oneshot::channel();
        let replayed = |(room, seq, position): &(RoomId, u64, u64)| Replayed {
            room: *room,
            seq: Seq(*seq),
            event: logged(*seq, *position),
        };
        let events = events.iter().map(replayed).collect();
        let live_after = live_after.iter().map(|(room, seq)| (*room, Seq(*seq))).collect();
        self.shard.handle(Item::Replay { id: ConnectionId(1), events, order, live_after, done });
        progress.try_recv().unwrap()
    }
}

fn behind(position: u64, room: RoomId, seq: &str) -> String {
    format!("{position};{}:{seq}", room.0.as_simple())
}

#[test]
fn live_events_and_custom_ones_tell_of_the_last_position() {
    let mut bench = Bench::new(10);
    let client = bench.tracked(1, Offset::default());
    assert_eq!(bench.subscribe(1, ROOM, true), LOADING);
    bench.joined(1, ROOM, 5, &[]);
    bench.emit(Audience::Room(ROOM));
    bench.commit_at(&[at(ROOM, 6, 40)]);
    bench.emit(Audience::User(USER));
    assert_eq!(client.take(), ["joined at 5", "custom 0 @0", "e 6 @40", "custom 0 @40"]);
}

#[test]
fn each_event_of_a_run_tells_of_its_own_position_and_of_what_is_behind() {
    let mut bench = Bench::new(10);
    // It has seen the first of what comes, which was of another room of its.
    let client = bench.tracked(1, Offset { position: Position(40), behind: Vec::new() });
    bench.subscribe(1, ROOM, true);
    bench.joined(1, ROOM, 5, &[]);
    bench.commit_at(&[at(ROOM, 6, 39), at(ROOM, 7, 41)]);
    bench.commit_at(&[at(ROOM, 8, 42), at(ROOM, 9, 43), at(ROOM, 10, 45)]);
    bench.subscribe(1, OTHER, true);
    bench.commit_at(&[at(ROOM, 11, 46), at(ROOM, 12, 47)]);
    // Read up to 50 before the shard heard of 48.
    let reply = Reply::Joined { room_id: OTHER, seq: Seq(2), recovered: Some(true), intents: None };
    let snapshot = Snapshot { after: Seq(1), reply, is_replayed: true };
    bench.answered(1, OTHER, Ok(snapshot));
    bench.replay_at(Order::OneRoom, &[at(OTHER, 2, 50)], &[(OTHER, 2)]);
    let expected = [
        "joined at 5".to_owned(),
        "e 6 @40".into(),
        "e 7 @41".into(),
        "e 8 @42".into(),
        "e 9 @43".into(),
        "e 10 @45".into(),
        format!("e 11 @{}", behind(46, OTHER, "")),
        format!("e 12 @{}", behind(47, OTHER, "")),
        format!("recovery {{}} @{}", behind(47, OTHER, "1")),
        "joined at 2".into(),
        format!("e 2 @{}", behind(47, OTHER, "2")),
    ];
    assert_eq!(client.take(), expected);
    bench.commit_at(&[at(ROOM, 13, 48), at(ROOM, 14, 49), at(OTHER, 2, 50), at(ROOM, 15, 51), at(ROOM, 16, 52)]);
    bench.commit_at(&[at(OTHER, 3, 53), at(OTHER, 4, 54)]);
    bench.emit(Audience::User(USER));
    let expected = [
        format!("e 13 @{}", behind(48, OTHER, "2")),
        format!("e 14 @{}", behind(49, OTHER, "2")),
        "e 15 @51".into(),
        "e 16 @52".into(),
        "e 3 @53".into(),
        "e 4 @54".into(),
        "custom 0 @54".into(),
    ];
    assert_eq!(client.take(), expected);
}

#[test]
fn a_room_that_is_caught_up_with_is_told_of_beside_the_others() {
    let mut bench = Bench::new(10);
    let client = bench.tracked(1, Offset::default());
    bench.subscribe(1, ROOM, true);
    bench.joined(1, ROOM, 5, &[]);
    bench.commit_at(&[at(ROOM, 6, 40)]);
    bench.subscribe(1, OTHER, true);
    bench.commit_at(&[at(ROOM, 7, 41), at(OTHER, 4, 42)]);
    let reply = Reply::Joined { room_id: OTHER, seq: Seq(4), recovered: Some(true), intents: None };
    let snapshot = Snapshot { after: Seq(1), reply, is_replayed: true };
    assert_eq!(bench.answered(1, OTHER, Ok(snapshot)), Progress::Behind);
    bench.replay_at(Order::OneRoom, &[at(OTHER, 2, 20)], &[]);
    bench.commit_at(&[at(ROOM, 8, 43), at(OTHER, 5, 44), at(ROOM, 9, 45)]);
    bench.replay_at(Order::OneRoom, &[at(OTHER, 3, 30), at(OTHER, 4, 42)], &[(OTHER, 4)]);
    bench.commit_at(&[at(OTHER, 6, 46)]);
    let expected = [
        "joined at 5".to_owned(),
        "e 6 @40".into(),
        // The room is entered, and nothing is known of it yet.
        format!("e 7 @{}", behind(41, OTHER, "")),
        // Before the ack, so that who has the ack has this.
        format!("recovery {{}} @{}", behind(41, OTHER, "1")),
        "joined at 4".into(),
        format!("e 2 @{}", behind(41, OTHER, "2")),
        format!("e 8 @{}", behind(43, OTHER, "2")),
        format!("e 9 @{}", behind(45, OTHER, "2")),
        format!("e 3 @{}", behind(45, OTHER, "3")),
        format!("e 4 @{}", behind(45, OTHER, "4")),
        // Kept while it was caught up with.
        format!("e 5 @{}", behind(45, OTHER, "5")),
        "e 6 @46".into(),
    ];
    assert_eq!(client.take(), expected);
}

#[test]
fn rooms_that_are_recovered_together_need_no_more_than_a_position() {
    let mut bench = Bench::new(10);
    let seen = Offset { position: Position(50), behind: vec![(OTHER, Some(Seq(1)))] };
    let client = bench.tracked(1, seen);
    assert_eq!(bench.expect(1, &[ROOM, OTHER]), []);
    bench.commit_at(&[at(ROOM, 9, 60)]);
    // What one room lacks up to where the others are comes first.
    assert_eq!(bench.replay_at(Order::OneRoom, &[at(OTHER, 2, 48)], &[]), Progress::Behind);
    let events = [at(ROOM, 7, 51), at(OTHER, 3, 52), at(ROOM, 8, 53)];
    assert_eq!(bench.replay_at(Order::AllRooms, &events, &[(ROOM, 8), (OTHER, 3)]), Progress::Live);
    let first = format!("e 2 @{}", behind(50, OTHER, "2"));
    assert_eq!(client.take(), [&first, "e 7 @51", "e 3 @52", "e 8 @53", "e 9 @60"]);
}

#[test]
fn a_room_that_is_closed_is_named_as_far_as_it_was_seen() {
    let mut bench = Bench::new(10);
    let client = bench.tracked(1, Offset::default());
    for room in [ROOM, OTHER] {
        bench.subscribe(1, room, true);
        bench.joined(1, room, 5, &[]);
    }
    bench.commit_at(&[at(ROOM, 6, 40), at(OTHER, 6, 41)]);
    client.take();
    bench.authenticate(1, Reach::Listed([OTHER].into()));
    bench.commit_at(&[at(ROOM, 7, 42), at(OTHER, 7, 43)]);
    let closed = format!(r#"room_closed {{"code":"forbidden","roomId":"{ROOM}"}} @{}"#, behind(41, ROOM, "6"));
    assert_eq!(client.take(), [closed, format!("e 7 @{}", behind(43, ROOM, "6"))]);
}

#[test]
fn a_room_that_is_closed_or_refused_while_it_is_caught_up_with_is_still_named() {
    for is_closed in [true, false] {
        let mut bench = Bench::new(10);
        let client = bench.tracked(1, Offset::default());
        bench.subscribe(1, OTHER, true);
        bench.joined(1, OTHER, 5, &[]);
        bench.subscribe(1, ROOM, true);
        bench.commit_at(&[at(OTHER, 6, 40)]);
        if is_closed {
            bench.authenticate(1, Reach::Listed([OTHER].into()));
        } else {
            bench.answered(1, ROOM, Err(Refusal::unavailable()));
        }
        client.take();
        // That it is not the client's any more may not have been written when the process ends.
        bench.commit_at(&[at(ROOM, 6, 41), at(OTHER, 7, 42)]);
        assert_eq!(client.take(), [format!("e 7 @{}", behind(42, ROOM, ""))], "{is_closed}");
    }
}

#[test]
fn a_room_that_is_left_is_not_told_of() {
    let mut bench = Bench::new(10);
    let client = bench.tracked(1, Offset::default());
    bench.subscribe(1, ROOM, true);
    bench.joined(1, ROOM, 3, &[2, 3]);
    bench.shard.handle(Item::Leave { id: ConnectionId(1), room: ROOM, asked: asked() });
    bench.emit(Audience::User(USER));
    assert_eq!(client.take().last().unwrap(), "custom 0 @0");
}

#[test]
fn a_room_that_was_caught_up_with_beyond_the_shard_is_named_until_that_is_there() {
    let mut bench = Bench::new(10);
    let client = bench.tracked(1, Offset::default());
    bench.subscribe(1, ROOM, true);
    bench.joined(1, ROOM, 5, &[]);
    bench.subscribe(1, OTHER, true);
    let reply = Reply::Joined { room_id: OTHER, seq: Seq(2), recovered: Some(true), intents: None };
    let snapshot = Snapshot { after: Seq(1), reply, is_replayed: true };
    bench.answered(1, OTHER, Ok(snapshot));
    // The log was read up to 42 before the shard heard of 41.
    bench.replay_at(Order::OneRoom, &[at(OTHER, 2, 42)], &[(OTHER, 2)]);
    bench.emit(Audience::User(USER));
    bench.commit_at(&[at(ROOM, 6, 41), at(OTHER, 2, 42), at(ROOM, 7, 43)]);
    let named = |position| behind(position, OTHER, "2");
    let expected = [
        "joined at 5".to_owned(),
        format!("recovery {{}} @{}", behind(0, OTHER, "1")),
        "joined at 2".into(),
        format!("e 2 @{}", named(0)),
        format!("custom 0 @{}", named(0)),
        format!("e 6 @{}", named(41)),
        "e 7 @43".into(),
    ];
    assert_eq!(client.take(), expected);
}

#[test]
fn a_member_that_looks_again_is_behind_from_what_it_has_seen() {
    let mut bench = Bench::new(10);
    let client = bench.tracked(1, Offset::default());
    for room in [ROOM, OTHER] {
        bench.subscribe(1, room, true);
        bench.joined(1, room, 5, &[]);
    }
    bench.commit_at(&[at(ROOM, 6, 40)]);
    client.take();
    assert_eq!(bench.subscribe(1, ROOM, true), Subscribed::Loading { before: Some(Seq(6)) });
    bench.commit_at(&[at(OTHER, 6, 41), at(ROOM, 7, 42), at(ROOM, 8, 43)]);
    let reply = Reply::Joined { room_id: ROOM, seq: Seq(7), recovered: None, intents: None };
    bench.replay_at(Order::OneRoom, &[at(ROOM, 7, 42)], &[]);
    bench.answered(1, ROOM, Ok(Snapshot { after: Seq(7), reply, is_replayed: false }));
    bench.commit_at(&[at(OTHER, 7, 44)]);
    let named = |position, seq| behind(position, ROOM, seq);
    let expected = [
        format!("e 6 @{}", named(41, "6")),
        format!("e 7 @{}", named(41, "7")),
        "joined at 7".into(),
        format!("e 8 @{}", named(41, "8")),
        "e 7 @44".into(),
    ];
    assert_eq!(client.take(), expected);
}
