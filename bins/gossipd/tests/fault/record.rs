//! What a client has sent and what it knows of each command's fate, and what all clients together have heard. No
//! connection here, and no database.

use std::collections::HashMap;
use std::sync::Mutex;

use gossip_proto::id::RoomId;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::rng::Rng;

const STATUSES: [&str; 3] = ["verified", "debunked", "pending"];
const ACTIONS: [&str; 4] = ["upvote", "upvote", "downvote", "remove"];

/// A command, as it is sent and perhaps sent again.
pub(crate) struct Sent {
    pub(crate) room: RoomId,
    pub(crate) what: What,
    pub(crate) request_id: Option<String>,
    /// How often it was sent.
    pub(crate) tries: u32,
    pub(crate) fate: Fate,
}

/// No two posts or comments have the same content.
pub(crate) enum What {
    Post { content: String },
    Comment { intent: String, content: String },
    Vote { intent: String, action: &'static str },
    Status { intent: String, status: &'static str },
}

pub(crate) enum Fate {
    /// It may have been carried out: there was no answer, or one that does not say.
    Unknown,
    /// The ack.
    Done(Value),
    /// It was answered `unavailable` at the first try: nothing of it may have been written.
    Refused,
}

impl Sent {
    /// Something to send: a post to one of `rooms`, or something about one of the intents `known` there. Most of what can
    /// have a requestId has one.
    pub(crate) fn random(rng: &mut Rng, rooms: &[RoomId], known: &[(RoomId, String)], is_admin: bool) -> Sent {
        let mut content = || format!("{:016x}{:016x}", rng.next(), rng.next());
        let (content, request_id) = (content(), content());
        let (room, what) = match rng.below(10) {
            _ if known.is_empty() => (*rng.pick(rooms), What::Post { content }),
            0..3 => (*rng.pick(rooms), What::Post { content }),
            kind => {
                let (room, intent) = rng.pick(known).clone();
                let what = match kind {
                    3..5 => What::Comment { intent, content },
                    5..7 if is_admin => What::Status { intent, status: STATUSES[rng.below(STATUSES.len())] },
                    _ => What::Vote { intent, action: ACTIONS[rng.below(ACTIONS.len())] },
                };
                (room, what)
            }
        };
        let may_have = !matches!(what, What::Vote { .. });
        let request_id = Some(request_id).filter(|_| may_have && rng.below(8) > 0);
        Sent { room, what, request_id, tries: 0, fate: Fate::Unknown }
    }

    /// The event and its data.
    pub(crate) fn event(&self) -> (&'static str, Value) {
        let (event, mut data) = match &self.what {
            What::Post { content } => ("new_gossip", json!({ "roomId": self.room, "content": content })),
            What::Comment { intent, content } => ("comment_gossip", json!({ "intentId": intent, "content": content })),
            What::Vote { intent, action } => ("vote_gossip", json!({ "intentId": intent, "action": action })),
            What::Status { intent, status } => ("update_gossip", json!({ "intentId": intent, "status": status })),
        };
        if let Some(id) = &self.request_id {
            data["requestId"] = id.as_str().into();
        }
        (event, data)
    }

    /// Takes an answer; returns whether it must be asked again to learn what became of it.
    pub(crate) fn answered(&mut self, answer: Value) -> bool {
        let is_repeatable = self.request_id.is_some();
        match (answer["status"].as_str(), answer["code"].as_str()) {
            (Some("success"), None) => {
                if let Fate::Done(first) = &self.fate {
                    assert_eq!(*first, answer, "a command that was repeated has another answer");
                }
                self.fate = Fate::Done(answer);
                false
            }
            // Of another try nothing is said.
            (Some("error"), Some("unavailable")) if self.tries > 1 => matches!(self.fate, Fate::Unknown),
            (Some("error"), Some("unavailable")) => {
                self.fate = Fate::Refused;
                false
            }
            (Some("error"), Some("unresolved")) => is_repeatable && matches!(self.fate, Fate::Unknown),
            _ => panic!("{:?} was answered {answer}", self.event()),
        }
    }
}

/// What an event says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Brief {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) room_id: RoomId,
    pub(crate) seq: u64,
    pub(crate) intent: BriefIntent,
}

#[derive(Deserialize)]
pub(crate) struct BriefIntent {
    pub(crate) id: String,
}

/// Every event that reached any client, by room and seq. Whoever hears it later must hear the same bytes.
#[derive(Default)]
pub(crate) struct Heardsay(Mutex<HashMap<(RoomId, u64), Box<str>>>);

impl Heardsay {
    pub(crate) fn note(&self, room: RoomId, seq: u64, data: String) {
        let mut heard = self.0.lock().unwrap();
        let first = heard.entry((room, seq)).or_insert_with(|| data.as_str().into());
        assert_eq!(**first, data, "two clients heard different things");
    }

    pub(crate) fn take(&self) -> HashMap<(RoomId, u64), Box<str>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}
