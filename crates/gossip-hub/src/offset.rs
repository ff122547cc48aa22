//! What a client that can be recovered has seen, as it travels: the stock client keeps the last string that came as an
//! event's last argument, and sends it when it comes back. Opaque to clients, and not believed: one that is made up
//! only names another place in the log of the rooms that its user has access to.

use std::fmt;
use std::str::FromStr;

use gossip_proto::id::{RoomId, Seq};
use gossip_store::Position;
use uuid::Uuid;

/// A connection of which an offset would name more rooms than this is closed, to begin anew.
pub(crate) const MAX_BEHIND: usize = 256;

/// Everything up to a position, but for rooms that are still being caught up with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offset {
    /// The last event in any room.
    pub position: Position,
    /// Rooms of which less was seen: up to this seq, or nothing since it came in.
    pub behind: Vec<(RoomId, Option<Seq>)>,
}

/// Not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an offset")]
pub struct NotAnOffset;

impl Offset {
    /// Whether it says no more than this position.
    #[must_use]
    pub fn is_just(&self, position: Option<Position>) -> bool {
        self.behind.is_empty() && position == Some(self.position)
    }

    pub(crate) fn set_behind(&mut self, room: RoomId, seq: Option<Seq>) {
        match self.behind.iter_mut().find(|(behind, _)| *behind == room) {
            Some((_, at)) => *at = seq,
            None => self.behind.push((room, seq)),
        }
    }

    pub(crate) fn caught_up(&mut self, room: RoomId) {
        self.behind.retain(|(behind, _)| *behind != room);
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.position.0)?;
        for (room, seq) in &self.behind {
            match seq {
                Some(seq) => write!(f, ";{}:{seq}", room.0.as_simple())?,
                None => write!(f, ";{}:", room.0.as_simple())?,
            }
        }
        Ok(())
    }
}

impl FromStr for Offset {
    type Err = NotAnOffset;

    fn from_str(text: &str) -> Result<Offset, NotAnOffset> {
        let mut parts = text.split(';');
        let position = parts.next().and_then(|position| position.parse().ok()).map(Position).ok_or(NotAnOffset)?;
        let read = |part: &str| {
            let (room, seq) = part.split_once(':')?;
            let room = RoomId(Uuid::try_parse(room).ok()?);
            let seq = if seq.is_empty() { None } else { Some(Seq(seq.parse().ok()?)) };
            Some((room, seq))
        };
        let behind: Vec<_> = parts.map(read).collect::<Option<_>>().ok_or(NotAnOffset)?;
        // Ours are a little over at most: a part of one must not be taken for all of it.
        if behind.len() > 2 * MAX_BEHIND {
            return Err(NotAnOffset);
        }
        Ok(Offset { position, behind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows_and_nothing_else() {
        let room = |n| RoomId(Uuid::from_u128(n));
        let behind = vec![(room(1), Some(Seq(7))), (room(2), None)];
        for offset in [Offset::default(), Offset { position: Position(u64::MAX), behind }] {
            assert_eq!(offset.to_string().parse(), Ok(offset));
        }
        for bad in ["", "x", "-1", "1;", "1;x:1", "1;00000000000000000000000000000001", "18446744073709551616"] {
            assert_eq!(bad.parse::<Offset>(), Err(NotAnOffset), "{bad}");
        }
        let many =
            |count: usize| format!("1{}", format!(";{}:", room(1).0.as_simple()).repeat(count)).parse::<Offset>();
        assert!(many(2 * MAX_BEHIND).is_ok());
        assert_eq!(many(2 * MAX_BEHIND + 1), Err(NotAnOffset));
    }

    #[test]
    fn a_room_that_has_caught_up_is_not_told_of() {
        let mut offset = Offset { position: Position(5), behind: Vec::new() };
        assert!(offset.is_just(Some(Position(5))));
        let room = RoomId(Uuid::from_u128(1));
        offset.set_behind(room, None);
        offset.set_behind(room, Some(Seq(3)));
        assert_eq!(offset.behind, [(room, Some(Seq(3)))]);
        assert!(!offset.is_just(Some(Position(5))));
        offset.caught_up(room);
        assert_eq!(offset.to_string(), "5");
    }
}
