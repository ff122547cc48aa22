//! Rooms, intents and votes in memory. A room's lock is held while its event is handed to every member's queue:
//! otherwise two tasks could do that in another order than that of their seqs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use uuid::Uuid;

use crate::model::{Action, Intent, Timestamp};

/// One room, shared by the tasks that post and vote in it.
pub(crate) type Shared = Arc<tokio::sync::Mutex<Room>>;

#[derive(Default)]
pub(crate) struct Feed {
    rooms: Mutex<HashMap<Uuid, Shared>>,
    /// The room of each intent.
    homes: Mutex<HashMap<Uuid, Shared>>,
}

impl Feed {
    /// The room, new if nobody named it before.
    pub(crate) fn room(&self, id: Uuid) -> Shared {
        lock(&self.rooms).entry(id).or_default().clone()
    }

    /// The room an intent is in.
    pub(crate) fn home(&self, intent: Uuid) -> Option<Shared> {
        lock(&self.homes).get(&intent).cloned()
    }

    pub(crate) fn settle(&self, intent: Uuid, room: &Shared) {
        lock(&self.homes).insert(intent, room.clone());
    }
}

/// A panic elsewhere leaves a map whole: nothing is done halfway in one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
pub(crate) struct Room {
    pub(crate) seq: u64,
    pub(crate) intents: HashMap<Uuid, Item>,
}

/// An intent and who voted how.
pub(crate) struct Item {
    pub(crate) intent: Intent,
    votes: HashMap<Uuid, Action>,
}

impl Item {
    pub(crate) fn new(intent: Intent) -> Self {
        Self { intent, votes: HashMap::new() }
    }

    /// Whether the vote changed anything.
    pub(crate) fn vote(&mut self, user: Uuid, action: Action, now: Timestamp) -> bool {
        let before = match action {
            Action::Remove => self.votes.remove(&user),
            vote => self.votes.insert(user, vote),
        };
        let changed = before.unwrap_or(Action::Remove) != action;
        if changed {
            let intent = &mut self.intent;
            match before {
                Some(Action::Upvote) => intent.upvotes -= 1,
                Some(Action::Downvote) => intent.downvotes -= 1,
                Some(Action::Remove) | None => {}
            }
            match action {
                Action::Upvote => intent.upvotes += 1,
                Action::Downvote => intent.downvotes += 1,
                Action::Remove => {}
            }
            intent.updated_at = now;
        }
        changed
    }
}
