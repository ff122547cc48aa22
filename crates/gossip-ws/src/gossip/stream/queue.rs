//! What waits to be sent on one event stream: the hub adds to it, the body of the answer takes from it. It is bounded; a
//! client that takes too little is behind, and past the bound its stream ends. No task and no socket of its own.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use gossip_hub::{Close, Encoded, Event, Outbox, Protocol, ReplyTo, Run, Wire};
use gossip_proto::event_stream::{encode_event, encode_retry};
use gossip_proto::id::Seq;
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Reply;
use tokio::sync::Notify;
use tokio::time::timeout;
use uuid::Uuid;

use crate::gossip::json;
use crate::transport::FRAME_COST;

/// How long a client waits before it comes back, in milliseconds, and how much longer at most: clients of event streams
/// wait for exactly as long as they are told, so they are not told the same.
const RETRY: (u64, u64) = (1_000, 1_000);
/// Where the server is going away. A client that comes before that is done is turned away, and one in a browser then
/// gives up: so this is longer than clients are closed in batches for.
const RETRY_DRAINING: (u64, u64) = (4_000, 2_000);

fn retry((least, more): (u64, u64)) -> Bytes {
    let more = u64::try_from(Uuid::new_v4().as_u128() % u128::from(more)).unwrap_or(0);
    encode_retry(least + more).into()
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// By the hub.
    Closed(Close),
    /// The client has the room no longer.
    RoomClosed,
    /// The server ends.
    Shutdown,
    /// The client left.
    ClientGone,
}

impl End {
    /// What is queued is of no use any more.
    fn is_at_once(self) -> bool {
        matches!(self, End::Closed(Close::SlowReader) | End::ClientGone)
    }

    /// What a client is answered that had no stream yet.
    fn refusal(self) -> Refusal {
        let close = if let End::Closed(close) = self { close.refusal() } else { None };
        close.unwrap_or_else(|| match self {
            End::RoomClosed => Refusal::new(Code::Forbidden, "access to the room was withdrawn"),
            _ => Refusal::unavailable(),
        })
    }
}

/// The bounds of a [`Queue`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How much may wait, in bytes and 64 for each piece. With a sixteenth of it the client is behind.
    pub(super) max_bytes: usize,
    /// How long a client may be behind without taking anything, while somebody waits for it.
    pub(super) patience: Duration,
}

impl Bounds {
    fn behind_at(self) -> usize {
        self.max_bytes / 16
    }
}

pub(super) struct Queue {
    state: Mutex<State>,
    bounds: Bounds,
    /// What the client has, if it has something.
    since: Option<Seq>,
    is_behind: AtomicBool,
    has_ended: AtomicBool,
    drained: Notify,
}

#[derive(Default)]
struct State {
    pieces: VecDeque<Bytes>,
    /// Bytes of them, and [`FRAME_COST`] for each.
    queued: usize,
    /// What became of the join.
    answer: Option<Result<(), Refusal>>,
    end: Option<End>,
    /// Who takes, while there is nothing.
    waker: Option<Waker>,
}

impl Queue {
    pub(super) fn new(bounds: Bounds, since: Option<Seq>) -> Queue {
        let (is_behind, has_ended) = (AtomicBool::new(false), AtomicBool::new(false));
        Queue { state: Mutex::default(), bounds, since, is_behind, has_ended, drained: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, piece: Bytes) {
        let mut state = self.lock();
        if state.end.is_some() || piece.is_empty() {
            return;
        }
        let cost = piece.len() + FRAME_COST;
        // Into an empty one everything fits: the bound is on what waits, not on what may be sent.
        if state.queued > 0 && state.queued + cost > self.bounds.max_bytes {
            self.end_locked(state, End::Closed(Close::SlowReader));
            return;
        }
        state.queued += cost;
        state.pieces.push_back(piece);
        self.note_behind(&state);
    }

    fn note_behind(&self, state: &State) {
        let is_behind = state.end.is_none() && state.queued >= self.bounds.behind_at();
        if self.is_behind.load(Relaxed) != is_behind {
            self.is_behind.store(is_behind, Relaxed);
        }
    }

    /// The next piece; nothing when the stream has ended.
    pub(super) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.lock();
        let Some(piece) = state.pieces.pop_front() else {
            if state.end.is_some() {
                return Poll::Ready(None);
            }
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        state.queued -= piece.len() + FRAME_COST;
        if state.pieces.is_empty() {
            // What a burst took is given back.
            state.pieces = VecDeque::new();
        }
        self.note_behind(&state);
        if state.queued < self.bounds.behind_at() / 2 {
            self.drained.notify_waiters();
        }
        Poll::Ready(Some(piece))
    }

    /// Whether the client is let into the room.
    pub(super) fn poll_answer(&self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        let mut state = self.lock();
        match (state.answer.take(), state.end) {
            (Some(answer), _) => Poll::Ready(answer),
            (None, Some(end)) => Poll::Ready(Err(end.refusal())),
            (None, None) => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ends the stream after what is queued. Only the first reason counts.
    pub(super) fn end(&self, end: End) {
        self.end_locked(self.lock(), end);
    }

    fn end_locked(&self, mut state: MutexGuard<'_, State>, end: End) {
        if state.end.is_some() {
            return;
        }
        if end.is_at_once() {
            state.pieces = VecDeque::new();
            state.queued = 0;
        } else if matches!(end, End::Closed(Close::Draining) | End::Shutdown) {
            let piece = retry(RETRY_DRAINING);
            state.queued += piece.len() + FRAME_COST;
            state.pieces.push_back(piece);
        }
        state.end = Some(end);
        self.note_behind(&state);
        self.has_ended.store(true, Relaxed);
        let waker = state.waker.take();
        drop(state);
        self.drained.notify_waiters();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Why it ended, if it has.
    pub(super) fn ended(&self) -> Option<End> {
        self.lock().end
    }

    /// The answer to the join, in its place among the events. A client that comes back tells the last id it was given:
    /// with one before any event, it misses nothing either if it loses the stream at once.
    fn joined(&self, seq: Seq, recovered: Option<bool>, reply: &Reply) {
        let after = self.since.filter(|_| recovered == Some(true)).unwrap_or(seq);
        self.push(retry(RETRY));
        self.push(encode_event(Some(after), "joined", &json(reply)).into());
        self.lock().answer = Some(Ok(()));
    }

    async fn until_drained(&self) {
        loop {
            let mut drained = pin!(self.drained.notified());
            // Before it looks: what is taken after that must wake it.
            drained.as_mut().enable();
            let queued = self.lock().queued;
            if self.has_ended.load(Relaxed) || queued < self.bounds.behind_at() / 2 {
                return;
            }
            drained.await;
        }
    }
}

fn encoded(event: &Event) -> Encoded {
    Encoded { frame: encode_event(event.seq(), event.name(), event.data()).into(), head: 0 }
}

/// The hub's way to an event stream.
pub(super) struct StreamOutbox(pub(super) Arc<Queue>);

impl Outbox for StreamOutbox {
    fn protocol(&self) -> Protocol {
        Protocol::Sse
    }

    fn event(&self, event: &Arc<Event>) {
        self.0.push(event.encoded(Wire::EventStream, encoded).frame.clone());
        if event.closes_room() {
            self.0.end(End::RoomClosed);
        }
    }

    fn run(&self, run: &Run) {
        self.0.push(run.joined(Wire::EventStream, encoded).clone());
    }

    /// A stream asks for nothing but its join; what else is told is out of the blue.
    fn reply(&self, to: &ReplyTo, reply: &Result<Reply, Refusal>) {
        match reply {
            Ok(reply @ Reply::Joined { seq, recovered, .. }) => self.0.joined(*seq, *recovered, reply),
            Ok(_) => {}
            Err(refusal) if to.ack.is_some() => self.0.lock().answer = Some(Err(refusal.clone())),
            Err(refusal) => self.0.push(encode_event(None, "exception", &json(&refusal.exception(None))).into()),
        }
    }

    fn flush(&self) {
        let waker = self.0.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn is_behind(&self) -> bool {
        self.0.is_behind.load(Relaxed)
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            if timeout(self.0.bounds.patience, self.0.until_drained()).await.is_err() {
                self.0.end(End::Closed(Close::SlowReader));
            }
        })
    }

    fn close(&self, close: Close) {
        self.0.end(End::Closed(close));
    }

    fn is_closed(&self) -> bool {
        self.0.has_ended.load(Relaxed)
    }
}

#[cfg(test)]
mod tests;
