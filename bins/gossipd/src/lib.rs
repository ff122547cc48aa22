//! The daemon as a library: configuration and wiring, nothing else. `main.rs` runs it; tests start it in their own
//! process with a clock of their own.

pub mod config;
pub mod daemon;
mod dev;
pub mod telemetry;
pub mod token;

pub use daemon::{Daemon, Error};
