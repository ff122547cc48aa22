//! One client: its socket, the bytes of a frame not yet whole, and what the socket would not take; and all of them by
//! index. What to send, and when, is the business of others.

use std::{
    io::{self, ErrorKind, IoSlice, Read as _, Write as _},
    mem,
    net::TcpStream,
};

/// What reading brought.
pub(crate) enum Read {
    Bytes(usize),
    Nothing,
    End,
}

pub(crate) struct Connection {
    /// Which connection since the start it is: an index is given again, this never.
    pub(crate) born: u64,
    pub(crate) stream: TcpStream,
    /// After the 101.
    pub(crate) upgraded: bool,
    /// Whom the token names.
    pub(crate) user: String,
    /// Indices of the rooms joined.
    pub(crate) rooms: Vec<usize>,
    /// The start of a frame, or of the request for the upgrade.
    pub(crate) partial: Vec<u8>,
    /// Acks that wait for the end of the round.
    pub(crate) acks: Vec<u8>,
    /// What the socket would not take, from `sent` on.
    left: Vec<u8>,
    sent: usize,
    /// Whether epoll was asked to tell when the socket takes more.
    pub(crate) watched: bool,
    /// To be dropped at the end of the round: until then its index is its own.
    pub(crate) gone: bool,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, born: u64) -> Self {
        Self {
            born,
            stream,
            upgraded: false,
            user: String::new(),
            rooms: Vec::new(),
            partial: Vec::new(),
            acks: Vec::new(),
            left: Vec::new(),
            sent: 0,
            watched: false,
            gone: false,
        }
    }

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Read {
        match self.stream.read(buffer) {
            Ok(0) => Read::End,
            Ok(length) => Read::Bytes(length),
            Err(error) if waits(&error) => Read::Nothing,
            Err(_) => Read::End,
        }
    }

    /// Whether the end of the round has something to do for it.
    fn needs_look(&self) -> bool {
        self.gone || !self.acks.is_empty() || self.is_behind() != self.watched
    }

    /// Whether bytes wait for the socket.
    pub(crate) fn is_behind(&self) -> bool {
        self.sent < self.left.len()
    }

    /// One write, unless earlier bytes wait; what is not taken is kept.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if self.gone {
            return;
        }
        if self.is_behind() {
            self.left.extend_from_slice(bytes);
            return;
        }
        match self.stream.write(bytes) {
            Ok(taken) => self.left.extend_from_slice(&bytes[taken..]),
            Err(error) if waits(&error) => self.left.extend_from_slice(bytes),
            Err(_) => self.gone = true,
        }
    }

    /// [`Self::send`], with the acks that wait in the same write.
    pub(crate) fn send_with_acks(&mut self, bytes: &[u8]) {
        if self.acks.is_empty() || self.gone {
            return self.send(bytes);
        }
        let taken = if self.is_behind() {
            0
        } else {
            match self.stream.write_vectored(&[IoSlice::new(bytes), IoSlice::new(&self.acks)]) {
                Ok(taken) => taken,
                Err(error) if waits(&error) => 0,
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        };
        self.left.extend_from_slice(bytes.get(taken..).unwrap_or_default());
        self.left.extend_from_slice(&self.acks[taken.saturating_sub(bytes.len())..]);
        self.acks.clear();
    }

    /// Writes what waits, as far as the socket takes it.
    pub(crate) fn flush(&mut self) {
        while self.is_behind() && !self.gone {
            match self.stream.write(&self.left[self.sent..]) {
                Ok(taken) => self.sent += taken,
                Err(error) if waits(&error) => break,
                Err(_) => self.gone = true,
            }
        }
        if self.is_behind() {
            // Moved down only when much was sent, so that a long queue is not moved at every write.
            if self.sent > self.left.len() / 2 {
                self.left.drain(..self.sent);
                self.sent = 0;
            }
        } else {
            self.left = Vec::new();
            self.sent = 0;
        }
    }

    /// Sends the acks that no event took along.
    pub(crate) fn send_acks(&mut self) {
        if !self.acks.is_empty() {
            let mut acks = mem::take(&mut self.acks);
            self.send(&acks);
            acks.clear();
            self.acks = acks;
        }
    }
}

/// All clients by index, and those to look at when the round ends.
#[derive(Default)]
pub(crate) struct Connections {
    slots: Vec<Option<Connection>>,
    free: Vec<usize>,
    count: u64,
    touched: Vec<usize>,
}

impl Connections {
    /// The index and the number of the new connection.
    pub(crate) fn add(&mut self, stream: TcpStream) -> (usize, u64) {
        self.count += 1;
        let connection = Some(Connection::new(stream, self.count));
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index] = connection;
                index
            }
            None => {
                self.slots.push(connection);
                self.slots.len() - 1
            }
        };
        (index, self.count)
    }

    /// Lets `act` have the connection, if it is there and not gone, and notes it where it needs a look afterwards.
    pub(crate) fn with<T>(&mut self, index: usize, act: impl FnOnce(&mut Connection) -> T) -> Option<T> {
        let connection = self.slots.get_mut(index)?.as_mut().filter(|connection| !connection.gone)?;
        let result = act(connection);
        if connection.needs_look() {
            self.touched.push(index);
        }
        Some(result)
    }

    /// The noted ones, some perhaps twice.
    pub(crate) fn take_touched(&mut self) -> Vec<usize> {
        mem::take(&mut self.touched)
    }

    /// A connection, gone or not.
    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut Connection> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// Frees the index; who is dropped is closed.
    pub(crate) fn remove(&mut self, index: usize) -> Option<Connection> {
        let connection = self.slots.get_mut(index)?.take()?;
        self.free.push(index);
        Some(connection)
    }
}

/// Whether it may succeed later.
fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
