//! One session's Socket.IO: decodes its messages and passes them to the namespaces it is connected to. What breaks the
//! protocol closes the session, as the reference server does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gossip_proto::socketio::{Decoder, Limits, Packet};

use super::{App, ConnectRequest, DisconnectReason, Handler, MAX_NAMESPACES, Socket};
use crate::engine::{self, CloseReason, Message, Session};

/// The [`engine::Handler`] of a Socket.IO session.
pub struct Client<A: App> {
    app: Arc<A>,
    session: Arc<Session>,
    limits: Limits,
    decoding: Mutex<Decoding>,
    namespaces: Mutex<Vec<Connected<A::Handler>>>,
}

struct Decoding {
    decoder: Decoder,
    /// The packet that binary messages would belong to is lost.
    orphans: bool,
}

struct Connected<H> {
    socket: Socket,
    handler: Arc<H>,
}

impl<A: App> Client<A> {
    pub(super) fn new(app: Arc<A>, session: Arc<Session>, limits: Limits) -> Client<A> {
        Client {
            app,
            session,
            limits,
            decoding: Mutex::new(Decoding { decoder: Decoder::new(limits), orphans: false }),
            namespaces: Mutex::default(),
        }
    }

    fn decode(&self, message: Message) -> Result<Option<Packet>, CloseReason> {
        let mut decoding = lock(&self.decoding);
        let decoded = match message {
            Message::Text(text) => {
                decoding.orphans = false;
                decoding.decoder.text(&text)
            }
            Message::Binary(_) if decoding.orphans => return Ok(None),
            Message::Binary(data) => decoding.decoder.binary(data),
        };
        decoded.map_err(|error| {
            tracing::debug!(session = self.session.number(), %error, "not a Socket.IO packet");
            CloseReason::Protocol
        })
    }

    fn handler(&self, nsp: &str) -> Result<Arc<A::Handler>, CloseReason> {
        lock(&self.namespaces)
            .iter()
            .find(|connected| connected.socket.nsp() == nsp)
            .map(|connected| Arc::clone(&connected.handler))
            .ok_or(CloseReason::Protocol)
    }

    fn handlers(&self) -> Vec<Arc<A::Handler>> {
        lock(&self.namespaces).iter().map(|connected| Arc::clone(&connected.handler)).collect()
    }

    async fn connect(&self, request: ConnectRequest) -> Result<(), CloseReason> {
        if self.handler(&request.nsp).is_ok() || lock(&self.namespaces).len() >= MAX_NAMESPACES {
            return Err(CloseReason::Protocol);
        }
        let socket = request.socket.clone();
        if let Some(handler) = self.app.connect(request).await {
            lock(&self.namespaces).push(Connected { socket, handler: Arc::new(handler) });
        }
        Ok(())
    }

    fn disconnect(&self, nsp: &str) -> Result<(), CloseReason> {
        let left = {
            let mut namespaces = lock(&self.namespaces);
            let index =
                namespaces.iter().position(|connected| connected.socket.nsp() == nsp).ok_or(CloseReason::Protocol)?;
            let left = namespaces.swap_remove(index);
            if namespaces.is_empty() {
                // Else a session could stay for ever with nobody to answer for it.
                self.session.restart_connect_timeout();
            }
            left
        };
        left.socket.left();
        left.handler.disconnected(DisconnectReason::Left);
        Ok(())
    }
}

impl<A: App> engine::Handler for Client<A> {
    async fn message(&self, message: Message) -> Result<(), CloseReason> {
        match self.decode(message)? {
            None => Ok(()),
            Some(Packet::Connect { nsp, auth }) => {
                self.connect(ConnectRequest {
                    socket: Socket::new(Arc::clone(&self.session), nsp.clone()),
                    session: Arc::clone(&self.session),
                    nsp,
                    auth,
                })
                .await
            }
            Some(Packet::Disconnect { nsp }) => self.disconnect(&nsp),
            Some(Packet::Event { nsp, ack, event }) => {
                self.handler(&nsp)?.event(event, ack).await;
                Ok(())
            }
            Some(Packet::Ack { nsp, id, args }) => {
                self.handler(&nsp)?.ack(id, args);
                Ok(())
            }
            Some(Packet::ConnectError { .. }) => Err(CloseReason::Protocol),
        }
    }

    fn oversized(&self, len: usize) -> Result<(), CloseReason> {
        // What was lost may be a packet that announces attachments, or one of those.
        *lock(&self.decoding) = Decoding { decoder: Decoder::new(self.limits), orphans: true };
        let handlers = self.handlers();
        if handlers.is_empty() {
            return Err(CloseReason::TooLarge);
        }
        for handler in handlers {
            handler.oversized(len);
        }
        Ok(())
    }

    fn flooding(&self) -> Result<(), CloseReason> {
        let handlers = self.handlers();
        // All are asked.
        let closing = handlers.iter().filter(|handler| handler.flooding()).count();
        if closing > 0 || handlers.is_empty() { Err(CloseReason::Flooding) } else { Ok(()) }
    }

    fn is_established(&self) -> bool {
        !lock(&self.namespaces).is_empty()
    }

    fn closed(&self, reason: CloseReason) {
        let connected = std::mem::take(&mut *lock(&self.namespaces));
        for Connected { socket, handler } in connected {
            socket.left();
            handler.disconnected(DisconnectReason::Closed(reason));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
