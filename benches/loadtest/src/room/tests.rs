//! What members may and may not see.

use super::*;

fn event(seq: u64) -> Vec<u8> {
    format!(r#"42/gossip,["gossip_update",{{"type":"new_intent","intent":{{}},"roomId":"r","seq":{seq}}}]"#)
        .into_bytes()
}

/// A room at 0 and its members' cursors.
fn room(members: usize) -> (Room, Vec<Cursor>) {
    (Room::new("r".into(), members, 0), (0..members).map(|_| Cursor::after(0)).collect())
}

fn last(seq: u64) -> Took {
    Took::Event { seq, last: true }
}

fn not_last(seq: u64) -> Took {
    Took::Event { seq, last: false }
}

/// Gives the members the events, a row each, and tells what is wrong at the end.
fn faults(rows: &[&[u64]]) -> Vec<String> {
    let (mut room, mut cursors) = room(rows.len());
    for (cursor, row) in cursors.iter_mut().zip(rows) {
        for &seq in *row {
            room.take(cursor, &event(seq));
        }
    }
    room.finish(&cursors).lines()
}

#[test]
fn every_event_to_every_member_once_and_in_order() {
    let (mut room, mut cursors) = room(3);
    for seq in 1..=100 {
        assert_eq!(room.take(&mut cursors[0], &event(seq)), not_last(seq));
    }
    for seq in 1..=100 {
        assert_eq!(room.take(&mut cursors[2], &event(seq)), not_last(seq));
        assert_eq!(room.take(&mut cursors[1], &event(seq)), last(seq));
    }
    assert!(room.finish(&cursors).lines().is_empty());
    assert!(room.slots.is_empty() && room.whole_bytes == 0);
    assert_eq!(room.events().0, 100);
}

#[test]
fn whoever_is_first_may_become_the_slowest() {
    let (mut room, mut cursors) = room(2);
    assert_eq!(room.take(&mut cursors[0], &event(1)), not_last(1));
    for seq in 1..=50 {
        let took = room.take(&mut cursors[1], &event(seq));
        assert_eq!(took, if seq == 1 { last(1) } else { not_last(seq) });
    }
    for seq in 2..=50 {
        assert_eq!(room.take(&mut cursors[0], &event(seq)), last(seq));
    }
    assert!(room.finish(&cursors).lines().is_empty());
}

#[test]
fn a_member_far_behind_costs_hashes() {
    let (mut room, mut cursors) = room(2);
    let big = |seq: u64| {
        let content = "x".repeat(1 << 20);
        format!(r#"42/gossip,["gossip_update",{{"content":"{content}","roomId":"r","seq":{seq}}}]"#).into_bytes()
    };
    for seq in 1..=20 {
        room.take(&mut cursors[0], &big(seq));
    }
    assert!(room.whole_bytes <= WHOLE && matches!(room.slots[0].kept, Kept::Hash(_)));
    for seq in 1..=20 {
        assert_eq!(room.take(&mut cursors[1], &big(seq)), last(seq));
    }
    assert!(room.finish(&cursors).lines().is_empty() && room.whole_bytes == 0);
}

#[test]
fn faults_are_told_apart() {
    assert_eq!(faults(&[&[1, 2, 3], &[1, 3, 2]]), ["1 deliveries came out of order, the first: seq 2"]);
    // Also where the first of all to get it gets it out of order.
    assert_eq!(faults(&[&[2, 1, 3], &[1, 2, 3]]), ["1 deliveries came out of order, the first: seq 1"]);
    assert_eq!(faults(&[&[1, 2, 3], &[1, 2, 2, 3]]), ["1 deliveries came twice, the first: seq 2"]);
    assert_eq!(faults(&[&[1, 2, 3], &[1, 3]]), ["1 deliveries are missing, the first: seq 2"]);
    assert_eq!(faults(&[&[1, 2, 3], &[1]]), ["2 deliveries are missing, the first: seq 2"]);
    assert_eq!(faults(&[&[1, 2], &[1, 2, 1]]), ["1 deliveries came twice, the first: seq 1"]);
    // Ahead of its turn, and again.
    assert_eq!(faults(&[&[1, 2, 3], &[1, 3, 3, 2]]).len(), 2);
}

#[test]
fn what_is_not_of_the_room_is_foreign() {
    let (mut room, mut cursors) = room(2);
    let other = String::from_utf8(event(1)).unwrap().replace("\"r\"", "\"s\"");
    assert_eq!(room.take(&mut cursors[0], other.as_bytes()), Took::Fault);
    assert_eq!(room.take(&mut cursors[0], br#"42/gossip,["exception",{"code":"internal"}]"#), Took::Fault);
    assert_eq!(room.take(&mut cursors[0], &event(u64::MAX)), Took::Fault);
    let lines = room.finish(&cursors).lines();
    assert!(lines.len() == 1 && lines[0].starts_with("3 deliveries are of no event"), "{lines:?}");
}

#[test]
fn other_bytes_than_the_first_had() {
    let (mut room, mut cursors) = room(2);
    room.take(&mut cursors[0], &event(1));
    let other = String::from_utf8(event(1)).unwrap().replace("new_intent", "vote");
    assert_eq!(room.take(&mut cursors[1], other.as_bytes()), last(1));
    assert_eq!(room.finish(&cursors).lines().len(), 1);
}

#[test]
fn what_was_acked_must_come() {
    let (mut room, mut cursors) = room(2);
    for cursor in &mut cursors {
        room.take(cursor, &event(1));
    }
    room.promised(3);
    assert_eq!(room.finish(&cursors).lines(), ["4 deliveries are missing, the first: seq 2"]);
}

#[test]
fn who_is_gone_is_not_waited_for() {
    let (mut room, mut cursors) = room(3);
    for seq in 1..=3 {
        room.take(&mut cursors[0], &event(seq));
    }
    room.take(&mut cursors[1], &event(1));
    room.take(&mut cursors[1], &event(2));
    room.take(&mut cursors[2], &event(1));
    let gone = cursors.remove(2);
    assert_eq!(room.left(&gone, "reset"), [2]);
    assert_eq!(room.take(&mut cursors[1], &event(3)), last(3));
    assert_eq!(room.finish(&cursors).lines(), ["1 members lost their connection, the first: reset"]);
}
