//! What a batch of commands comes to, given the rows they touch: one decision for every database. A store loads
//! [`Facts`], calls [`decide`], writes [`Writes`] and commits. No I/O here.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use gossip_core::command::{Action, Actor, Command, Fingerprint};
use gossip_core::env::Env;
use gossip_core::status::{StatusChange, expire, must_be_open, set_status};
use gossip_core::text::{Metadata, Text};
use gossip_core::vote::vote;
use gossip_proto::id::{IntentId, RoomId, Seq, UpdateId, UserId};
use gossip_proto::model::{GossipUpdate, GossipUpdateType, Intent, Status, Update, UpdateType, Vote, VoteAction};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Outcome;
use gossip_proto::request::RequestId;
use gossip_proto::timestamp::Timestamp;
use serde_json::{Value, json};

use crate::{Committed, Error, LogEvent, Position};

/// The rows a batch touches, as they are under its locks.
#[derive(Debug, Default)]
pub struct Facts {
    /// The intents named, where they exist.
    pub intents: HashMap<IntentId, Arc<Intent>>,
    /// The votes that stand of those who vote.
    pub votes: HashMap<(IntentId, UserId), Vote>,
    /// The last seq of every room touched; a room not here has none yet.
    pub rooms: HashMap<RoomId, Seq>,
    /// The memberships of actors whose reach depends on them.
    pub members: HashSet<(RoomId, UserId)>,
    /// The request ids that were used before.
    pub requests: HashMap<(UserId, RequestId), (Fingerprint, Outcome)>,
    /// The last position given.
    pub position: Position,
}

/// A request id with its first result.
#[derive(Debug)]
pub struct RequestRow {
    /// Whose.
    pub user: UserId,
    /// Its id.
    pub id: RequestId,
    /// What it asked.
    pub fingerprint: Fingerprint,
    /// What it was answered.
    pub result: Outcome,
}

/// What must be written, one bulk statement a field.
#[derive(Debug)]
pub struct Writes {
    /// The moment of the batch.
    pub now: Timestamp,
    /// Rows to insert.
    pub new_intents: Vec<Arc<Intent>>,
    /// Rows whose status, counts or `updatedAt` changed.
    pub changed_intents: Vec<Arc<Intent>>,
    /// Those of them whose status may have changed.
    pub new_statuses: HashSet<IntentId>,
    /// Votes as they stand now; `None` where one was taken back.
    pub votes: Vec<(IntentId, UserId, Option<Vote>)>,
    /// Rows to insert.
    pub updates: Vec<Arc<Update>>,
    /// Rooms' new seqs.
    pub rooms: Vec<(RoomId, Seq)>,
    /// Rows to insert.
    pub log: Vec<LogEvent>,
    /// Rows to insert.
    pub requests: Vec<RequestRow>,
    /// The last position given.
    pub position: Position,
}

impl Writes {
    /// Nothing changed: the transaction need not be committed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.log.is_empty() && self.requests.is_empty()
    }
}

/// Decides every command in turn, each seeing what those before it did.
///
/// Votes on one intent make one event (contract §4, Order), in the place of the first of them. The counts are absolute,
/// so it has them as the batch leaves them, and so has what follows it: a count never goes back, and the last event
/// equals the row.
///
/// # Errors
/// Only when an event would not become JSON.
pub fn decide(batch: &[Command], facts: Facts, env: &dyn Env) -> Result<(Committed, Writes), Error> {
    let mut run = Run::new(facts, env);
    let answers: Vec<_> = batch.iter().map(|command| run.command(command)).collect();
    let intents: Vec<Arc<Intent>> = run.events.iter().enumerate().map(|(at, event)| run.counted(at, event)).collect();
    let log: Vec<LogEvent> = run
        .events
        .iter()
        .zip(&intents)
        .map(|(event, intent)| run.log_event(event, intent))
        .collect::<Result<_, _>>()?;
    let outcome = |answer| run.outcome(answer, &intents);
    let results = answers.into_iter().map(|answer| answer.map(outcome)).collect();
    let requests = run
        .requests
        .iter()
        .map(|((user, id), (fingerprint, answer))| RequestRow {
            user: *user,
            id: id.clone(),
            fingerprint: *fingerprint,
            result: outcome(answer.clone()),
        })
        .collect();
    let committed = Committed { results, events: log.clone() };
    Ok((committed, run.into_writes(log, requests)))
}

/// What a command is answered with, once the batch is decided.
#[derive(Debug, Clone)]
enum Answer {
    /// The first result of a repeated command.
    Again(Outcome),
    /// It caused this event of the batch: the intent as it is there.
    Event(usize),
    /// A comment, and its event.
    Comment(Arc<Update>, usize),
    /// It changed nothing: the intent and the room's seq as they were then.
    Unchanged(Arc<Intent>, Seq),
}

/// An event that is not JSON yet: votes that come later in the batch still change its counts.
struct Pending {
    kind: GossipUpdateType,
    intent: Arc<Intent>,
    update: Option<Arc<Update>>,
    seq: Seq,
    position: Position,
}

struct Run<'a> {
    env: &'a dyn Env,
    now: Timestamp,
    facts: Facts,
    new_intents: Vec<IntentId>,
    changed_intents: HashSet<IntentId>,
    new_statuses: HashSet<IntentId>,
    changed_votes: HashSet<(IntentId, UserId)>,
    /// Where in `events` each intent's `vote` event is.
    voted: HashMap<IntentId, usize>,
    events: Vec<Pending>,
    updates: Vec<Arc<Update>>,
    touched_rooms: HashSet<RoomId>,
    requests: HashMap<(UserId, RequestId), (Fingerprint, Answer)>,
}

impl<'a> Run<'a> {
    fn new(facts: Facts, env: &'a dyn Env) -> Self {
        Run {
            env,
            now: env.now(),
            facts,
            new_intents: Vec::new(),
            changed_intents: HashSet::new(),
            new_statuses: HashSet::new(),
            changed_votes: HashSet::new(),
            voted: HashMap::new(),
            events: Vec::new(),
            updates: Vec::new(),
            touched_rooms: HashSet::new(),
            requests: HashMap::new(),
        }
    }

    fn command(&mut self, command: &Command) -> Result<Answer, Refusal> {
        let Some(request_id) = &command.request_id else { return self.action(&command.actor, &command.action) };
        let key = (command.actor.user, request_id.clone());
        let fingerprint = command.fingerprint();
        let before = self.facts.requests.get(&key).map(|(first, result)| (*first, Answer::Again(result.clone())));
        if let Some((first, answer)) = before.or_else(|| self.requests.get(&key).cloned()) {
            if first != fingerprint {
                return Err(Refusal::new(Code::Conflict, "the requestId was used for another command"));
            }
            return Ok(answer);
        }
        let answer = self.action(&command.actor, &command.action)?;
        self.requests.insert(key, (fingerprint, answer.clone()));
        Ok(answer)
    }

    fn action(&mut self, actor: &Actor, action: &Action) -> Result<Answer, Refusal> {
        match action {
            Action::Post { room, content, metadata, lives } => {
                actor.reach.check(*room, || self.facts.members.contains(&(*room, actor.user)))?;
                let expires_at = self.now.plus(*lives);
                Ok(self.post(actor.user, *room, content, metadata.as_ref(), expires_at))
            }
            Action::Vote { intent, action } => {
                let intent = self.visible(actor, *intent)?.id;
                self.vote(actor.user, intent, *action)
            }
            Action::Comment { intent, content } => {
                let intent = self.visible(actor, *intent)?;
                must_be_open(&intent, self.now)?;
                Ok(self.comment(actor.user, &intent, content))
            }
            Action::SetStatus { intent, status, reason } => {
                let intent = self.visible(actor, *intent)?;
                let change = set_status(&intent, *status, self.now)?;
                Ok(self.status(actor.user, intent, change, reason.as_ref()))
            }
            Action::Expire { intent } => {
                let intent = self.visible(actor, *intent)?;
                let change = expire(&intent, self.now);
                Ok(self.status(actor.user, intent, change, None))
            }
        }
    }

    /// The intent, if it exists in a room the actor reaches; otherwise both are the same `not_found`.
    fn visible(&self, actor: &Actor, id: IntentId) -> Result<Arc<Intent>, Refusal> {
        let intent = self.facts.intents.get(&id).ok_or_else(Refusal::intent_not_found)?;
        let is_member = || self.facts.members.contains(&(intent.room_id, actor.user));
        actor.reach.check(intent.room_id, is_member).map_err(|_| Refusal::intent_not_found())?;
        Ok(Arc::clone(intent))
    }

    fn post(
        &mut self,
        user: UserId,
        room: RoomId,
        content: &Text,
        metadata: Option<&Metadata>,
        expires_at: Timestamp,
    ) -> Answer {
        let intent = Arc::new(Intent {
            id: IntentId(self.env.new_id()),
            room_id: room,
            user_id: user,
            content: content.as_str().to_owned(),
            status: Status::Pending,
            metadata: metadata.map(|metadata| metadata.as_value().clone()),
            upvotes: 0,
            downvotes: 0,
            expires_at: Some(expires_at),
            created_at: self.now,
            updated_at: self.now,
        });
        let event = self.event(GossipUpdateType::NewIntent, &intent, None);
        self.new_intents.push(intent.id);
        self.facts.intents.insert(intent.id, intent);
        Answer::Event(event)
    }

    fn vote(&mut self, user: UserId, id: IntentId, action: VoteAction) -> Result<Answer, Refusal> {
        let intent = self.facts.intents.get_mut(&id).ok_or_else(Refusal::intent_not_found)?;
        let key = (id, user);
        let current = self.facts.votes.get(&key).copied();
        if let Some(change) = vote(intent, current, action, self.now)? {
            change.apply(Arc::make_mut(intent), self.now);
            match change.stands {
                Some(vote) => self.facts.votes.insert(key, vote),
                None => self.facts.votes.remove(&key),
            };
            self.changed_intents.insert(id);
            self.changed_votes.insert(key);
            self.update(id, user, UpdateType::Vote, Some(action.as_str().to_owned()), None);
            if !self.voted.contains_key(&id)
                && let Some(intent) = self.facts.intents.get(&id).cloned()
            {
                let event = self.event(GossipUpdateType::Vote, &intent, None);
                self.voted.insert(id, event);
            }
        }
        match (self.voted.get(&id), self.facts.intents.get(&id)) {
            (Some(event), _) => Ok(Answer::Event(*event)),
            (None, Some(intent)) => Ok(Answer::Unchanged(Arc::clone(intent), self.seq(intent.room_id))),
            (None, None) => Err(Refusal::intent_not_found()),
        }
    }

    fn comment(&mut self, user: UserId, intent: &Arc<Intent>, content: &Text) -> Answer {
        let update = self.update(intent.id, user, UpdateType::Comment, Some(content.as_str().to_owned()), None);
        let event = self.event(GossipUpdateType::Comment, intent, Some(&update));
        Answer::Comment(update, event)
    }

    fn status(
        &mut self,
        user: UserId,
        intent: Arc<Intent>,
        change: Option<StatusChange>,
        reason: Option<&Text>,
    ) -> Answer {
        let Some(change) = change else {
            let seq = self.seq(intent.room_id);
            return Answer::Unchanged(intent, seq);
        };
        let mut after = (*intent).clone();
        change.apply(&mut after, self.now);
        let intent = Arc::new(after);
        self.changed_intents.insert(intent.id);
        self.new_statuses.insert(intent.id);
        self.facts.intents.insert(intent.id, Arc::clone(&intent));
        let reason = reason.map(|reason| reason.as_str().to_owned());
        let metadata = json!({ "oldStatus": change.old, "newStatus": change.new });
        let update = self.update(intent.id, user, UpdateType::StatusChange, reason.clone(), Some(metadata));
        let mut event = self.event(GossipUpdateType::StatusChange, &intent, Some(&update));
        if change.is_verdict() {
            let metadata = json!({ "verdict": change.new });
            let update = self.update(intent.id, user, UpdateType::Verification, reason, Some(metadata));
            event = self.event(GossipUpdateType::Verification, &intent, Some(&update));
        }
        Answer::Event(event)
    }

    /// `intents` are those of the events, counted.
    fn outcome(&self, answer: Answer, intents: &[Arc<Intent>]) -> Outcome {
        match answer {
            Answer::Again(outcome) => outcome,
            Answer::Event(at) => Outcome::Intent { intent: Arc::clone(&intents[at]), seq: self.events[at].seq },
            Answer::Comment(update, at) => Outcome::Update { update, seq: self.events[at].seq },
            Answer::Unchanged(intent, seq) => Outcome::Intent { intent, seq },
        }
    }

    /// The room's present seq.
    fn seq(&self, room: RoomId) -> Seq {
        self.facts.rooms.get(&room).copied().unwrap_or_default()
    }

    fn update(
        &mut self,
        intent_id: IntentId,
        user_id: UserId,
        kind: UpdateType,
        content: Option<String>,
        metadata: Option<Value>,
    ) -> Arc<Update> {
        let id = UpdateId(self.env.new_id());
        let update = Arc::new(Update { id, intent_id, user_id, kind, content, metadata, created_at: self.now });
        self.updates.push(Arc::clone(&update));
        update
    }

    /// Gives the room its next event; returns its place in the batch.
    fn event(&mut self, kind: GossipUpdateType, intent: &Arc<Intent>, update: Option<&Arc<Update>>) -> usize {
        let seq = self.seq(intent.room_id).next();
        let position = Position(self.facts.position.0 + 1);
        self.facts.rooms.insert(intent.room_id, seq);
        self.touched_rooms.insert(intent.room_id);
        self.facts.position = position;
        self.events.push(Pending { kind, intent: Arc::clone(intent), update: update.cloned(), seq, position });
        self.events.len() - 1
    }

    /// The intent of the event at this place of the batch, with the counts as they are told from there on.
    fn counted(&self, at: usize, event: &Pending) -> Arc<Intent> {
        let mut intent = Arc::clone(&event.intent);
        if self.voted.get(&intent.id).is_some_and(|first| at >= *first)
            && let Some(last) = self.facts.intents.get(&intent.id)
            && (last.upvotes, last.downvotes) != (intent.upvotes, intent.downvotes)
        {
            let intent = Arc::make_mut(&mut intent);
            (intent.upvotes, intent.downvotes) = (last.upvotes, last.downvotes);
        }
        intent
    }

    fn log_event(&self, event: &Pending, intent: &Intent) -> Result<LogEvent, Error> {
        let Pending { kind, update, seq, position, .. } = event;
        let room = intent.room_id;
        let data = GossipUpdate {
            kind: *kind,
            intent,
            update: update.as_deref(),
            timestamp: self.now,
            room_id: room,
            seq: *seq,
        };
        Ok(LogEvent { position: *position, room, seq: *seq, payload: serde_json::to_string(&data)?.into() })
    }

    fn into_writes(self, log: Vec<LogEvent>, requests: Vec<RequestRow>) -> Writes {
        let Run { facts, changed_intents, new_statuses, changed_votes, touched_rooms, .. } = self;
        let find = |id: &IntentId| facts.intents.get(id).cloned();
        let changed = |id: &&IntentId| !self.new_intents.contains(id);
        Writes {
            now: self.now,
            new_intents: self.new_intents.iter().filter_map(find).collect(),
            changed_intents: changed_intents.iter().filter(changed).filter_map(find).collect(),
            new_statuses,
            votes: changed_votes.into_iter().map(|key| (key.0, key.1, facts.votes.get(&key).copied())).collect(),
            updates: self.updates,
            rooms: touched_rooms
                .into_iter()
                .map(|room| (room, facts.rooms.get(&room).copied().unwrap_or_default()))
                .collect(),
            log,
            requests,
            position: facts.position,
        }
    }
}

#[cfg(test)]
mod tests;
