//! The log: what it has, where rooms stand in it, what is replayed, and what is left when it was pruned.

use gossip_proto::id::{RoomId, Seq};
use gossip_proto::timestamp::Timestamp;
use gossip_store::{JoinQuery, LogEvent, Position, Seen, Standing};

use crate::support::Fixture;

/// Posts to the rooms in turn: positions 1, 2, 3… go around them.
async fn posts(f: &Fixture, rooms: &[RoomId], times: usize) -> Vec<LogEvent> {
    let mut events = Vec::new();
    for _ in 0..times {
        let batch: Vec<_> = rooms.iter().map(|room| f.new_gossip(1, *room, "x")).collect();
        events.extend(f.commit(&batch).await.events);
    }
    events
}

/// Prunes all that is older than now, at most `limit` events.
async fn prune(f: &Fixture, limit: u64) -> u64 {
    f.store.prune(f.now(), limit).await.unwrap()
}

fn positions(events: &[LogEvent]) -> Vec<u64> {
    events.iter().map(|event| event.position.0).collect()
}

pub(crate) async fn the_log_has_what_was_sent(f: Fixture) {
    assert_eq!(f.store.position().await.unwrap(), Position(0));
    assert_eq!(f.log().await, []);
    let sent = posts(&f, &[f.room(), f.room()], 3).await;
    assert_eq!(positions(&sent), [1, 2, 3, 4, 5, 6]);
    assert_eq!(f.log().await, sent);
    assert_eq!(f.store.log(Position(2), 3).await.unwrap(), sent[2..5]);
    assert_eq!(f.store.log(Position(6), 3).await.unwrap(), []);
    assert_eq!(f.store.log(Position(u64::MAX), 3).await.unwrap(), []);
    assert_eq!(f.store.position().await.unwrap(), Position(6));
    f.commit(&[f.comment(1, gossip_proto::id::IntentId(uuid::Uuid::nil()), "refused")]).await;
    assert_eq!(f.store.position().await.unwrap(), Position(6));
}

pub(crate) async fn positions_go_on_after_all_is_pruned(f: Fixture) {
    posts(&f, &[f.room()], 2).await;
    f.env.advance_ms(1);
    assert_eq!(prune(&f, 10).await, 2);
    assert_eq!((f.log().await, f.store.position().await.unwrap()), (vec![], Position(2)));
    let f = f.reopen().await;
    assert_eq!(positions(&posts(&f, &[f.room()], 1).await), [3]);
}

pub(crate) async fn a_room_is_reached_from_where_its_log_begins(f: Fixture) {
    let room = f.room();
    posts(&f, &[room, f.room()], 2).await;
    f.env.advance_ms(1);
    posts(&f, &[room], 2).await;
    let reached = async |room, since| {
        let query = JoinQuery { since: Some(Seq(since)), ..JoinQuery::default() };
        f.store.room(room, query).await.unwrap().is_reached.unwrap()
    };
    for (since, expected) in [(0, true), (3, true), (4, true), (5, false), (u64::MAX, false)] {
        assert_eq!(reached(room, since).await, expected, "{since}");
    }
    prune(&f, 10).await;
    for (since, expected) in [(0, false), (1, false), (2, true), (4, true), (5, false)] {
        assert_eq!(reached(room, since).await, expected, "{since} after pruning");
    }
    f.env.advance_ms(1);
    prune(&f, 10).await;
    for (since, expected) in [(3, false), (4, true), (5, false)] {
        assert_eq!(reached(room, since).await, expected, "{since} after pruning all");
    }
    let unknown = f.room();
    assert!(reached(unknown, 0).await);
    assert!(!reached(unknown, 1).await);
}

pub(crate) async fn rooms_stand_where_a_client_left_them(f: Fixture) {
    let (a, b, empty) = (f.room(), f.room(), f.room());
    // a at 1, 3, 5, 7; b at 2, 4, 6, 8.
    posts(&f, &[a, b], 2).await;
    f.env.advance_ms(1);
    posts(&f, &[a, b], 2).await;
    let at = |joined, position| Seen::Position { joined: Seq(joined), position: Position(position) };
    let stand = |after: Option<u64>| Standing { seq: Seq(4), after: after.map(Seq) };
    let asked = [
        (a, at(0, 5), Some(3)),
        (b, at(0, 5), Some(2)),
        (a, at(0, 0), Some(0)),
        (a, at(4, 5), Some(4)),
        (b, at(0, 8), Some(4)),
        (b, at(0, 9), None),
        (b, Seen::Seq(Seq(2)), Some(2)),
        (b, Seen::Seq(Seq(5)), None),
        (a, at(0, 5), Some(3)),
    ];
    let rooms: Vec<_> = asked.iter().map(|(room, seen, _)| (*room, *seen)).collect();
    let expected: Vec<_> = asked.iter().map(|(.., after)| stand(*after)).collect();
    assert_eq!(f.store.standings(&rooms).await.unwrap(), expected);
    assert_eq!(f.store.standings(&[]).await.unwrap(), []);
    let nothing = Standing { seq: Seq(0), after: Some(Seq(0)) };
    assert_eq!(f.store.standings(&[(empty, at(0, 3))]).await.unwrap(), [nothing]);
    // Positions 1 to 4 go.
    prune(&f, 10).await;
    let rooms = [(a, at(0, 4)), (a, at(0, 2)), (b, at(2, 2)), (b, at(0, 5)), (a, Seen::Seq(Seq(1)))];
    let after = [Some(2), None, Some(2), Some(2), None].map(stand);
    assert_eq!(f.store.standings(&rooms).await.unwrap(), after);
}

pub(crate) async fn replay_merges_rooms_in_the_order_of_positions(f: Fixture) {
    let (a, b, c) = (f.room(), f.room(), f.room());
    let sent = posts(&f, &[a, b, c], 3).await;
    let of = |rooms: &[RoomId]| sent.iter().filter(|event| rooms.contains(&event.room)).cloned().collect::<Vec<_>>();
    let all = f.store.replay(&[(b, Seq(0)), (a, Seq(0))], 100).await.unwrap();
    assert_eq!(all, of(&[a, b]));
    let some = f.store.replay(&[(c, Seq(1)), (a, Seq(2))], 100).await.unwrap();
    assert_eq!(positions(&some), [6, 7, 9]);
    let first = f.store.replay(&[(c, Seq(1)), (a, Seq(0))], 3).await.unwrap();
    assert_eq!(positions(&first), [1, 4, 6]);
    assert_eq!(f.store.replay(&[(c, Seq(3)), (f.room(), Seq(0)), (a, Seq(u64::MAX))], 9).await.unwrap(), []);
    assert_eq!(f.store.replay(&[], 9).await.unwrap(), []);
}

pub(crate) async fn pruning_leaves_no_hole(f: Fixture) {
    let room = f.room();
    posts(&f, &[room], 2).await;
    f.env.advance_ms(10_000);
    posts(&f, &[room], 1).await;
    // A clock that was set back: what came later is older, and stays while what came before it does.
    f.env.advance_ms(-10_000);
    posts(&f, &[room], 1).await;
    f.env.advance_ms(10_000);
    let cutoff = Timestamp::from_millis(f.env.millis() - 1_000);
    for went in [1, 1, 0] {
        assert_eq!(f.store.prune(cutoff, 1).await.unwrap(), went);
    }
    assert_eq!(f.store.prune(cutoff, 100).await.unwrap(), 0);
    assert_eq!(positions(&f.log().await), [3, 4]);
    f.env.advance_ms(1);
    assert_eq!(prune(&f, 100).await, 2);
}
