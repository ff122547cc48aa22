//! What the tests of the running daemon share: a daemon on a free port with a database of its own, a clock that is
//! turned by hand, and clients that own nothing of the server's code: Socket.IO is spoken by hand over another
//! WebSocket library, HTTP by hand over TCP. What is right and wrong is for the tests to say.

pub(crate) mod clock;
pub(crate) mod event_stream;
pub(crate) mod http;
pub(crate) mod polling;
pub(crate) mod rng;
pub(crate) mod server;
pub(crate) mod websocket;

use std::time::Duration;

/// How long anything may take that is waited for; far more than it ever does.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `future`, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: nothing came within {PATIENCE:?}"),
    }
}
