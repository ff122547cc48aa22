//! The network side of the server, layered as its protocols are: [`listener`] and [`http`] under [`transport`]
//! (WebSocket frames on a TCP socket) under [`engine`] (Engine.IO v4 sessions) under [`socket`] (Socket.IO v5
//! namespaces). None of these knows what its messages mean (the crate's echo examples serve them alone); [`gossip`], on top, does.
//! It has no database and no rule: a [`Gateway`](gossip_hub::Gateway) is given to it.
//!
//! ```
//! use std::sync::Arc;
//!
//! use gossip_hub::{Gateway, GatewayConfig, Key, SystemEnv, Verifier, VerifierConfig};
//! use gossip_ws::gossip::{GossipService, ServiceConfig};
//! use gossip_ws::listener;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let file = dir.path().join("gossip.db");
//! # let store = gossip_store::sqlite::SqliteStore::open_path(&file, std::time::Duration::from_secs(2)).await?;
//! # let stop = async {};
//!
//! let verifier = Verifier::new(Key::secret("a secret of at least thirty-two bytes"), VerifierConfig::default());
//! let gateway = Gateway::start(GatewayConfig::default(), Arc::new(store), verifier, Arc::new(SystemEnv)).await?;
//! let service = Arc::new(GossipService::new(gateway, &ServiceConfig::default(), None));
//! let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! listener::serve(socket, service, listener::Config::default(), stop).await;
//! # Ok(()) }
//! ```
//!
//! `examples/embedded.rs` beside this crate's sources is a whole service, which also ends in order; `examples/axum.rs` has
//! a router in it.

pub mod engine;
mod error;
pub mod gossip;
pub mod http;
pub mod listener;
pub mod socket;
pub mod transport;

pub use error::Error;
