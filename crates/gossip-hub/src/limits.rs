//! How much of everything one client may do (contract §4, Rate limits): rates for each address before it has
//! authenticated and for each user after, whatever the number of their sockets, and caps on those sockets. What is kept
//! here outlives connections, so that coming back refills nothing. It refuses and counts; who is disconnected, and how,
//! is the connection's business.

mod keyed;
mod notices;
mod places;
mod rate;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gossip_core::access::{Identity, Role};
use gossip_core::env::Env;
use gossip_proto::id::{Pid, UserId};
use gossip_proto::refusal::{Code, Refusal};

use self::keyed::Keyed;
use self::notices::Notices;
pub use self::places::Place;
pub(crate) use self::places::Seat;
use self::places::{Addresses, Users};
pub use self::rate::Rate;
use crate::shard::ConnectionId;

/// How long who is over a cap is asked to wait: nobody knows when another socket ends.
const CAP_WAIT: Duration = Duration::from_secs(10);
/// How long who was disconnected for flooding is asked to wait.
pub(crate) const FLOODING_WAIT: Duration = Duration::from_secs(10);

/// What is done when a limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LimitMode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is counted, and let through.
    Observe,
}

/// The limits of one gateway; the defaults are those of contract §7.
#[derive(Debug, Clone, Copy)]
pub struct LimitsConfig {
    /// `RATE_LIMIT_MODE`
    pub mode: LimitMode,
    /// `RATE_CONNECT`: connections that are opened, for an address.
    pub connect: Rate,
    /// `RATE_AUTH_FAILURES`: tokens that are refused, for an address.
    pub auth_failures: Rate,
    /// `RATE_NEW_GOSSIP`, for a user.
    pub new_gossip: Rate,
    /// `RATE_VOTE_GOSSIP`, for a user.
    pub vote_gossip: Rate,
    /// `RATE_COMMENT_GOSSIP`, for a user.
    pub comment_gossip: Rate,
    /// `RATE_OTHER`: every other event, for a user.
    pub other: Rate,
    /// Events on one connection that has not authenticated.
    pub unauthenticated: Rate,
    /// Events refused for their rate on one connection, after which it is flooding.
    pub refused: Rate,
    /// `MAX_SOCKETS_PER_USER`
    pub max_sockets_per_user: usize,
    /// `MAX_SOCKETS_PER_ADDRESS`
    pub max_sockets_per_address: usize,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        LimitsConfig {
            mode: LimitMode::Enforce,
            connect: Rate::seconds(200, 1),
            auth_failures: Rate::seconds(10, 60),
            new_gossip: Rate::seconds(30, 60),
            vote_gossip: Rate::seconds(300, 60),
            comment_gossip: Rate::seconds(60, 60),
            other: Rate::seconds(600, 60),
            unauthenticated: Rate::seconds(20, 10),
            refused: Rate::seconds(100, 10),
            max_sockets_per_user: 20,
            max_sockets_per_address: 2000,
        }
    }
}

/// Why something was refused, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Connect,
    AuthFailures,
    NewGossip,
    VoteGossip,
    CommentGossip,
    Other,
    Unauthenticated,
    Flooding,
    Packets,
    SocketsPerUser,
    SocketsPerAddress,
}

impl Reason {
    const ALL: [Reason; 11] = [
        Reason::Connect,
        Reason::AuthFailures,
        Reason::NewGossip,
        Reason::VoteGossip,
        Reason::CommentGossip,
        Reason::Other,
        Reason::Unauthenticated,
        Reason::Flooding,
        Reason::Packets,
        Reason::SocketsPerUser,
        Reason::SocketsPerAddress,
    ];

    fn name(self) -> &'static str {
        match self {
            Reason::Connect => "connect",
            Reason::AuthFailures => "auth_failures",
            Reason::NewGossip => "new_gossip",
            Reason::VoteGossip => "vote_gossip",
            Reason::CommentGossip => "comment_gossip",
            Reason::Other => "other",
            Reason::Unauthenticated => "unauthenticated",
            Reason::Flooding => "flooding",
            Reason::Packets => "packets",
            Reason::SocketsPerUser => "sockets_per_user",
            Reason::SocketsPerAddress => "sockets_per_address",
        }
    }
}

/// Which rate an event counts to. Its name decides, whatever its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    NewGossip,
    VoteGossip,
    CommentGossip,
    Other,
}

impl Kind {
    pub(crate) fn of(event: &str) -> Kind {
        match event {
            "new_gossip" => Kind::NewGossip,
            "vote_gossip" => Kind::VoteGossip,
            "comment_gossip" => Kind::CommentGossip,
            _ => Kind::Other,
        }
    }

    fn reason(self) -> Reason {
        match self {
            Kind::NewGossip => Reason::NewGossip,
            Kind::VoteGossip => Reason::VoteGossip,
            Kind::CommentGossip => Reason::CommentGossip,
            Kind::Other => Reason::Other,
        }
    }
}

/// An address as it is counted: one of IPv6 stands for its /64, which is what one client is given; one of IPv4 in
/// IPv6's clothes is IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Source(IpAddr);

impl Source {
    fn of(address: IpAddr) -> Source {
        Source(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
            v4 => v4,
        })
    }
}

/// An event that is refused.
#[derive(Debug)]
pub(crate) struct Limited {
    pub(crate) refusal: Refusal,
    /// It is one too many even of those.
    pub(crate) is_flooding: bool,
}

/// An identity with a place among its user's sockets, from [`Gateway::seat`](crate::Gateway::seat).
pub struct Seated {
    pub(crate) identity: Identity,
    pub(crate) seat: Option<Seat>,
}

impl Seated {
    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }
}

pub(crate) struct Limits {
    mode: LimitMode,
    max_sockets_per_user: usize,
    max_sockets_per_address: usize,
    connect: Keyed<Source>,
    auth_failures: Keyed<Source>,
    new_gossip: Keyed<UserId>,
    vote_gossip: Keyed<UserId>,
    comment_gossip: Keyed<UserId>,
    other: Keyed<UserId>,
    unauthenticated: Keyed<ConnectionId>,
    refused: Keyed<ConnectionId>,
    addresses: Arc<Addresses>,
    users: Arc<Users>,
    notices: Notices,
    counts: [AtomicU64; Reason::ALL.len()],
}

impl Limits {
    pub(crate) fn new(config: &LimitsConfig, env: &Arc<dyn Env>) -> Limits {
        Limits {
            mode: config.mode,
            max_sockets_per_user: config.max_sockets_per_user,
            max_sockets_per_address: config.max_sockets_per_address,
            connect: Keyed::new(config.connect, env),
            auth_failures: Keyed::new(config.auth_failures, env),
            new_gossip: Keyed::new(config.new_gossip, env),
            vote_gossip: Keyed::new(config.vote_gossip, env),
            comment_gossip: Keyed::new(config.comment_gossip, env),
            other: Keyed::new(config.other, env),
            unauthenticated: Keyed::new(config.unauthenticated, env),
            refused: Keyed::new(config.refused, env),
            addresses: Arc::default(),
            users: Arc::default(),
            notices: Notices::new(env),
            counts: Default::default(),
        }
    }

    /// A client at this address wants to open a connection.
    pub(crate) fn admit(&self, address: Option<IpAddr>) -> Result<Place, Refusal> {
        let Some(source) = address.map(Source::of) else { return Ok(Place::NOWHERE) };
        if let Err(wait) = self.connect.take(source)
            && self.is_refused(Reason::Connect)
        {
            tracing::debug!(address = %source.0, "connections are opened too fast");
            return Err(rate_limited("too many connections are opened from this address", wait));
        }
        self.addresses.take(source.0, self.max_sockets_per_address).or_else(|_| {
            if self.is_refused(Reason::SocketsPerAddress) {
                self.notices.sockets_of_address(source, self.max_sockets_per_address);
                return Err(rate_limited("too many connections are open from this address", CAP_WAIT));
            }
            Ok(self.addresses.take(source.0, usize::MAX).unwrap_or(Place::NOWHERE))
        })
    }

    /// Whether a token from this address may be looked at at all.
    pub(crate) fn may_authenticate(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        let Some(source) = address.map(Source::of) else { return Ok(()) };
        match self.auth_failures.look(source) {
            Err(wait) if self.is_refused(Reason::AuthFailures) => {
                self.notices.auth_failures(source);
                Err(rate_limited("too many tokens from this address were refused", wait))
            }
            _ => Ok(()),
        }
    }

    /// A token from this address was refused.
    pub(crate) fn failed_to_authenticate(&self, address: Option<IpAddr>) {
        if let Some(address) = address {
            // Where none was left, there still is none.
            let _ = self.auth_failures.take(Source::of(address));
        }
    }

    /// One more socket of a user. With the `pid` of one that it had, in place of that.
    pub(crate) fn seat(
        &self,
        identity: Identity,
        pid: Option<Pid>,
        address: Option<IpAddr>,
    ) -> Result<Seated, Refusal> {
        if is_exempt(&identity) {
            return Ok(Seated { identity, seat: None });
        }
        let seat = match self.users.take(identity.user, pid, self.max_sockets_per_user) {
            Ok(seat) => Some(seat),
            Err(_) if self.is_refused(Reason::SocketsPerUser) => {
                self.notices.sockets_of_user(identity.user, address, self.max_sockets_per_user);
                return Err(rate_limited("too many connections of this user are open", CAP_WAIT));
            }
            Err(_) => self.users.take(identity.user, pid, usize::MAX).ok(),
        };
        Ok(Seated { identity, seat })
    }

    /// As [`Limits::seat`], but takes none: for who is to be told before there is a connection.
    pub(crate) fn may_seat(&self, identity: &Identity, address: Option<IpAddr>) -> Result<(), Refusal> {
        match self.mode {
            LimitMode::Enforce => self.seat(identity.clone(), None, address).map(drop),
            LimitMode::Observe => Ok(()),
        }
    }

    /// An event of a connection; `who` has none before it is authenticated.
    pub(crate) fn event(&self, connection: ConnectionId, who: Option<&Identity>, kind: Kind) -> Result<(), Limited> {
        let (reason, taken) = match who {
            None => (Reason::Unauthenticated, self.unauthenticated.take(connection)),
            Some(identity) if is_exempt(identity) => return Ok(()),
            Some(identity) => (kind.reason(), self.rate(kind).take(identity.user)),
        };
        let Err(wait) = taken else { return Ok(()) };
        let is_refused = self.is_refused(reason);
        let is_flooding = self.refused.take(connection).is_err() && self.is_refused(Reason::Flooding);
        if !is_refused {
            return Ok(());
        }
        tracing::debug!(user = ?who.map(|who| who.user.0), limit = reason.name(), "an event comes too fast");
        Err(Limited { refusal: rate_limited("too many of these in a short time", wait), is_flooding })
    }

    /// What a user asks without a connection.
    pub(crate) fn call(&self, who: &Identity, kind: Kind) -> Result<(), Refusal> {
        if is_exempt(who) {
            return Ok(());
        }
        match self.rate(kind).take(who.user) {
            Err(wait) if self.is_refused(kind.reason()) => Err(rate_limited("too many of these in a short time", wait)),
            _ => Ok(()),
        }
    }

    /// A connection has sent more packets than any may. Says whether it is to end.
    pub(crate) fn too_many_packets(&self) -> bool {
        self.is_refused(Reason::Packets)
    }

    /// A client is disconnected for flooding.
    pub(crate) fn tell_of_flooding(&self, user: Option<UserId>, address: Option<IpAddr>) {
        self.notices.flooding(user, address);
    }

    /// How often each limit was reached.
    pub(crate) fn refusals(&self) -> Vec<(&'static str, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Reason::ALL.iter().map(|reason| reason.name()).zip(counts).collect()
    }

    /// Forgets who has not been heard of for so long that it makes no difference.
    pub(crate) fn forget_idle(&self) {
        self.connect.forget_idle();
        self.auth_failures.forget_idle();
        for users in [&self.new_gossip, &self.vote_gossip, &self.comment_gossip, &self.other] {
            users.forget_idle();
        }
        self.unauthenticated.forget_idle();
        self.refused.forget_idle();
        self.notices.forget_idle();
    }

    fn rate(&self, kind: Kind) -> &Keyed<UserId> {
        match kind {
            Kind::NewGossip => &self.new_gossip,
            Kind::VoteGossip => &self.vote_gossip,
            Kind::CommentGossip => &self.comment_gossip,
            Kind::Other => &self.other,
        }
    }

    /// A limit was reached: counts it, and says whether anything follows.
    fn is_refused(&self, reason: Reason) -> bool {
        self.counts[reason as usize].fetch_add(1, Ordering::Relaxed);
        self.mode == LimitMode::Enforce
    }
}

/// Services speak for many.
fn is_exempt(identity: &Identity) -> bool {
    identity.role == Role::Service
}

pub(crate) fn rate_limited(message: &'static str, wait: Duration) -> Refusal {
    // Rounded up: who comes back after as many milliseconds is not to be refused again.
    let millis = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    Refusal { retry_after_ms: Some(millis.max(1)), ..Refusal::new(Code::RateLimited, message) }
}
