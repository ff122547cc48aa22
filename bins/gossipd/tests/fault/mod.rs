//! What the tests that do harm share: a daemon that can be killed, a database that can be taken away, clients that
//! come back by themselves and remember what they sent and heard, and the comparison of all that with the database.

mod client;
pub(crate) mod crowd;
pub(crate) mod database;
pub(crate) mod line;
pub(crate) mod manner;
pub(crate) mod process;
mod record;
pub(crate) mod senders;
mod truth;
mod votes;
