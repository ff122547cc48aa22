//! What the system lets one process have, raised as far as it goes; children inherit it. Also more than one address to
//! connect from, since one has only so many ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::Error;

/// How many connections one address of the loopback net makes, below the number of ports that Linux gives out.
const FROM_ONE_ADDRESS: usize = 20_000;
/// What this program needs besides its connections.
const OTHER_FILES: u64 = 64;

/// Lets this process have as many open files as the system allows.
///
/// # Errors
/// Where those are too few for so many connections.
pub(crate) fn raise_files(connections: usize) -> Result<(), Error> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Where it is refused, the old limit stands.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
    match getrlimit(Resource::Nofile).current {
        Some(files) if files < connections as u64 + OTHER_FILES => Err(Error::Usage(format!(
            "{connections} connections need more open files than the {files} that this process may have: ulimit -Hn"
        ))),
        _ => Ok(()),
    }
}

/// The address to connect from, for one of so many connections; nothing where any does.
pub(crate) fn source(server: SocketAddr, index: usize, connections: usize) -> Option<IpAddr> {
    if !server.is_ipv4() || !server.ip().is_loopback() || connections <= FROM_ONE_ADDRESS {
        return None;
    }
    let address = u8::try_from(index / FROM_ONE_ADDRESS + 1).unwrap_or(254).min(254);
    Some(Ipv4Addr::new(127, 0, 0, address).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_connections_come_from_many_addresses() {
        let local: SocketAddr = "127.0.0.1:3000".parse().unwrap();
        assert_eq!(source(local, 19_999, 20_000), None);
        assert_eq!(source(local, 0, 50_000), Some("127.0.0.1".parse().unwrap()));
        assert_eq!(source(local, 49_999, 50_000), Some("127.0.0.3".parse().unwrap()));
        assert_eq!(source("192.0.2.1:3000".parse().unwrap(), 0, 50_000), None);
    }
}
