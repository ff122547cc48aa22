//! Each limit with a clock that is turned by hand.

use std::sync::atomic::{AtomicU64, Ordering};

use gossip_core::access::RoomsClaim;
use gossip_proto::timestamp::Timestamp;
use uuid::Uuid;

use super::*;

pub(super) struct HandEnv(AtomicU64);

impl HandEnv {
    pub(super) fn new() -> Arc<HandEnv> {
        Arc::new(HandEnv(AtomicU64::new(1_000_000)))
    }

    pub(super) fn env(self: &Arc<Self>) -> Arc<dyn Env> {
        Arc::<HandEnv>::clone(self)
    }

    pub(super) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }
}

impl Env for HandEnv {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    fn uptime(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::SeqCst))
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

fn limits(mode: LimitMode) -> (Arc<HandEnv>, Limits) {
    let clock = HandEnv::new();
    let limits = Limits::new(&LimitsConfig { mode, ..LimitsConfig::default() }, &clock.env());
    (clock, limits)
}

fn identity(role: Role) -> Identity {
    let expires_at = Timestamp::from_millis(i64::MAX);
    Identity { user: UserId(Uuid::new_v4()), role, rooms: RoomsClaim::All, expires_at, issued_at: None }
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn count(limits: &Limits, name: &str) -> u64 {
    limits.refusals().into_iter().find(|(known, _)| *known == name).unwrap().1
}

const HERE: ConnectionId = ConnectionId(1);

#[test]
fn a_rate_is_so_many_at_once_and_then_one_at_a_time() {
    let (clock, limits) = limits(LimitMode::Enforce);
    let user = identity(Role::User);
    let post = |connection| limits.event(ConnectionId(connection), Some(&user), Kind::NewGossip);
    // 30 in 60 s, whichever of the user's connections they come on.
    (0..30).for_each(|n| post(n % 3).unwrap());
    let refused = post(0).unwrap_err().refusal;
    assert_eq!((refused.code, refused.retry_after_ms), (Code::RateLimited, Some(2000)));
    assert_eq!(post(7).unwrap_err().refusal.retry_after_ms, Some(2000), "another connection has no other rate");
    clock.advance(Duration::from_micros(1_999_999));
    assert_eq!(post(0).unwrap_err().refusal.retry_after_ms, Some(1));
    clock.advance(Duration::from_micros(1));
    post(0).unwrap();
    post(0).unwrap_err();
    // Other events, and other people, are not touched.
    limits.event(HERE, Some(&user), Kind::VoteGossip).unwrap();
    limits.event(HERE, Some(&identity(Role::User)), Kind::NewGossip).unwrap();
    assert_eq!(count(&limits, "new_gossip"), 4);
}

#[test]
fn each_kind_of_event_has_the_rate_of_the_contract() {
    let (_clock, limits) = limits(LimitMode::Enforce);
    for (event, expected) in [
        ("new_gossip", 30),
        ("vote_gossip", 300),
        ("comment_gossip", 60),
        ("update_gossip", 600),
        ("join_room", 600),
        ("list_gossip", 600),
        ("no_such_event", 600),
    ] {
        for role in [Role::User, Role::Admin] {
            let user = identity(role);
            let taken = (0..1000).take_while(|_| limits.event(HERE, Some(&user), Kind::of(event)).is_ok()).count();
            assert_eq!(taken, expected, "{event} {role:?}");
        }
        let service = identity(Role::Service);
        assert!((0..1000).all(|_| limits.event(HERE, Some(&service), Kind::of(event)).is_ok()), "{event}");
    }
}

#[test]
fn who_has_not_authenticated_has_little() {
    let (clock, limits) = limits(LimitMode::Enforce);
    (0..20).for_each(|_| limits.event(HERE, None, Kind::Other).unwrap());
    let refused = limits.event(HERE, None, Kind::Other).unwrap_err().refusal;
    assert_eq!(refused.retry_after_ms, Some(500));
    limits.event(ConnectionId(2), None, Kind::Other).unwrap();
    clock.advance(Duration::from_millis(500));
    limits.event(HERE, None, Kind::Other).unwrap();
}

#[test]
fn a_hundred_refusals_in_a_short_time_are_a_flood() {
    let (clock, limits) = limits(LimitMode::Enforce);
    let user = identity(Role::User);
    let post = || limits.event(HERE, Some(&user), Kind::NewGossip);
    (0..30).for_each(|_| post().unwrap());
    assert!((0..100).all(|_| !post().unwrap_err().is_flooding));
    assert!(post().unwrap_err().is_flooding);
    // It is the connection that floods, not the user.
    let elsewhere = limits.event(ConnectionId(2), Some(&user), Kind::NewGossip);
    assert!(!elsewhere.unwrap_err().is_flooding);
    clock.advance(Duration::from_millis(100));
    assert!(!post().unwrap_err().is_flooding);
    assert!(post().unwrap_err().is_flooding);
    assert_eq!(count(&limits, "flooding"), 2);
}

#[test]
fn bad_tokens_of_an_address_run_out() {
    let (clock, limits) = limits(LimitMode::Enforce);
    let here = address("192.0.2.1");
    // Looking takes nothing.
    (0..100).for_each(|_| limits.may_authenticate(here).unwrap());
    for _ in 0..10 {
        limits.may_authenticate(here).unwrap();
        limits.failed_to_authenticate(here);
    }
    let refused = limits.may_authenticate(here).unwrap_err();
    assert_eq!((refused.code, refused.retry_after_ms), (Code::RateLimited, Some(6000)));
    limits.may_authenticate(address("192.0.2.2")).unwrap();
    limits.may_authenticate(None).unwrap();
    clock.advance(Duration::from_secs(6));
    limits.may_authenticate(here).unwrap();
    limits.failed_to_authenticate(here);
    limits.may_authenticate(here).unwrap_err();
}

#[test]
fn connections_are_opened_at_a_rate() {
    let (clock, limits) = limits(LimitMode::Enforce);
    let here = address("192.0.2.1");
    (0..200).for_each(|_| drop(limits.admit(here).unwrap()));
    assert_eq!(limits.admit(here).unwrap_err().retry_after_ms, Some(5));
    drop(limits.admit(address("192.0.2.2")).unwrap());
    clock.advance(Duration::from_millis(5));
    drop(limits.admit(here).unwrap());
    assert_eq!(count(&limits, "connect"), 1);
}

#[test]
fn an_address_of_ipv6_is_its_64_and_one_of_ipv4_is_itself() {
    for (one, other, same) in [
        ("2001:db8::1", "2001:db8::ffff:0:0:2", true),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
        ("::ffff:192.0.2.1", "192.0.2.1", true),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
        ("192.0.2.1", "192.0.2.2", false),
    ] {
        let source = |text| address(text).map(Source::of);
        assert_eq!(source(one) == source(other), same, "{one} {other}");
    }
}

#[test]
fn sockets_of_an_address_are_counted_until_they_are_gone() {
    let (clock, limits) = limits(LimitMode::Enforce);
    let here = address("2001:db8::1");
    let mut open: Vec<Place> = Vec::new();
    for _ in 0..10 {
        open.extend((0..200).map(|_| limits.admit(here).unwrap()));
        clock.advance(Duration::from_secs(1));
    }
    let refused = limits.admit(address("2001:db8::2")).unwrap_err();
    assert_eq!((refused.code, refused.retry_after_ms), (Code::RateLimited, Some(10_000)));
    drop(limits.admit(address("2001:db8:1::1")).unwrap());
    drop(open.pop());
    open.push(limits.admit(here).unwrap());
    limits.admit(here).unwrap_err();
    assert_eq!(count(&limits, "sockets_per_address"), 2);
    drop(open);
    assert_eq!(limits.addresses.len(), 0);
}

#[test]
fn sockets_of_a_user_are_counted_until_they_are_gone() {
    let (_clock, limits) = limits(LimitMode::Enforce);
    let user = identity(Role::Admin);
    let seat = |pid| limits.seat(user.clone(), pid, None);
    let pid = |n| Some(Pid(Uuid::from_u128(n)));
    let mut open: Vec<Seated> = (0..10).map(|_| seat(None).unwrap()).collect();
    open.extend((0..10).map(|n| seat(pid(n)).unwrap()));
    assert_eq!(seat(None).err().unwrap().code, Code::RateLimited);
    seat(pid(99)).err().unwrap();
    drop(limits.seat(identity(Role::User), None, None).unwrap());

    // One comes back before the end of its last connection was noticed.
    let again = seat(pid(0)).unwrap();
    seat(pid(99)).err().unwrap();
    // That ends at last, and is not counted a second time.
    drop(open.remove(10));
    seat(pid(99)).err().unwrap();
    drop(again);
    open.push(seat(pid(99)).unwrap());
    seat(None).err().unwrap();

    drop(open);
    assert_eq!(limits.users.len(), 0);
    let service = identity(Role::Service);
    let seats: Vec<Seated> = (0..30).map(|_| limits.seat(service.clone(), None, None).unwrap()).collect();
    drop(seats);
}

#[test]
fn who_only_observes_counts_and_lets_through() {
    let (_clock, limits) = limits(LimitMode::Observe);
    let (here, user) = (address("192.0.2.1"), identity(Role::User));
    let places: Vec<Place> = (0..2001).map(|_| limits.admit(here).unwrap()).collect();
    (0..11).for_each(|_| limits.failed_to_authenticate(here));
    limits.may_authenticate(here).unwrap();
    (0..131).for_each(|_| limits.event(HERE, Some(&user), Kind::NewGossip).unwrap());
    (0..21).for_each(|_| limits.event(ConnectionId(2), None, Kind::Other).unwrap());
    let seats: Vec<Seated> = (0..21).map(|_| limits.seat(user.clone(), None, here).unwrap()).collect();
    assert!(!limits.too_many_packets());
    for (name, expected) in [
        ("connect", 1801),
        ("sockets_per_address", 1),
        ("auth_failures", 1),
        ("new_gossip", 101),
        ("flooding", 1),
        ("unauthenticated", 1),
        ("sockets_per_user", 1),
        ("packets", 1),
        ("other", 0),
    ] {
        assert_eq!(count(&limits, name), expected, "{name}");
    }
    drop((places, seats));
    assert_eq!((limits.addresses.len(), limits.users.len()), (0, 0));
}

#[test]
fn who_is_idle_is_forgotten() {
    let (clock, limits) = limits(LimitMode::Enforce);
    for n in 0..5000 {
        let user = identity(Role::User);
        limits.event(ConnectionId(n), Some(&user), Kind::Other).unwrap();
        limits.event(ConnectionId(n), None, Kind::Other).unwrap();
        let address = Some(IpAddr::from([10, 0, (n >> 8) as u8, n as u8]));
        drop(limits.admit(address).unwrap());
        limits.failed_to_authenticate(address);
    }
    let kept = |limits: &Limits| {
        [limits.other.len(), limits.unauthenticated.len(), limits.connect.len(), limits.auth_failures.len()]
    };
    limits.forget_idle();
    assert_eq!(kept(&limits), [5000; 4]);
    clock.advance(Duration::from_secs(1));
    limits.forget_idle();
    assert_eq!(kept(&limits), [0, 0, 0, 5000]);
    clock.advance(Duration::from_secs(60));
    limits.forget_idle();
    assert_eq!(kept(&limits), [0; 4]);
}

#[test]
fn rates_that_make_no_sense_are_none() {
    let second = Duration::from_secs(1);
    assert!(Rate::new(1, second).is_some());
    assert!(Rate::new(Rate::MAX_COUNT, Duration::from_millis(1)).is_some());
    assert!(Rate::new(1, Rate::MAX_PER).is_some());
    for (count, per) in
        [(0, second), (1, Duration::ZERO), (Rate::MAX_COUNT + 1, second), (1, Rate::MAX_PER + Duration::from_millis(1))]
    {
        assert_eq!(Rate::new(count, per), None);
    }
}
