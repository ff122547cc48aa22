//! Sends ready-made frames: a bounded queue in front of a socket, emptied by vectored writes that never wait. It spawns
//! nothing: whoever owns it awaits [`WsWriter::socket`]`.writable()` when a flush was blocked.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{Instant, timeout_at};

use super::reader::ReadSocket;

/// The most frames one system call takes. Linux allows 1024; past a few dozen nothing is gained.
const MAX_SLICES: usize = 64;

/// A queue that grew beyond this many frames gives its memory back once empty.
const KEEP_SLOTS: usize = 64;

/// What a frame that waits costs beside its bytes: its place in a queue, and its allocation. Without it the smallest
/// frames would be the cheapest way to fill a server's memory.
pub(crate) const FRAME_COST: usize = 64;

/// How far [`WsWriter::try_flush`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Everything is handed to the kernel.
    Flushed,
    /// The socket takes no more for now.
    Blocked,
    /// The socket is broken.
    Failed,
}

/// The sending side of a WebSocket.
#[derive(Debug)]
pub struct WsWriter {
    socket: Arc<OwnedWriteHalf>,
    incoming: Arc<ReadSocket>,
    queue: VecDeque<Bytes>,
    /// How much of the first frame is sent.
    sent: usize,
    /// Where in the queue the latest pong is.
    pong: Option<u32>,
    /// The bytes in the queue, and [`FRAME_COST`] for each frame.
    queued: usize,
    limit: usize,
    blocked: bool,
}

impl WsWriter {
    pub(super) fn new(socket: OwnedWriteHalf, incoming: Arc<ReadSocket>, limit: usize) -> WsWriter {
        WsWriter {
            socket: Arc::new(socket),
            incoming,
            queue: VecDeque::new(),
            sent: 0,
            pong: None,
            queued: 0,
            limit,
            blocked: false,
        }
    }

    /// Whether `more` fits into the queue, counted as [`queued`](Self::queued) is. Into an empty one everything fits: the limit is on what waits, not on
    /// what may be sent.
    #[must_use]
    pub fn fits(&self, more: usize) -> bool {
        self.queued == 0 || self.queued.saturating_add(more) <= self.limit
    }

    /// Appends one whole frame. The bound is the caller's to keep, with [`fits`](Self::fits).
    pub fn push(&mut self, frame: Bytes) {
        // No frame is empty; one that were could not be told from a socket that takes no more.
        if frame.is_empty() {
            return;
        }
        self.queued += frame.len() + FRAME_COST;
        self.queue.push_back(frame);
    }

    /// Appends a pong, or puts it in the place of one that still waits: answering the latest ping is enough (RFC 6455
    /// §5.5.3). So the queue need not be asked whether it fits.
    pub fn push_pong(&mut self, frame: Bytes) {
        // The first frame may be on its way.
        let waiting = self.pong.filter(|&index| index > 0 || self.sent == 0);
        match waiting.and_then(|index| self.queue.get_mut(index as usize)) {
            Some(waiting) => {
                self.queued = self.queued - waiting.len() + frame.len();
                *waiting = frame;
            }
            None => {
                self.pong = u32::try_from(self.queue.len()).ok();
                self.push(frame);
            }
        }
    }

    /// Bytes that wait to be sent, and 64 for each frame.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Whether the last flush was blocked. Until the socket is writable again another one is pointless.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The socket, to await its becoming writable.
    #[must_use]
    pub fn socket(&self) -> Arc<OwnedWriteHalf> {
        Arc::clone(&self.socket)
    }

    /// [`push`](Self::push) and [`try_flush`](Self::try_flush), without the queue if it is empty and the socket takes all.
    pub fn push_and_flush(&mut self, frame: &Bytes) -> Flush {
        if frame.is_empty() {
            return self.try_flush();
        }
        if !self.queue.is_empty() {
            self.push(frame.clone());
            return self.try_flush();
        }
        match self.send(frame) {
            Ok(0) => Flush::Failed,
            Ok(written) if written == frame.len() => Flush::Flushed,
            Ok(written) => {
                self.push(frame.clone());
                self.advance(written);
                self.try_flush()
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.push(frame.clone());
                self.blocked = true;
                Flush::Blocked
            }
            Err(_) => Flush::Failed,
        }
    }

    /// Writes as much as the socket takes, without waiting.
    pub fn try_flush(&mut self) -> Flush {
        self.blocked = false;
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let mut skip = self.sent;
            let mut count = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(&frame[std::mem::take(&mut skip)..]);
                count += 1;
            }
            let written = match &slices[..count] {
                // A little cheaper, and the common case.
                [slice] => self.send(slice),
                slices => self.socket.try_write_vectored(slices),
            };
            match written {
                Ok(0) => return Flush::Failed,
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Flush::Blocked;
                }
                Err(_) => return Flush::Failed,
            }
        }
        if self.queue.capacity() > KEEP_SLOTS {
            self.queue = VecDeque::new();
        }
        Flush::Flushed
    }

    /// As `try_write`, without asking tokio first whether the socket is known to take no more: with many sockets that
    /// costs a look into memory each that nothing else needs.
    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let socket: &TcpStream = (*self.socket).as_ref();
        match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(sent) => Ok(sent),
            // Tokio must see it for itself, to wake who waits for the socket.
            Err(Errno::AGAIN | Errno::INTR) => self.socket.try_write(bytes),
            Err(error) => Err(error.into()),
        }
    }

    /// Drops all frames of which nothing is sent yet.
    pub fn drop_queued(&mut self) {
        self.queue.truncate(usize::from(self.sent > 0));
        self.queued = self.queue.front().map_or(0, |frame| frame.len() - self.sent + FRAME_COST);
        self.pong = self.pong.filter(|&index| (index as usize) < self.queue.len());
    }

    /// Ends the connection in order: sends what is queued, then FIN, then reads on until the peer's end comes, all of it
    /// until `deadline` at most, and not more than `most` bytes: without a bound, reading what is of no use would be what
    /// a flood costs most. A socket closed with unread bytes is reset, and the peer may then lose the last frames.
    pub async fn finish(mut self, deadline: Instant, most: usize) {
        loop {
            match self.try_flush() {
                Flush::Flushed => break,
                Flush::Failed => return,
                Flush::Blocked => {
                    if !matches!(timeout_at(deadline, self.socket.writable()).await, Ok(Ok(()))) {
                        return;
                    }
                }
            }
        }
        // Dropping the write half sends FIN.
        let WsWriter { socket, incoming, .. } = self;
        drop(socket);
        let mut left = most;
        let end = poll_fn(|cx| {
            let mut scratch = [0; 4096];
            loop {
                let mut buf = ReadBuf::new(&mut scratch);
                if ready!(incoming.poll_read(cx, &mut buf)).is_err() || buf.filled().is_empty() {
                    return Poll::Ready(());
                }
                left = left.saturating_sub(buf.filled().len());
                if left == 0 {
                    return Poll::Ready(());
                }
            }
        });
        // Whether the peer ended or the time did, the socket is dropped now.
        let _ = timeout_at(deadline, end).await;
    }

    fn advance(&mut self, written: usize) {
        self.queued -= written;
        self.sent += written;
        while let Some(frame) = self.queue.front() {
            if self.sent < frame.len() {
                break;
            }
            self.sent -= frame.len();
            self.queued -= FRAME_COST;
            self.pong = self.pong.and_then(|index| index.checked_sub(1));
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A writer, and what reads from it.
    async fn pair() -> (WsWriter, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (read, write) = server.unwrap().0.into_split();
        (WsWriter::new(write, Arc::new(ReadSocket::new(read, Bytes::new(), 1000)), 1000), client.unwrap())
    }

    #[tokio::test]
    async fn small_frames_count_and_pongs_replace_each_other() {
        let (mut writer, mut client) = pair().await;
        for pong in ["a", "bcd", "ef"] {
            writer.push_pong(Bytes::from(pong));
            writer.push(Bytes::from_static(b"."));
        }
        assert_eq!(writer.queued(), 5 + 4 * FRAME_COST);
        assert!(writer.fits(1000 - writer.queued()) && !writer.fits(1001 - writer.queued()));
        // One of which a part is sent is not replaced.
        writer.advance(1);
        for pong in ["x", "gh"] {
            writer.push_pong(Bytes::from(pong));
        }
        assert_eq!(writer.queued(), 6 + 5 * FRAME_COST);
        assert_eq!(writer.try_flush(), Flush::Flushed);
        assert_eq!(writer.queued(), 0);
        let mut got = [0; 6];
        client.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"f...gh");
        // What was sent is out of the way.
        writer.push_pong(Bytes::from_static(b"ij"));
        writer.advance(1);
        writer.push_pong(Bytes::from_static(b"kl"));
        writer.drop_queued();
        assert_eq!(writer.queued(), 1 + FRAME_COST);
        writer.push_pong(Bytes::from_static(b"mn"));
        writer.push_pong(Bytes::from_static(b"op"));
        assert_eq!(writer.try_flush(), Flush::Flushed);
        assert_eq!(writer.queued(), 0);
        drop(writer);
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"jop");
    }

    #[tokio::test]
    async fn what_is_sent_in_part_stays_whole() {
        let (mut writer, mut client) = pair().await;
        let large = Bytes::from(vec![b'x'; 32 << 20]);
        assert_eq!(writer.push_and_flush(&large), Flush::Blocked);
        assert!(writer.sent > 0 && writer.queued() < large.len() + FRAME_COST);
        // Behind what waits, in order.
        assert_eq!(writer.push_and_flush(&Bytes::from_static(b"dropped")), Flush::Blocked);
        writer.drop_queued();
        writer.push(Bytes::from_static(b"end"));
        let end = tokio::spawn(writer.finish(Instant::now() + std::time::Duration::from_secs(30), usize::MAX));
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        drop(client);
        end.await.unwrap();
        assert_eq!(got.len(), large.len() + 3);
        assert!(got.ends_with(b"xend"));
    }

    #[tokio::test]
    async fn who_goes_on_sending_is_not_read_for_long() {
        let (mut writer, mut client) = pair().await;
        writer.push(Bytes::from_static(b"end"));
        let flood = tokio::spawn(async move {
            let mut written = 0;
            while let Ok(count) = client.write(&[b'x'; 4096]).await {
                written += count;
            }
            written
        });
        // It ends by itself long before the deadline.
        writer.finish(Instant::now() + std::time::Duration::from_secs(3600), 100_000).await;
        assert!(flood.await.unwrap() >= 100_000);
    }
}
