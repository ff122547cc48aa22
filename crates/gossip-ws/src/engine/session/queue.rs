//! What waits to be sent to a session's client: how it is added to, bounded, and waited for. How it is sent is in the
//! parent.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Session, State};
use crate::engine::link::Link;
use crate::engine::{CloseReason, Frame};
use crate::transport::FRAME_COST;

impl Session {
    /// Queues frames, next to each other, without sending them. False if the session is closed, or now is: where the
    /// queue is over [`Config::max_queue_bytes`](crate::engine::Config::max_queue_bytes) even after a try to send, it closes as
    /// [`CloseReason::SlowReader`].
    pub fn queue(&self, frames: &[Frame]) -> bool {
        let mut state = self.lock();
        let cost = frames.iter().map(Frame::cost).sum();
        if !self.admit(&mut state, cost) {
            return false;
        }
        match &mut state.link {
            Link::WebSocket(writer) => frames.iter().for_each(|frame| writer.push(frame.wire().clone())),
            Link::Polling(polling) => frames.iter().for_each(|frame| polling.push(frame.clone())),
            Link::Gone => {}
        }
        self.note_behind(&state);
        true
    }

    /// As [`queue`](Self::queue), for text frames that are there in one piece too: `joined` is their bytes one after
    /// another, which count as one frame; `each` is for a transport that has no frames. With `flush` they are sent at
    /// once, together with what waits.
    pub fn queue_joined<'a, F: Iterator<Item = Frame>>(
        &self,
        joined: impl FnOnce() -> &'a Bytes,
        each: impl FnOnce() -> F,
        flush: bool,
    ) -> bool {
        let mut state = self.lock();
        if !matches!(state.link, Link::WebSocket(_)) {
            drop(state);
            let frames: Vec<_> = each().collect();
            return if flush { self.send(&frames) } else { self.queue(&frames) };
        }
        let joined = joined();
        if !self.admit(&mut state, joined.len() + FRAME_COST) {
            return false;
        }
        let flushed = match &mut state.link {
            Link::WebSocket(writer) if flush && !writer.is_blocked() => writer.push_and_flush(joined),
            Link::WebSocket(writer) => {
                writer.push(joined.clone());
                self.note_behind(&state);
                return true;
            }
            Link::Polling(_) | Link::Gone => return true,
        };
        self.flushed(&mut state, flushed);
        true
    }

    /// Whether so much more may wait; where it may not, not even after a try to send, the session closes.
    fn admit(&self, state: &mut State, cost: usize) -> bool {
        if state.closed.is_some() {
            return false;
        }
        // So that who is behind is so because its client takes no more, not because nothing was sent yet.
        let is_much = state.link.queued() > 0 && state.link.queued() + cost >= self.config.behind_at();
        match &mut state.link {
            Link::WebSocket(writer) if is_much && !writer.is_blocked() => self.flush_websocket(state),
            Link::Polling(polling) if is_much => polling.flush(),
            Link::WebSocket(_) | Link::Polling(_) | Link::Gone => {}
        }
        let fits = match &state.link {
            Link::WebSocket(writer) => writer.fits(cost),
            Link::Polling(polling) => polling.fits(cost),
            Link::Gone => false,
        };
        if !fits {
            self.close_locked(state, CloseReason::SlowReader, None);
        }
        fits && state.closed.is_none()
    }

    /// How many bytes wait to be sent, and 64 for each frame.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.lock().link.queued()
    }

    /// Whether the client does not take what it is sent: a sixteenth of
    /// [`Config::max_queue_bytes`](crate::engine::Config::max_queue_bytes) or more waits for it. What can be had later
    /// should then wait for [`drained`](Self::drained).
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    pub(super) fn note_behind(&self, state: &State) {
        let is_behind = state.closed.is_none() && state.link.is_behind(self.config.behind_at());
        if self.is_behind() != is_behind {
            self.behind.store(is_behind, Ordering::Relaxed);
        }
    }

    /// Less may wait to be sent than did.
    pub(super) fn drained_some(&self, state: &mut State) {
        self.note_behind(state);
        if let Some(rare) = &mut state.rare {
            for waiting in rare.waiting.drain(..) {
                // Who waits looks for itself, and may have stopped waiting.
                let _ = waiting.send(());
            }
        }
    }

    /// Resolves when less than half of what makes a session [behind](Self::is_behind) waits to be sent, or it is closed. A
    /// client that does not take that much in the time of a heartbeat is closed as [`CloseReason::SlowReader`]: while
    /// somebody waits here its pongs may be unread, so the heartbeat does not tell whether it is there.
    pub async fn drained(&self) {
        let patience = self.config.ping_interval + self.config.ping_timeout;
        if tokio::time::timeout(patience, self.wait_until_drained()).await.is_err() {
            self.close(CloseReason::SlowReader);
        }
    }

    async fn wait_until_drained(&self) {
        loop {
            let drained = {
                let mut state = self.lock();
                let queued = state.link.queued();
                if state.closed.is_some() || queued < self.config.behind_at() / 2 {
                    return;
                }
                let (waiting, drained) = oneshot::channel();
                let rare = state.rare.get_or_insert_default();
                rare.waiting.retain(|waiting| !waiting.is_closed());
                rare.waiting.push(waiting);
                if let Some(posting) = rare.posting.take() {
                    // Who posted may be gone.
                    let _ = posting.send(());
                }
                drained
            };
            // An error says that nobody can tell any more: then it looks again.
            let _ = drained.await;
        }
    }

    /// Resolves when somebody waits for the client to take more, now or later: the client may need the answer to its
    /// POST to go on. The stock one does, for its upgrade. Fails when another asks.
    pub(in crate::engine) fn awaits_client(&self) -> oneshot::Receiver<()> {
        let (posting, awaits) = oneshot::channel();
        let mut state = self.lock();
        let rare = state.rare.get_or_insert_default();
        if rare.waiting.iter().any(|waiting| !waiting.is_closed()) {
            // Who posted may be gone.
            let _ = posting.send(());
        } else {
            rare.posting = Some(posting);
        }
        awaits
    }
}
