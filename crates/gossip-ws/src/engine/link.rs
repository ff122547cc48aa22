//! What connects a session to its client at the moment: a WebSocket, or the state between two HTTP requests. Plain
//! values, changed under the session's lock; nothing here waits.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::close::{CloseReason, Farewell};
use super::driver::Inbound;
use super::frame::Frame;
use crate::transport::WsWriter;

#[derive(Debug)]
pub(super) enum Link {
    Polling(Box<Polling>),
    WebSocket(WsWriter),
    /// The driver has taken the WebSocket to close it.
    Gone,
}

impl Link {
    /// How many bytes wait to be sent, and 64 for each frame.
    pub(super) fn queued(&self) -> usize {
        match self {
            Link::WebSocket(writer) => writer.queued(),
            Link::Polling(polling) => polling.queued,
            Link::Gone => 0,
        }
    }

    /// Whether so much waits because the client takes no more.
    pub(super) fn is_behind(&self, limit: usize) -> bool {
        match self {
            Link::WebSocket(writer) => writer.is_blocked() && writer.queued() >= limit,
            Link::Polling(polling) => polling.queued >= limit,
            Link::Gone => false,
        }
    }
}

/// A long-polling client.
#[derive(Debug)]
pub(super) struct Polling {
    queue: VecDeque<Frame>,
    /// What the frames in the queue cost.
    queued: usize,
    limit: usize,
    /// Answers the poll that waits. Dropped, it tells that poll that there is nothing to be had here any more.
    parked: Option<oneshot::Sender<Bytes>>,
    /// A POST is under way.
    posting: bool,
    pub(super) upgrade: Upgrade,
    /// The answers to the few polls that a closed session still takes.
    farewell: VecDeque<Bytes>,
    /// Where POSTs go, and the WebSocket after the upgrade.
    inbox: mpsc::Sender<Inbound>,
}

/// How far an upgrade is.
#[derive(Debug)]
pub(super) enum Upgrade {
    None,
    /// A WebSocket is there; the value, once dropped, ends it.
    Opened {
        _alive: oneshot::Sender<()>,
    },
    /// `3probe` is sent: polls are answered at once, so that the client can let go of polling.
    Probed {
        _alive: oneshot::Sender<()>,
    },
}

impl Polling {
    pub(super) fn new(limit: usize, inbox: mpsc::Sender<Inbound>) -> Polling {
        Polling {
            queue: VecDeque::new(),
            queued: 0,
            limit,
            parked: None,
            posting: false,
            upgrade: Upgrade::None,
            farewell: VecDeque::new(),
            inbox,
        }
    }

    pub(super) fn fits(&self, more: usize) -> bool {
        self.queued == 0 || self.queued.saturating_add(more) <= self.limit
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.queued += frame.cost();
        self.queue.push_back(frame);
    }

    /// The waiting poll gets what is queued, if anything is.
    pub(super) fn flush(&mut self) {
        if !self.queue.is_empty()
            && let Some(parked) = self.parked.take()
        {
            // Where the poll is gone its request's end closes the session.
            let _ = parked.send(self.take_queue());
        }
    }

    /// What is queued, as the body of an answer; `None` for nothing.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        (!self.queue.is_empty()).then(|| self.take_queue())
    }

    fn take_queue(&mut self) -> Bytes {
        let body = Frame::join(self.queue.iter());
        self.queue = VecDeque::new();
        self.queued = 0;
        body
    }

    pub(super) fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    pub(super) fn park(&mut self) -> oneshot::Receiver<Bytes> {
        let (answer, answered) = oneshot::channel();
        self.parked = Some(answer);
        answered
    }

    /// The poll will wait no longer: what it is answered, unless it was answered already.
    pub(super) fn unpark(&mut self) -> Option<Bytes> {
        self.parked.take()?;
        Some(self.take().unwrap_or_else(|| Frame::join([Frame::NOOP].iter())))
    }

    /// Marks a POST as under way; `None` if one is already.
    pub(super) fn begin_post(&mut self) -> Option<mpsc::Sender<Inbound>> {
        (!std::mem::replace(&mut self.posting, true)).then(|| self.inbox.clone())
    }

    pub(super) fn end_post(&mut self) {
        self.posting = false;
    }

    /// `3probe` is on its way: releases the waiting poll.
    pub(super) fn probed(&mut self) {
        if let Upgrade::Opened { _alive } = std::mem::replace(&mut self.upgrade, Upgrade::None) {
            self.upgrade = Upgrade::Probed { _alive };
        }
        if let Some(parked) = self.parked.take() {
            let body = self.take().unwrap_or_else(|| Frame::join([Frame::NOOP].iter()));
            let _ = parked.send(body);
        }
    }

    /// Moves what is queued to a WebSocket, and says where that reads to.
    pub(super) fn into_websocket(self, writer: &mut WsWriter) -> mpsc::Sender<Inbound> {
        for frame in self.queue {
            writer.push(frame.wire().clone());
        }
        self.inbox
    }

    pub(super) fn close(&mut self, reason: CloseReason) {
        self.upgrade = Upgrade::None;
        if reason == CloseReason::SlowReader {
            self.queue.clear();
        }
        let one = |frame| Frame::join([frame].iter());
        match reason.farewell() {
            Farewell::Noop => self.farewell.push_back(one(Frame::NOOP)),
            Farewell::Queue => {
                // In two answers: the stock client closes at once on a `1` and then forgets what came before it in
                // the same body.
                let queued = self.take();
                self.farewell.extend(queued);
                self.farewell.push_back(one(Frame::CLOSE));
            }
            Farewell::Now => {}
        }
        let lingers = !self.farewell.is_empty();
        self.queue = VecDeque::new();
        self.queued = 0;
        if let Some(parked) = self.parked.take() {
            let answer = if lingers { self.farewell.pop_front() } else { Some(one(Frame::CLOSE)) };
            // Where the poll is gone there is nobody to tell.
            let _ = answer.map(|answer| parked.send(answer));
        }
    }

    pub(super) fn has_farewell(&self) -> bool {
        !self.farewell.is_empty()
    }

    pub(super) fn take_farewell(&mut self) -> Option<Bytes> {
        self.farewell.pop_front()
    }
}
