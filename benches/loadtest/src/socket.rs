//! A client of Socket.IO over a WebSocket (contract §1), one connection of up to many thousand on one thread. All read into
//! one buffer; a connection keeps bytes of its own only while a frame is incomplete or a write would block. What the
//! events mean is not known here.

pub(crate) mod packet;

use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::client::{Frame, parse_frame, push_pong, push_text};
use crate::error::Error;
pub(crate) use packet::Packet;

/// How much is read at once.
const BUFFER: usize = 256 * 1024;
/// A frame larger than this is no server's that we measure.
const MAX_FRAME: usize = 16 << 20;
/// The receive buffer of who is not going to read.
const NARROW: u32 = 8 * 1024;
/// After so long without a byte there is nothing more to read.
const QUIET: Duration = Duration::from_millis(200);

thread_local! {
    /// Taken while it is read into.
    static SHARED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A connection to the namespace `/gossip`.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    /// What came and is not yet taken: an incomplete frame, mostly nothing.
    kept: RefCell<Vec<u8>>,
    /// Whether that holds whole frames.
    unread: Cell<bool>,
    out: RefCell<Vec<u8>>,
    /// Whether a task waits to write the rest of `out`.
    writing: Cell<bool>,
    next_id: Cell<u64>,
}

/// What came while something was waited for.
enum Waited {
    Took,
    Nothing,
}

impl Socket {
    /// Connects, opens the WebSocket and joins the namespace as the user of `token`; from the address `source`, where
    /// there are more connections than one address has ports.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub(crate) async fn connect(address: SocketAddr, token: &str, source: Option<IpAddr>) -> Result<Socket, Error> {
        let socket = Self::open(address, source, None).await?;
        socket.join_namespace(token).await?;
        Ok(socket)
    }

    /// As [`connect`](Self::connect), of a client for whom hardly anything fits on the way: when it stops reading, the
    /// server notices soon.
    ///
    /// # Errors
    /// Where the server cannot be reached or refuses.
    pub(crate) async fn connect_narrow(
        address: SocketAddr,
        token: &str,
        source: Option<IpAddr>,
    ) -> Result<Socket, Error> {
        let socket = Self::open(address, source, Some(NARROW)).await?;
        socket.join_namespace(token).await?;
        Ok(socket)
    }

    /// The WebSocket alone, with an Engine.IO session but no namespace.
    async fn open(address: SocketAddr, source: Option<IpAddr>, buffer: Option<u32>) -> Result<Socket, Error> {
        let stream = match (source, buffer) {
            (None, None) => TcpStream::connect(address).await,
            _ => connect_from(source, buffer, address).await,
        };
        let stream = stream.map_err(Error::io("connecting to the server"))?;
        stream.set_nodelay(true).map_err(Error::io("setting up a socket"))?;
        let socket = Socket {
            stream,
            kept: RefCell::default(),
            unread: Cell::new(false),
            out: RefCell::default(),
            writing: Cell::new(false),
            next_id: Cell::new(0),
        };
        // Writing to a Vec does not fail.
        let _ = write!(
            socket.out.borrow_mut(),
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        );
        socket.flushed().await?;
        socket.head().await?;
        Ok(socket)
    }

    /// Reads the head of the server's answer.
    async fn head(&self) -> Result<(), Error> {
        let mut piece = [0; 4096];
        loop {
            let read = self.read_some(&mut piece).await?;
            let mut kept = self.kept.borrow_mut();
            kept.extend_from_slice(&piece[..read]);
            if let Some(end) = kept.windows(4).position(|window| window == b"\r\n\r\n") {
                if !kept.starts_with(b"HTTP/1.1 101 ") {
                    return Err(Error::Refused(String::from_utf8_lossy(&kept).into_owned()));
                }
                kept.drain(..end + 4);
                self.unread.set(!kept.is_empty());
                return Ok(());
            }
            if kept.len() > 4 * piece.len() {
                return Err(Error::Refused("an answer without an end".into()));
            }
        }
    }

    async fn read_some(&self, piece: &mut [u8]) -> Result<usize, Error> {
        loop {
            self.stream.readable().await.map_err(Error::io("reading from the server"))?;
            if let Some(read) = some(self.stream.try_read(piece))? {
                return Ok(read);
            }
        }
    }

    async fn join_namespace(&self, token: &str) -> Result<(), Error> {
        let mut connected = false;
        while !connected {
            self.step(|packet, _| {
                match packet {
                    Packet::Open => self.send(|out| write!(out, r#"40/gossip,{{"token":"{token}"}}"#)),
                    Packet::Connected => {
                        connected = true;
                        return Ok(Step::Stop);
                    }
                    Packet::Refused(why) => return Err(Error::Refused(String::from_utf8_lossy(why).into_owned())),
                    _ => {}
                }
                Ok(Step::On)
            })
            .await?;
            self.flushed().await?;
        }
        Ok(())
    }

    /// Adds an event to what goes with the next flush; `data` is JSON. The id of its ack.
    pub(crate) fn emit(&self, event: &str, data: std::fmt::Arguments<'_>) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        self.send(|out| write!(out, r#"42/gossip,{id}["{event}",{data}]"#));
        id
    }

    /// Adds a text frame to what goes next.
    fn send(&self, text: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) {
        let mut payload = Vec::with_capacity(256);
        // Writing to a Vec does not fail.
        let _ = text(&mut payload);
        push_text(&mut self.out.borrow_mut(), &payload);
    }

    /// Writes what was added, now if the socket takes it, else as soon as it does.
    ///
    /// # Errors
    /// Where the connection is broken.
    pub(crate) fn flush(self: &Rc<Self>) -> Result<(), Error> {
        if !self.writing.get() && !self.write()? {
            self.writing.set(true);
            let socket = Rc::clone(self);
            tokio::task::spawn_local(async move {
                // Whoever reads is told that the connection is broken.
                let _ = socket.flushed().await;
                socket.writing.set(false);
            });
        }
        Ok(())
    }

    /// Writes what was added, and waits until the socket took it.
    async fn flushed(&self) -> Result<(), Error> {
        while !self.write()? {
            self.stream.writable().await.map_err(Error::io("writing to the server"))?;
        }
        Ok(())
    }

    /// Writes as much as the socket takes; whether that was all.
    fn write(&self) -> Result<bool, Error> {
        let mut out = self.out.borrow_mut();
        while !out.is_empty() {
            match self.stream.try_write(&out) {
                Ok(written) => drop(out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("writing to the server")(error)),
            }
        }
        if out.capacity() > 4096 {
            *out = Vec::new();
        }
        Ok(true)
    }

    /// Emits and waits for the ack, a JSON array. What comes before that is passed over; what comes after stays for
    /// [`read`](Self::read).
    ///
    /// # Errors
    /// Where the connection breaks.
    pub(crate) async fn call(&self, event: &str, data: std::fmt::Arguments<'_>) -> Result<Vec<u8>, Error> {
        let asked = self.emit(event, data);
        self.flushed().await?;
        let mut answer = None;
        loop {
            self.step(|packet, _| match packet {
                Packet::Ack { id, data } if id == asked => {
                    answer = Some(data.to_vec());
                    Ok(Step::Stop)
                }
                _ => Ok(Step::On),
            })
            .await?;
            if let Some(answer) = answer.take() {
                return Ok(answer);
            }
        }
    }

    /// Waits for more, and hands on every packet that is whole, with the time at which it was read. Pings are answered
    /// and not handed on.
    ///
    /// # Errors
    /// Where the connection breaks or the server ends it, and what `take` fails with.
    pub(crate) async fn read(
        &self,
        mut take: impl FnMut(Packet<'_>, Instant) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.step(|packet, at| take(packet, at).map(|()| Step::On)).await
    }

    async fn step(&self, mut take: impl FnMut(Packet<'_>, Instant) -> Result<Step, Error>) -> Result<(), Error> {
        if self.unread.take() {
            let bytes = self.kept.take();
            return self.take(&bytes, Instant::now(), &mut take);
        }
        loop {
            self.stream.readable().await.map_err(Error::io("reading from the server"))?;
            let mut shared = SHARED.take();
            let waited = self.read_into(&mut shared, &mut take);
            SHARED.set(shared);
            if let Waited::Took = waited? {
                return Ok(());
            }
        }
    }

    fn read_into(
        &self,
        shared: &mut Vec<u8>,
        take: &mut impl FnMut(Packet<'_>, Instant) -> Result<Step, Error>,
    ) -> Result<Waited, Error> {
        let start = self.kept.borrow().len();
        if start > MAX_FRAME {
            return Err(Error::Broken("a frame without an end".into()));
        }
        if shared.len() < start + BUFFER {
            shared.resize(start + BUFFER, 0);
        }
        let Some(read) = some(self.stream.try_read(&mut shared[start..]))? else { return Ok(Waited::Nothing) };
        let at = Instant::now();
        // Taken out, so that its memory is given back.
        let kept = self.kept.take();
        shared[..start].copy_from_slice(&kept);
        self.take(&shared[..start + read], at, take)?;
        Ok(Waited::Took)
    }

    /// Hands on what is whole and keeps the rest.
    fn take(
        &self,
        bytes: &[u8],
        at: Instant,
        take: &mut impl FnMut(Packet<'_>, Instant) -> Result<Step, Error>,
    ) -> Result<(), Error> {
        let mut used = 0;
        while let Some((frame, length)) = parse_frame(&bytes[used..])? {
            used += length;
            match frame {
                Frame::Text(text) => match packet::parse(text) {
                    Packet::Ping => {
                        push_text(&mut self.out.borrow_mut(), b"3");
                        // What it does not take now goes with the next flush.
                        self.write()?;
                    }
                    Packet::Disconnect => return Err(Error::Broken("the server disconnected us".into())),
                    packet => {
                        if let Step::Stop = take(packet, at)? {
                            self.unread.set(used < bytes.len());
                            break;
                        }
                    }
                },
                Frame::Ping(payload) => {
                    push_pong(&mut self.out.borrow_mut(), payload);
                    self.write()?;
                }
                Frame::Close(reason) => {
                    return Err(Error::Broken(format!("closed: {}", String::from_utf8_lossy(reason))));
                }
                Frame::Other => {}
            }
        }
        if used < bytes.len() {
            self.kept.replace(bytes[used..].to_vec());
        }
        Ok(())
    }

    /// Reads and forgets what is there; whether the server ended the connection. For who did not read.
    pub(crate) async fn ended(&self) -> bool {
        let mut piece = vec![0; BUFFER];
        while let Ok(ready) = timeout(QUIET, self.stream.readable()).await {
            match ready.and_then(|()| self.stream.try_read(&mut piece)) {
                Ok(0) => return true,
                Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return true,
                _ => {}
            }
        }
        false
    }
}

/// Whether to hand on the next packet too.
enum Step {
    On,
    Stop,
}

/// What was read, if the socket had something.
fn some(read: io::Result<usize>) -> Result<Option<usize>, Error> {
    match read {
        Ok(0) => Err(Error::Broken("the server hung up".into())),
        Ok(read) => Ok(Some(read)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(Error::io("reading from the server")(error)),
    }
}

/// Connects from this address, where one is given, with a receive buffer of so many bytes.
///
/// # Errors
/// Where that cannot be done.
pub(crate) async fn connect_from(
    source: Option<IpAddr>,
    buffer: Option<u32>,
    address: SocketAddr,
) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(source) = source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(address).await
}

#[cfg(test)]
mod tests;
