//! Two nodes over one database, several tasks each: nothing is counted twice, left out or out of order.

use std::collections::HashMap;
use std::sync::Arc;

use gossip_core::command::Command;
use gossip_proto::id::{Pid, RoomId, Seq};
use gossip_proto::model::VoteAction;
use gossip_proto::refusal::Code;
use gossip_store::{Committed, LogEvent, Position, RecoveryChange, Store};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{Fixture, seq_of};

/// Commits the batches of each task in turn, the tasks of two stores at once.
async fn commit_all(f: &Fixture, tasks: Vec<Vec<Vec<Command>>>) -> Vec<Committed> {
    let stores = [Arc::clone(&f.store), f.another_store().await];
    let mut running = JoinSet::new();
    for (nth, batches) in tasks.into_iter().enumerate() {
        let (store, env) = (Arc::clone(&stores[nth % 2]), Arc::clone(&f.env));
        running.spawn(async move {
            let mut done = Vec::new();
            for batch in batches {
                done.push(store.commit(&batch, &*env).await.unwrap());
            }
            done
        });
    }
    running.join_all().await.into_iter().flatten().collect()
}

/// Reads the log as it grows, until `end`: a position that is seen is never followed by an earlier one.
async fn follow(store: Arc<dyn Store>, mut end: watch::Receiver<Option<Position>>) -> Vec<LogEvent> {
    let mut events: Vec<LogEvent> = Vec::new();
    loop {
        let last = Position(events.len() as u64);
        if end.borrow_and_update().is_some_and(|end| end == last) {
            return events;
        }
        let more = store.log(last, 1000).await.unwrap();
        for event in more {
            assert_eq!(event.position.0, events.len() as u64 + 1);
            events.push(event);
        }
        tokio::task::yield_now().await;
    }
}

pub(crate) async fn two_nodes_count_a_room_without_gaps(f: Fixture) {
    let rooms: Vec<RoomId> = (0..4).map(|_| f.room()).collect();
    let (end, ending) = watch::channel(None);
    let follower = tokio::spawn(follow(f.another_store().await, ending));
    // Every task goes through the rooms in an order of its own, some of them new to the database.
    let task = |nth: usize| {
        let batch = |round: usize| {
            let room = |step: usize| rooms[(nth * 3 + round + step * (1 + nth % 3)) % rooms.len()];
            (0..3).map(|step| f.new_gossip(1, room(step), "x")).collect()
        };
        (0..12).map(batch).collect::<Vec<Vec<_>>>()
    };
    let committed = commit_all(&f, (0..6).map(task).collect()).await;
    assert!(committed.iter().flat_map(|batch| &batch.results).all(Result::is_ok));
    let mut events: Vec<LogEvent> = committed.into_iter().flat_map(|batch| batch.events).collect();
    events.sort_by_key(|event| event.position);
    assert_eq!(events.len(), 6 * 12 * 3);
    end.send(Some(f.store.position().await.unwrap())).unwrap();
    assert_eq!(follower.await.unwrap(), events, "what was followed is what was told, in the order of positions");
    let mut seqs: HashMap<RoomId, u64> = HashMap::new();
    for event in &events {
        let seq = seqs.entry(event.room).or_default();
        *seq += 1;
        assert_eq!(event.seq.0, *seq);
    }
}

pub(crate) async fn a_hot_intent_counts_every_vote_once(f: Fixture) {
    let intent = f.post(f.room(), 1, "hot").await.id;
    let action = |n: usize| [VoteAction::Upvote, VoteAction::Downvote, VoteAction::Remove][n % 3];
    // Twenty users, each at two nodes at once, changing their minds.
    let task = |user: usize| {
        let vote = |round: usize| vec![f.vote(user as u128 / 2, intent, action(user + round * (1 + user % 2)))];
        (0..5).map(vote).collect::<Vec<Vec<_>>>()
    };
    commit_all(&f, (0..40).map(task).collect()).await;
    let mut counted = (0, 0);
    for user in 0..20 {
        match f.store.intent(intent, f.user(user)).await.unwrap().unwrap().1 {
            Some(gossip_proto::model::Vote::Up) => counted.0 += 1,
            Some(gossip_proto::model::Vote::Down) => counted.1 += 1,
            None => {}
        }
    }
    let stored = f.store.intent(intent, f.user(0)).await.unwrap().unwrap().0;
    assert_eq!((stored.upvotes, stored.downvotes), counted);
    let log = f.log().await;
    assert_eq!(f.store.room(log[0].room, gossip_store::JoinQuery::default()).await.unwrap().seq.0, log.len() as u64);
    let last: serde_json::Value = serde_json::from_str(&log.last().unwrap().payload).unwrap();
    assert_eq!(
        (last["intent"]["upvotes"].as_i64(), last["intent"]["downvotes"].as_i64()),
        (Some(counted.0), Some(counted.1))
    );
}

pub(crate) async fn a_request_id_at_two_nodes_is_carried_out_once(f: Fixture) {
    for round in 0..10 {
        let (room, id) = (f.room(), format!("r{round}"));
        let same = f.with_request_id(f.new_gossip(1, room, "once"), &id);
        let twice = vec![vec![vec![same.clone()]]; 2];
        let committed = commit_all(&f, twice).await;
        assert_eq!(committed[0].results, committed[1].results, "the first result is everyone's");
        assert_eq!(committed.iter().map(|batch| batch.events.len()).sum::<usize>(), 1);
        assert_eq!(f.store.intents(room, None, 10, None).await.unwrap().items.len(), 1);
        // In rooms of their own they do not wait for each other before they write.
        let id = format!("q{round}");
        let (one, two) = (f.new_gossip(1, f.room(), "x"), f.new_gossip(1, f.room(), "x"));
        let tasks = [one, two].map(|command| vec![vec![f.with_request_id(command, &id)]]);
        let mut codes: Vec<_> = commit_all(&f, tasks.into()).await.iter().map(|b| seq_of(&b.results[0])).collect();
        codes.sort_by_key(|code| code.is_err());
        assert_eq!(codes, [Ok(1), Err(Code::Conflict)]);
    }
}

pub(crate) async fn recoveries_of_two_nodes_do_not_mix(f: Fixture) {
    let stores = [Arc::clone(&f.store), f.another_store().await];
    let rooms: Vec<RoomId> = (0..5).map(|_| f.room()).collect();
    let pids: Vec<Pid> = (0..20).map(|_| Pid(f.room().0)).collect();
    let mut running = JoinSet::new();
    for nth in 0..4 {
        let (store, now) = (Arc::clone(&stores[nth % 2]), f.now());
        let (rooms, mut pids, user) = (rooms.clone(), pids.clone(), f.user(1));
        if nth % 2 == 1 {
            pids.reverse();
        }
        running.spawn(async move {
            let open = pids.iter().map(|pid| RecoveryChange::Open { pid: *pid, user });
            let join = |pid| rooms.iter().map(move |room| RecoveryChange::Join { pid, room: *room, seq: Seq(1) });
            let joins = pids.iter().flat_map(|pid| join(*pid));
            let changes: Vec<_> = open.chain(joins).collect();
            for _ in 0..5 {
                store.keep(&changes, now).await.unwrap();
                store.touch(&pids, now).await.unwrap();
            }
        });
    }
    running.join_all().await;
    for pid in pids {
        assert_eq!(f.store.recovery(pid).await.unwrap().unwrap().rooms.len(), rooms.len());
    }
}
