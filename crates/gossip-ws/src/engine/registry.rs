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
    /// The drivers, which outlive their sessions a little.
    running: AtomicUsize,
    fewer: Notify,
}

/// A driver at work.
pub(super) struct Running(Arc<Registry>);

impl Running {
    pub(super) fn registry(&self) -> &Registry {
        &self.0
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.fewer.notify_waiters();
        }
    }
}

impl Registry {
    pub(super) fn enter(self: &Arc<Self>, session: &Arc<Session>) -> Running {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(session.id(), Arc::clone(session));
        Running(Arc::clone(self))
    }

    /// A session closed. It can still be found until [`forget`](Self::forget).
    pub(super) fn left(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.fewer.notify_waiters();
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

    pub(super) async fn drained(&self) {
        self.none(&self.open).await;
    }

    pub(super) async fn settled(&self) {
        self.none(&self.running).await;
    }

    async fn none(&self, count: &AtomicUsize) {
        loop {
            let mut fewer = std::pin::pin!(self.fewer.notified());
            // Before the count is looked at: a change after that must wake us.
            fewer.as_mut().enable();
            if count.load(Ordering::Acquire) == 0 {
                return;
            }
            fewer.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
