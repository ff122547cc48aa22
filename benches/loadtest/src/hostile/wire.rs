//! A connection on which right and wrong bytes are sent alike. It knows as much of HTTP and WebSocket as it takes to get
//! as far as the harm is to be done.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::push_text;
use crate::socket::connect_from;

/// More than the head of any answer.
const MAX_HEAD: usize = 16 * 1024;

#[derive(Debug)]
pub(super) struct Wire {
    pub(super) stream: TcpStream,
}

fn ended() -> io::Error {
    io::Error::from(ErrorKind::UnexpectedEof)
}

impl Wire {
    pub(super) async fn open(server: SocketAddr, source: Option<IpAddr>, buffer: Option<u32>) -> io::Result<Wire> {
        let stream = connect_from(source, buffer, server).await?;
        stream.set_nodelay(true)?;
        Ok(Wire { stream })
    }

    /// Becomes a WebSocket, or fails where it is refused.
    pub(super) async fn upgrade(&mut self, target: &str) -> io::Result<()> {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        self.stream.write_all(request.as_bytes()).await?;
        let answer = self.answer().await?;
        if answer.starts_with("HTTP/1.1 101 ") { Ok(()) } else { Err(io::Error::other("refused")) }
    }

    /// The id of a new polling session.
    pub(super) async fn polling(&mut self) -> io::Result<String> {
        let request = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n";
        self.stream.write_all(request.as_bytes()).await?;
        let mut answer = self.answer().await?;
        let mut piece = [0; 1024];
        loop {
            if let Some((_, rest)) = answer.split_once(r#""sid":""#)
                && let Some((sid, _)) = rest.split_once('"')
            {
                return Ok(sid.to_owned());
            }
            match self.stream.read(&mut piece).await? {
                read @ 1.. if answer.starts_with("HTTP/1.1 200 ") => {
                    answer.push_str(&String::from_utf8_lossy(&piece[..read]));
                }
                _ => return Err(ended()),
            }
        }
    }

    /// What came with the head of an answer, and after it.
    async fn answer(&mut self) -> io::Result<String> {
        let mut answer = Vec::new();
        loop {
            if self.stream.read_buf(&mut answer).await? == 0 || answer.len() > MAX_HEAD {
                return Err(ended());
            }
            if answer.windows(4).any(|end| end == b"\r\n\r\n") {
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
        }
    }

    /// Asks to be in the namespace; what is answered is for whoever reads.
    pub(super) async fn namespace(&mut self, auth: &str) -> io::Result<()> {
        self.upgrade("/socket.io/?EIO=4&transport=websocket").await?;
        self.text(format!("40/gossip,{auth}").as_bytes()).await
    }

    pub(super) async fn text(&mut self, text: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(text.len() + 14);
        self.push(&mut frame, text);
        self.write_while_reading(&frame).await
    }

    /// Appends a frame to what is sent later.
    pub(super) fn push(&self, out: &mut Vec<u8>, text: &[u8]) {
        push_text(out, text);
    }

    /// Writes all of it; what comes meanwhile is forgotten.
    pub(super) async fn write_while_reading(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut read, mut write) = self.stream.split();
        let mut piece = [0; 16 * 1024];
        let mut writing = std::pin::pin!(write.write_all(bytes));
        loop {
            tokio::select! {
                written = &mut writing => return written,
                got = read.read(&mut piece) => if got? == 0 { return Err(ended()) },
            }
        }
    }

    /// Reads and forgets until the connection ends.
    pub(super) async fn until_ended(&mut self) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        while self.stream.read(&mut piece).await? > 0 {}
        Err(ended())
    }

    /// The same, but no longer than this.
    pub(super) async fn until_ended_for(&mut self, time: Duration) -> io::Result<()> {
        timeout(time, self.until_ended()).await.unwrap_or(Ok(()))
    }

    /// Waits, unless the connection ends.
    pub(super) async fn wait(&mut self, time: Duration) -> io::Result<()> {
        self.until_ended_for(time).await
    }
}
