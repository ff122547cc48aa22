//! The rules of the contract (§4) as pure decisions: given things as they are, a command and `now`, what changes or
//! why not. Nothing here waits, reads a clock, draws a random number, or knows of a database or a socket, so a rule
//! exists once and is tested as a table.
//!
//! ```
//! use gossip_core::access::{Access, Identity, Reach, Role, RoomAccess, RoomsClaim};
//! use gossip_proto::id::{RoomId, UserId};
//! use gossip_proto::timestamp::Timestamp;
//! use uuid::Uuid;
//!
//! let [here, there] = [1, 2].map(|n| RoomId(Uuid::from_u128(n)));
//! let rooms = RoomsClaim::Listed([here].into());
//! let user = Identity { user: UserId::NIL, role: Role::User, rooms, expires_at: Timestamp::MAX, issued_at: None };
//! let reach = Reach::of(&user, RoomAccess::Claims);
//! assert_eq!((reach.access(here), reach.access(there)), (Access::Granted, Access::NotClaimed));
//! ```
//!
//! Reading order: [`access`] (who may touch what), [`text`] (what may be said), [`command`] (what may be asked),
//! [`vote`] and [`status`] (what then happens), [`env`](mod@env) (where time and ids come from).

pub mod access;
pub mod command;
pub mod env;
pub mod status;
pub mod text;
pub mod vote;
