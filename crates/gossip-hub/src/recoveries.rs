//! The connections that can be recovered: which of them live here, and the one task that writes what they do to the
//! store, many at once. What a returning client is given is in [`crate::recover`].

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gossip_core::env::Env;
use gossip_proto::id::Pid;
use gossip_proto::refusal::Refusal;
use gossip_proto::timestamp::Timestamp;
use gossip_store::queue::chain;
use gossip_store::{RecoveryChange, Store};
use tokio::sync::{mpsc, oneshot};

use crate::shard::{ConnectionId, Peer};

/// Changes that may wait; with more, those who make them do.
const CAPACITY: usize = 1024;

struct Waiting {
    changes: Vec<RecoveryChange>,
    done: oneshot::Sender<bool>,
}

pub(crate) struct Recoveries {
    live: Mutex<HashMap<Pid, Arc<Peer>>>,
    notes: Notes,
}

/// Where changes are noted that nothing waits for.
#[derive(Clone)]
pub(crate) struct Notes(mpsc::Sender<Waiting>);

impl Notes {
    /// For what may be lost: it is written when it can be. False where too much waits.
    pub(crate) fn note(&self, change: RecoveryChange) -> bool {
        let (done, _) = oneshot::channel();
        self.0.try_send(Waiting { changes: vec![change], done }).is_ok()
    }

    /// Goes nowhere.
    #[cfg(test)]
    pub(crate) fn lost() -> Notes {
        Notes(mpsc::channel(1).0)
    }
}

impl Recoveries {
    /// With the task that writes, which ends with the value.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        env: Arc<dyn Env>,
        timeout: Duration,
    ) -> (Recoveries, impl Future<Output = ()> + Send + 'static) {
        let (changes, waiting) = mpsc::channel(CAPACITY);
        (Recoveries { live: Mutex::default(), notes: Notes(changes) }, write(store, env, timeout, waiting))
    }

    /// Notes that a connection lives here. Its client may have come back before the end of its last connection was
    /// noticed: that one is returned.
    pub(crate) fn opened(&self, pid: Pid, peer: Arc<Peer>) -> Option<Arc<Peer>> {
        self.live().insert(pid, peer)
    }

    pub(crate) fn closed(&self, pid: Pid, id: ConnectionId) {
        let mut live = self.live();
        if live.get(&pid).is_some_and(|peer| peer.id == id) {
            live.remove(&pid);
            if live.capacity() > 1024 && live.len() < live.capacity() / 4 {
                live.shrink_to_fit();
            }
        }
    }

    pub(crate) fn live_pids(&self) -> Vec<Pid> {
        self.live().keys().copied().collect()
    }

    /// Resolves when the changes are durable.
    pub(crate) async fn keep(&self, changes: Vec<RecoveryChange>) -> Result<(), Refusal> {
        let (done, kept) = oneshot::channel();
        let sent = self.notes.0.send(Waiting { changes, done }).await;
        match (sent, kept.await) {
            (Ok(()), Ok(true)) => Ok(()),
            _ => Err(Refusal::unavailable()),
        }
    }

    /// See [`Notes::note`].
    pub(crate) fn note(&self, change: RecoveryChange) {
        // What is not noted makes a connection begin anew when it returns, or a room that was left come back.
        let _ = self.notes.note(change);
    }

    pub(crate) fn notes(&self) -> Notes {
        self.notes.clone()
    }

    /// Resolves when what was noted before is written, as far as it was not lost.
    pub(crate) async fn settled(&self) -> Result<(), Refusal> {
        self.keep(Vec::new()).await
    }

    /// Its client is done with a connection, unless it has come back on another already.
    pub(crate) fn forget(&self, pid: Pid, id: ConnectionId) {
        if self.live().get(&pid).is_some_and(|peer| peer.id == id) {
            self.note(RecoveryChange::Forget { pid });
        }
    }

    fn live(&self) -> MutexGuard<'_, HashMap<Pid, Arc<Peer>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(store: Arc<dyn Store>, env: Arc<dyn Env>, timeout: Duration, mut queue: mpsc::Receiver<Waiting>) {
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, CAPACITY).await > 0 {
        let (changes, done): (Vec<_>, Vec<_>) = waiting.drain(..).map(|one| (one.changes, one.done)).unzip();
        let changes = changes.concat();
        let kept = changes.is_empty() || keep(&*store, &changes, env.now(), timeout).await;
        for done in done {
            // Who does not wait for it has no need to know.
            let _ = done.send(kept);
        }
    }
}

async fn keep(store: &dyn Store, changes: &[RecoveryChange], now: Timestamp, timeout: Duration) -> bool {
    match tokio::time::timeout(timeout, store.keep(changes, now)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::error!(error = chain(&error), "what connections did could not be kept");
            false
        }
        Err(_) => false,
    }
}
