//! Commands that were accepted and not answered yet: of one connection, so that its reads see what it wrote, or of all,
//! so that a drain knows when it is done.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct UnderWay {
    count: AtomicUsize,
    none: Notify,
}

impl UnderWay {
    pub(crate) fn begin(&self) {
        self.count.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn finish(&self, count: usize) {
        if self.count.fetch_sub(count, Ordering::SeqCst) == count {
            self.none.notify_waiters();
        }
    }

    /// Waits until there are none.
    pub(crate) async fn finished(&self) {
        loop {
            // Registered before looking, so that the last one in between is not missed.
            let none = self.none.notified();
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            none.await;
        }
    }
}
