//! HTTP/1.1 over TCP, as little as is needed: one request after the other, answers with a `Content-Length`.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// `Retry-After`, in seconds.
    pub(crate) retry_after: Option<u64>,
    pub(crate) body: String,
}

pub(crate) struct Http {
    stream: BufReader<TcpStream>,
    host: SocketAddr,
}

impl Http {
    pub(crate) async fn connect(host: SocketAddr) -> Result<Http> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        Ok(Http { stream: BufReader::new(stream), host })
    }

    pub(crate) fn host(&self) -> SocketAddr {
        self.host
    }

    pub(crate) async fn get(&mut self, target: &str, headers: &str) -> Result<Answer> {
        self.request("GET", target, headers, b"").await
    }

    /// `headers` are whole lines.
    pub(crate) async fn request(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) -> Result<Answer> {
        let (host, length) = (self.host, body.len());
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n");
        let mut request = head.into_bytes();
        request.extend_from_slice(body);
        // A server that refuses a body need not read it: the answer may be there although the rest was not taken.
        let written = self.stream.write_all(&request).await;
        let answer = self.answer().await;
        answer.map_err(|error| written.err().unwrap_or(error))
    }

    async fn answer(&mut self) -> Result<Answer> {
        let status = self.line().await?.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or(ErrorKind::InvalidData)?;
        let (mut length, mut retry_after) = (0, None);
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| ErrorKind::InvalidData)?;
            }
            if let Some(value) = line.strip_prefix("retry-after:") {
                retry_after = value.trim().parse().ok();
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok(Answer { status, retry_after, body: String::from_utf8(body).map_err(Error::other)? })
    }

    async fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}
