//! Many people vote on one intent at the same time: the counts, the rows, the acks and the events agree (contract §4,
//! Votes and Order). The rules of a single vote are tested in gossip-core.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "each test uses its own part of it")]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use gossip_hub::SystemEnv;
use gossip_proto::id::{RoomId, UserId};
use serde_json::{Value, json};
use sqlx::Row;
use support::rng::{self, Rng};
use support::server::{Home, Server, new_room, new_user};
use support::websocket::Client;
use tokio::sync::Barrier;

const VOTERS: usize = 300;
const VOTES_MAX: usize = 12;
const ACTIONS: [&str; 3] = ["upvote", "downvote", "remove"];

struct Voter {
    user: UserId,
    client: Client,
    /// What they send, in this order.
    actions: Vec<&'static str>,
    acks: Vec<Value>,
}

impl Voter {
    async fn join(server: &Server, room: RoomId, rng: &mut Rng) -> Voter {
        let user = new_user();
        let mut client = Client::socket_io(server.address(), Some(&server.token_of(user, "user"))).await;
        let joined = client.call("join_room", json!({ "roomId": room })).await;
        assert_eq!(joined["seq"], 0);
        let actions = (0..=rng.below(VOTES_MAX)).map(|_| *rng.pick(&ACTIONS)).collect();
        Voter { user, client, actions, acks: Vec::new() }
    }

    /// Sends all votes without waiting for one, then awaits the acks.
    async fn vote(&mut self, intent: &Value) {
        let mut ids = Vec::new();
        for action in &self.actions {
            ids.push(
                self.client.emit("vote_gossip", &json!({ "intentId": intent, "action": action }).to_string()).await,
            );
        }
        for id in ids {
            self.acks.push(self.client.ack(id).await);
        }
    }

    /// The vote that must stand, the last one sent.
    fn standing(&self) -> Option<&'static str> {
        self.actions.last().copied().filter(|action| *action != "remove")
    }

    /// The votes that changed something.
    fn effective(&self) -> Vec<&'static str> {
        let mut stands = None;
        let changes = |action: &&'static str| {
            let wanted = Some(*action).filter(|action| *action != "remove");
            let changed = wanted != stands;
            stands = wanted;
            changed
        };
        self.actions.iter().copied().filter(changes).collect()
    }
}

/// All that happened in the room, up to `last`: each event once and in order.
async fn stream(client: &mut Client, last: u64) -> Vec<Value> {
    let mut events = Vec::new();
    for seq in 1..=last {
        let event = client.update().await;
        assert_eq!(event["seq"], seq, "{event}");
        events.push(event);
    }
    events
}

fn counts(intent: &Value) -> (i64, i64) {
    (intent["upvotes"].as_i64().unwrap(), intent["downvotes"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_hundred_voters_at_once() {
    let seed = rng::seed();
    println!("GOSSIPD_TEST_SEED={seed}");
    let mut rng = Rng::new(seed);
    let home = Home::new(Arc::new(SystemEnv));
    let server = home.start(&[]).await;
    let room = new_room();
    let mut voters = Vec::new();
    for _ in 0..VOTERS {
        voters.push(Voter::join(&server, room, &mut rng).await);
    }
    let mut author = server.client("user").await;
    author.call("join_room", json!({ "roomId": room })).await;
    let posted = author.call("new_gossip", json!({ "roomId": room, "content": "psst" })).await;
    let intent = posted["intent"]["id"].clone();

    let voters = all_vote(voters, &intent).await;
    for ack in voters.iter().flat_map(|voter| &voter.acks) {
        assert_eq!(ack["status"], "success", "{ack}");
    }
    let last = voters.iter().flat_map(|voter| &voter.acks).map(|ack| ack["seq"].as_u64().unwrap()).max().unwrap();

    let events = stream(&mut author, last).await;
    let standing: BTreeMap<UserId, &str> =
        voters.iter().filter_map(|voter| Some((voter.user, voter.standing()?))).collect();
    let of = |action| standing.values().filter(|stands| **stands == action).count() as i64;
    let expected = (of("upvote"), of("downvote"));
    assert_eq!(counts(&author.call("get_gossip", json!({ "intentId": intent })).await["intent"]), expected);
    assert_eq!(counts(&events.last().unwrap()["intent"]), expected);
    assert_eq!(author.take_events(), []);

    let mut rows = Rows::read(&home, &intent).await;
    assert_eq!(rows.counts, expected);
    assert_eq!(rows.votes, standing.iter().map(|(user, action)| (user.to_string(), action.to_string())).collect());
    let mut checking = tokio::task::JoinSet::new();
    for mut voter in voters {
        assert_eq!(rows.updates.remove(&voter.user.to_string()).unwrap_or_default(), voter.effective());
        let (events, intent) = (events.clone(), intent.clone());
        checking.spawn(async move {
            assert_eq!(stream(&mut voter.client, last).await, events);
            let got = voter.client.call("get_gossip", json!({ "intentId": intent })).await;
            assert_eq!(got["myVote"].as_str(), voter.standing());
            assert_eq!(counts(&got["intent"]), expected);
            assert_eq!(voter.client.take_events(), []);
        });
    }
    while let Some(checked) = checking.join_next().await {
        checked.unwrap();
    }
    assert_eq!(rows.updates, BTreeMap::new());
}

/// Lets all of them vote, none before the last is ready.
async fn all_vote(voters: Vec<Voter>, intent: &Value) -> Vec<Voter> {
    let start = Arc::new(Barrier::new(voters.len()));
    let mut voting = tokio::task::JoinSet::new();
    for mut voter in voters {
        let (start, intent) = (Arc::clone(&start), intent.clone());
        voting.spawn(async move {
            start.wait().await;
            voter.vote(&intent).await;
            voter
        });
    }
    voting.join_all().await
}

/// What the database has of an intent.
struct Rows {
    counts: (i64, i64),
    votes: BTreeMap<String, String>,
    /// The votes of each user in the order they were given.
    updates: BTreeMap<String, Vec<String>>,
}

impl Rows {
    async fn read(home: &Home, intent: &Value) -> Rows {
        let mut database = home.database().await;
        let intent = intent.as_str().unwrap();
        let counts = sqlx::query_as(r#"SELECT "upvotes", "downvotes" FROM "gossip_intents" WHERE "id" = $1"#)
            .bind(intent)
            .fetch_one(&mut database)
            .await
            .unwrap();
        let votes = sqlx::query_as(r#"SELECT "userId", "action" FROM "gossip_votes" WHERE "intentId" = $1"#)
            .bind(intent)
            .fetch_all(&mut database)
            .await
            .unwrap();
        let sql = r#"SELECT "userId", "content" FROM "gossip_updates" WHERE "intentId" = $1 AND "type" = 'vote' ORDER BY "id""#;
        let mut updates: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for row in sqlx::query(sql).bind(intent).fetch_all(&mut database).await.unwrap() {
            updates.entry(row.get(0)).or_default().push(row.get(1));
        }
        Rows { counts, votes: votes.into_iter().collect(), updates }
    }
}
