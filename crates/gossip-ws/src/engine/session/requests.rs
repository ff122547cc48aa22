//! What HTTP requests and half-open upgrades ask of their session. Only they use it; what anyone may is in the parent.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::Session;
use crate::engine::CloseReason;
use crate::engine::driver::Inbound;
use crate::engine::link::{Link, Upgrade};
use crate::transport::WsWriter;

/// How a poll is met.
#[derive(Debug)]
pub(in crate::engine) enum Polled {
    Now(Bytes),
    /// The answer comes later; `briefly` where it should not be waited for long.
    Later {
        answer: oneshot::Receiver<Bytes>,
        briefly: bool,
    },
    /// The session is closed.
    Unknown,
    /// Not now, or not by polling.
    Refused,
}

/// For the HTTP requests of a polling client.
impl Session {
    pub(in crate::engine) fn poll(&self) -> Polled {
        // The driver's timer may be a little late; the protocol's deadline is not.
        self.expire(Instant::now());
        let mut state = self.lock();
        let closed = state.closed.is_some();
        let Link::Polling(polling) = &mut state.link else {
            return if closed { Polled::Unknown } else { Polled::Refused };
        };
        if closed {
            let Some(last) = polling.take_farewell() else {
                return Polled::Unknown;
            };
            self.wake.notify_one();
            return Polled::Now(last);
        }
        if polling.is_parked() {
            self.close_locked(&mut state, CloseReason::Overlap, None);
            return Polled::Refused;
        }
        if let Some(body) = polling.take() {
            self.drained_some(&mut state);
            return Polled::Now(body);
        }
        Polled::Later { answer: polling.park(), briefly: matches!(polling.upgrade, Upgrade::Probed { .. }) }
    }

    fn expire(&self, now: Instant) {
        let awaiting = self.lock().heartbeat.awaiting;
        if awaiting {
            self.tick(now);
        }
    }

    /// The waiting poll gives up; `None` if it was answered meanwhile, or the session is elsewhere.
    pub(in crate::engine) fn unpark(&self) -> Option<Bytes> {
        let mut state = self.lock();
        let Link::Polling(polling) = &mut state.link else { return None };
        let answer = polling.unpark();
        self.drained_some(&mut state);
        answer
    }

    /// A POST begins.
    ///
    /// # Errors
    /// Why it is refused.
    pub(in crate::engine) fn begin_post(&self) -> Result<mpsc::Sender<Inbound>, Polled> {
        let mut state = self.lock();
        if state.closed.is_some() {
            return Err(Polled::Unknown);
        }
        match &mut state.link {
            Link::Polling(polling) => match polling.begin_post() {
                Some(inbox) => Ok(inbox),
                None => {
                    self.close_locked(&mut state, CloseReason::Overlap, None);
                    Err(Polled::Refused)
                }
            },
            Link::WebSocket(_) | Link::Gone => Err(Polled::Refused),
        }
    }

    pub(in crate::engine) fn end_post(&self) {
        if let Link::Polling(polling) = &mut self.lock().link {
            polling.end_post();
        }
    }
}

/// For the WebSocket of an upgrade.
impl Session {
    /// A WebSocket came for this polling session. What is returned resolves when it is no longer wanted; `None` if it is
    /// not wanted at all.
    pub(in crate::engine) fn begin_upgrade(&self) -> Option<oneshot::Receiver<()>> {
        let mut state = self.lock();
        if state.closed.is_some() {
            return None;
        }
        match &mut state.link {
            Link::Polling(polling) if matches!(polling.upgrade, Upgrade::None) => {
                let (alive, ended) = oneshot::channel();
                polling.upgrade = Upgrade::Opened { _alive: alive };
                Some(ended)
            }
            _ => None,
        }
    }

    pub(in crate::engine) fn probed(&self) {
        let mut state = self.lock();
        if let Link::Polling(polling) = &mut state.link {
            polling.probed();
            self.drained_some(&mut state);
        }
    }

    pub(in crate::engine) fn abandon_upgrade(&self) {
        if let Link::Polling(polling) = &mut self.lock().link {
            polling.upgrade = Upgrade::None;
        }
    }

    /// From here on the session is on the WebSocket. Says where its reader is to be handed to.
    ///
    /// # Errors
    /// The writer back, where the session closed meanwhile.
    pub(in crate::engine) fn complete_upgrade(&self, mut writer: WsWriter) -> Result<mpsc::Sender<Inbound>, WsWriter> {
        let mut state = self.lock();
        if state.closed.is_some() {
            return Err(writer);
        }
        match std::mem::replace(&mut state.link, Link::Gone) {
            Link::Polling(polling) => {
                let inbox = polling.into_websocket(&mut writer);
                state.link = Link::WebSocket(writer);
                self.flush_websocket(&mut state);
                Ok(inbox)
            }
            other => {
                state.link = other;
                Err(writer)
            }
        }
    }
}
