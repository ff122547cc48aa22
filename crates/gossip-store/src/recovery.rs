//! Connections that can be recovered (contract §4, Socket.IO's connection state recovery): who they are and which rooms
//! they are in, so that another process finds it after this one's end. What they have seen, the client knows.

use std::collections::HashMap;

use gossip_proto::id::{Pid, RoomId, Seq, UserId};

/// What was kept of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Whose it is.
    pub user: UserId,
    /// Its rooms, each with the last event before it came in.
    pub rooms: Vec<(RoomId, Seq)>,
}

/// What a connection did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryChange {
    /// It began.
    Open {
        /// Which.
        pid: Pid,
        /// Whose.
        user: UserId,
    },
    /// It came into a room, or looked at it anew.
    Join {
        /// Which.
        pid: Pid,
        /// Where.
        room: RoomId,
        /// The last event before it came in.
        seq: Seq,
    },
    /// It left a room.
    Leave {
        /// Which.
        pid: Pid,
        /// Where.
        room: RoomId,
    },
    /// It ended for good.
    Forget {
        /// Which.
        pid: Pid,
    },
}

/// What changes come to, one bulk statement a field, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RecoveryWrites {
    /// Rows of connections to insert.
    pub opened: Vec<(Pid, UserId)>,
    /// Rows of rooms as they are now; `None` where one was left.
    pub rooms: Vec<(Pid, RoomId, Option<Seq>)>,
    /// Connections to delete, with their rooms.
    pub forgotten: Vec<Pid>,
}

impl RecoveryWrites {
    /// Of changes in their order, of which the last on a room counts.
    #[must_use]
    pub fn of(changes: &[RecoveryChange]) -> RecoveryWrites {
        let mut writes = RecoveryWrites::default();
        let mut rooms: HashMap<(Pid, RoomId), Option<Seq>> = HashMap::new();
        for change in changes {
            match *change {
                RecoveryChange::Open { pid, user } => writes.opened.push((pid, user)),
                RecoveryChange::Join { pid, room, seq } => drop(rooms.insert((pid, room), Some(seq))),
                RecoveryChange::Leave { pid, room } => drop(rooms.insert((pid, room), None)),
                RecoveryChange::Forget { pid } => writes.forgotten.push(pid),
            }
        }
        writes.rooms = rooms.into_iter().map(|((pid, room), seq)| (pid, room, seq)).collect();
        writes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn the_last_change_of_a_room_counts() {
        let (pid, room) = (Pid(Uuid::from_u128(1)), RoomId(Uuid::from_u128(2)));
        let join = |seq| RecoveryChange::Join { pid, room, seq: Seq(seq) };
        let leave = RecoveryChange::Leave { pid, room };
        assert_eq!(RecoveryWrites::of(&[join(1), leave.clone(), join(3)]).rooms, [(pid, room, Some(Seq(3)))]);
        assert_eq!(RecoveryWrites::of(&[join(1), leave]).rooms, [(pid, room, None)]);
    }
}
