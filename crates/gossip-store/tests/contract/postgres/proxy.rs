//! A way to the server that can be cut at the worst moment: just before a COMMIT, or just after.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What happens to the next COMMIT that comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection is cut, and the server never hears of it.
    CutBefore,
    /// The connection is cut when the server has answered.
    CutAfter,
    /// The answer is kept back, and the connection stays open.
    Withhold,
    /// As [`Fault::CutAfter`], and nobody comes through any more.
    CutAfterAndStay,
}

#[derive(Default)]
struct State {
    next: Option<Fault>,
    is_closed: bool,
}

/// A listener that passes everything on.
pub(super) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// In front of that server.
    pub(super) async fn start(server: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy { address: listener.local_addr().unwrap(), state: Arc::default() };
        let state = Arc::clone(&proxy.state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if !state.lock().unwrap().is_closed {
                    tokio::spawn(pass(client, server, Arc::clone(&state)));
                }
            }
        });
        proxy
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn arm(&self, fault: Fault) {
        self.state.lock().unwrap().next = Some(fault);
    }
}

async fn pass(client: TcpStream, server: SocketAddr, state: Arc<Mutex<State>>) -> io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(server).await?.into_split();
    let (mut asked, mut answered) = ([0; 65_536], [0; 65_536]);
    let mut is_withheld = false;
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let chunk = &asked[..read?];
                let is_commit = chunk.ends_with(b"COMMIT\0");
                let fault = if is_commit { state.lock().unwrap().next.take() } else { None };
                if chunk.is_empty() || fault == Some(Fault::CutBefore) {
                    return Ok(());
                }
                to_server.write_all(chunk).await?;
                match fault {
                    Some(Fault::CutAfter) => return from_server.read(&mut answered).await.map(drop),
                    Some(Fault::CutAfterAndStay) => {
                        state.lock().unwrap().is_closed = true;
                        return from_server.read(&mut answered).await.map(drop);
                    }
                    Some(Fault::Withhold) => is_withheld = true,
                    Some(Fault::CutBefore) | None => {}
                }
            }
            read = from_server.read(&mut answered) => {
                let chunk = &answered[..read?];
                if chunk.is_empty() {
                    return Ok(());
                }
                if !is_withheld {
                    to_client.write_all(chunk).await?;
                }
            }
        }
    }
}
