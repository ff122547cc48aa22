//! The client's end of a connection: an outbox that writes down what it is sent, in order. It judges nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gossip_hub::{Close, Event, Offset, Outbox, ReplyTo};
use gossip_proto::refusal::Refusal;
use gossip_proto::reply::Reply;
use tokio::sync::Notify;

/// Something that reached the client.
#[derive(Debug)]
pub(crate) enum Sent {
    /// With the offset that came with it, to a client that is tracked.
    Event(Arc<Event>, Option<String>),
    Reply(ReplyTo, Box<Result<Reply, Refusal>>),
}

/// What a client sees.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    sent: Mutex<Vec<Sent>>,
    more: Notify,
    is_behind: AtomicBool,
    caught_up: Notify,
    is_closed: AtomicBool,
    has_begun: AtomicBool,
}

impl Seen {
    fn push(&self, sent: Sent) {
        if !self.is_closed() {
            self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(sent);
            self.more.notify_one();
        }
    }

    /// What came since this was last asked.
    pub(crate) fn take(&self) -> Vec<Sent> {
        std::mem::take(&mut self.sent.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when something came, or the end.
    pub(crate) async fn more(&self) {
        self.more.notified().await;
    }

    pub(crate) fn set_behind(&self, is_behind: bool) {
        self.is_behind.store(is_behind, Ordering::SeqCst);
        if !is_behind {
            self.caught_up.notify_waiters();
        }
    }

    /// What its handshake asked for is done.
    pub(crate) fn begin(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
        self.more.notify_one();
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::SeqCst)
    }

    /// From now on nothing reaches it.
    pub(crate) fn end(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.caught_up.notify_waiters();
        self.more.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }
}

/// The hub's end of it.
pub(crate) struct Recorder(pub(crate) Arc<Seen>);

impl Outbox for Recorder {
    fn event(&self, event: &Arc<Event>) {
        self.0.push(Sent::Event(Arc::clone(event), None));
    }

    fn tracked(&self, event: &Arc<Event>, offset: &Offset) {
        self.0.push(Sent::Event(Arc::clone(event), Some(offset.to_string())));
    }

    fn reply(&self, to: &ReplyTo, reply: &Result<Reply, Refusal>) {
        self.0.push(Sent::Reply(to.clone(), Box::new(reply.clone())));
    }

    fn flush(&self) {}

    fn is_behind(&self) -> bool {
        self.0.is_behind.load(Ordering::SeqCst)
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            loop {
                let caught_up = self.0.caught_up.notified();
                if !self.is_behind() || self.is_closed() {
                    return;
                }
                caught_up.await;
            }
        })
    }

    fn close(&self, _: Close) {
        self.0.end();
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}
