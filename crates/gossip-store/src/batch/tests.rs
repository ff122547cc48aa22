//! What [`decide`](super::decide) makes of batches that the contract suite cannot easily bring about: several commands
//! on one row in one transaction.

use std::sync::atomic::{AtomicU64, Ordering};

use gossip_core::access::Reach;
use gossip_core::text::Limits;
use uuid::Uuid;

use super::*;

struct Fixed(AtomicU64);

impl Env for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000)
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

const ROOM: RoomId = RoomId(Uuid::from_u128(0xA));
const INTENT: IntentId = IntentId(Uuid::from_u128(0xB));

fn facts() -> Facts {
    let intent = Intent {
        id: INTENT,
        room_id: ROOM,
        user_id: UserId::NIL,
        content: "x".into(),
        status: Status::Pending,
        metadata: None,
        upvotes: 0,
        downvotes: 0,
        expires_at: None,
        created_at: Timestamp::from_millis(0),
        updated_at: Timestamp::from_millis(0),
    };
    Facts {
        intents: HashMap::from([(INTENT, Arc::new(intent))]),
        rooms: HashMap::from([(ROOM, Seq(7))]),
        position: Position(40),
        ..Facts::default()
    }
}

fn command(user: u128, action: Action) -> Command {
    let actor = Actor { user: UserId(Uuid::from_u128(user)), reach: Reach::All };
    Command { actor, action, request_id: None }
}

fn vote(user: u128, action: VoteAction) -> Command {
    command(user, Action::Vote { intent: INTENT, action })
}

fn comment(user: u128, text: &str) -> Command {
    command(user, Action::Comment { intent: INTENT, content: Limits::default().comment(text).unwrap() })
}

fn run(batch: &[Command], facts: Facts) -> (Committed, Writes) {
    decide(batch, facts, &Fixed(AtomicU64::new(100))).unwrap()
}

fn seqs(committed: &Committed) -> Vec<Result<u64, Code>> {
    let seq = |result: &Result<Outcome, Refusal>| match result {
        Ok(Outcome::Intent { seq, .. } | Outcome::Update { seq, .. }) => Ok(seq.0),
        Err(refusal) => Err(refusal.code),
    };
    committed.results.iter().map(seq).collect()
}

#[test]
fn votes_on_one_intent_make_one_event_in_the_place_of_the_first() {
    let batch = [
        vote(1, VoteAction::Upvote),
        comment(1, "hm"),
        vote(2, VoteAction::Downvote),
        vote(1, VoteAction::Upvote),
        vote(3, VoteAction::Upvote),
        vote(3, VoteAction::Remove),
    ];
    let (committed, writes) = run(&batch, facts());
    assert_eq!(seqs(&committed), [Ok(8), Ok(9), Ok(8), Ok(8), Ok(8), Ok(8)]);
    let kinds: Vec<_> = committed.events.iter().map(|event| (event.position.0, event.seq.0)).collect();
    assert_eq!(kinds, [(41, 8), (42, 9)]);
    assert!(committed.events[0].payload.contains(r#""type":"vote""#));
    for event in &committed.events {
        assert!(event.payload.contains(r#""upvotes":1,"downvotes":1"#), "{}", event.payload);
    }
    // A row for each vote that changed something, and one for the comment.
    assert_eq!(writes.updates.len(), 5);
    let mut votes: Vec<_> = writes.votes.iter().map(|(_, user, vote)| (user.0.as_u128(), *vote)).collect();
    votes.sort_by_key(|(user, _)| *user);
    assert_eq!(votes, [(1, Some(Vote::Up)), (2, Some(Vote::Down)), (3, None)]);
    assert_eq!(writes.rooms, [(ROOM, Seq(9))]);
    assert_eq!(writes.position, Position(42));
}

#[test]
fn what_came_before_the_first_vote_has_the_counts_of_then_and_the_status_of_then_too() {
    let verify = command(9, Action::SetStatus { intent: INTENT, status: Status::Pending, reason: None });
    let debunk = command(9, Action::SetStatus { intent: INTENT, status: Status::Debunked, reason: None });
    let batch = [comment(1, "first"), verify, vote(1, VoteAction::Upvote), debunk, vote(2, VoteAction::Upvote)];
    let (committed, writes) = run(&batch, facts());
    let told: Vec<_> = committed
        .events
        .iter()
        .map(|event| {
            let data: Value = serde_json::from_str(&event.payload).unwrap();
            format!("{} {} {}", data["type"], data["intent"]["status"], data["intent"]["upvotes"]).replace('"', "")
        })
        .collect();
    let acked = |at: usize| match &committed.results[at] {
        Ok(Outcome::Intent { intent, seq }) => (intent.status, intent.upvotes, seq.0),
        other => panic!("{other:?}"),
    };
    assert_eq!([acked(2), acked(4)], [(Status::Pending, 2, 9), (Status::Pending, 2, 9)]);
    assert_eq!(acked(3), (Status::Debunked, 2, 11));
    assert_eq!(told, ["comment pending 0", "vote pending 2", "status_change debunked 2", "verification debunked 2"]);
    assert_eq!(
        writes.changed_intents.iter().map(|i| (i.upvotes, i.status)).collect::<Vec<_>>(),
        [(2, Status::Debunked)]
    );
}

#[test]
fn a_refused_command_fails_alone() {
    let gone = IntentId(Uuid::from_u128(0xC));
    let batch = [
        command(1, Action::Vote { intent: gone, action: VoteAction::Upvote }),
        command(1, Action::SetStatus { intent: INTENT, status: Status::Expired, reason: None }),
        vote(1, VoteAction::Upvote),
        comment(1, "late"),
    ];
    let (committed, writes) = run(&batch, facts());
    assert_eq!(seqs(&committed), [Err(Code::NotFound), Ok(8), Err(Code::Closed), Err(Code::Closed)]);
    assert_eq!(writes.changed_intents.len(), 1);
}

#[test]
fn a_verdict_makes_two_events_and_a_repetition_none() {
    let verify = || command(1, Action::SetStatus { intent: INTENT, status: Status::Verified, reason: None });
    let (committed, writes) = run(&[verify(), verify()], facts());
    assert_eq!(seqs(&committed), [Ok(9), Ok(9)]);
    assert_eq!(committed.events.len(), 2);
    assert_eq!(writes.updates.len(), 2);
}

#[test]
fn a_request_id_works_within_one_batch_too() {
    let with_id = |text| {
        let request = gossip_proto::request::Request::parse(
            "comment_gossip",
            Some(serde_json::from_str(&format!(r#"{{"intentId":"{INTENT}","content":"x","requestId":"r"}}"#)).unwrap()),
        );
        let Ok(gossip_proto::request::Request::CommentGossip { request_id, .. }) = request else { panic!() };
        Command { request_id, ..comment(1, text) }
    };
    let (committed, writes) = run(&[with_id("a"), with_id("a"), with_id("b")], facts());
    assert_eq!(seqs(&committed), [Ok(8), Ok(8), Err(Code::Conflict)]);
    assert_eq!((writes.requests.len(), writes.updates.len(), committed.events.len()), (1, 1, 1));
}

#[test]
fn nothing_changed_is_nothing_to_write() {
    let (committed, writes) = run(&[vote(1, VoteAction::Remove)], facts());
    assert_eq!(seqs(&committed), [Ok(7)]);
    assert!(writes.is_empty());
}
