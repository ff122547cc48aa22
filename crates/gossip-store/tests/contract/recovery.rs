//! Connections that can be recovered: what is kept of them, and for how long.

use gossip_proto::id::{Pid, RoomId, Seq};
use gossip_store::{Recovery, RecoveryChange};

use crate::support::Fixture;

fn sorted(recovery: Option<Recovery>) -> Option<(u128, Vec<(RoomId, u64)>)> {
    recovery.map(|Recovery { user, rooms }| {
        let mut rooms: Vec<_> = rooms.into_iter().map(|(room, seq)| (room, seq.0)).collect();
        rooms.sort();
        (user.0.as_u128(), rooms)
    })
}

async fn kept(f: &Fixture, pid: Pid) -> Option<(u128, Vec<(RoomId, u64)>)> {
    sorted(f.store.recovery(pid).await.unwrap())
}

async fn keep(f: &Fixture, changes: &[RecoveryChange]) {
    f.store.keep(changes, f.now()).await.unwrap();
}

fn open(f: &Fixture, pid: Pid, user: u128) -> RecoveryChange {
    RecoveryChange::Open { pid, user: f.user(user) }
}

fn join(pid: Pid, room: RoomId, seq: u64) -> RecoveryChange {
    RecoveryChange::Join { pid, room, seq: Seq(seq) }
}

pub(crate) async fn what_a_connection_did_is_kept(f: Fixture) {
    let (pid, other) = (Pid(f.room().0), Pid(f.room().0));
    let (a, b) = (f.room(), f.room());
    assert_eq!(kept(&f, pid).await, None);
    keep(&f, &[]).await;
    keep(&f, &[open(&f, pid, 7), open(&f, other, 8), join(pid, a, 3), join(pid, b, 5), join(other, a, 4)]).await;
    assert_eq!(kept(&f, pid).await, Some((7, vec![(a, 3), (b, 5)])));
    keep(&f, &[RecoveryChange::Leave { pid, room: b }, join(pid, a, 9)]).await;
    assert_eq!(kept(&f, pid).await, Some((7, vec![(a, 9)])));
    // It is whose it was.
    keep(&f, &[open(&f, pid, 8)]).await;
    let f = f.reopen().await;
    assert_eq!(kept(&f, pid).await, Some((7, vec![(a, 9)])));
    assert_eq!(kept(&f, other).await, Some((8, vec![(a, 4)])));
}

pub(crate) async fn what_is_forgotten_leaves_nothing(f: Fixture) {
    let (pid, room) = (Pid(f.room().0), f.room());
    keep(&f, &[open(&f, pid, 1), join(pid, room, 1)]).await;
    keep(&f, &[RecoveryChange::Forget { pid }]).await;
    assert_eq!(kept(&f, pid).await, None);
    // What comes late for one that is gone is not kept either.
    keep(&f, &[join(pid, room, 2)]).await;
    keep(&f, &[open(&f, pid, 1)]).await;
    assert_eq!(kept(&f, pid).await, Some((1, vec![])));
    let brief = Pid(f.room().0);
    keep(&f, &[open(&f, brief, 1), join(brief, room, 1), RecoveryChange::Forget { pid: brief }]).await;
    assert_eq!(kept(&f, brief).await, None);
}

pub(crate) async fn connections_not_seen_for_long_are_pruned(f: Fixture) {
    let pids: Vec<Pid> = (0..5).map(|_| Pid(f.room().0)).collect();
    let room = f.room();
    for pid in &pids {
        keep(&f, &[open(&f, *pid, 1), join(*pid, room, 1)]).await;
        f.env.advance_ms(10);
    }
    f.store.touch(&[pids[1]], f.now()).await.unwrap();
    f.store.touch(&[], f.now()).await.unwrap();
    let before = gossip_proto::timestamp::Timestamp::from_millis(f.env.millis() - 10);
    assert_eq!(f.store.prune(before, 2).await.unwrap(), 2);
    assert_eq!(f.store.prune(before, 2).await.unwrap(), 1);
    assert_eq!(f.store.prune(before, 2).await.unwrap(), 0);
    for (nth, pid) in pids.iter().enumerate() {
        let stays = nth == 1 || nth == 4;
        assert_eq!(kept(&f, *pid).await, stays.then(|| (1, vec![(room, 1)])), "{nth}");
    }
    // Their rooms went with them.
    keep(&f, &[open(&f, pids[0], 1)]).await;
    assert_eq!(kept(&f, pids[0]).await, Some((1, vec![])));
}
