//! Members, what tells of their going, and revoked tokens.

use std::collections::HashSet;
use std::sync::Arc;

use gossip_proto::id::{Pid, RoomId, Seq, UserId};
use gossip_proto::timestamp::Timestamp;
use gossip_store::{AccessChange, AccessCursor, AccessPage, Member, RecoveryChange, Revocation, Store};
use uuid::Uuid;

use crate::support::Fixture;

/// Reads what is new. On Postgres something may come again while any transaction of the server is open.
pub(crate) struct News {
    store: Arc<dyn Store>,
    cursor: AccessCursor,
    seen: HashSet<i64>,
    limit: u64,
}

impl News {
    pub(crate) async fn from_now(f: &Fixture, limit: u64) -> News {
        let cursor = f.store.access_cursor().await.unwrap();
        let mut news = News { store: Arc::clone(&f.store), cursor, seen: HashSet::new(), limit };
        // Of transactions that ended just before.
        news.next().await;
        news
    }

    /// All there is.
    pub(crate) async fn next(&mut self) -> Vec<AccessChange> {
        let mut news = Vec::new();
        loop {
            let page = self.page().await;
            news.extend(page.changes);
            if page.is_last {
                return news;
            }
        }
    }

    async fn page(&mut self) -> AccessPage {
        let mut page = self.store.access_changes(self.cursor, self.limit).await.unwrap();
        assert!(page.changes.len() as u64 <= self.limit);
        self.cursor = page.next;
        page.changes.retain(|change| self.seen.insert(change.id));
        page
    }
}

pub(crate) fn told(news: &[AccessChange]) -> Vec<(u128, Option<RoomId>)> {
    let mut told: Vec<_> = news.iter().map(|change| (change.user.0.as_u128(), change.room)).collect();
    told.sort();
    told
}

pub(crate) async fn members_are_listed_in_pages(f: Fixture) {
    let (room, other) = (f.room(), f.room());
    let since = f.now();
    for user in [5, 3, 1, 4, 2] {
        f.store.add_member(room, f.user(user), since).await.unwrap();
    }
    f.store.add_member(other, UserId::NIL, since).await.unwrap();
    f.env.advance_ms(1);
    // Whoever is one stays one, since then.
    f.store.add_member(room, f.user(3), f.now()).await.unwrap();
    f.store.remove_member(room, f.user(4)).await.unwrap();
    f.store.remove_member(room, f.user(4)).await.unwrap();
    f.add_member(room, f.user(6)).await;

    let f = f.reopen().await;
    let (mut users, mut after) = (Vec::new(), None);
    loop {
        let page = f.store.members(room, after, 2).await.unwrap();
        users.extend(page.iter().map(|member| member.user));
        after = page.last().map(|member| member.user);
        if page.len() < 2 {
            break;
        }
    }
    assert_eq!(users, [1, 2, 3, 5, 6].map(|user| f.user(user)));
    let third = Member { user: f.user(3), added_at: since };
    assert_eq!(f.store.members(room, Some(f.user(2)), 1).await.unwrap(), [third]);
    assert_eq!(f.store.members(other, None, 9).await.unwrap().len(), 1, "the nil id is an id");
    assert_eq!(f.store.members(other, Some(UserId::NIL), 9).await.unwrap(), []);

    let asked = [(room, f.user(1)), (room, f.user(4)), (other, f.user(1)), (room, f.user(6))];
    let found = HashSet::from([(room, f.user(1)), (room, f.user(6))]);
    assert_eq!(f.store.memberships(&asked).await.unwrap(), found);
    assert_eq!(f.store.memberships(&[]).await.unwrap(), HashSet::new());
    assert!(!f.store.is_member(room, f.user(4)).await.unwrap());
}

pub(crate) async fn a_membership_that_goes_is_told_of_however_it_goes(f: Fixture) {
    let (room, other) = (f.room(), f.room());
    f.store.add_member(room, f.user(9), f.now()).await.unwrap();
    f.store.remove_member(room, f.user(9)).await.unwrap();
    let mut news = News::from_now(&f, 9).await;
    for user in 1..=6 {
        f.store.add_member(room, f.user(user), f.now()).await.unwrap();
    }
    assert_eq!(news.next().await, [], "what was before, and who comes");

    let members = r#""gossip_room_members""#;
    let id = |user: u128| f.user(user).to_string();
    let another = f.another_store().await;
    another.remove_member(room, f.user(1)).await.unwrap();
    another.remove_member(room, f.user(1)).await.unwrap();
    f.execute(&format!(r#"DELETE FROM {members} WHERE "userId" IN ('{}', '{}')"#, id(2), id(3))).await;
    assert_eq!(told(&news.next().await), [(1, Some(room)), (2, Some(room)), (3, Some(room))]);
    // To another room, to another user, and nowhere.
    f.execute(&format!(r#"UPDATE {members} SET "roomId" = '{other}' WHERE "userId" = '{}'"#, id(4))).await;
    f.execute(&format!(r#"UPDATE {members} SET "userId" = '{}' WHERE "userId" = '{}'"#, id(7), id(5))).await;
    f.execute(&format!(r#"UPDATE {members} SET "addedAt" = '2020-01-01T00:00:00.000Z', "userId" = "userId""#)).await;
    assert_eq!(told(&news.next().await), [(4, Some(room)), (5, Some(room))]);
    f.execute(&format!("DELETE FROM {members}")).await;
    let all = [(4, Some(other)), (6, Some(room)), (7, Some(room))];
    assert_eq!(told(&news.next().await), all);
    assert_eq!(news.next().await, []);
}

pub(crate) async fn changes_come_in_pages_each_once(f: Fixture) {
    let room = f.room();
    for user in 1..=10 {
        f.store.add_member(room, f.user(user), f.now()).await.unwrap();
    }
    let mut news = News::from_now(&f, 3).await;
    f.execute(r#"DELETE FROM "gossip_room_members""#).await;
    f.store.revoke(f.user(11), None, f.now()).await.unwrap();
    let page = news.page().await;
    assert!(!page.is_last);
    // One more, in the middle of the reading.
    f.store.revoke(f.user(12), None, f.now()).await.unwrap();
    let mut all = page.changes;
    all.extend(news.next().await);
    all.extend(news.next().await);
    let expected: Vec<_> = (1..=12).map(|user| (user, (user < 11).then_some(room))).collect();
    assert_eq!(told(&all), expected);
    assert_eq!(news.next().await, []);
}

pub(crate) async fn a_revocation_keeps_the_latest_time_and_forgets_connections(f: Fixture) {
    let (user, other, room) = (f.user(1), f.user(2), f.room());
    let (pids, theirs) = ([Pid(Uuid::from_u128(101)), Pid(Uuid::from_u128(102))], Pid(Uuid::from_u128(103)));
    for (pid, user) in [(pids[0], user), (pids[1], user), (theirs, other)] {
        let open = [RecoveryChange::Open { pid, user }, RecoveryChange::Join { pid, room, seq: Seq(1) }];
        f.store.keep(&open, f.now()).await.unwrap();
    }
    let mut news = News::from_now(&f, 9).await;
    f.store.revoke(user, None, f.now()).await.unwrap();
    assert_eq!(told(&news.next().await), [(1, None)]);
    for pid in pids {
        assert_eq!(f.store.recovery(pid).await.unwrap(), None);
        f.store.keep(&[RecoveryChange::Open { pid, user }], f.now()).await.unwrap();
        assert_eq!(f.store.recovery(pid).await.unwrap().unwrap().rooms, [], "its rooms went too");
    }
    assert_eq!(f.store.recovery(theirs).await.unwrap().unwrap().rooms, [(room, Seq(1))]);
    assert_eq!(f.store.revocations(None, 9).await.unwrap(), []);

    let at = |millis: i64| Timestamp::from_millis(1_700_000_000_000 + millis);
    for (millis, kept) in [(5, 5), (9, 9), (7, 9)] {
        f.store.revoke(user, Some(at(millis)), f.now()).await.unwrap();
        let revocation = Revocation { user, not_before: at(kept) };
        assert_eq!(f.store.revocations_of(&[other, user]).await.unwrap(), [revocation]);
    }
    f.store.revoke(user, None, f.now()).await.unwrap();
    f.store.revoke(other, Some(at(1)), f.now()).await.unwrap();
    f.store.revoke(UserId::NIL, Some(at(2)), f.now()).await.unwrap();
    assert_eq!(told(&news.next().await), [(0, None), (1, None), (1, None), (1, None), (1, None), (2, None)]);

    let f = f.reopen().await;
    let all = [(UserId::NIL, 2), (user, 9), (other, 1)];
    let all = all.map(|(user, millis)| Revocation { user, not_before: at(millis) });
    assert_eq!(f.store.revocations(None, 2).await.unwrap(), all[..2]);
    assert_eq!(f.store.revocations(Some(user), 2).await.unwrap(), all[2..]);
    assert_eq!(f.store.revocations(Some(UserId::NIL), 1).await.unwrap(), all[1..2]);
}

pub(crate) async fn changes_go_after_an_hour(f: Fixture) {
    let mut news = News::from_now(&f, 9).await;
    for user in 1..=3 {
        f.store.revoke(f.user(user), None, f.now()).await.unwrap();
    }
    let old = |users: &str| {
        format!(
            r#"UPDATE "gossip_access_changes" SET "createdAt" = '2020-01-01T00:00:00.000Z' WHERE "userId" IN ({users})"#
        )
    };
    f.execute(&old(&format!("'{}', '{}'", f.user(1), f.user(3)))).await;
    assert_eq!(f.store.prune_access_changes(1).await.unwrap(), 1);
    assert_eq!(f.store.prune_access_changes(9).await.unwrap(), 1);
    assert_eq!(f.store.prune_access_changes(9).await.unwrap(), 0);
    assert_eq!(told(&news.next().await), [(2, None)]);
    // With all gone, what comes is still news.
    f.execute(&old(&format!("'{}'", f.user(2)))).await;
    assert_eq!(f.store.prune_access_changes(9).await.unwrap(), 1);
    f.store.revoke(f.user(4), None, f.now()).await.unwrap();
    assert_eq!(told(&news.next().await), [(4, None)]);
}
