//! Access that is withdrawn from members in every state, and users who are sent away.

use super::*;

fn closed(room: RoomId) -> String {
    format!(r#"room_closed {{"code":"forbidden","roomId":"{room}"}}"#)
}

fn withdraw(bench: &mut Bench, room: RoomId) {
    bench.shard.handle(Item::Withdraw { user: USER, room });
}

#[test]
fn a_lost_membership_ends_what_hung_on_it_and_nothing_else() {
    let mut bench = Bench::new(10);
    let (member, admin) = (bench.open(1), bench.open(2));
    bench.authenticate(1, Reach::Members);
    for id in [1, 2] {
        for room in [ROOM, OTHER] {
            bench.subscribe(id, room, true);
            bench.joined(id, room, 0, &[]);
        }
    }
    member.take();
    admin.take();
    bench.shard.handle(Item::Withdraw { user: UserId::NIL, room: ROOM });
    withdraw(&mut bench, RoomId(Uuid::from_u128(9)));
    assert_eq!(member.take(), [""; 0]);
    withdraw(&mut bench, ROOM);
    withdraw(&mut bench, ROOM);
    bench.commit(ROOM, [1]);
    bench.commit(OTHER, [1]);
    assert_eq!(member.take(), [&closed(ROOM), "e 1"]);
    assert_eq!(admin.take(), ["e 1", "e 1"]);
}

#[test]
fn a_join_under_way_is_answered_and_brings_nothing() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    bench.authenticate(1, Reach::Members);
    assert_eq!(bench.subscribe(1, ROOM, true), LOADING);
    bench.commit(ROOM, [1]);
    withdraw(&mut bench, ROOM);
    let reply = Reply::Joined { room_id: ROOM, seq: Seq(1), recovered: None, intents: None };
    let progress = bench.answered(1, ROOM, Ok(Snapshot { after: Seq(1), reply, is_replayed: false }));
    assert_eq!(progress, Progress::Gone);
    bench.commit(ROOM, [2]);
    assert_eq!(client.take(), [&closed(ROOM), "refused Forbidden"]);
}

#[test]
fn a_replay_under_way_ends_in_the_middle() {
    let mut bench = Bench::new(10);
    let client = bench.open(1);
    bench.authenticate(1, Reach::Members);
    bench.expect(1, &[ROOM, OTHER]);
    assert_eq!(bench.replay(1, ROOM, Order::AllRooms, &[1, 2], &[]), Progress::Behind);
    withdraw(&mut bench, ROOM);
    bench.commit(ROOM, [5]);
    bench.commit(OTHER, [1]);
    assert_eq!(bench.replay(1, ROOM, Order::AllRooms, &[3, 4], &[(ROOM, Seq(4)), (OTHER, Seq(0))]), Progress::Live);
    bench.commit(ROOM, [6]);
    assert_eq!(client.take(), ["e 1", "e 2", &closed(ROOM), "e 1"]);
}

#[test]
fn a_look_at_a_user_closes_what_a_token_lacks_and_tells_what_hangs_on_memberships() {
    let mut bench = Bench::new(10);
    let (listed, member) = (bench.open(1), bench.open(2));
    bench.authenticate(2, Reach::Members);
    for (id, room) in [(1, ROOM), (1, OTHER), (2, OTHER)] {
        bench.subscribe(id, room, true);
        bench.joined(id, room, 0, &[]);
    }
    listed.take();
    member.take();
    bench.shard.connections.get_mut(&ConnectionId(1)).unwrap().reach = Reach::Listed([OTHER].into());
    let (done, mut of_members) = oneshot::channel();
    bench.shard.handle(Item::Recheck { user: USER, done });
    assert_eq!(of_members.try_recv().unwrap(), [OTHER]);
    assert_eq!(listed.take(), [closed(ROOM)]);
    assert_eq!(member.take(), [""; 0]);
}

#[test]
fn a_user_is_sent_away_from_all_connections_once() {
    let mut bench = Bench::new(10);
    let (one, two) = (bench.open(1), bench.open(2));
    let stranger = Recorder::default();
    let peer = Arc::new(Peer::new(ConnectionId(3), Box::new(stranger.clone()), None));
    bench.shard.handle(Item::Open { peer, authenticate_by: Timestamp::from_millis(1_000) });
    bench.shard.handle(Item::CloseUser { user: UserId::NIL });
    assert_eq!((one.take(), two.take()), (vec![], vec![]));
    bench.shard.handle(Item::CloseUser { user: USER });
    bench.shard.handle(Item::CloseUser { user: USER });
    for client in [one, two] {
        assert_eq!(client.take(), ["refused InvalidToken", "close revoked"]);
    }
    assert_eq!(stranger.take(), [""; 0]);
}
