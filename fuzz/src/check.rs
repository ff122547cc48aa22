//! What must be true of what a client is sent, whatever was asked: every ack once, a room's events in order without a gap
//! or a double, only rooms that the client has access to, the same event the same for everybody, and no fault of ours.

use std::collections::{BTreeMap, HashMap, HashSet};

use gossip_hub::RECOVERY;
use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::model::{Intent, UpdateType, Vote};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use serde_json::Value;

use crate::client::Sent;

/// Who there is, and which rooms they may touch: all, where there is no list.
pub(crate) type Rights = HashMap<UserId, Option<Vec<RoomId>>>;

/// What all clients together have seen.
#[derive(Debug, Default)]
pub(crate) struct Common {
    pub(crate) rights: Rights,
    /// Each event by its place, as it was sent.
    log: HashMap<(RoomId, u64), Box<str>>,
    /// The last place that an answer told of: all up to there is committed, and passed on.
    pub(crate) answered: HashMap<RoomId, u64>,
    pub(crate) intents: Vec<IntentId>,
    pub(crate) cursors: Vec<String>,
}

impl Common {
    fn told(&mut self, room: RoomId, seq: u64) {
        let last = self.answered.entry(room).or_default();
        *last = seq.max(*last);
    }

    fn meet(&mut self, intent: &Intent) {
        assert!(intent.upvotes >= 0 && intent.downvotes >= 0, "{intent:?}");
        assert!(intent.updated_at >= intent.created_at, "{intent:?}");
        if !self.intents.contains(&intent.id) {
            self.intents.push(intent.id);
        }
    }

    pub(crate) fn event(&self, room: RoomId, seq: u64) -> Option<&str> {
        self.log.get(&(room, seq)).map(|data| &**data)
    }
}

/// One client's view.
#[derive(Debug, Default)]
pub(crate) struct View {
    pub(crate) user: Option<UserId>,
    /// The rooms it is in, each with the place of the event that must come next.
    pub(crate) rooms: BTreeMap<RoomId, u64>,
    /// What it asked with an ack and has no answer to: the `since` of a join.
    pub(crate) waiting: HashMap<u64, Option<u64>>,
    answered: HashSet<u64>,
    /// The rooms of its handshake's `resume`.
    pub(crate) resume: Vec<(RoomId, u64)>,
    /// The last offset, where it is tracked.
    pub(crate) offset: Option<String>,
    /// The last answer to `get_gossip`.
    pub(crate) found: Option<(Intent, Option<Vote>)>,
}

impl View {
    /// Of the same client on a new connection, which goes on where this one ended.
    pub(crate) fn again(&mut self) -> View {
        let (rooms, offset) = (std::mem::take(&mut self.rooms), self.offset.take());
        View { user: self.user, rooms, offset, ..View::default() }
    }

    pub(crate) fn see(&mut self, sent: Sent, common: &mut Common) {
        match sent {
            Sent::Reply(to, reply) => {
                let since = to.ack.and_then(|ack| {
                    assert!(self.answered.insert(ack), "ack {ack} came twice");
                    self.waiting.remove(&ack).unwrap_or_else(|| panic!("ack {ack} was not asked for"))
                });
                match *reply {
                    Ok(reply) if to.ack.is_some() => self.reply(reply, since, common),
                    // Told to nobody.
                    Ok(_) => {}
                    Err(refusal) => check_refusal(&refusal),
                }
            }
            Sent::Event(event, offset) => {
                self.offset = offset.or(self.offset.take());
                let data: Value = serde_json::from_str(event.data()).expect("an event's data is JSON");
                match event.name() {
                    "gossip_update" => self.update(&data, event.data(), common),
                    "resumed" => self.resumed(&data, common),
                    "room_closed" => self.leave(room_of(&data)),
                    "system_message" => self.check_access(room_of(&data), common),
                    // Nothing but an offset.
                    RECOVERY => assert!(self.offset.is_some(), "for clients that are tracked"),
                    name => panic!("an event that nobody sends: {name}"),
                }
            }
        }
    }

    fn reply(&mut self, reply: Reply, since: Option<u64>, common: &mut Common) {
        let told = serde_json::to_value(&reply).expect("a reply is JSON");
        assert!(told["status"].is_string());
        match reply {
            Reply::Authenticated { user_id, .. } => {
                assert!(self.user.is_none_or(|user| user == user_id), "a connection is one user's");
                self.user = Some(user_id);
            }
            Reply::Joined { room_id, seq, recovered, intents } => {
                self.check_access(room_id, common);
                self.begin(room_id, seq.0, since.filter(|_| recovered == Some(true)), recovered);
                common.told(room_id, seq.0);
                for intent in intents.iter().flatten() {
                    assert_eq!(intent.room_id, room_id);
                    common.meet(intent);
                }
            }
            Reply::Left { room_id } => self.leave(room_id),
            Reply::Intent { intent, seq } => {
                self.check_access(intent.room_id, common);
                common.meet(&intent);
                common.told(intent.room_id, seq.0);
            }
            Reply::Update { update, .. } => assert!(common.intents.contains(&update.intent_id)),
            Reply::Intents { intents, next_before } => {
                common.cursors.extend(next_before);
                assert!(intents.len() <= 100);
                assert!(intents.is_sorted_by(|a, b| (a.created_at, a.id) > (b.created_at, b.id)), "newest first");
                for intent in &intents {
                    self.check_access(intent.room_id, common);
                    common.meet(intent);
                }
            }
            Reply::OneIntent { intent, my_vote } => {
                self.check_access(intent.room_id, common);
                common.meet(&intent);
                self.found = Some((intent, my_vote));
            }
            Reply::Updates { updates, next_before } => {
                common.cursors.extend(next_before);
                let sees_votes = self.user.is_some_and(|user| common.rights.get(&user) == Some(&None));
                let is_hidden = |kind| kind == UpdateType::Vote && !sees_votes;
                assert!(!updates.iter().any(|update| is_hidden(update.kind)), "single votes are for admins");
            }
        }
    }

    fn leave(&mut self, room: RoomId) {
        self.rooms.remove(&room);
    }

    /// It is in a room from now on; with `since` what it missed after that comes first.
    fn begin(&mut self, room: RoomId, seq: u64, since: Option<u64>, recovered: Option<bool>) {
        if let Some(since) = since {
            assert!(since <= seq, "nobody can have seen what is not");
        } else if recovered.is_none()
            && let Some(next) = self.rooms.get(&room)
        {
            assert_eq!(*next, seq + 1, "who was in the room already has all before the ack");
        }
        self.rooms.insert(room, since.unwrap_or(seq) + 1);
    }

    fn resumed(&mut self, data: &Value, common: &mut Common) {
        for (room, told) in data["rooms"].as_object().expect("rooms by their ids") {
            let room = room.parse().expect("a room's id");
            self.check_access(room, common);
            let seq = told["seq"].as_u64().expect("a place");
            let since = self.resume.iter().find(|(resumed, _)| *resumed == room).map(|(_, since)| *since);
            assert!(since.is_some(), "a room that was not asked for");
            self.begin(room, seq, since.filter(|_| told["recovered"] == true), Some(true));
            common.told(room, seq);
        }
    }

    fn update(&mut self, data: &Value, text: &str, common: &mut Common) {
        let room = room_of(data);
        self.check_access(room, common);
        let seq = data["seq"].as_u64().expect("a place");
        let next = self.rooms.get_mut(&room).unwrap_or_else(|| panic!("an event of a room it is not in: {text}"));
        assert_eq!(seq, *next, "in order, without a gap or a double: {text}");
        *next += 1;
        let intent: Intent = serde_json::from_value(data["intent"].clone()).expect("an intent");
        assert_eq!(intent.room_id, room);
        common.meet(&intent);
        let known = common.log.entry((room, seq)).or_insert_with(|| text.into());
        assert_eq!(&**known, text, "an event is the same for everybody, live or replayed");
    }

    fn check_access(&self, room: RoomId, common: &Common) {
        let user = self.user.expect("nothing of a room is told to who is nobody");
        let rooms = common.rights.get(&user).expect("a user that there is");
        assert!(rooms.as_ref().is_none_or(|rooms| rooms.contains(&room)), "{user:?} must not see {room}");
    }
}

fn room_of(data: &Value) -> RoomId {
    data["roomId"].as_str().and_then(|room| room.parse().ok()).expect("a room's id")
}

fn check_refusal(refusal: &Refusal) {
    let is_ours = matches!(refusal.code, Code::Internal | Code::Unavailable | Code::Unresolved);
    assert!(!is_ours, "the store is well, so this is a fault: {refusal:?}");
}
