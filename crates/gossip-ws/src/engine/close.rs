//! Why sessions close: named values, the same in logs, in metrics and in the close frame. How they close is the
//! session's business.

use std::fmt;

use crate::Error;

/// Why a session closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The client sent an Engine.IO close packet.
    ClientPacket,
    /// The client sent a WebSocket close frame.
    ClientClose,
    /// The connection ended without a word, or a poll was aborted.
    TransportClosed,
    /// The connection failed.
    TransportError,
    /// No pong within [`Config::ping_timeout`](super::Config::ping_timeout).
    PingTimeout,
    /// [`Handler::is_established`](super::Handler::is_established) was false after
    /// [`Config::connect_timeout`](super::Config::connect_timeout).
    ConnectTimeout,
    /// The client broke the WebSocket, Engine.IO or Socket.IO protocol.
    Protocol,
    /// The client sent text that is not UTF-8.
    InvalidUtf8,
    /// The client sent a message over the limit.
    TooLarge,
    /// The client sent two polls, or two POSTs, at once.
    Overlap,
    /// The client did not read as fast as it was written to, and
    /// [`Config::max_queue_bytes`](super::Config::max_queue_bytes) was reached.
    SlowReader,
    /// The client sent more packets than [`Config::packet_rate`](super::Config::packet_rate).
    Flooding,
    /// The application wants the client to leave.
    Disconnected,
    /// The server shuts down; the client should come back.
    Shutdown,
    /// The handler panicked, or the runtime ended.
    Internal,
    /// A reason of the application's own.
    App {
        /// The WebSocket close code: 1000, or 3000…4999.
        code: u16,
        /// What is logged and sent, at most 123 bytes.
        reason: &'static str,
    },
}

/// What a polling client is told when its session closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
    /// `6` to its poll, now or shortly: the client asked for the close, and a poll of its own may be on its way.
    Noop,
    /// What is queued and `1`, to its poll now or shortly.
    Queue,
    /// `1` to its poll, if there is one now.
    Now,
}

impl CloseReason {
    /// The WebSocket close code (RFC 6455 §7.4, and the IANA registry of close codes).
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            CloseReason::ClientPacket | CloseReason::ClientClose | CloseReason::Disconnected => 1000,
            CloseReason::TransportClosed | CloseReason::TransportError | CloseReason::PingTimeout => 1001,
            CloseReason::Protocol | CloseReason::Overlap => 1002,
            CloseReason::InvalidUtf8 => 1007,
            CloseReason::ConnectTimeout | CloseReason::SlowReader | CloseReason::Flooding => 1008,
            CloseReason::TooLarge => 1009,
            CloseReason::Internal => 1011,
            CloseReason::Shutdown => 1012,
            CloseReason::App { code, .. } => code,
        }
    }

    /// The reason as a fixed name: `"ping timeout"`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            CloseReason::ClientPacket => "client packet",
            CloseReason::ClientClose => "client close",
            CloseReason::TransportClosed => "transport closed",
            CloseReason::TransportError => "transport error",
            CloseReason::PingTimeout => "ping timeout",
            CloseReason::ConnectTimeout => "connect timeout",
            CloseReason::Protocol => "protocol error",
            CloseReason::InvalidUtf8 => "invalid utf-8",
            CloseReason::TooLarge => "too large",
            CloseReason::Overlap => "overlapping requests",
            CloseReason::SlowReader => "slow reader",
            CloseReason::Flooding => "flooding",
            CloseReason::Disconnected => "disconnected",
            CloseReason::Shutdown => "shutdown",
            CloseReason::Internal => "internal",
            CloseReason::App { reason, .. } => reason,
        }
    }

    /// Whether there is nobody left to send anything to.
    pub(super) fn is_transport_gone(self) -> bool {
        matches!(self, CloseReason::TransportClosed | CloseReason::TransportError)
    }

    pub(super) fn farewell(self) -> Farewell {
        match self {
            CloseReason::ClientPacket => Farewell::Noop,
            CloseReason::Disconnected
            | CloseReason::Shutdown
            | CloseReason::SlowReader
            | CloseReason::ConnectTimeout
            | CloseReason::App { .. } => Farewell::Queue,
            _ => Farewell::Now,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&Error> for CloseReason {
    fn from(error: &Error) -> CloseReason {
        match error {
            Error::Protocol(_) => CloseReason::Protocol,
            Error::InvalidUtf8 => CloseReason::InvalidUtf8,
            Error::TooLarge => CloseReason::TooLarge,
            Error::Eof => CloseReason::TransportClosed,
            Error::Io(_) | Error::Upgrade(_) => CloseReason::TransportError,
        }
    }
}
