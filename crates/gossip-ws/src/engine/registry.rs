//! The open sessions by id, and how many they are. It owns no session's life: drivers enter and remove their own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Pass, Session, SessionId};

#[derive(Debug, Default)]
pub(super) struct Registry {
    books: Mutex<Books>,
    open: AtomicUsize,
    /// The drivers, which outlive their sessions a little, and the WebSockets that have yet to become a session's.
    running: AtomicUsize,
    fewer: Notify,
    panics: AtomicU64,
}

#[derive(Debug, Default)]
struct Books {
    /// Also holds closed polling sessions whose client has yet to fetch the farewell.
    sessions: HashMap<SessionId, Arc<Session>>,
    /// Nothing is to be opened any more.
    ended: bool,
}

/// A driver at work, or a WebSocket being opened.
pub(super) struct Running {
    registry: Arc<Registry>,
    /// What the application keeps as long as this.
    pass: Pass,
}

impl Running {
    pub(super) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Keeps this to its own end.
    pub(super) fn holding(mut self, pass: Pass) -> Running {
        self.pass = pass;
        self
    }

    /// Counts the panic that ends the task in which what is returned is dropped, if one does.
    pub(super) fn watch(&self) -> Watched {
        Watched(Arc::clone(&self.registry))
    }
}

/// See [`Running::watch`].
pub(super) struct Watched(Arc<Registry>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.ended();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.registry.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.registry.fewer.notify_waiters();
        }
    }
}

impl Registry {
    /// Something is about to be opened; `None` after the [`end`](Self::end).
    pub(super) fn begin(self: &Arc<Self>) -> Option<Running> {
        let books = self.lock();
        (!books.ended).then(|| {
            self.running.fetch_add(1, Ordering::Relaxed);
            Running { registry: Arc::clone(self), pass: Pass::default() }
        })
    }

    /// Nothing begins from now on. Everything that began is closed by whoever closes [`all`](Self::all) after this, or
    /// learns of it in [`enter`](Self::enter).
    pub(super) fn end(&self) {
        self.lock().ended = true;
    }

    /// Whether the end has not come yet; else the session is entered all the same, but must be closed.
    pub(super) fn enter(&self, session: &Arc<Session>) -> bool {
        let mut books = self.lock();
        self.open.fetch_add(1, Ordering::Relaxed);
        books.sessions.insert(session.id(), Arc::clone(session));
        !books.ended
    }

    /// A session closed. It can still be found until [`forget`](Self::forget).
    pub(super) fn left(&self) {
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.fewer.notify_waiters();
        }
    }

    pub(super) fn forget(&self, id: SessionId) {
        self.lock().sessions.remove(&id);
    }

    pub(super) fn find(&self, id: SessionId) -> Option<Arc<Session>> {
        self.lock().sessions.get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Session>> {
        self.lock().sessions.values().cloned().collect()
    }

    /// A task of a connection's ends: counted if that is by a panic, which only a fault of ours brings about.
    pub(super) fn ended(&self) {
        if std::thread::panicking() {
            self.panics.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
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

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
