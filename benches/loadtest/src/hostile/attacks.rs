//! What hostile clients do, a kind at a time. Each attempt ends when the server has had enough, or after a while by
//! itself; nothing that comes back is looked at closer than needed to go on.

use std::cell::Cell;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::sleep;

use super::wire::Wire;

/// Between two bytes of who is slow.
const SECOND: Duration = Duration::from_secs(1);
/// How long one stays who is not noticed: it does not read, so it does not see that it was thrown out.
const STAY: Duration = Duration::from_secs(20);
/// More than four times the default of `MAX_PAYLOAD`.
const HUGE: usize = 4 * 65_536 + 10_000;
/// Arrays in arrays.
const DEEP: usize = 10_000;
/// Commands that are written at once.
const FLOOD: usize = 100;
/// How much of what was announced of a body is sent.
const HALF: usize = 500;

/// A kind of harm.
#[derive(Debug)]
pub(super) struct Attack {
    /// For programs.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    SlowHeaders,
    HalfUpgrades,
    Unauthenticated,
    Flooding,
    HugeAndDeep,
    Garbage,
    NeverReading,
    HalfRequests,
    BadTokens,
}

const fn attack(name: &'static str, kind: Kind) -> Attack {
    Attack { name, kind }
}

/// All there are, in equal parts.
pub(super) static ATTACKS: [Attack; 9] = [
    attack("slowHeaders", Kind::SlowHeaders),
    attack("halfUpgrades", Kind::HalfUpgrades),
    attack("unauthenticated", Kind::Unauthenticated),
    attack("flooding", Kind::Flooding),
    attack("hugeAndDeep", Kind::HugeAndDeep),
    attack("garbage", Kind::Garbage),
    attack("neverReading", Kind::NeverReading),
    attack("halfRequests", Kind::HalfRequests),
    attack("badTokens", Kind::BadTokens),
];

/// A hostile client.
#[derive(Debug)]
pub(super) struct Attacker {
    server: SocketAddr,
    source: Option<IpAddr>,
    token: String,
    /// The honest ones' rooms.
    rooms: Rc<Vec<String>>,
    pub(super) number: usize,
    noise: Cell<u64>,
}

impl Attacker {
    pub(super) fn new(
        server: SocketAddr,
        source: Option<IpAddr>,
        token: String,
        rooms: Rc<Vec<String>>,
        number: usize,
    ) -> Attacker {
        let noise = Cell::new(0x9e37_79b9_7f4a_7c15 ^ (number as u64 + 1));
        Attacker { server, source, token, rooms, number, noise }
    }

    /// One attempt. It fails where the server ended it.
    pub(super) async fn attack(&self, kind: Kind) -> io::Result<()> {
        match kind {
            Kind::SlowHeaders => self.slow_headers().await.map(|never| match never {}),
            Kind::HalfUpgrades => self.half_upgrade().await,
            Kind::Unauthenticated => self.unauthenticated().await,
            Kind::Flooding => self.flood().await.map(|never| match never {}),
            Kind::HugeAndDeep => self.huge_and_deep().await,
            Kind::Garbage => self.garbage().await,
            Kind::NeverReading => self.never_read().await,
            Kind::HalfRequests => self.half_request().await,
            Kind::BadTokens => self.bad_token().await,
        }
    }

    async fn open(&self) -> io::Result<Wire> {
        Wire::open(self.server, self.source, None).await
    }

    /// Some other number each time, from nothing to below `bound`.
    fn some(&self, bound: usize) -> usize {
        let mut noise = self.noise.get();
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        self.noise.set(noise);
        usize::try_from(noise % bound as u64).unwrap_or(0)
    }

    /// A head a byte at a time.
    async fn slow_headers(&self) -> io::Result<Infallible> {
        let mut wire = self.open().await?;
        for &byte in b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nX-Slow: ".iter() {
            wire.stream.write_all(&[byte]).await?;
            wire.wait(SECOND).await?;
        }
        loop {
            wire.stream.write_all(b"y").await?;
            wire.wait(SECOND).await?;
        }
    }

    /// A polling session whose upgrade is begun: the request is never finished, or the WebSocket never says anything, or
    /// says half of what it should.
    async fn half_upgrade(&self) -> io::Result<()> {
        let mut polling = self.open().await?;
        let sid = polling.polling().await?;
        let target = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
        let mut wire = self.open().await?;
        match self.some(3) {
            0 => wire.stream.write_all(format!("GET {target} HTTP/1.1\r\nUpgrade: websocket\r\n").as_bytes()).await?,
            1 => wire.upgrade(&target).await?,
            _ => {
                wire.upgrade(&target).await?;
                wire.text(b"2probe").await?;
            }
        }
        wire.until_ended().await
    }

    /// In the namespace or not, but nobody.
    async fn unauthenticated(&self) -> io::Result<()> {
        let mut wire = self.open().await?;
        match self.some(4) {
            0 => {}
            1 => wire.upgrade("/gossip/ws").await?,
            2 => wire.upgrade(WEBSOCKET).await?,
            _ => wire.namespace("{}").await?,
        }
        wire.until_ended().await
    }

    /// Commands as fast as they are taken, by nobody or by a user like any other. What is answered is read, so that this
    /// is not what ends it.
    async fn flood(&self) -> io::Result<Infallible> {
        let mut wire = self.open().await?;
        let auth = if self.some(2) == 0 { "{}".to_owned() } else { format!(r#"{{"token":"{}"}}"#, self.token) };
        wire.namespace(&auth).await?;
        // A room that no honest client is in.
        let room = format!("00000000-0000-4000-8000-{:012}", self.number);
        let commands = [
            format!(r#"["join_room",{{"roomId":"{room}"}}]"#),
            format!(r#"["new_gossip",{{"roomId":"{room}","content":"flood"}}]"#),
            format!(r#"["list_gossip",{{"roomId":"{room}"}}]"#),
            format!(r#"["vote_gossip",{{"intentId":"{room}","action":"upvote"}}]"#),
            r#"["authenticate",{"token":"x"}]"#.to_owned(),
            r#"["unheard_of",{}]"#.to_owned(),
        ];
        let mut burst = Vec::new();
        for (id, command) in (0..FLOOD).zip(commands.iter().cycle()) {
            wire.push(&mut burst, format!("42/gossip,{id}{command}").as_bytes());
        }
        loop {
            wire.write_while_reading(&burst).await?;
        }
    }

    /// A message over every limit, or deep JSON, or a frame that announces more than it brings.
    async fn huge_and_deep(&self) -> io::Result<()> {
        let mut wire = self.open().await?;
        wire.namespace(&format!(r#"{{"token":"{}"}}"#, self.token)).await?;
        match self.some(3) {
            0 => {
                let content = "x".repeat(HUGE);
                wire.text(format!(r#"42/gossip,1["new_gossip",{{"content":"{content}"}}]"#).as_bytes()).await?;
            }
            1 => {
                for _ in 0..10 {
                    let deep = format!(r#"42/gossip,1["join_room",{}{}]"#, "[".repeat(DEEP), "]".repeat(DEEP));
                    wire.text(deep.as_bytes()).await?;
                }
            }
            _ => {
                let mut head = vec![0x81, 0xff];
                head.extend_from_slice(&(u64::MAX >> 2).to_be_bytes());
                wire.write_while_reading(&head).await?;
            }
        }
        // A message too long is told and the connection lives: it goes on with another attempt.
        wire.until_ended_for(SECOND).await
    }

    /// Bytes without sense where frames should be.
    async fn garbage(&self) -> io::Result<()> {
        let mut wire = self.open().await?;
        wire.upgrade(if self.some(2) == 0 { WEBSOCKET } else { "/gossip/ws" }).await?;
        let noise: Vec<u8> = (0..self.some(4096) + 2).map(|_| self.some(256) as u8).collect();
        wire.write_while_reading(&noise).await?;
        wire.until_ended().await
    }

    /// In an honest room, and never reads what it gets there.
    async fn never_read(&self) -> io::Result<()> {
        let mut wire = Wire::open(self.server, self.source, Some(NARROW)).await?;
        wire.namespace(&format!(r#"{{"token":"{}"}}"#, self.token)).await?;
        let room = &self.rooms[self.number % self.rooms.len()];
        wire.text(format!(r#"42/gossip,1["join_room",{{"roomId":"{room}","history":100}}]"#).as_bytes()).await?;
        sleep(STAY).await;
        Ok(())
    }

    /// Half of what was announced, in one piece or a byte a second, of a session or of nobody.
    async fn half_request(&self) -> io::Result<()> {
        let mut polling = self.open().await?;
        let target = match self.some(3) {
            0 => "/v1/stats".to_owned(),
            _ => format!("/socket.io/?EIO=4&transport=polling&sid={}", polling.polling().await?),
        };
        let mut wire = self.open().await?;
        let length = HALF * 2;
        wire.stream
            .write_all(format!("POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n").as_bytes())
            .await?;
        if self.some(2) == 0 {
            wire.stream.write_all(&[b'4'; HALF]).await?;
            return wire.until_ended().await;
        }
        for _ in 0..HALF {
            wire.stream.write_all(b"4").await?;
            wire.wait(SECOND).await?;
        }
        Ok(())
    }

    /// Somebody else's token, or none at all that anybody made.
    async fn bad_token(&self) -> io::Result<()> {
        let mut token = self.token.clone();
        match self.some(3) {
            0 => token = "x".repeat(self.some(5_000) + 1),
            1 => token.truncate(token.len() / 2),
            // The signature, which no longer fits.
            _ => token = token.replace(|c: char| c.is_ascii_lowercase(), "a"),
        }
        let mut wire = self.open().await?;
        wire.namespace(&format!(r#"{{"token":"{token}"}}"#)).await?;
        wire.until_ended_for(SECOND).await
    }
}

const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
/// The receive buffer of who is not going to read.
const NARROW: u32 = 8 * 1024;
