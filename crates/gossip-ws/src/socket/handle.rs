//! The handle to one connection to a namespace: what may be sent on it, from any thread. It receives nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use gossip_proto::socketio::{encode_ack, encode_disconnect, encode_event};

use crate::engine::{CloseReason, Frame, Session, SessionId};

/// A client's connection to a namespace; cloning it copies a pointer. What is sent after its end is dropped.
#[derive(Debug, Clone)]
pub struct Socket(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    session: Arc<Session>,
    nsp: Box<str>,
    id: SessionId,
    connected: AtomicBool,
}

impl Socket {
    pub(super) fn new(session: Arc<Session>, nsp: Box<str>) -> Socket {
        Socket(Arc::new(Inner { session, nsp, id: SessionId::random(), connected: AtomicBool::new(true) }))
    }

    /// The socket's id, as the client knows it. Unlike the session's it is no secret.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.id
    }

    /// The namespace.
    #[must_use]
    pub fn nsp(&self) -> &str {
        &self.0.nsp
    }

    /// The session that carries the socket.
    #[must_use]
    pub fn session(&self) -> &Arc<Session> {
        &self.0.session
    }

    /// Whether the socket is connected.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.connected.load(Ordering::Acquire) && !self.0.session.is_closed()
    }

    /// Sends an event. `args` are JSON texts, whose placeholders number the attachments. False if it was dropped.
    pub fn emit(&self, name: &str, args: &[&str], attachments: &[Bytes]) -> bool {
        self.send(encode_event(self.nsp(), name, args, attachments.len()), attachments)
    }

    /// Answers the event that had this id.
    pub fn ack(&self, id: u64, args: &[&str], attachments: &[Bytes]) -> bool {
        self.send(encode_ack(self.nsp(), id, args, attachments.len()), attachments)
    }

    /// [`Session::queue`], as long as the socket is connected.
    pub fn queue(&self, frames: &[Frame]) -> bool {
        self.is_connected() && self.0.session.queue(frames)
    }

    /// [`Session::queue_joined`], as long as the socket is connected.
    pub fn queue_joined<'a, F: Iterator<Item = Frame>>(
        &self,
        joined: impl FnOnce() -> &'a Bytes,
        each: impl FnOnce() -> F,
        flush: bool,
    ) -> bool {
        self.is_connected() && self.0.session.queue_joined(joined, each, flush)
    }

    /// [`Session::flush`].
    pub fn flush(&self) {
        self.0.session.flush();
    }

    /// Tells the client to leave and not to come back by itself, and closes the session.
    pub fn disconnect(&self) {
        if self.is_connected() {
            self.0.session.queue(&[Frame::text(&encode_disconnect(self.nsp()))]);
        }
        self.0.session.close(CloseReason::Disconnected);
    }

    /// Closes the session; a stock client comes back.
    pub fn close(&self, reason: CloseReason) {
        self.0.session.close(reason);
    }

    pub(super) fn left(&self) {
        self.0.connected.store(false, Ordering::Release);
    }

    fn send(&self, packet: String, attachments: &[Bytes]) -> bool {
        let text = Frame::text(&packet);
        let queued = if attachments.is_empty() {
            self.queue(&[text])
        } else {
            let frames: Vec<Frame> = std::iter::once(text).chain(attachments.iter().map(Frame::binary)).collect();
            self.queue(&frames)
        };
        if queued {
            self.flush();
        }
        queued
    }
}
