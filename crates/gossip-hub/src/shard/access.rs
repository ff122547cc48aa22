//! Access that is withdrawn from connections that live. Who has lost what is decided elsewhere ([`crate::access`],
//! [`crate::changes`]); here it ends.

use gossip_core::access::{Access, Reach};
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::refusal::Code;

use super::{ConnectionId, Shard};

impl Shard {
    /// Closes the rooms that a connection does not reach, as far as its reach says.
    pub(super) fn close_unreached(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get(&id) else { return };
        let is_lost = |room: &RoomId| matches!(connection.reach.access(*room), Access::NotClaimed | Access::NotAllowed);
        let lost: Vec<RoomId> = connection.rooms.iter().copied().filter(is_lost).collect();
        for room in lost {
            self.close_room(id, room, Code::Forbidden);
        }
    }

    /// The user is no member of the room any more. Connections that reach it in another way stay.
    pub(super) fn withdraw(&mut self, user: UserId, room: RoomId) {
        for id in self.ids_of(user) {
            let hangs_on_it =
                |connection: &super::Connection| connection.reach == Reach::Members && connection.rooms.contains(&room);
            if self.connections.get(&id).is_some_and(hangs_on_it) {
                self.close_room(id, room, Code::Forbidden);
            }
        }
    }

    /// Closes what the user's connections do not reach any more, and answers the rooms that hang on a membership.
    pub(super) fn recheck(&mut self, user: UserId) -> Vec<RoomId> {
        let mut of_members = Vec::new();
        for id in self.ids_of(user) {
            self.close_unreached(id);
            if let Some(connection) = self.connections.get(&id)
                && connection.reach == Reach::Members
            {
                of_members.extend(&connection.rooms);
            }
        }
        of_members
    }

    pub(super) fn close_user(&mut self, user: UserId) {
        for id in self.ids_of(user) {
            if let Some(connection) = self.connections.get_mut(&id)
                && !connection.is_ending
            {
                connection.is_ending = true;
                connection.peer.revoke();
            }
        }
    }

    fn ids_of(&self, user: UserId) -> Vec<ConnectionId> {
        self.users.get(&user).into_iter().flatten().copied().collect()
    }
}
