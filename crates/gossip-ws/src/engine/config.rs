//! The settings of an Engine.IO server. Their defaults are the reference server's.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::http::Cors;
use crate::transport::Limits;

/// How many packets a client may send: a flood of them costs work, however empty they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PacketRate {
    /// For long.
    pub per_second: NonZeroU32,
    /// At once.
    pub burst: NonZeroU32,
}

impl Default for PacketRate {
    fn default() -> Self {
        PacketRate { per_second: NonZeroU32::MIN.saturating_add(999), burst: NonZeroU32::MIN.saturating_add(1999) }
    }
}

/// The settings of a [`Server`](super::Server).
#[derive(Debug, Clone)]
pub struct Config {
    /// Where requests come in, with a slash at the end. Default: `/socket.io/`.
    pub path: String,
    /// From a pong (or the opening) to the next ping. Default: 25 s.
    pub ping_interval: Duration,
    /// How long a pong may take. Default: 20 s.
    pub ping_timeout: Duration,
    /// How long the upgrade of a polling session may take. Default: 10 s.
    pub upgrade_timeout: Duration,
    /// How long a client may take until [`Handler::is_established`](super::Handler::is_established), from the opening
    /// or [`Session::restart_connect_timeout`](super::Session::restart_connect_timeout). Default: 45 s.
    pub connect_timeout: Duration,
    /// How long the body of a POST may take. Default: 30 s.
    pub body_timeout: Duration,
    /// The largest message, in bytes. Of larger ones, and bodies of POSTs, up to four times this is read, to say so:
    /// see [`Handler::oversized`](super::Handler::oversized). Default: 1,000,000.
    pub max_payload: usize,
    /// How much may wait to be sent to one client, in bytes and 64 for each frame, before it counts as a slow reader. One group of frames may
    /// go beyond, if nothing else waits. From a sixteenth of it on the session [is behind](super::Session::is_behind).
    /// Default: 1 MiB.
    pub max_queue_bytes: usize,
    /// How many packets a client may send, pings and empty ones too; `None` for any number. Default: 1000 a second, 2000
    /// at once.
    pub packet_rate: Option<PacketRate>,
    /// Which web pages may connect. Default: all.
    pub cors: Cors,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            path: "/socket.io/".to_owned(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(45),
            body_timeout: Duration::from_secs(30),
            max_payload: 1_000_000,
            max_queue_bytes: 1 << 20,
            packet_rate: Some(PacketRate::default()),
            cors: Cors::Any,
        }
    }
}

impl Config {
    /// From how much on what waits means that the client is behind.
    pub(super) fn behind_at(&self) -> usize {
        self.max_queue_bytes / 16
    }

    pub(super) fn limits(&self) -> Limits {
        Limits { max_message: self.max_payload, max_queue: self.max_queue_bytes }
    }
}
