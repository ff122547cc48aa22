//! Who somebody is and which rooms they may touch (contract §1 and §4, Access to rooms). Tokens are not read here:
//! an [`Identity`] is what is left of one that was found good. Which policy holds is an [`AccessPolicy`]: one of the
//! three of [`RoomAccess`], or an embedder's own.

use std::fmt;
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
    /// `iat`, where the token has one: what a revocation goes by.
    pub issued_at: Option<Timestamp>,
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

/// Who reaches which rooms. [`RoomAccess`] has the policies of the contract; an embedder may bring another.
pub trait AccessPolicy: fmt::Debug + Send + Sync {
    /// Resolves the policy for one identity, whenever it authenticates. What may change while a connection lives
    /// belongs into a [`RoomRule`].
    fn reach(&self, identity: &Identity) -> Reach;
}

impl AccessPolicy for RoomAccess {
    fn reach(&self, identity: &Identity) -> Reach {
        Reach::of(identity, *self)
    }
}

/// An embedder's own rule for one identity, asked on every path that names a room or an intent, also within a
/// transaction: it must answer at once, from memory. When its answers change, tell the gateway
/// (`Gateway::access_changed`), so that what was lost ends.
pub trait RoomRule: fmt::Debug + Send + Sync {
    /// Whether `room` may be touched.
    fn allows(&self, room: RoomId) -> bool;
}

/// The rooms an identity reaches under a policy.
#[derive(Debug, Clone)]
pub enum Reach {
    /// All of them.
    All,
    /// Those of the token.
    Listed(Arc<[RoomId]>),
    /// Those with a row of membership, which must be asked of the store.
    Members,
    /// Those that a rule allows.
    Rule(Arc<dyn RoomRule>),
}

/// Rules are equal if they are the same one.
impl PartialEq for Reach {
    fn eq(&self, other: &Reach) -> bool {
        match (self, other) {
            (Reach::All, Reach::All) | (Reach::Members, Reach::Members) => true,
            (Reach::Listed(one), Reach::Listed(two)) => one == two,
            (Reach::Rule(one), Reach::Rule(two)) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Eq for Reach {}

/// What [`Reach`] says of one room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Yes.
    Granted,
    /// No: the token's `rooms` lacks it.
    NotClaimed,
    /// No: the rule does not allow it.
    NotAllowed,
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
            Reach::Rule(rule) if rule.allows(room) => Access::Granted,
            Reach::Rule(_) => Access::NotAllowed,
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
            Access::NotAllowed => {
                Err(Refusal::new(Code::Forbidden, "room access is by a rule: it does not allow this room"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn identity(role: Role, rooms: RoomsClaim) -> Identity {
        Identity { user: UserId::NIL, role, rooms, expires_at: Timestamp::MAX, issued_at: None }
    }

    #[derive(Debug)]
    struct Only(RoomId);

    impl RoomRule for Only {
        fn allows(&self, room: RoomId) -> bool {
            room == self.0
        }
    }

    #[derive(Debug)]
    struct OneRoom(Arc<Only>);

    impl AccessPolicy for OneRoom {
        fn reach(&self, identity: &Identity) -> Reach {
            match identity.role {
                Role::Admin => Reach::All,
                Role::User | Role::Service => Reach::Rule(Arc::<Only>::clone(&self.0) as _),
            }
        }
    }

    #[test]
    fn a_rule_of_ones_own_decides() {
        let (here, there) = (RoomId(Uuid::from_u128(1)), RoomId(Uuid::from_u128(2)));
        let policy = OneRoom(Arc::new(Only(here)));
        let user = policy.reach(&identity(Role::User, RoomsClaim::All));
        // Membership does not make up for it.
        assert_eq!(user.check(there, || true).unwrap_err().code, Code::Forbidden);
        assert!(user.check(here, || false).is_ok());
        assert!(policy.reach(&identity(Role::Admin, RoomsClaim::All)).check(there, || false).is_ok());
        assert_eq!(user, user.clone());
        assert_ne!(user, Reach::Rule(Arc::new(Only(here))));
    }

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
            let identity = identity(role, rooms.clone());
            let reach = policy.reach(&identity);
            let may = |room| reach.check(room, || is_member).is_ok();
            assert_eq!((may(here), may(there)), (may_here, may_there), "{identity:?} {policy:?}");
        }
    }
}
