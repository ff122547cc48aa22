//! The hub: everything between a socket and the store that is not a protocol. A [`Gateway`] is what an embedder
//! holds; each socket is a [`Connection`] on it, which can do nothing before it is authenticated; shards own the
//! connections' subscriptions and pass every event on in order. What an event means is not known here beyond its name
//! and its JSON, and no byte is put on a socket: that is what an [`Outbox`] is for.
//!
//! ```
//! # use std::sync::Arc;
//! # use gossip_hub::{Gateway, GatewayConfig, SystemEnv, Verifier, VerifierConfig, Key};
//! # use gossip_store::sqlite::SqliteStore;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let store = SqliteStore::open_path(&dir.path().join("gossip.db"), std::time::Duration::from_secs(2)).await?;
//! let verifier = Verifier::new(Key::secret("a secret of at least thirty-two bytes"), VerifierConfig::default());
//! let gateway = Gateway::start(GatewayConfig::default(), Arc::new(store), verifier, Arc::new(SystemEnv)).await?;
//! gateway.broadcast_to_all("system_message", &serde_json::json!({"message": "Maintenance in 5 minutes"})).await?;
//! assert_eq!(gateway.connection_stats().active_connections, 0);
//! # Ok(()) }
//! ```
//!
//! A transport and a policy of access of one's own are beside this crate's sources, in `examples`.

mod access;
mod auth;
mod catch_up;
mod changes;
mod connection;
mod directory;
mod error;
mod event;
mod failure;
mod figures;
mod gateway;
mod inbox;
mod janitor;
mod join;
mod lag;
mod limits;
mod metrics;
mod offset;
mod outbox;
mod publisher;
mod reads;
mod recover;
mod recoveries;
mod run;
mod session;
mod shard;
mod stats;
mod story;
mod system;
mod under_way;

pub use auth::{Claims, Key, Verifier, VerifierConfig};
pub use connection::Connection;
pub use error::Error;
pub use event::{Encoded, Event, Wire};
pub use gateway::{Gateway, GatewayConfig};
pub use limits::{LimitMode, LimitsConfig, Place, Rate, Seated};
pub use metrics::Metrics;
pub use offset::{NotAnOffset, Offset};
pub use outbox::{Close, Outbox, Protocol, ReplyTo};
pub use reads::RoomEvents;
pub use recover::Recoverable;
pub use run::Run;
pub use shard::RECOVERY;
pub use stats::{ConnectionStats, Latency, SlowReaders};
pub use system::SystemEnv;
