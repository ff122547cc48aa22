//! Reads whole messages from a WebSocket. Parsing frames is fastwebsockets' work; this adds what it leaves to its user:
//! the mask is required, fragments are joined under one bound, control frames and close codes are checked, nothing is
//! answered by itself, and a connection that has nothing to say has no read buffer.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use fastwebsockets::{CloseCode, Frame, OpCode, Role, WebSocketError, WebSocketRead};
use gossip_proto::frame::MAX_CONTROL_LEN;
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
    frames: Option<WebSocketRead<Replay>>,
    socket: Arc<ReadSocket>,
    /// What hyper had already read.
    already_read: Bytes,
    /// How many bytes the frames had that were taken.
    taken: u64,
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
    pub(super) fn new(already_read: Bytes, socket: Arc<ReadSocket>, max_message: usize) -> WsReader {
        // All at once, though it is given in parts: until it is taken, so is not what was given.
        socket.lock().given += already_read.len() as u64;
        WsReader { frames: None, socket, already_read, taken: 0, partial: None, max_message }
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
                if self.already_read.is_empty() {
                    poll_fn(|cx| self.socket.poll_ready(cx)).await.map_err(WebSocketError::from)?;
                }
                self.frames = Some(self.start());
            }
            let incoming = self.frame().await?;
            // Where a client wrote a length longer than it need be, fewer bytes were counted than were taken, and its
            // buffer stays: never are bytes dropped that were not taken.
            if self.socket.given() == self.taken {
                self.frames = None;
            }
            if let Some(incoming) = incoming {
                return Ok(incoming);
            }
        }
    }

    fn start(&mut self) -> WebSocketRead<Replay> {
        let replay = Replay { head: std::mem::take(&mut self.already_read), socket: Arc::clone(&self.socket) };
        let (mut frames, _) = fastwebsockets::after_handshake_split(replay, tokio::io::sink(), Role::Server);
        frames.set_auto_close(false);
        frames.set_auto_pong(false);
        // Its test is `>=`.
        frames.set_max_message_size(self.max_message.saturating_mul(OVERSIZE_FACTOR).saturating_add(1));
        frames
    }

    /// Takes one frame, and what it completes.
    async fn frame(&mut self) -> Result<Option<Incoming>, Error> {
        let Some(frames) = &mut self.frames else { return Ok(None) };
        let mut frame = frames.read_frame(&mut |_| std::future::ready(Ok::<(), Infallible>(()))).await?;
        if !is_masked(&mut frame) {
            return Err(Error::Protocol("unmasked frame"));
        }
        let payload = &frame.payload;
        self.taken += wire_len(payload.len());
        match frame.opcode {
            OpCode::Close | OpCode::Ping | OpCode::Pong if payload.len() > MAX_CONTROL_LEN => {
                Err(Error::Protocol("control frame too long"))
            }
            OpCode::Close => close_code(payload).map(|code| Some(Incoming::Close(code))),
            OpCode::Ping => Ok(Some(Incoming::Ping(Bytes::copy_from_slice(payload)))),
            OpCode::Pong => Ok(Some(Incoming::Pong)),
            OpCode::Text | OpCode::Binary if self.partial.is_some() => {
                Err(Error::Protocol("new message inside a fragmented one"))
            }
            OpCode::Text | OpCode::Binary => {
                let text = frame.opcode == OpCode::Text;
                if frame.fin {
                    return whole(text, payload, self.max_message).map(Some);
                }
                let mut partial = Partial { text, data: Vec::new(), len: 0 };
                partial.push(payload, self.max_message)?;
                self.partial = Some(partial);
                Ok(None)
            }
            OpCode::Continuation => {
                let Some(mut partial) = self.partial.take() else {
                    return Err(Error::Protocol("continuation without a start"));
                };
                partial.push(payload, self.max_message)?;
                if frame.fin {
                    return partial.finish(self.max_message).map(Some);
                }
                self.partial = Some(partial);
                Ok(None)
            }
        }
    }
}

/// How many bytes a client's frame has, with a head as short as it can be (RFC 6455 §5.2): two bytes, the longer
/// lengths, the mask.
fn wire_len(payload: usize) -> u64 {
    let head = match payload {
        0..=125 => 6,
        126..=65_535 => 8,
        _ => 14,
    };
    head + payload as u64
}

impl Partial {
    fn push(&mut self, fragment: &[u8], max_message: usize) -> Result<(), Error> {
        self.len += fragment.len();
        if self.len > max_message.saturating_mul(OVERSIZE_FACTOR) {
            return Err(Error::TooLarge);
        }
        if self.len > max_message {
            self.data = Vec::new();
        } else {
            self.data.extend_from_slice(fragment);
        }
        Ok(())
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

/// fastwebsockets does not tell directly whether a frame was masked.
fn is_masked(frame: &mut Frame<'_>) -> bool {
    let mut head = [0; 16];
    frame.fmt_head(&mut head);
    head[1] & 0x80 != 0
}

/// RFC 6455 §5.5.1 and §7.4.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Error> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(Error::Protocol("close frame of one byte")),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
    };
    if !CloseCode::from(code).is_allowed() {
        return Err(Error::Protocol("close code"));
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(Error::InvalidUtf8),
    }
}

/// The receiving half of a socket, shared with the writer, which reads what is left once frames are of no interest any
/// more. Never contended.
#[derive(Debug)]
pub(super) struct ReadSocket(Mutex<Half>);

#[derive(Debug)]
struct Half {
    half: OwnedReadHalf,
    /// How many bytes were given to whoever reads frames, or are about to be: what hyper had read counts from the start.
    given: u64,
}

impl ReadSocket {
    pub(super) fn new(half: OwnedReadHalf) -> ReadSocket {
        ReadSocket(Mutex::new(Half { half, given: 0 }))
    }

    fn lock(&self) -> MutexGuard<'_, Half> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn given(&self) -> u64 {
        self.lock().given
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.lock().half.as_ref().poll_read_ready(cx)
    }

    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let mut socket = self.lock();
        let before = buf.filled().len();
        let read = Pin::new(&mut socket.half).poll_read(cx, buf);
        socket.given += (buf.filled().len() - before) as u64;
        read
    }
}

/// The socket, preceded by what hyper had already read from it.
struct Replay {
    head: Bytes,
    socket: Arc<ReadSocket>,
}

impl AsyncRead for Replay {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        if self.head.is_empty() {
            return self.socket.poll_read(cx, buf);
        }
        let len = self.head.len().min(buf.remaining());
        buf.put_slice(&self.head[..len]);
        self.head.advance(len);
        Poll::Ready(Ok(()))
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
        (WsReader::new(already_read.into(), Arc::new(ReadSocket::new(read)), 2000), client.unwrap())
    }

    /// A frame with a mask of zeroes, and a length in so many bytes more.
    fn frame(head: u8, payload: &[u8], length: usize) -> Vec<u8> {
        let short = match length {
            0 => payload.len() as u8,
            2 => 126,
            _ => 127,
        };
        let len = (payload.len() as u64).to_be_bytes();
        [&[head, 0x80 | short], &len[8 - length..], &[0; 4], payload].concat()
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
        client.write_all(&[frame(0x01, b"ab", 0), frame(0x89, b"", 0)].concat()).await.unwrap();
        assert!(matches!(reader.next().await, Ok(Incoming::Ping(_))));
        assert!(reader.frames.is_none() && reader.partial.is_some());
        // Half of what follows is there with the rest of the first.
        let next = frame(0x81, &[b'n'; 200], 2);
        client.write_all(&[&frame(0x80, b"c", 0), &next[..50]].concat()).await.unwrap();
        assert_eq!(text(&mut reader).await, "abc");
        client.write_all(&next[50..]).await.unwrap();
        assert_eq!(text(&mut reader).await, "n".repeat(200));
        assert!(reader.frames.is_none() && reader.partial.is_none());
    }

    #[tokio::test]
    async fn a_length_longer_than_it_need_be_costs_the_buffer_and_no_byte() {
        let (mut reader, mut client) = reader(frame(0x81, b"first", 0)).await;
        assert_eq!(text(&mut reader).await, "first");
        assert!(reader.frames.is_none());
        for length in [2, 8] {
            let long = frame(0x81, b"long", length);
            let next = frame(0x81, b"next", 0);
            client.write_all(&[&long[..], &next, &next[..3]].concat()).await.unwrap();
            for expected in ["long", "next"] {
                assert_eq!(text(&mut reader).await, expected);
                assert!(reader.frames.is_some());
            }
            client.write_all(&next[3..]).await.unwrap();
            assert_eq!(text(&mut reader).await, "next");
        }
    }

    #[tokio::test]
    async fn what_hyper_read_is_all_read_where_it_is_more_than_a_buffer() {
        // Eight are exactly a buffer.
        let frames: Vec<_> = (0..20).map(|nth| frame(0x81, &[b'a' + nth; 1016], 2)).collect();
        assert_eq!(frames[0].len(), 1024);
        let (mut reader, mut client) = reader(frames[..12].concat()).await;
        client.write_all(&frames[12..].concat()).await.unwrap();
        for nth in 0..20 {
            let text = text(&mut reader).await;
            assert_eq!((text.len(), text.as_bytes()[0]), (1016, b'a' + nth));
        }
        assert!(reader.frames.is_none());
    }
}
