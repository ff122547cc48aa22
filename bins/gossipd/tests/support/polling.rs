//! A Socket.IO client on long-polling, all by hand: one TCP connection, a request at a time.

use std::collections::VecDeque;
use std::io::{Error, Result};
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::http::{Answer, Http};

const SEPARATOR: char = '\u{1e}';

pub(crate) struct Polling {
    http: Http,
    target: String,
    /// Packets that came and were not looked at yet.
    packets: VecDeque<String>,
    next_ack: u64,
}

impl Polling {
    /// Opens a session, without a namespace.
    pub(crate) async fn open(address: SocketAddr) -> Result<Polling> {
        let mut http = Http::connect(address).await?;
        let mut target = "/socket.io/?EIO=4&transport=polling".to_owned();
        let opened = http.get(&target, "").await?;
        let handshake: Value = serde_json::from_str(opened.body.get(1..).unwrap_or_default())?;
        let sid = handshake["sid"].as_str().ok_or_else(|| Error::other("no sid"))?;
        target.push_str("&sid=");
        target.push_str(sid);
        Ok(Polling { http, target, packets: VecDeque::new(), next_ack: 0 })
    }

    /// Opens a session and enters the namespace.
    pub(crate) async fn connect(address: SocketAddr, token: Option<&str>) -> Result<Polling> {
        let mut polling = Polling::open(address).await?;
        polling.post(format!("40/gossip,{}", json!({ "token": token })).as_bytes()).await?;
        let answer = polling.packet().await?;
        if !answer.starts_with("40/gossip,") {
            return Err(Error::other(answer));
        }
        Ok(polling)
    }

    /// Goes on with the same session on another TCP connection.
    pub(crate) async fn reconnect(&mut self) -> Result<()> {
        self.http = Http::connect(self.http.host()).await?;
        Ok(())
    }

    pub(crate) async fn post(&mut self, body: &[u8]) -> Result<Answer> {
        let target = self.target.clone();
        self.http.request("POST", &target, "Content-Type: text/plain;charset=UTF-8\r\n", body).await
    }

    /// The next packet that is no ping. Pings are answered.
    pub(crate) async fn packet(&mut self) -> Result<String> {
        loop {
            match self.packets.pop_front() {
                Some(ping) if ping == "2" => drop(self.post(b"3").await?),
                Some(packet) => return Ok(packet),
                None => self.poll().await?,
            }
        }
    }

    /// Waits for packets and keeps them. Pings are not answered.
    pub(crate) async fn poll(&mut self) -> Result<()> {
        let target = self.target.clone();
        let answer = self.http.get(&target, "").await?;
        if answer.status != 200 {
            return Err(Error::other(answer.body));
        }
        self.packets.extend(answer.body.split(SEPARATOR).map(str::to_owned));
        Ok(())
    }

    /// Whether the next packet is still to be polled for.
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Drops what came, but answers the pings in it.
    pub(crate) async fn drain(&mut self) -> Result<()> {
        while let Some(packet) = self.packets.pop_front() {
            if packet == "2" {
                self.post(b"3").await?;
            }
        }
        Ok(())
    }

    /// Emits and waits for the ack; events that come meanwhile are dropped. `data` is JSON.
    pub(crate) async fn ask(&mut self, event: &str, data: &str) -> Result<Value> {
        let id = self.next_ack;
        self.next_ack += 1;
        let name = Value::from(event);
        let posted = self.post(format!("42/gossip,{id}[{name},{data}]").as_bytes()).await?;
        if posted.status != 200 {
            return Err(Error::other(format!("{} {}", posted.status, posted.body)));
        }
        let ack = format!("43/gossip,{id}[");
        loop {
            let packet = self.packet().await?;
            if let Some(body) = packet.strip_prefix(&ack) {
                return Ok(serde_json::from_str(&body[..body.len() - 1])?);
            }
        }
    }
}
