//! The open sessions by id, and how many they are. It owns no session's life: drivers enter and remove their own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Session, SessionId};

#[derive(Debug, Default)]
pub(super) struct Registry {
    /// Also holds closed polling sessions whose client has yet to fetch the farewell.
    sessions: Mutex<HashMap<SessionId, Arc<Session>>>,
    open: AtomicUsize,
    empty: Notify,
}

impl Registry {
    pub(super) fn enter(&self, session: &Arc<Session>) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(session.id(), Arc::clone(session));
    }

    /// A session closed. It can still be found until [`forget`](Self::forget).
    pub(super) fn left(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.empty.notify_waiters();
        }
    }

    pub(super) fn forget(&self, id: SessionId) {
        self.lock().remove(&id);
    }

    pub(super) fn find(&self, id: SessionId) -> Option<Arc<Session>> {
        self.lock().get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub(super) async fn empty(&self) {
        loop {
            let mut empty = std::pin::pin!(self.empty.notified());
            empty.as_mut().enable();
            if self.open() == 0 {
                return;
            }
            empty.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
