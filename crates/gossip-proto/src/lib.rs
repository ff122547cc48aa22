//! What goes over the wire: the types of the contract and the sans-IO codecs of its protocols (Engine.IO v4,
//! Socket.IO v5, plain WebSocket frames). Bytes in, values out. No sockets, no clock, no rules: what may happen is
//! decided in gossip-core.
//!
//! ```
//! use gossip_proto::plain;
//! use gossip_proto::refusal::Code;
//! use gossip_proto::request::Request;
//!
//! let frame = plain::decode(r#"{"event":"join_room","data":{"roomId":"lobby"},"id":1}"#)?;
//! let refusal = Request::parse(&frame.event, frame.data.as_deref()).unwrap_err();
//! assert_eq!((refusal.code, refusal.field.as_deref()), (Code::InvalidInput, Some("roomId")));
//! # Ok::<(), plain::PlainError>(())
//! ```

pub mod engineio;
mod error;
pub mod event_stream;
pub mod frame;
pub mod id;
mod json;
pub mod model;
pub mod notice;
pub mod plain;
pub mod refusal;
pub mod reply;
pub mod request;
pub mod socketio;
pub mod timestamp;

pub use error::Error as CodecError;
