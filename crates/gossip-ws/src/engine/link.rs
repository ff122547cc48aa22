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

/// A long-polling client.
#[derive(Debug)]
pub(super) struct Polling {
    queue: VecDeque<Frame>,
    queued: usize,
    limit: usize,
    /// Answers the poll that waits. Dropped, it tells that poll that there is nothing to be had here any more.
    parked: Option<oneshot::Sender<Bytes>>,
    /// A POST is under way.
    posting: bool,
    pub(super) upgrade: Upgrade,
    /// The answer to the one poll that a closed session still takes.
    farewell: Option<Bytes>,
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
            farewell: None,
            inbox,
        }
    }

    pub(super) fn fits(&self, more: usize) -> bool {
        self.queued == 0 || self.queued.saturating_add(more) <= self.limit
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.queued += frame.size();
        self.queue.push_back(frame);
    }

    pub(super) fn queued(&self) -> usize {
        self.queued
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
        let (last, lingers) = match reason.farewell() {
            Farewell::Noop => (Frame::join([Frame::NOOP].iter()), true),
            Farewell::Queue => {
                self.queue.push_back(Frame::CLOSE);
                (self.take_queue(), true)
            }
            Farewell::Now => (Frame::join([Frame::CLOSE].iter()), false),
        };
        self.queue = VecDeque::new();
        self.queued = 0;
        match self.parked.take() {
            Some(parked) => {
                let _ = parked.send(last);
            }
            None if lingers => self.farewell = Some(last),
            None => {}
        }
    }

    pub(super) fn has_farewell(&self) -> bool {
        self.farewell.is_some()
    }

    pub(super) fn take_farewell(&mut self) -> Option<Bytes> {
        self.farewell.take()
    }
}
