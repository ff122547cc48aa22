//! The crate's error: how reading a WebSocket, or becoming one, fails. It is not why a session closed (that is
//! [`CloseReason`](crate::engine::CloseReason)), nor an answer to a client.

use fastwebsockets::WebSocketError;
use gossip_proto::frame::FrameError;

/// Why a WebSocket yields no more messages.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The peer broke RFC 6455: close code 1002. What it broke.
    #[error("WebSocket protocol violated: {0}")]
    Protocol(&'static str),
    /// Text, or the reason of a close frame, that is not UTF-8: close code 1007.
    #[error("text that is not UTF-8")]
    InvalidUtf8,
    /// A message beyond the hard bound, or in too many fragments: close code 1009.
    #[error("message too large")]
    TooLarge,
    /// The connection ended without a close frame.
    #[error("connection ended")]
    Eof,
    /// The socket failed.
    #[error("socket failed")]
    Io(#[from] std::io::Error),
    /// The HTTP connection did not become a WebSocket.
    #[error("upgrade failed")]
    Upgrade(#[from] hyper::Error),
}

impl From<FrameError> for Error {
    fn from(error: FrameError) -> Error {
        match error {
            FrameError::Protocol(what) => Error::Protocol(what),
            FrameError::InvalidUtf8 => Error::InvalidUtf8,
            FrameError::TooLarge => Error::TooLarge,
        }
    }
}

impl From<WebSocketError> for Error {
    fn from(error: WebSocketError) -> Error {
        match error {
            WebSocketError::UnexpectedEOF | WebSocketError::ConnectionClosed => Error::Eof,
            // What the guard refuses comes to the library as a failure to read.
            WebSocketError::IoError(error) => error.downcast::<FrameError>().map_or_else(Error::Io, Error::from),
            WebSocketError::HTTPError(error) => Error::Upgrade(error),
            WebSocketError::InvalidUTF8 => Error::InvalidUtf8,
            WebSocketError::FrameTooLarge => Error::TooLarge,
            _ => Error::Protocol("invalid frame"),
        }
    }
}
