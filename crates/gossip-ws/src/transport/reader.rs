//! Reads whole messages from a WebSocket. Parsing frames is fastwebsockets' work; this adds what it leaves to its user:
//! every byte passes gossip-proto's guard first, fragments are joined, nothing is answered by itself, and a connection that
//! has nothing to say has no read buffer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fastwebsockets::{OpCode, Role, WebSocketRead};
use gossip_proto::frame::Guard;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

use crate::Error;

/// How many times the largest message a client may send and still be told so.
pub(crate) const OVERSIZE_FACTOR: usize = 4;

/// What a peer sent.
#[derive(Debug)]
pub enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A ping; the answer is a pong with the same payload.
    Ping(Bytes),
    /// The answer to a ping.
    Pong,
    /// The peer closes, with this code if it sent one.
    Close(Option<u16>),
    /// A message over the limit was skipped; its length in bytes.
    Oversized(usize),
}

/// The receiving side of a WebSocket.
pub struct WsReader {
    /// With its buffer of 8 KiB: there only while a frame, or a part of one, has come and is not taken.
    frames: Option<WebSocketRead<Guarded>>,
    socket: Arc<ReadSocket>,
    partial: Option<Partial>,
    max_message: usize,
}

/// A message whose last fragment has not come.
struct Partial {
    text: bool,
    data: Vec<u8>,
    len: usize,
}

impl WsReader {
    pub(super) fn new(socket: Arc<ReadSocket>, max_message: usize) -> WsReader {
        WsReader { frames: None, socket, partial: None, max_message }
    }

    /// The next message or control frame.
    ///
    /// Not cancel-safe: a future that was polled and dropped leaves the stream out of step, so it must be awaited to its
    /// end or the connection given up. The same holds after an error.
    ///
    /// # Errors
    /// [`Error`] says which close code is due, if any.
    pub async fn next(&mut self) -> Result<Incoming, Error> {
        loop {
            if self.frames.is_none() {
                poll_fn(|cx| self.socket.poll_ready(cx)).await?;
                self.frames = Some(self.start());
            }
            let incoming = self.frame().await?;
            if self.socket.taken() {
                self.frames = None;
            }
            if let Some(incoming) = incoming {
                return Ok(incoming);
            }
        }
    }

    fn start(&self) -> WebSocketRead<Guarded> {
        let guarded = Guarded(Arc::clone(&self.socket));
        let (mut frames, _) = fastwebsockets::after_handshake_split(guarded, tokio::io::sink(), Role::Server);
        frames.set_auto_close(false);
        frames.set_auto_pong(false);
        // Its test is `>=`.
        frames.set_max_message_size(self.max_message.saturating_mul(OVERSIZE_FACTOR).saturating_add(1));
        frames
    }

    /// Takes one frame, and what it completes.
    async fn frame(&mut self) -> Result<Option<Incoming>, Error> {
        let Some(frames) = &mut self.frames else { return Ok(None) };
        let frame = frames.read_frame(&mut |_| std::future::ready(Ok::<(), Infallible>(()))).await?;
        let payload = &frame.payload;
        match frame.opcode {
            OpCode::Close => Ok(Some(Incoming::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))))),
            OpCode::Ping => Ok(Some(Incoming::Ping(Bytes::copy_from_slice(payload)))),
            OpCode::Pong => Ok(Some(Incoming::Pong)),
            OpCode::Text | OpCode::Binary if frame.fin => {
                whole(frame.opcode == OpCode::Text, payload, self.max_message).map(Some)
            }
            OpCode::Text | OpCode::Binary | OpCode::Continuation => {
                let text = frame.opcode == OpCode::Text;
                let partial = self.partial.get_or_insert(Partial { text, data: Vec::new(), len: 0 });
                partial.push(payload, self.max_message);
                match self.partial.take_if(|_| frame.fin) {
                    Some(partial) => partial.finish(self.max_message).map(Some),
                    None => Ok(None),
                }
            }
        }
    }
}

impl Partial {
    fn push(&mut self, fragment: &[u8], max_message: usize) {
        self.len += fragment.len();
        if self.len > max_message {
            self.data = Vec::new();
        } else {
            self.data.extend_from_slice(fragment);
        }
    }

    fn finish(self, max_message: usize) -> Result<Incoming, Error> {
        if self.len > max_message { Ok(Incoming::Oversized(self.len)) } else { message(self.text, self.data) }
    }
}

fn whole(text: bool, payload: &[u8], max_message: usize) -> Result<Incoming, Error> {
    if payload.len() > max_message {
        Ok(Incoming::Oversized(payload.len()))
    } else {
        // Copied: a shared payload would keep the whole read buffer alive, and the next read would need another.
        message(text, payload.to_vec())
    }
}

fn message(text: bool, data: Vec<u8>) -> Result<Incoming, Error> {
    if text {
        String::from_utf8(data).map(Incoming::Text).map_err(|_| Error::InvalidUtf8)
    } else {
        Ok(Incoming::Binary(data.into()))
    }
}

/// The receiving half of a socket, shared with the writer, which reads what is left once frames are of no interest any
/// more. Never contended.
#[derive(Debug)]
pub(super) struct ReadSocket(Mutex<Half>);

#[derive(Debug)]
struct Half {
    half: OwnedReadHalf,
    /// What hyper had already read.
    already_read: Bytes,
    guard: Guard,
}

impl ReadSocket {
    pub(super) fn new(half: OwnedReadHalf, already_read: Bytes, max_message: usize) -> ReadSocket {
        let guard = Guard::new(max_message.saturating_mul(OVERSIZE_FACTOR));
        ReadSocket(Mutex::new(Half { half, already_read, guard }))
    }

    fn lock(&self) -> MutexGuard<'_, Half> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A frame was taken. Says whether nothing is left of what was given to whoever reads frames.
    fn taken(&self) -> bool {
        self.lock().guard.taken()
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let socket = self.lock();
        if socket.already_read.is_empty() { socket.half.as_ref().poll_read_ready(cx) } else { Poll::Ready(Ok(())) }
    }

    /// Whatever comes, of which nothing is read as frames any more.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().half).poll_read(cx, buf)
    }
}

/// The socket as fastwebsockets sees it: what hyper had read first, and nothing that the guard refuses.
struct Guarded(Arc<ReadSocket>);

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Half { half, already_read, guard } = &mut *self.0.lock();
        let refused = |error| io::Error::new(ErrorKind::InvalidData, error);
        // What was refused behind whole frames is told once they are read.
        guard.watch(&[]).map_err(refused)?;
        let before = buf.filled().len();
        if already_read.is_empty() {
            ready!(Pin::new(half).poll_read(cx, buf))?;
        } else {
            let len = already_read.len().min(buf.remaining());
            buf.put_slice(&already_read.split_to(len));
        }
        let passed = guard.watch(&buf.filled()[before..]);
        buf.set_filled(before + passed.unwrap_or(0));
        Poll::Ready(passed.map(drop).map_err(refused))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// A reader of what hyper had read and of what is written to the socket.
    async fn reader(already_read: Vec<u8>) -> (WsReader, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (client, server) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (read, write) = server.unwrap().0.into_split();
        write.forget();
        (WsReader::new(Arc::new(ReadSocket::new(read, already_read.into(), 2000)), 2000), client.unwrap())
    }

    /// A frame with a mask of zeroes.
    fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
        let len = (payload.len() as u16).to_be_bytes();
        let len = if payload.len() < 126 { &[0x80 | len[1]][..] } else { &[0x80 | 126, len[0], len[1]] };
        [&[head], len, &[0; 4], payload].concat()
    }

    async fn text(reader: &mut WsReader) -> String {
        match reader.next().await.unwrap() {
            Incoming::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_message_in_fragments_needs_no_buffer_between_them() {
        let (mut reader, mut client) = reader(Vec::new()).await;
        client.write_all(&[frame(0x01, b"ab"), frame(0x89, b"")].concat()).await.unwrap();
        assert!(matches!(reader.next().await, Ok(Incoming::Ping(_))));
        assert!(reader.frames.is_none() && reader.partial.is_some());
        // Half of what follows is there with the rest of the first.
        let next = frame(0x81, &[b'n'; 200]);
        client.write_all(&[&frame(0x80, b"c"), &next[..50]].concat()).await.unwrap();
        assert_eq!(text(&mut reader).await, "abc");
        client.write_all(&next[50..]).await.unwrap();
        assert_eq!(text(&mut reader).await, "n".repeat(200));
        assert!(reader.frames.is_none() && reader.partial.is_none());
    }

    /// What came whole is handed out, and then the error, though nothing more comes.
    #[tokio::test]
    async fn what_is_before_a_refused_frame_is_read() {
        let good = [frame(0x81, b"first"), frame(0x01, b"sec"), frame(0x80, b"ond")].concat();
        for bad in [&b"\x81\x05"[..], &frame(0x81, b"\xff"), &frame(0x81, b"abc\xff")[..10]] {
            let bytes = [&good[..], bad].concat();
            let (mut read_by_hyper, _client) = reader(bytes.clone()).await;
            let (mut read_here, mut client) = reader(Vec::new()).await;
            client.write_all(&bytes).await.unwrap();
            for reader in [&mut read_by_hyper, &mut read_here] {
                assert_eq!(text(reader).await, "first");
                assert_eq!(text(reader).await, "second");
                let error = reader.next().await.unwrap_err();
                assert!(matches!(error, Error::Protocol("unmasked frame") | Error::InvalidUtf8), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn what_hyper_read_is_all_read_where_it_is_more_than_a_buffer() {
        // Eight are exactly a buffer.
        let frames: Vec<_> = (0..20).map(|nth| frame(0x81, &[b'a' + nth; 1016])).collect();
        assert_eq!(frames[0].len(), 1024);
        let (mut reader, mut client) = reader(frames[..12].concat()).await;
        client.write_all(&frames[12..].concat()).await.unwrap();
        for nth in 0..20 {
            let text = text(&mut reader).await;
            assert_eq!((text.len(), text.as_bytes()[0]), (1016, b'a' + nth));
        }
        assert!(reader.frames.is_none());
        drop(client);
        assert!(matches!(reader.next().await, Err(Error::Eof)));
    }

    #[tokio::test]
    async fn oversized_messages_are_skipped_whole_or_in_fragments() {
        let whole = frame(0x82, &[1; 2001]);
        let fragments = [frame(0x01, &[b'a'; 1999]), frame(0x00, b"ab"), frame(0x80, b"c")].concat();
        let (mut reader, _client) = reader([whole, fragments, frame(0x81, b"next")].concat()).await;
        for expected in [2001, 2002] {
            assert!(matches!(reader.next().await, Ok(Incoming::Oversized(len)) if len == expected));
        }
        assert_eq!(text(&mut reader).await, "next");
        assert!(reader.frames.is_none() && reader.partial.is_none());
    }
}
