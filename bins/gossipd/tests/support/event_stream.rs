//! A client of server-sent events over HTTP, by hand: it does nothing by itself, and does not come back.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use gossip_proto::id::RoomId;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::within;

/// An event as it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sent {
    pub(crate) id: Option<u64>,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Got {
    Event(Sent),
    Comment,
    Retry(u64),
    /// The answer's end.
    End,
    /// The connection's end, in the middle of the answer.
    Cut,
}

pub(crate) struct EventStream {
    stream: BufReader<TcpStream>,
    pub(crate) status: u16,
    /// All of the head, in small letters.
    pub(crate) head: String,
    /// What came of chunks and is no whole line yet.
    text: Vec<u8>,
}

impl EventStream {
    /// A stream that must be let in, and the event that says from where on it is. `headers` are whole lines.
    pub(crate) async fn open(address: SocketAddr, room: RoomId, token: &str, headers: &str) -> (EventStream, Sent) {
        let target = format!("/v1/rooms/{room}/events");
        let mut stream = within("stream", EventStream::ask(address, "GET", &target, token, headers)).await.unwrap();
        assert_eq!(stream.status, 200, "{}", stream.head);
        let joined = stream.event().await;
        assert_eq!(joined.name, "joined");
        (stream, joined)
    }

    /// As [`open`](EventStream::open), from the event after this one.
    pub(crate) async fn resume(address: SocketAddr, room: RoomId, token: &str, last: u64) -> (EventStream, Sent) {
        EventStream::open(address, room, token, &format!("Last-Event-ID: {last}\r\n")).await
    }

    /// Asks for a stream, and reads the head of whatever is answered. The client has little room for what it has not read.
    pub(crate) async fn ask(
        address: SocketAddr,
        method: &str,
        target: &str,
        token: &str,
        headers: &str,
    ) -> Result<EventStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4096)?;
        let mut stream = socket.connect(address).await?;
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\
             Authorization: Bearer {token}\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or(ErrorKind::InvalidData)?;
        Ok(EventStream { stream, status, head: head.to_ascii_lowercase(), text: Vec::new() })
    }

    /// The whole body, where the answer is no stream.
    pub(crate) async fn body(mut self) -> Value {
        let length = self.head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        within("body", self.stream.read_exact(&mut body)).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// The next event; comments and hints are passed over.
    pub(crate) async fn event(&mut self) -> Sent {
        loop {
            match self.next().await {
                Got::Event(sent) => return sent,
                Got::Comment | Got::Retry(_) => {}
                end => panic!("no event but {end:?}"),
            }
        }
    }

    /// The next event, which must be of the log, with its seq as its id.
    pub(crate) async fn update(&mut self) -> Value {
        let Sent { id, name, data } = self.event().await;
        assert_eq!(name, "gossip_update", "{data}");
        assert_eq!(id, data["seq"].as_u64(), "{data}");
        data
    }

    /// The events with these seqs, and nothing between.
    pub(crate) async fn gets(&mut self, seqs: std::ops::RangeInclusive<u64>) {
        for seq in seqs {
            assert_eq!(self.update().await["seq"], seq);
        }
    }

    pub(crate) async fn next(&mut self) -> Got {
        let mut block = Vec::new();
        loop {
            match within("line", self.line()).await {
                Ok(Some(line)) if line.is_empty() => return read(&block),
                Ok(Some(line)) => block.push(line),
                Ok(None) if block.is_empty() => return Got::End,
                Ok(None) => panic!("an end after {block:?}"),
                Err(_) => return Got::Cut,
            }
        }
    }

    async fn line(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.text.iter().position(|byte| *byte == b'\n') {
                let line = self.text.drain(..=end).collect::<Vec<_>>();
                return String::from_utf8(line[..end].to_vec()).map(Some).map_err(Error::other);
            }
            if !self.chunk().await? {
                return Ok(None);
            }
        }
    }

    /// Reads one chunk; false for the last.
    async fn chunk(&mut self) -> Result<bool> {
        let mut size = String::new();
        if self.stream.read_line(&mut size).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let size = usize::from_str_radix(size.trim_end(), 16).map_err(Error::other)?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).await?;
        self.text.extend_from_slice(&chunk[..size]);
        Ok(size > 0)
    }
}

fn read(block: &[String]) -> Got {
    let (mut id, mut name, mut data) = (None, None, Vec::new());
    for line in block {
        let (field, value) = line.split_once(": ").unwrap_or((line, ""));
        match field {
            "id" => assert_eq!(id.replace(value.parse().unwrap()), None, "{block:?}"),
            "event" => assert_eq!(name.replace(value.to_owned()), None, "{block:?}"),
            "data" => data.push(value),
            "retry" => return Got::Retry(value.parse().unwrap()),
            "" => return Got::Comment,
            _ => panic!("an unknown field: {block:?}"),
        }
    }
    let data = serde_json::from_str(&data.join("\n")).unwrap();
    Got::Event(Sent { id, name: name.unwrap(), data })
}
