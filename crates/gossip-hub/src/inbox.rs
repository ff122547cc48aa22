//! What waits for a shard. Taken all at once, so that a shard under load does many things per wake-up and flush.
//!
//! Bounded without ever refusing: [`Inbox::send`] waits while it is full, and what is [`push`](Inbox::push)ed past the
//! bound is the coming, the authentication and the going of a connection: one each.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Items that may wait before senders do.
const CAPACITY: usize = 1024;

#[derive(Debug)]
pub(crate) struct Inbox<T> {
    items: Mutex<Vec<T>>,
    arrived: Notify,
    taken: Notify,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Inbox { items: Mutex::default(), arrived: Notify::new(), taken: Notify::new() }
    }
}

impl<T> Inbox<T> {
    /// Adds an item at once.
    pub(crate) fn push(&self, item: T) {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).push(item);
        self.arrived.notify_one();
    }

    /// Adds an item when there is room.
    pub(crate) async fn send(&self, item: T) {
        let mut item = Some(item);
        loop {
            let mut taken = pin!(self.taken.notified());
            // Registered before looking, so that a take in between is not missed.
            taken.as_mut().enable();
            if self.try_push(&mut item) {
                return;
            }
            taken.await;
        }
    }

    fn try_push(&self, item: &mut Option<T>) -> bool {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() >= CAPACITY {
            return false;
        }
        items.extend(item.take());
        drop(items);
        self.arrived.notify_one();
        true
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.items.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits for at least one item and takes all; `into` must be empty. Nothing is lost when this is dropped.
    pub(crate) async fn take(&self, into: &mut Vec<T>) {
        loop {
            std::mem::swap(&mut *self.items.lock().unwrap_or_else(PoisonError::into_inner), into);
            if !into.is_empty() {
                self.taken.notify_waiters();
                return;
            }
            self.arrived.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_full_inbox_makes_senders_wait_and_loses_nothing() {
        let inbox = Arc::new(Inbox::default());
        let total = 4 * CAPACITY;
        let senders: Vec<_> = (0..4)
            .map(|sender| {
                let inbox = Arc::clone(&inbox);
                tokio::spawn(async move {
                    for n in 0..CAPACITY {
                        inbox.send((sender, n)).await;
                    }
                })
            })
            .collect();
        let mut next = [0; 4];
        let mut seen = 0;
        let mut items = Vec::new();
        while seen < total {
            inbox.take(&mut items).await;
            assert!(items.len() <= CAPACITY);
            for (sender, n) in items.drain(..) {
                assert_eq!(n, next[sender]);
                next[sender] += 1;
                seen += 1;
            }
        }
        for sender in senders {
            sender.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_push_past_the_bound_is_taken_too() {
        let inbox = Inbox::default();
        for n in 0..CAPACITY + 1 {
            inbox.push(n);
        }
        let mut items = Vec::new();
        inbox.take(&mut items).await;
        assert_eq!(items.len(), CAPACITY + 1);
    }
}
