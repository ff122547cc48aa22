//! Whether a task that everything depends on has ended, which only a fault of ours brings about: the process should
//! then end and start anew, rather than look alive.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct Failure {
    happened: AtomicBool,
    noticed: Notify,
}

impl Failure {
    pub(crate) fn has_happened(&self) -> bool {
        self.happened.load(Ordering::SeqCst)
    }

    /// Resolves when it has happened.
    pub(crate) async fn happened(&self) {
        loop {
            let noticed = self.noticed.notified();
            if self.has_happened() {
                return;
            }
            noticed.await;
        }
    }
}

/// Runs a task that everything depends on: its end, by a panic too, is the failure.
pub(crate) async fn vital(task: impl Future<Output = ()>, failure: Arc<Failure>) {
    struct Ended(Arc<Failure>);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.happened.store(true, Ordering::SeqCst);
            self.0.noticed.notify_waiters();
        }
    }

    let _ended = Ended(failure);
    task.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failure() {
        let failure = Arc::<Failure>::default();
        assert!(!failure.has_happened());
        let task = tokio::spawn(vital(async { panic!("a fault") }, Arc::clone(&failure)));
        failure.happened().await;
        assert!(task.await.is_err());
    }
}
