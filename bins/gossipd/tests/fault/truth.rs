//! What the database holds in the end, compared with what clients sent and heard: every acked command is there, once;
//! nothing that was refused is; what was heard is what was logged; counts equal votes; and the tables agree with the
//! log.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gossip_proto::id::RoomId;
use serde_json::Value;

use super::client::Client;
use super::database::{Columns, Database};
use super::record::{Fate, Heardsay, Sent, What};
use super::votes::{Known, is_possible};

/// The tables, as far as they matter here.
pub(crate) struct Truth {
    /// Room and content of each intent's row, its status and counts.
    intents: HashMap<String, IntentRow>,
    /// Intent, type and content of each update's row.
    updates: HashMap<String, (String, String, Option<String>)>,
    /// Actions of the votes of an intent and a user, in the order given.
    given: HashMap<(String, String), Vec<String>>,
    standing: HashMap<(String, String), String>,
    log: BTreeMap<(RoomId, u64), Logged>,
    pub(crate) ends: BTreeMap<RoomId, u64>,
    requests: BTreeSet<(String, String)>,
}

struct IntentRow {
    room: RoomId,
    content: String,
    status: String,
    counts: (u64, u64),
}

struct Logged {
    payload: String,
    event: Value,
}

/// What was compared, for the report.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared {
    /// Events of the clients' rooms.
    pub(crate) logged: usize,
    pub(crate) heard: usize,
    pub(crate) acked: usize,
    pub(crate) refused: usize,
    pub(crate) unknown: usize,
}

fn columns<const N: usize>(row: Columns) -> [String; N] {
    let row: Vec<String> = row.into_iter().map(Option::unwrap).collect();
    row.try_into().unwrap()
}

/// Only once each: who comes twice was written twice.
fn unique<K: std::hash::Hash + Eq + std::fmt::Debug, V>(rows: impl Iterator<Item = (K, V)>) -> HashMap<K, V> {
    let mut unique = HashMap::new();
    for (key, value) in rows {
        let text = format!("{key:?} is there twice");
        assert!(unique.insert(key, value).is_none(), "{text}");
    }
    unique
}

impl Truth {
    pub(crate) async fn read(database: &Database) -> Truth {
        let intents = r#"SELECT CAST("id" AS text), CAST("roomId" AS text), "content", CAST("status" AS text),
                         CAST("upvotes" AS text), CAST("downvotes" AS text) FROM "gossip_intents""#;
        let intents = database.rows(intents).await.into_iter().map(columns);
        let intents = intents.map(|[id, room, content, status, up, down]| {
            let counts = (up.parse().unwrap(), down.parse().unwrap());
            (id, IntentRow { room: room.parse().unwrap(), content, status, counts })
        });
        let updates = r#"SELECT CAST("id" AS text), CAST("intentId" AS text), CAST("userId" AS text),
                         CAST("type" AS text), "content" FROM "gossip_updates" ORDER BY "id""#;
        let mut given: HashMap<(String, String), Vec<String>> = HashMap::new();
        let updates = database.rows(updates).await.into_iter().map(|mut row| {
            let content = row.pop().unwrap();
            let [id, intent, user, kind] = columns(row);
            if kind == "vote" {
                given.entry((intent.clone(), user)).or_default().push(content.clone().unwrap());
            }
            (id, (intent, kind, content))
        });
        let updates = unique(updates);
        let votes = r#"SELECT CAST("intentId" AS text), CAST("userId" AS text), CAST("action" AS text)
                       FROM "gossip_votes""#;
        let votes = database.rows(votes).await.into_iter().map(columns);
        let log = r#"SELECT CAST("roomId" AS text), CAST("seq" AS text), "payload", CAST("position" AS text)
                     FROM "gossip_log" ORDER BY "gossip_log"."position""#;
        let log = database.rows(log).await.into_iter().enumerate().map(|(before, row)| {
            let [room, seq, payload, position] = columns(row);
            assert_eq!(position, (before + 1).to_string(), "positions have a gap");
            let event = serde_json::from_str(&payload).unwrap();
            ((room.parse().unwrap(), seq.parse().unwrap()), Logged { payload, event })
        });
        let rooms = r#"SELECT CAST("roomId" AS text), CAST("seq" AS text) FROM "gossip_rooms""#;
        let rooms = database.rows(rooms).await.into_iter().map(columns);
        let requests = r#"SELECT CAST("userId" AS text), "requestId" FROM "gossip_requests""#;
        let requests = database.rows(requests).await.into_iter().map(columns);
        Truth {
            intents: unique(intents),
            updates,
            given,
            standing: unique(votes.map(|[intent, user, action]| ((intent, user), action))),
            log: log.collect(),
            ends: rooms.map(|[room, seq]| (room.parse().unwrap(), seq.parse().unwrap())).collect(),
            requests: requests.map(|[user, id]| (user, id)).collect(),
        }
    }

    /// Everything there is to compare.
    pub(crate) fn compare(&self, clients: &[Client], heard: &Heardsay) -> Compared {
        self.agrees_with_itself();
        let heard = heard.take();
        for (at, data) in &heard {
            let logged = self.log.get(at).unwrap_or_else(|| panic!("heard, but not in the log: {data}"));
            assert_eq!(logged.payload, **data, "heard and logged differ");
        }
        for client in clients {
            for (room, last) in &client.rooms {
                assert_eq!(*last, self.ends.get(room).copied().unwrap_or(0), "a stream ends before {room} does");
            }
        }
        let rooms: BTreeSet<&RoomId> = clients.iter().flat_map(|client| client.rooms.keys()).collect();
        let logged = self.log.keys().filter(|(room, _)| rooms.contains(room)).count();
        let mut compared = Compared { logged, heard: heard.len(), acked: 0, refused: 0, unknown: 0 };
        let contents = self.contents();
        for client in clients {
            self.votes(client);
            for sent in &client.sent {
                self.command(&client.user.to_string(), sent, &contents);
                match sent.fate {
                    Fate::Done(_) => compared.acked += 1,
                    Fate::Refused => compared.refused += 1,
                    Fate::Unknown => compared.unknown += 1,
                }
            }
        }
        compared
    }

    /// How often each content was posted or said.
    fn contents(&self) -> HashMap<&str, usize> {
        let posts = self.intents.values().map(|row| row.content.as_str());
        let comments = self.updates.values().filter(|(_, kind, _)| kind == "comment");
        let mut contents = HashMap::new();
        for content in posts.chain(comments.filter_map(|(_, _, content)| content.as_deref())) {
            *contents.entry(content).or_default() += 1;
        }
        contents
    }

    fn agrees_with_itself(&self) {
        let mut ends = BTreeMap::new();
        let mut last_of: HashMap<&str, &Value> = HashMap::new();
        let mut made: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for ((room, seq), Logged { event, .. }) in &self.log {
            let end = ends.entry(*room).or_insert(0);
            assert_eq!(*seq, *end + 1, "{room} has a gap");
            *end = *seq;
            let intent = event["intent"]["id"].as_str().unwrap();
            last_of.insert(intent, &event["intent"]);
            let made_row = event["update"]["id"].as_str().unwrap_or(intent);
            *made.entry((event["type"].as_str().unwrap(), made_row)).or_default() += 1;
        }
        assert_eq!(ends, self.ends, "the log and the rooms' last seq differ");
        for (id, row) in &self.intents {
            assert_eq!(made.get(&("new_intent", id.as_str())), Some(&1), "{id} is not in the log once");
            let votes = |action: &str| {
                self.standing.iter().filter(|((intent, _), stands)| intent == id && *stands == action).count() as u64
            };
            assert_eq!(row.counts, (votes("upvote"), votes("downvote")), "{id}: counts are not votes");
            let last = last_of[id.as_str()];
            assert_eq!(
                (last["upvotes"].as_u64(), last["downvotes"].as_u64()),
                (Some(row.counts.0), Some(row.counts.1))
            );
            assert_eq!(last["status"], row.status.as_str(), "{id}: the log has another status");
        }
        assert_eq!(made.keys().filter(|(kind, _)| *kind == "new_intent").count(), self.intents.len());
        for (id, (intent, kind, _)) in &self.updates {
            assert!(self.intents.contains_key(intent));
            if kind != "vote" {
                assert_eq!(made.get(&(kind.as_str(), id.as_str())), Some(&1), "{id} is not in the log once");
            }
        }
    }

    fn command(&self, user: &str, sent: &Sent, contents: &HashMap<&str, usize>) {
        let is_known = |id: &String| self.requests.contains(&(user.to_owned(), id.clone()));
        let has_request = sent.request_id.as_ref().map(is_known);
        let content = match &sent.what {
            What::Post { content } | What::Comment { content, .. } => Some(content.as_str()),
            What::Vote { .. } | What::Status { .. } => None,
        };
        let times = content.map(|content| contents.get(content).copied().unwrap_or(0));
        match &sent.fate {
            Fate::Refused => {
                assert_ne!(times, Some(1), "{:?} was refused and yet written", sent.event());
                assert_ne!(has_request, Some(true), "{:?} was refused and yet kept", sent.event());
            }
            Fate::Unknown => assert!(times.is_none_or(|times| times <= 1), "{:?} was written twice", sent.event()),
            Fate::Done(ack) => {
                assert!(times.is_none_or(|times| times == 1), "{:?} was written {times:?} times", sent.event());
                assert_ne!(has_request, Some(false), "{:?} was acked and is not kept", sent.event());
                self.ack(sent, ack);
            }
        }
    }

    /// What was acked is in the tables and in the log.
    fn ack(&self, sent: &Sent, ack: &Value) {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let Logged { event, .. } = &self.log[&(sent.room, ack["seq"].as_u64().unwrap())];
        match &sent.what {
            What::Post { content } => {
                let row = &self.intents[&text(&ack["intent"]["id"])];
                assert_eq!((row.room, &row.content), (sent.room, content), "{ack}");
                assert_eq!((&event["type"], &event["intent"]["id"]), (&"new_intent".into(), &ack["intent"]["id"]));
            }
            What::Comment { intent, content } => {
                let row = &self.updates[&text(&ack["update"]["id"])];
                assert_eq!(*row, (intent.clone(), "comment".into(), Some(content.clone())), "{ack}");
                assert_eq!(event["update"], ack["update"]);
            }
            What::Status { intent, status } => {
                assert_eq!(
                    (&ack["intent"]["id"], &ack["intent"]["status"]),
                    (&intent.as_str().into(), &(*status).into())
                );
            }
            // See `votes`.
            What::Vote { intent, .. } => assert_eq!(ack["intent"]["id"], intent.as_str()),
        }
    }

    fn votes(&self, client: &Client) {
        let user = client.user.to_string();
        let mut votes: HashMap<&str, Vec<(&str, Known)>> = HashMap::new();
        for sent in &client.sent {
            let What::Vote { intent, action } = &sent.what else { continue };
            let known = match &sent.fate {
                Fate::Unknown => Known::Unknown,
                Fate::Refused => Known::Refused,
                Fate::Done(ack) => {
                    let Logged { event, .. } = &self.log[&(sent.room, ack["seq"].as_u64().unwrap())];
                    let has_event = event["type"] == "vote" && event["intent"]["id"] == intent.as_str();
                    Known::Acked { has_event }
                }
            };
            votes.entry(intent).or_default().push((action, known));
        }
        for (intent, sent) in votes {
            let key = (intent.to_owned(), user.clone());
            let rows: Vec<&str> = self.given.get(&key).into_iter().flatten().map(String::as_str).collect();
            let stands = self.standing.get(&key).map(String::as_str);
            assert!(is_possible(&sent, &rows, stands), "{user} on {intent}: {sent:?} gave {rows:?}, {stands:?}");
        }
    }
}
