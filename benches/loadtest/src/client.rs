//! A client of the plain WebSocket (contract §1), as cheap as it can be: it shares its processors with the server it
//! measures. It allocates nothing for a message, writes all it has to say at once, and reads as much as there is.

mod frame;
mod reply;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::Error;
pub(crate) use frame::{Frame, Inbound, parse as parse_frame, push_pong, push_text};
pub(crate) use reply::{Reply, read as read_reply};

/// More than a head of an answer ever has, in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// One WebSocket.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    /// What came.
    pub(crate) inbound: Inbound,
    /// What goes with the next [`flush`](Self::flush).
    pub(crate) out: Vec<u8>,
}

impl Connection {
    /// Opens a WebSocket at `address`, a host and a port, for the user of `token`.
    ///
    /// # Errors
    /// Where the server cannot be reached or answers anything but 101.
    pub(crate) async fn open(address: &str, token: &str) -> Result<Connection, Error> {
        let mut stream = TcpStream::connect(address).await.map_err(Error::io("connecting to the server"))?;
        stream.set_nodelay(true).map_err(Error::io("setting up a socket"))?;
        let request = format!(
            "GET /gossip/ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.map_err(Error::io("sending the handshake"))?;
        let mut connection = Connection { stream, inbound: Inbound::default(), out: Vec::new() };
        loop {
            connection.fill().await?;
            let bytes = connection.inbound.bytes();
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                if !bytes.starts_with(b"HTTP/1.1 101 ") {
                    return Err(Error::Refused(String::from_utf8_lossy(bytes).into_owned()));
                }
                connection.inbound.skip(end + 4);
                return Ok(connection);
            }
            if bytes.len() > MAX_HEAD {
                return Err(Error::Refused("an answer without an end".into()));
            }
        }
    }

    /// Sends what is in `out`.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub(crate) async fn flush(&mut self) -> Result<(), Error> {
        if !self.out.is_empty() {
            self.stream.write_all(&self.out).await.map_err(Error::io("writing to the server"))?;
            self.out.clear();
        }
        Ok(())
    }

    /// Waits for more in `inbound`.
    ///
    /// # Errors
    /// Where the connection is broken or at its end.
    pub(crate) async fn fill(&mut self) -> Result<(), Error> {
        let read = self.stream.read_buf(self.inbound.space()).await.map_err(Error::io("reading from the server"))?;
        if read == 0 { Err(Error::Broken("the server hung up".into())) } else { Ok(()) }
    }
}
