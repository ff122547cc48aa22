//! Who somebody is and which rooms they may touch (contract §1 and §4, Access to rooms). Tokens are not read here:
//! an [`Identity`] is what is left of one that was found good.

use std::sync::Arc;

use gossip_proto::id::{RoomId, UserId};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::timestamp::Timestamp;

/// What a token's `role` allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// People.
    #[default]
    User,
    /// May set statuses; has access to every room.
    Admin,
    /// Another service; has access to every room.
    Service,
}

impl Role {
    /// Whether the rows of single votes may be seen (contract §2, `list_updates`).
    #[must_use]
    pub fn sees_votes(self) -> bool {
        matches!(self, Role::Admin | Role::Service)
    }
}

/// A token's `rooms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomsClaim {
    /// `"*"`
    All,
    /// A list; empty where the token has none.
    Listed(Arc<[RoomId]>),
}

/// Somebody whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `sub`
    pub user: UserId,
    /// `role`
    pub role: Role,
    /// `rooms`
    pub rooms: RoomsClaim,
    /// `exp`: exact.
    pub expires_at: Timestamp,
}

/// `ROOM_ACCESS`: what decides who may touch a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RoomAccess {
    /// The token's `rooms`.
    #[default]
    Claims,
    /// The rows of `gossip_room_members`.
    Members,
    /// Any authenticated user.
    Open,
}

/// The rooms an identity reaches under a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// All of them.
    All,
    /// Those of the token.
    Listed(Arc<[RoomId]>),
    /// Those with a row of membership, which must be asked of the store.
    Members,
}

/// What [`Reach`] says of one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Granted,
    /// No: the token's `rooms` lacks it.
    NotClaimed,
    /// Only if there is a row of membership.
    IfMember,
}

impl Reach {
    /// Resolves the policy for one identity, once, when it authenticates.
    #[must_use]
    pub fn of(identity: &Identity, policy: RoomAccess) -> Reach {
        match (identity.role, policy, &identity.rooms) {
            (Role::Admin | Role::Service, ..) | (_, RoomAccess::Open, _) => Reach::All,
            (_, RoomAccess::Members, _) => Reach::Members,
            (_, RoomAccess::Claims, RoomsClaim::All) => Reach::All,
            (_, RoomAccess::Claims, RoomsClaim::Listed(rooms)) => Reach::Listed(Arc::clone(rooms)),
        }
    }

    /// Whether `room` is within reach.
    #[must_use]
    pub fn access(&self, room: RoomId) -> Access {
        match self {
            Reach::All => Access::Granted,
            Reach::Listed(rooms) if rooms.contains(&room) => Access::Granted,
            Reach::Listed(_) => Access::NotClaimed,
            Reach::Members => Access::IfMember,
        }
    }

    /// Allows or refuses `room`, where `is_member` tells of a row of membership (asked for only if it matters).
    ///
    /// # Errors
    /// `forbidden`, saying which policy refused and what it lacked.
    pub fn check(&self, room: RoomId, is_member: impl FnOnce() -> bool) -> Result<(), Refusal> {
        match self.access(room) {
            Access::Granted => Ok(()),
            Access::IfMember if is_member() => Ok(()),
            Access::IfMember => {
                Err(Refusal::new(Code::Forbidden, "room access is by members: there is no membership in this room"))
            }
            Access::NotClaimed => Err(Refusal::new(
                Code::Forbidden,
                "room access is by claims: the token's rooms does not list this room",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn policies_and_roles() {
        let (here, there) = (RoomId(Uuid::from_u128(1)), RoomId(Uuid::from_u128(2)));
        let listed = RoomsClaim::Listed([here].into());
        let none = RoomsClaim::Listed([].into());
        for (role, rooms, policy, is_member, may_here, may_there) in [
            (Role::User, &listed, RoomAccess::Claims, true, true, false),
            (Role::User, &none, RoomAccess::Claims, true, false, false),
            (Role::User, &RoomsClaim::All, RoomAccess::Claims, false, true, true),
            (Role::User, &listed, RoomAccess::Members, false, false, false),
            (Role::User, &none, RoomAccess::Members, true, true, true),
            (Role::User, &none, RoomAccess::Open, false, true, true),
            (Role::Admin, &none, RoomAccess::Claims, false, true, true),
            (Role::Service, &none, RoomAccess::Members, false, true, true),
        ] {
            let identity = Identity { user: UserId::NIL, role, rooms: rooms.clone(), expires_at: Timestamp::MAX };
            let reach = Reach::of(&identity, policy);
            let may = |room| reach.check(room, || is_member).is_ok();
            assert_eq!((may(here), may(there)), (may_here, may_there), "{identity:?} {policy:?}");
        }
    }
}
