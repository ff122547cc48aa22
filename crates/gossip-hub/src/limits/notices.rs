//! What the log tells of clients that go too far: at info, with user and address, the first time for each and then no
//! more than once a minute; and of all together only so many a second, or the log itself could be flooded.

use std::net::IpAddr;
use std::sync::Arc;

use gossip_core::env::Env;
use gossip_proto::id::UserId;

use super::keyed::Keyed;
use super::{Rate, Source};

/// For each whom a line is about.
const EACH: Rate = Rate::seconds(1, 60);
/// For all.
const ALL: Rate = Rate::seconds(10, 1);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum About {
    AuthFailures(Source),
    SocketsOfAddress(Source),
    SocketsOfUser(UserId),
    FloodingUser(UserId),
    FloodingAddress(Option<IpAddr>),
}

pub(super) struct Notices {
    each: Keyed<About>,
    all: Keyed<()>,
}

impl Notices {
    pub(super) fn new(env: &Arc<dyn Env>) -> Notices {
        Notices { each: Keyed::new(EACH, env), all: Keyed::new(ALL, env) }
    }

    pub(super) fn auth_failures(&self, address: Source) {
        if self.is_due(About::AuthFailures(address)) {
            tracing::info!(address = %address.0, "too many bad tokens: nobody is authenticated from there for now");
        }
    }

    pub(super) fn sockets_of_address(&self, address: Source, cap: usize) {
        if self.is_due(About::SocketsOfAddress(address)) {
            tracing::info!(address = %address.0, cap, "too many sockets of one address: more are refused");
        }
    }

    pub(super) fn sockets_of_user(&self, user: UserId, address: Option<IpAddr>, cap: usize) {
        if self.is_due(About::SocketsOfUser(user)) {
            tracing::info!(%user, address = ?address, cap, "too many sockets of one user: more are refused");
        }
    }

    pub(super) fn flooding(&self, user: Option<UserId>, address: Option<IpAddr>) {
        let about = user.map_or(About::FloodingAddress(address), About::FloodingUser);
        if self.is_due(about) {
            tracing::info!(user = ?user.map(|user| user.0), address = ?address, "a client is flooding and is disconnected");
        }
    }

    pub(super) fn forget_idle(&self) {
        self.each.forget_idle();
    }

    /// Whether to write a line. Keys are only kept for lines that were written, so they are few.
    fn is_due(&self, about: About) -> bool {
        self.all.look(()).is_ok() && self.each.take(about).is_ok() && self.all.take(()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::HandEnv;
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_for_each_and_few_for_all() {
        let clock = HandEnv::new();
        let notices = Notices::new(&clock.env());
        let about = |last: u8| About::FloodingAddress(Some([10, 0, 0, last].into()));
        assert!(notices.is_due(about(1)));
        assert!(!notices.is_due(about(1)));
        assert_eq!((0..100).filter(|last| notices.is_due(about(*last))).count(), 9);
        assert_eq!(notices.each.len(), 10);
        clock.advance(Duration::from_secs(121));
        assert!(notices.is_due(about(1)));
        notices.forget_idle();
        assert_eq!(notices.each.len(), 1);
    }
}
