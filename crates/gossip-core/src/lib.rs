//! The rules of the contract (§4) as pure decisions: given things as they are, a command and `now`, what changes or
//! why not. Nothing here waits, reads a clock, draws a random number, or knows of a database or a socket, so a rule
//! exists once and is tested as a table.
//!
//! Reading order: [`access`] (who may touch what), [`text`] (what may be said), [`command`] (what may be asked),
//! [`vote`] and [`status`] (what then happens), [`env`](mod@env) (where time and ids come from).

pub mod access;
pub mod command;
pub mod env;
pub mod status;
pub mod text;
pub mod vote;
