//! What the server counts of who is connected (`GET /v1/stats`), against what this program holds: counts that drift are
//! found after hours alone.

use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::Error;
use crate::report::Run;
use crate::target::Target;

/// How often it is asked.
const LOOK: Duration = Duration::from_millis(100);

/// The present, as far as it can be known here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connected {
    pub(super) active_connections: usize,
    pub(super) rooms_subscribed: usize,
    pub(super) users_connected: usize,
}

/// Asks, as a service.
#[derive(Debug)]
pub(super) struct Counting {
    address: String,
    token: String,
}

impl Counting {
    pub(super) fn new(target: &Target) -> Result<Counting, Error> {
        Ok(Counting { address: target.address.clone(), token: target.token_of("service")? })
    }

    /// What the server says as soon as it is this, or in the end; the ends of connections take a moment to arrive.
    pub(super) async fn until(&self, expected: Connected, patience: Duration) -> Result<Connected, String> {
        let until = Instant::now() + patience;
        loop {
            let found = match timeout_at(until, self.ask()).await {
                Ok(found) => found.map_err(|error| error.chain()),
                Err(_) => Err("no answer".to_owned()),
            };
            if found == Ok(expected) || Instant::now() + LOOK > until {
                return found;
            }
            sleep(LOOK).await;
        }
    }

    async fn ask(&self) -> Result<Connected, Error> {
        let failed = || Error::io("asking the server for its figures");
        let mut stream = TcpStream::connect(&self.address).await.map_err(failed())?;
        let request = format!(
            "GET /v1/stats HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            self.address, self.token
        );
        stream.write_all(request.as_bytes()).await.map_err(failed())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map_err(failed())?;
        read(&String::from_utf8_lossy(&answer))
    }
}

fn read(answer: &str) -> Result<Connected, Error> {
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(serde_json::from_str(body)?),
        _ => Err(Error::Setup(answer.to_owned())),
    }
}

/// Demands that it is as expected.
pub(super) fn tell(run: &mut Run, when: &str, expected: Connected, found: Result<Connected, String>) {
    let text = |counts: Connected| {
        let Connected { active_connections, rooms_subscribed, users_connected } = counts;
        format!("{active_connections} connections, {rooms_subscribed} rooms, {users_connected} users")
    };
    let told = found.as_ref().map_or_else(Clone::clone, |found| text(*found));
    run.check(found == Ok(expected), format!("the server counts {} {when}: {told}", text(expected)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_and_compared() {
        let body = r#"{"activeConnections":3,"totalConnections":9,"roomsSubscribed":1,"usersConnected":2}"#;
        let counts = Connected { active_connections: 3, rooms_subscribed: 1, users_connected: 2 };
        assert_eq!(read(&format!("HTTP/1.1 200 OK\r\n\r\n{body}")).unwrap(), counts);
        assert!(read(&format!("HTTP/1.1 403 Forbidden\r\n\r\n{body}")).is_err());
        let met = |found| {
            let mut run = Run::new("gossipd");
            tell(&mut run, "now", counts, found);
            run.checks[0].met
        };
        assert!(met(Ok(counts)));
        assert!(!met(Ok(Connected { active_connections: 4, ..counts })) && !met(Err("no answer".to_owned())));
    }
}
