//! WebSockets (RFC 6455) on hyper's connections: [`accept`] answers the upgrade, then a [`WsReader`] yields whole
//! messages and a [`WsWriter`] sends ready-made frames from a bounded queue. No heartbeat, no task, no meaning: whoever
//! holds the two owns the connection's life.

mod http_stream;
mod reader;
mod upgrade;
mod writer;

pub(crate) use http_stream::HttpStream;
pub(crate) use reader::OVERSIZE_FACTOR;
pub use reader::{Incoming, WsReader};
pub use upgrade::{Limits, Upgrading, accept, is_upgrade};
pub(crate) use writer::FRAME_COST;
pub use writer::{Flush, WsWriter};
