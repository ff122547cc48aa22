//! Members that join again or are caught up with for long: nothing is missed, nothing comes twice.

use super::*;
use crate::shard::joining::MAX_KEPT;

#[test]
fn a_member_that_only_looks_again_misses_nothing() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    bench.subscribe(1, ROOM, false);
    bench.joined(1, ROOM, 5, &[]);
    bench.commit(ROOM, [5, 6]);
    assert_eq!(bench.subscribe(1, ROOM, true), Subscribed::Loading { before: Some(Seq(6)) });
    bench.commit(ROOM, [7]);
    // The store is at 8, of which the shard has not heard yet.
    assert_eq!(bench.joined_again(1, ROOM, 8, &[7, 8]), Progress::Live);
    bench.commit(ROOM, [8, 9]);
    assert_eq!(client.take(), ["joined at 5", "e 6", "e 7", "e 8", "joined at 8", "e 9"]);
}

#[test]
fn a_member_that_joins_again_gets_what_has_yet_to_pass() {
    let mut bench = Bench::new(10);
    let (first, second) = (bench.open(1), bench.open(2));
    bench.subscribe(1, ROOM, false);
    bench.joined(1, ROOM, 5, &[]);
    // Another's snapshot is ahead of the shard.
    bench.subscribe(2, ROOM, true);
    bench.joined(2, ROOM, 7, &[]);
    assert_eq!(bench.subscribe(1, ROOM, false), Subscribed::Done);
    bench.commit(ROOM, [6, 7, 8]);
    assert_eq!(first.take(), ["joined at 5", "joined at 5", "e 6", "e 7", "e 8"]);
    assert_eq!(second.take(), ["joined at 7", "e 8"]);
}

#[test]
fn rooms_that_are_resumed_go_live_together_in_the_order_of_arrival() {
    let mut bench = Bench::new(2);
    let client = bench.open(1);
    let third = RoomId(Uuid::from_u128(9));
    assert_eq!(bench.expect(1, &[ROOM, OTHER, third]), [third]);
    bench.commit(ROOM, [3]);
    bench.commit(OTHER, [8]);
    bench.emit(Audience::Room(ROOM));
    bench.commit(ROOM, [4]);
    assert_eq!(bench.replay(1, ROOM, Order::AllRooms, &[2], &[]), Progress::Behind);
    let live_after = [(ROOM, Seq(3)), (OTHER, Seq(7))];
    assert_eq!(bench.replay(1, ROOM, Order::AllRooms, &[3], &live_after), Progress::Live);
    bench.commit(OTHER, [9]);
    assert_eq!(client.take(), ["e 2", "e 3", "e 8", "custom 0", "e 4", "e 9"]);
}

#[test]
fn a_member_for_whom_too_much_passes_reads_on_in_the_log() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    bench.subscribe(1, ROOM, true);
    bench.commit(ROOM, 1..=MAX_KEPT as u64 + 1);
    bench.commit(ROOM, [MAX_KEPT as u64 + 2]);
    let reply = Reply::Joined { room_id: ROOM, seq: Seq(0), recovered: None, intents: None };
    let snapshot = Snapshot { after: Seq(0), reply, is_replayed: false };
    assert_eq!(bench.answered(1, ROOM, Ok(snapshot)), Progress::Behind);
    assert_eq!(client.take(), ["joined at 0"]);
    let end = MAX_KEPT as u64 + 2;
    assert_eq!(bench.replay(1, ROOM, Order::OneRoom, &[end - 1, end], &[(ROOM, Seq(end))]), Progress::Live);
    bench.commit(ROOM, [end + 1]);
    assert_eq!(client.take(), [end - 1, end, end + 1].map(|seq| format!("e {seq}")));
}

#[test]
fn a_member_that_looks_again_for_too_long_reads_on_too() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    bench.subscribe(1, ROOM, false);
    bench.joined(1, ROOM, 0, &[]);
    bench.subscribe(1, ROOM, true);
    bench.commit(ROOM, 1..=MAX_KEPT as u64 + 1);
    assert_eq!(bench.joined_again(1, ROOM, 2, &[1, 2]), Progress::Behind);
    assert_eq!(client.take(), ["joined at 0", "e 1", "e 2", "joined at 2"]);
}
