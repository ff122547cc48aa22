//! Commands and what is read of them. The rules themselves are tested in gossip-core; here it is what survives, what is
//! atomic, and what is found again.

use gossip_core::access::Reach;
use gossip_proto::id::{IntentId, RoomId, Seq, UserId};
use gossip_proto::model::{Status, UpdateType, Vote, VoteAction};
use gossip_proto::refusal::Code;
use gossip_proto::timestamp::Timestamp;
use gossip_store::{Cursor, JoinQuery};
use uuid::Uuid;

use crate::support::{Fixture, seq_of};

pub(crate) async fn posts_are_found_again(f: Fixture) {
    let room = f.room();
    let first = f.post(room, 1, "one").await;
    f.env.advance_ms(5);
    let second = f.post(room, 2, "two").await;
    f.post(f.room(), 1, "elsewhere").await;
    let page = f.store.intents(room, None, 10, None).await.unwrap();
    assert_eq!(page.items, [second.clone(), first.clone()]);
    assert_eq!(page.next, None);
    assert_eq!(f.store.intent(first.id, f.user(1)).await.unwrap(), Some((first, None)));
    assert_eq!(f.store.intent(IntentId(Uuid::nil()), f.user(1)).await.unwrap(), None);
}

pub(crate) async fn pages_cover_everything_once(f: Fixture) {
    let room = f.room();
    for n in 0..7 {
        f.post(room, 1, &format!("number {n}")).await;
        if n % 3 == 0 {
            f.env.advance_ms(1);
        }
    }
    let mut seen = Vec::new();
    let mut before: Option<Cursor> = None;
    loop {
        let page = f.store.intents(room, Some(Status::Pending), 3, before).await.unwrap();
        seen.extend(page.items.into_iter().map(|intent| intent.content));
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..7).rev().map(|n| format!("number {n}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(f.store.intents(room, Some(Status::Verified), 3, None).await.unwrap().items, []);
}

pub(crate) async fn votes_stand_once_and_counts_follow(f: Fixture) {
    let room = f.room();
    let intent = f.post(room, 1, "x").await;
    let up = |user| f.vote(user, intent.id, VoteAction::Upvote);
    let batch = [up(1), up(1), up(2), f.vote(3, intent.id, VoteAction::Downvote)];
    let committed = f.commit(&batch).await;
    assert!(committed.results.iter().all(|result| seq_of(result) == Ok(2)));
    assert_eq!(committed.events.len(), 1);
    f.commit(&[f.vote(2, intent.id, VoteAction::Remove), f.vote(3, intent.id, VoteAction::Upvote)]).await;
    let (stored, mine) = f.store.intent(intent.id, f.user(3)).await.unwrap().unwrap();
    assert_eq!((stored.upvotes, stored.downvotes, mine), (2, 0, Some(Vote::Up)));
    assert_eq!(f.store.intent(intent.id, f.user(2)).await.unwrap().unwrap().1, None);
    let with = f.store.updates(intent.id, true, 10, None).await.unwrap();
    assert_eq!(with.items.len(), 5);
    assert!(with.items.iter().all(|update| update.kind == UpdateType::Vote));
    assert_eq!(f.store.updates(intent.id, false, 10, None).await.unwrap().items, []);
}

pub(crate) async fn updates_tell_what_happened(f: Fixture) {
    let intent = f.post(f.room(), 1, "x").await;
    f.commit(&[f.comment(2, intent.id, "hm")]).await;
    f.env.advance_ms(1);
    let committed = f.commit(&[f.set_status(3, intent.id, Status::Verified, Some("seen it"))]).await;
    assert_eq!(seq_of(&committed.results[0]), Ok(4));
    let updates = f.store.updates(intent.id, false, 10, None).await.unwrap().items;
    let told: Vec<_> = updates.iter().map(|u| (u.kind, u.content.as_deref(), u.user_id)).collect();
    assert_eq!(
        told,
        [
            (UpdateType::Verification, Some("seen it"), f.user(3)),
            (UpdateType::StatusChange, Some("seen it"), f.user(3)),
            (UpdateType::Comment, Some("hm"), f.user(2)),
        ]
    );
    assert_eq!(updates[0].metadata, Some(serde_json::json!({"verdict": "verified"})));
    assert_eq!(updates[1].metadata, Some(serde_json::json!({"oldStatus": "pending", "newStatus": "verified"})));
    let last = f.store.updates(intent.id, false, 2, None).await.unwrap().next;
    assert_eq!(f.store.updates(intent.id, false, 2, last).await.unwrap().items, updates[2..]);
}

pub(crate) async fn a_refused_command_fails_alone(f: Fixture) {
    let (room, other) = (f.room(), f.room());
    let mine = f.post(room, 1, "mine").await;
    let hidden = f.post(other, 1, "hidden").await;
    let mut outsider = f.vote(2, hidden.id, VoteAction::Upvote);
    outsider.actor.reach = Reach::Listed([room].into());
    let mut poster = f.new_gossip(2, other, "no");
    poster.actor.reach = Reach::Listed([room].into());
    let missing = f.comment(1, IntentId(Uuid::nil()), "no");
    let committed = f.commit(&[outsider, poster, missing, f.comment(1, mine.id, "yes")]).await;
    let codes: Vec<_> = committed.results.iter().map(seq_of).collect();
    assert_eq!(codes, [Err(Code::NotFound), Err(Code::Forbidden), Err(Code::NotFound), Ok(2)]);
    assert_eq!(f.store.intents(other, None, 10, None).await.unwrap().items.len(), 1);
}

pub(crate) async fn membership_decides_where_it_is_asked(f: Fixture) {
    let room = f.room();
    let mut command = f.new_gossip(1, room, "x");
    command.actor.reach = Reach::Members;
    assert_eq!(seq_of(&f.commit(std::slice::from_ref(&command)).await.results[0]), Err(Code::Forbidden));
    assert!(!f.store.is_member(room, f.user(1)).await.unwrap());
    f.add_member(room, f.user(1)).await;
    assert!(f.store.is_member(room, f.user(1)).await.unwrap());
    assert_eq!(seq_of(&f.commit(&[command]).await.results[0]), Ok(1));
}

pub(crate) async fn history_is_one_snapshot_with_seq(f: Fixture) {
    let room = f.room();
    for text in ["a", "b", "c"] {
        f.post(room, 1, text).await;
        f.env.advance_ms(1);
    }
    let snapshot = f.store.room(room, JoinQuery { history: Some(2), ..JoinQuery::default() }).await.unwrap();
    let contents: Vec<_> = snapshot.intents.unwrap().into_iter().map(|intent| intent.content).collect();
    assert_eq!((snapshot.seq, contents, snapshot.is_reached), (Seq(3), vec!["c".to_owned(), "b".into()], None));
    let none = f.store.room(room, JoinQuery { history: Some(0), ..JoinQuery::default() }).await.unwrap();
    assert_eq!(none.intents, Some(vec![]));
}

pub(crate) async fn a_request_id_is_answered_as_before(f: Fixture) {
    let room = f.room();
    let command = f.with_request_id(f.new_gossip(1, room, "once"), "r1");
    let first = f.commit(std::slice::from_ref(&command)).await;
    f.env.advance_ms(1_000);
    let again = f.commit(&[command, f.with_request_id(f.new_gossip(1, room, "twice"), "r1")]).await;
    assert_eq!(again.results[0], first.results[0]);
    assert_eq!(seq_of(&again.results[1]), Err(Code::Conflict));
    assert!(again.events.is_empty());
    let another = f.with_request_id(f.new_gossip(2, room, "mine"), "r1");
    assert_eq!(seq_of(&f.commit(&[another]).await.results[0]), Ok(2));
    f.env.advance_ms(1_000);
    f.store.prune(Timestamp::from_millis(f.env.millis()), 100).await.unwrap();
    let late = f.with_request_id(f.new_gossip(1, room, "twice"), "r1");
    assert_eq!(seq_of(&f.commit(&[late]).await.results[0]), Ok(3));
}

pub(crate) async fn what_is_due_is_found_and_expires_once(f: Fixture) {
    let room = f.room();
    let soon = f.post_for(room, 1, "soon", 1).await;
    f.post_for(room, 1, "later", 2).await;
    assert_eq!(f.store.due(f.now(), 10).await.unwrap(), []);
    f.env.advance_ms(60_000);
    assert_eq!(f.store.due(f.now(), 10).await.unwrap(), [soon.id]);
    let committed = f.commit(&[f.expire(soon.id), f.expire(soon.id)]).await;
    assert_eq!(committed.events.len(), 1);
    assert_eq!(f.store.due(f.now(), 10).await.unwrap(), []);
    let updates = f.store.updates(soon.id, false, 10, None).await.unwrap().items;
    assert_eq!(updates.iter().map(|u| u.user_id).collect::<Vec<_>>(), [UserId::NIL]);
    let expired = f.store.intents(room, Some(Status::Expired), 10, None).await.unwrap().items;
    assert_eq!(expired.len(), 1);
}

pub(crate) async fn many_rooms_in_one_batch_count_for_themselves(f: Fixture) {
    let rooms: Vec<RoomId> = (0..50).map(|_| f.room()).collect();
    let batch: Vec<_> = rooms.iter().chain(&rooms).map(|room| f.new_gossip(1, *room, "x")).collect();
    let committed = f.commit(&batch).await;
    let seqs: Vec<_> = committed.results.iter().map(|result| seq_of(result).unwrap()).collect();
    assert_eq!(seqs, [[1; 50], [2; 50]].concat());
}

pub(crate) async fn what_was_committed_survives_reopening(f: Fixture) {
    let room = f.room();
    let intent = f.post(room, 1, "ü\n\"quoted\" <b>").await;
    f.commit(&[f.vote(1, intent.id, VoteAction::Upvote)]).await;
    let f = f.reopen().await;
    let (stored, mine) = f.store.intent(intent.id, f.user(1)).await.unwrap().unwrap();
    assert_eq!((stored.content, stored.upvotes, mine), (intent.content, 1, Some(Vote::Up)));
    assert_eq!(f.store.room(room, JoinQuery::default()).await.unwrap().seq, Seq(2));
}

pub(crate) async fn metadata_comes_back_as_it_was_sent(f: Fixture) {
    let room = f.room();
    let sent = serde_json::json!({ "a": [1, 2.5, -0.1, 1e300, u64::MAX], "ü": { "": null, "b": [true, "\"\n"] } });
    let mut command = f.new_gossip(1, room, "x");
    if let gossip_core::command::Action::Post { metadata, .. } = &mut command.action {
        *metadata = gossip_core::text::Limits::default().metadata(Some(sent.clone())).unwrap();
    }
    f.commit(&[command]).await;
    assert_eq!(f.store.intents(room, None, 1, None).await.unwrap().items[0].metadata, Some(sent));
}
