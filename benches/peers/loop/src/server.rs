//! The loop: takes what epoll tells, hands every message on, and sees to what is left at the end of a round.
//! Level-triggered; a connection is read once a round. It pings, and does not mind who stays silent.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    mem,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    buffer::spare_capacity,
    event::{
        Timespec,
        epoll::{self, CreateFlags, Event, EventData, EventFlags},
    },
    io::Errno,
};

use crate::{
    connection::{Connection, Connections, Read},
    feed::Feed,
    frame::{self, Frame, Parsed, Upgrade},
    packet::{self, Packet},
};

const LISTENER: u64 = u64::MAX;
const BACKLOG: i32 = 4096;
/// Events taken at once, and so what a round of the joined form can gather.
const ROUND: usize = 1024;
const READ: usize = 128 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(25);

pub(crate) struct Server {
    listener: TcpListener,
    epoll: OwnedFd,
    connections: Connections,
    feed: Feed,
    /// When, whom and which of that index. The interval is one for all, so the first is always due first.
    pings: VecDeque<(Instant, usize, u64)>,
    scratch: Vec<u8>,
}

impl Server {
    /// Listens on 127.0.0.1; port 0 takes a free one.
    pub(crate) fn bind(port: u16, joined: bool) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        // Listening again is how to get a backlog that the standard library does not offer.
        rustix::net::listen(&listener, BACKLOG)?;
        listener.set_nonblocking(true)?;
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        Ok(Self {
            listener,
            epoll,
            connections: Connections::default(),
            feed: Feed::new(joined),
            pings: VecDeque::new(),
            scratch: Vec::new(),
        })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until epoll or accepting fails.
    pub(crate) fn run(&mut self) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(ROUND);
        let mut buffer = vec![0; READ];
        loop {
            let timeout = self.until_ping();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let mut accepting = false;
            for Event { flags, data } in events.drain(..) {
                let Some(index) = usize::try_from(data.u64()).ok().filter(|_| data.u64() != LISTENER) else {
                    accepting = true;
                    continue;
                };
                if flags.contains(EventFlags::OUT) {
                    self.connections.with(index, Connection::flush);
                }
                if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    self.read(index, &mut buffer);
                }
            }
            self.ping();
            self.end_round()?;
            // Last, so that no index changes hands while the events of a round are looked at.
            if accepting {
                self.accept()?;
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => continue,
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            // It fails where the client is gone already; reading will tell.
            let _ = stream.set_nodelay(true);
            let (index, born) = self.connections.add(stream);
            if let Some(connection) = self.connections.get_mut(index) {
                epoll::add(&self.epoll, &connection.stream, EventData::new_u64(index as u64), EventFlags::IN)?;
            }
            self.pings.push_back((Instant::now() + PING_INTERVAL, index, born));
        }
    }

    fn read(&mut self, index: usize, buffer: &mut [u8]) {
        let Some((read, mut partial)) = self.connections.with(index, |connection| {
            let read = connection.read(buffer);
            connection.gone = matches!(read, Read::End);
            (read, mem::take(&mut connection.partial))
        }) else {
            return;
        };
        let Read::Bytes(length) = read else {
            self.connections.with(index, |connection| connection.partial = partial);
            return;
        };
        if partial.is_empty() {
            let used = self.take(index, &mut buffer[..length]);
            partial.extend_from_slice(&buffer[used..length]);
        } else {
            partial.extend_from_slice(&buffer[..length]);
            let used = self.take(index, &mut partial);
            partial.drain(..used);
        }
        if !partial.is_empty() {
            self.connections.with(index, |connection| connection.partial = partial);
        }
    }

    /// Handles what is whole at the start of `bytes`, and answers how many bytes that was.
    fn take(&mut self, index: usize, bytes: &mut [u8]) -> usize {
        let mut used = 0;
        while used < bytes.len() {
            match self.connections.with(index, |connection| connection.upgraded) {
                None => return bytes.len(),
                Some(false) => match frame::upgrade(&bytes[used..]) {
                    Upgrade::Partial => return used,
                    Upgrade::Asked(accept, length) => {
                        used += length;
                        self.open(index, &accept);
                    }
                    Upgrade::Bad => {
                        self.end(index, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                    }
                },
                Some(true) => match frame::parse(&mut bytes[used..]) {
                    Parsed::Partial => return used,
                    Parsed::Whole(frame, length) => {
                        self.handle(index, &frame);
                        used += length;
                    }
                    Parsed::Bad => self.close(index),
                },
            }
        }
        used
    }

    fn handle(&mut self, index: usize, frame: &Frame<'_>) {
        let text = match frame {
            Frame::Text(text) => *text,
            Frame::Pong => return,
            Frame::Close => return self.close(index),
            Frame::Ping(payload) => {
                self.scratch.clear();
                frame::pong(&mut self.scratch, payload);
                self.connections.with(index, |connection| connection.send(&self.scratch));
                return;
            }
        };
        match packet::parse(text) {
            Packet::Nothing => {}
            Packet::Connect(user) => {
                self.scratch.clear();
                self.connections.with(index, |connection| {
                    connection.user = user;
                    let connected = format!(r#"40/gossip,{{"sid":"{:032x}"}}"#, connection.born);
                    frame::text(&mut self.scratch, &[connected.as_bytes()]);
                    connection.send(&self.scratch);
                });
            }
            Packet::Event { ack, name, data } => {
                let room = packet::field(data, "roomId").and_then(|room| str::from_utf8(room).ok());
                let content = packet::field(data, "content");
                self.feed.handle(&mut self.connections, index, name, room, content, ack);
            }
            Packet::Bad => self.close(index),
        }
    }

    /// Answers 101 and opens the Engine.IO session, in gossipd's words.
    fn open(&mut self, index: usize, accept: &str) {
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        let (interval, payload) = (PING_INTERVAL.as_millis(), frame::MAX_PAYLOAD);
        self.connections.with(index, |connection| {
            let sid = connection.born;
            let open = format!(
                r#"0{{"sid":"{sid:032x}","upgrades":[],"pingInterval":{interval},"pingTimeout":20000,"maxPayload":{payload}}}"#
            );
            let mut bytes = head.into_bytes();
            frame::text(&mut bytes, &[open.as_bytes()]);
            connection.upgraded = true;
            connection.send(&bytes);
        });
    }

    fn close(&mut self, index: usize) {
        let mut bytes = Vec::new();
        frame::close(&mut bytes);
        self.end(index, &bytes);
    }

    fn end(&mut self, index: usize, last: &[u8]) {
        self.connections.with(index, |connection| {
            connection.send(last);
            connection.gone = true;
        });
    }

    fn until_ping(&self) -> Option<Timespec> {
        let wait = self.pings.front()?.0.saturating_duration_since(Instant::now());
        Some(Timespec { tv_sec: wait.as_secs().cast_signed(), tv_nsec: wait.subsec_nanos().into() })
    }

    fn ping(&mut self) {
        while let Some((_, index, born)) = self.pings.pop_front_if(|(due, ..)| *due <= Instant::now()) {
            let alive = self.connections.with(index, |connection| {
                let same = connection.born == born;
                if same && connection.upgraded {
                    connection.send(b"\x81\x012");
                }
                same
            });
            if alive == Some(true) {
                self.pings.push_back((Instant::now() + PING_INTERVAL, index, born));
            }
        }
    }

    fn end_round(&mut self) -> io::Result<()> {
        self.feed.end_round(&mut self.connections);
        for index in self.connections.take_touched() {
            // Twice noted and gone since.
            let Some(connection) = self.connections.get_mut(index) else { continue };
            connection.send_acks();
            if connection.gone {
                if let Some(connection) = self.connections.remove(index) {
                    self.feed.drop_member(index, &connection);
                }
            } else if connection.is_behind() != connection.watched {
                connection.watched = connection.is_behind();
                let more = if connection.watched { EventFlags::OUT } else { EventFlags::empty() };
                epoll::modify(
                    &self.epoll,
                    &connection.stream,
                    EventData::new_u64(index as u64),
                    EventFlags::IN | more,
                )?;
            }
        }
        Ok(())
    }
}
