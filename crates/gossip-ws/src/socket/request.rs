//! A client's wish to connect to a namespace, and the two answers to it.

use std::sync::Arc;

use gossip_proto::socketio::{encode_connect, encode_connect_error};
use serde_json::value::RawValue;

use super::Socket;
use crate::engine::{Frame, Session};

/// A client asks for a namespace. Dropped without an answer, the client waits.
#[derive(Debug)]
pub struct ConnectRequest {
    /// The namespace.
    pub nsp: Box<str>,
    /// The handshake's `auth`, a JSON object.
    pub auth: Option<Box<RawValue>>,
    /// The session it came on.
    pub session: Arc<Session>,
    pub(super) socket: Socket,
}

impl ConnectRequest {
    /// The socket that an accepted client will have. What is sent on it before [`accept`](Self::accept) confuses the client.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Lets the client in. `extra` are further members of the answer beside `sid`, as JSON: `"pid":"x"`.
    pub fn accept(self, extra: Option<&str>) -> Socket {
        let socket = self.accept_queued(extra);
        socket.flush();
        socket
    }

    /// [`accept`](Self::accept), but the answer is not sent before the next flush.
    pub fn accept_queued(self, extra: Option<&str>) -> Socket {
        let id = self.socket.id();
        let payload = match extra {
            Some(extra) => format!(r#"{{"sid":"{id}",{extra}}}"#),
            None => format!(r#"{{"sid":"{id}"}}"#),
        };
        self.session.queue(&[Frame::text(&encode_connect(&self.nsp, &payload))]);
        self.socket
    }

    /// Keeps the client out. `payload` is a JSON object whose `message` becomes the client's error.
    pub fn refuse(self, payload: &str) {
        self.session.send(&[Frame::text(&encode_connect_error(&self.nsp, payload))]);
    }
}
