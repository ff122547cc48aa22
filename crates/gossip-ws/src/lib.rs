//! The network side of the server, layered as its protocols are: [`listener`] and [`http`] under [`transport`]
//! (WebSocket frames on a TCP socket) under [`engine`] (Engine.IO v4 sessions) under [`socket`] (Socket.IO v5
//! namespaces). None of these knows what its messages mean (the crate's echo examples serve them alone); [`gossip`], on top, does.

pub mod engine;
mod error;
pub mod gossip;
pub mod http;
pub mod listener;
pub mod socket;
pub mod transport;

pub use error::Error;
