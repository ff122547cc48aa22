//! Rooms, and the three events the load test sends: `join_room`, `leave_room` and `new_gossip`. Here a post becomes
//! writes: at once in the first form, gathered until the end of the round in the joined one.

use std::{collections::HashMap, mem};

use time::OffsetDateTime;

use crate::{
    connection::{Connection, Connections},
    event::{Post, Writer},
    frame,
};

/// All rooms.
pub(crate) struct Feed {
    joined: bool,
    rooms: Vec<Room>,
    by_name: HashMap<String, usize>,
    /// Rooms whose buffer waits for the end of the round.
    dirty: Vec<usize>,
    writer: Writer,
    scratch: Vec<u8>,
}

struct Room {
    name: String,
    seq: u64,
    members: Vec<usize>,
    /// The frames of this round; in the first form those of one post.
    buffer: Vec<u8>,
}

impl Room {
    /// One write a member of what is gathered, if anything is.
    fn flush(&mut self, connections: &mut Connections) {
        if self.buffer.is_empty() {
            return;
        }
        for &member in &self.members {
            connections.with(member, |connection| connection.send_with_acks(&self.buffer));
        }
        self.buffer.clear();
    }
}

impl Feed {
    /// `joined`: whether what is pending goes out as one write a member.
    pub(crate) fn new(joined: bool) -> Self {
        Self {
            joined,
            rooms: Vec::new(),
            by_name: HashMap::new(),
            dirty: Vec::new(),
            writer: Writer::default(),
            scratch: Vec::new(),
        }
    }

    /// Does what the client `index` asked for. `ack` are its digits; empty where no answer is wanted.
    pub(crate) fn handle(
        &mut self,
        connections: &mut Connections,
        index: usize,
        name: &[u8],
        room: Option<&str>,
        content: Option<&[u8]>,
        ack: &[u8],
    ) {
        match (name, room, content) {
            (b"join_room", Some(room), _) => self.join(connections, index, room, ack),
            (b"leave_room", Some(room), _) => self.leave(connections, index, room, ack),
            (b"new_gossip", Some(room), Some(content)) => self.post(connections, index, room, content, ack),
            (b"join_room" | b"leave_room" | b"new_gossip", ..) => {
                let body = br#"{"status":"error","code":"invalid_input","message":"a field is missing"}"#;
                self.reply(connections, index, ack, &[body]);
            }
            _ => {
                let body = br#"{"status":"error","code":"unknown_event","message":"not of the bare loop"}"#;
                self.reply(connections, index, ack, &[body]);
            }
        }
    }

    fn join(&mut self, connections: &mut Connections, index: usize, name: &str, ack: &[u8]) {
        let at = self.room(name);
        let room = &mut self.rooms[at];
        // What was posted before is not for who joins after.
        room.flush(connections);
        connections.with(index, |connection| {
            if !connection.rooms.contains(&at) {
                connection.rooms.push(at);
                room.members.push(index);
            }
        });
        let seq = room.seq.to_string();
        let pieces = [br#"{"status":"joined","roomId":""#, name.as_bytes(), br#"","seq":"#, seq.as_bytes(), b"}"];
        self.reply(connections, index, ack, &pieces);
    }

    fn leave(&mut self, connections: &mut Connections, index: usize, name: &str, ack: &[u8]) {
        let at = self.room(name);
        self.rooms[at].flush(connections);
        self.forget(at, index);
        connections.with(index, |connection| connection.rooms.retain(|room| *room != at));
        self.reply(connections, index, ack, &[br#"{"status":"left","roomId":""#, name.as_bytes(), br#""}"#]);
    }

    fn post(&mut self, connections: &mut Connections, index: usize, name: &str, content: &[u8], ack: &[u8]) {
        let at = self.room(name);
        let room = &mut self.rooms[at];
        room.seq += 1;
        let seq = room.seq;
        let (writer, joined, dirty) = (&mut self.writer, self.joined, &mut self.dirty);
        connections.with(index, |author| {
            if joined && room.buffer.is_empty() {
                dirty.push(at);
            }
            let post = Post { room: &room.name, user: &author.user, content, seq };
            writer.event(&post, OffsetDateTime::now_utc(), &mut room.buffer);
        });
        if !self.joined {
            room.flush(connections);
        }
        if ack.is_empty() {
            return;
        }
        if self.joined {
            connections.with(index, |author| writer.ack(ack, seq, &mut author.acks));
        } else {
            self.scratch.clear();
            writer.ack(ack, seq, &mut self.scratch);
            connections.with(index, |author| author.send(&self.scratch));
        }
    }

    /// Writes what the joined form gathered.
    pub(crate) fn end_round(&mut self, connections: &mut Connections) {
        for at in self.dirty.drain(..) {
            self.rooms[at].flush(connections);
        }
    }

    /// Takes a connection that is gone out of its rooms.
    pub(crate) fn drop_member(&mut self, index: usize, connection: &Connection) {
        for &at in &connection.rooms {
            self.forget(at, index);
        }
    }

    fn forget(&mut self, at: usize, index: usize) {
        let members = &mut self.rooms[at].members;
        if let Some(place) = members.iter().position(|member| *member == index) {
            members.swap_remove(place);
        }
    }

    fn room(&mut self, name: &str) -> usize {
        if let Some(at) = self.by_name.get(name) {
            return *at;
        }
        let at = self.rooms.len();
        self.rooms.push(Room { name: name.to_owned(), seq: 0, members: Vec::new(), buffer: Vec::new() });
        self.by_name.insert(name.to_owned(), at);
        at
    }

    fn reply(&mut self, connections: &mut Connections, index: usize, ack: &[u8], body: &[&[u8]]) {
        if ack.is_empty() {
            return;
        }
        let mut frame = mem::take(&mut self.scratch);
        frame.clear();
        let mut pieces = vec![&b"43/gossip,"[..], ack, b"["];
        pieces.extend_from_slice(body);
        pieces.push(b"]");
        frame::text(&mut frame, &pieces);
        connections.with(index, |connection| connection.send(&frame));
        self.scratch = frame;
    }
}
