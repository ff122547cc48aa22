//! Access that changes at the worst moment: between a check and what it was for.

use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use gossip_core::access::{AccessPolicy, Role, RoomAccess, RoomRule, RoomsClaim};
use gossip_core::env::Env;
use gossip_proto::id::{Pid, Seq};
use gossip_proto::reply::Reply;
use gossip_store::RecoveryChange;
use gossip_store::sqlite::SqliteStore;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::*;
use crate::{Claims, Connection, Event, GatewayConfig, Key, Outbox, ReplyTo, SystemEnv, Verifier, VerifierConfig};

const SECRET: &str = "a secret of at least thirty-two bytes";
const ROOM: RoomId = RoomId(Uuid::from_u128(1));
const OTHER: RoomId = RoomId(Uuid::from_u128(2));
const USER: UserId = UserId(Uuid::from_u128(3));

/// Tells what reaches it.
struct Told(mpsc::UnboundedSender<String>, AtomicBool);

impl Told {
    fn tell(&self, line: String) {
        // The test may be over.
        let _ = self.0.send(line);
    }
}

impl Outbox for Told {
    fn event(&self, event: &Arc<Event>) {
        self.tell(format!("{} {}", event.name(), event.data()));
    }

    fn reply(&self, _: &ReplyTo, reply: &Result<Reply, Refusal>) {
        self.tell(match reply {
            Ok(reply) => serde_json::to_value(reply).unwrap()["status"].as_str().unwrap().to_owned(),
            Err(refusal) => format!("refused {:?}", refusal.code),
        });
    }

    fn flush(&self) {}

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn close(&self, close: Close) {
        self.1.store(true, Ordering::SeqCst);
        self.tell(format!("close {}", close.as_str()));
    }

    fn is_closed(&self) -> bool {
        self.1.load(Ordering::SeqCst)
    }
}

/// A client, seen from both of its ends.
struct Client {
    connection: Connection,
    told: mpsc::UnboundedReceiver<String>,
}

impl Client {
    async fn next(&mut self) -> String {
        let next = tokio::time::timeout(Duration::from_secs(20), self.told.recv()).await;
        next.expect("nothing came").unwrap()
    }

    async fn expect(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.next().await, *line);
        }
    }

    async fn send(&self, event: &str, data: &Value) {
        let data = RawValue::from_string(data.to_string()).unwrap();
        self.connection.receive(event, Some(&data), Some(1)).await;
    }
}

struct World {
    gateway: Gateway,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(policy: Arc<dyn AccessPolicy>) -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_path(&folder.path().join("gossip.db"), Duration::from_secs(20)).await.unwrap();
        let config = GatewayConfig { room_access: policy, shards: 1, ..GatewayConfig::default() };
        let verifier = Verifier::new(Key::secret(SECRET), VerifierConfig::default());
        let gateway = Gateway::start(config, Arc::new(store), verifier, Arc::new(SystemEnv)).await.unwrap();
        World { gateway, _folder: folder }
    }

    fn open(&self, identity: Identity, pid: Option<Pid>) -> Client {
        let (tell, told) = mpsc::unbounded_channel();
        let outbox = Box::new(Told(tell, AtomicBool::new(false)));
        let seated = self.gateway.seat(identity, pid, None).unwrap();
        let connection = match pid {
            Some(pid) => self.gateway.connect_tracked(outbox, None, seated, pid, None),
            None => {
                let connection = self.gateway.connect(outbox, None);
                connection.authenticate(seated);
                connection
            }
        };
        Client { connection, told }
    }

    /// What has been noted is written.
    async fn kept(&self, pid: Pid) -> Option<gossip_store::Recovery> {
        self.gateway.inner.recoveries.settled().await.unwrap();
        self.gateway.inner.store.recovery(pid).await.unwrap()
    }
}

fn identity(role: Role) -> Identity {
    Identity { user: USER, role, rooms: RoomsClaim::All, expires_at: Timestamp::MAX, issued_at: None }
}

/// A rule that may be told to change its mind right after its next answer about [`ROOM`]; the gateway hears of it then.
#[derive(Debug, Default)]
struct Fickle {
    is_allowed: AtomicBool,
    changes: AtomicBool,
    gateway: OnceLock<NoDebug>,
}

struct NoDebug(Gateway);

impl std::fmt::Debug for NoDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gateway")
    }
}

impl RoomRule for Fickle {
    fn allows(&self, room: RoomId) -> bool {
        let is_allowed = room != ROOM || self.is_allowed.load(Ordering::SeqCst);
        if room == ROOM && self.changes.swap(false, Ordering::SeqCst) {
            self.is_allowed.store(false, Ordering::SeqCst);
            let gateway = &self.gateway.get().unwrap().0;
            // What `Gateway::access_changed` does, as far as it can be done at once.
            gateway.inner.access.move_on();
            let (done, _) = oneshot::channel();
            gateway.inner.inboxes()[0].push(Item::Recheck { user: USER, done });
        }
        is_allowed
    }
}

#[derive(Debug)]
struct ByFickle(Arc<Fickle>);

impl AccessPolicy for ByFickle {
    fn reach(&self, _: &Identity) -> Reach {
        Reach::Rule(Arc::<Fickle>::clone(&self.0) as _)
    }
}

async fn with_rule() -> (World, Arc<Fickle>) {
    let rule = Arc::new(Fickle { is_allowed: AtomicBool::new(true), ..Fickle::default() });
    let world = World::new(Arc::new(ByFickle(Arc::clone(&rule)))).await;
    assert!(rule.gateway.set(NoDebug(world.gateway.clone())).is_ok());
    (world, rule)
}

fn closed(room: RoomId) -> String {
    format!(r#"room_closed {{"code":"forbidden","roomId":"{room}"}}"#)
}

async fn broadcast(world: &World) {
    for room in [ROOM, OTHER] {
        world.gateway.broadcast_to_room(room, "custom", &room).await.unwrap();
    }
}

#[tokio::test]
async fn what_is_withdrawn_between_check_and_join_does_not_stay() {
    for more in [json!({}), json!({ "history": 5 }), json!({ "since": 0 })] {
        let (world, rule) = with_rule().await;
        let mut client = world.open(identity(Role::User), None);
        client.send("join_room", &json!({ "roomId": OTHER })).await;
        client.expect(&["joined"]).await;
        rule.changes.store(true, Ordering::SeqCst);
        let mut data = more.clone();
        data["roomId"] = json!(ROOM);
        client.send("join_room", &data).await;
        broadcast(&world).await;
        client.expect(&["refused Forbidden", &closed(ROOM), &format!("custom \"{OTHER}\"")]).await;
    }
}

#[tokio::test]
async fn what_is_withdrawn_between_check_and_join_of_a_room_that_is_live_does_not_stay() {
    let (world, rule) = with_rule().await;
    // Whom nobody looks at.
    let mut other = world.open(Identity { user: UserId::NIL, ..identity(Role::User) }, None);
    for room in [ROOM, OTHER] {
        other.send("join_room", &json!({ "roomId": room })).await;
        other.expect(&["joined"]).await;
    }
    let mut client = world.open(identity(Role::User), None);
    rule.changes.store(true, Ordering::SeqCst);
    // Answered by the shard at once, which could not know.
    client.send("join_room", &json!({ "roomId": ROOM })).await;
    client.expect(&["joined", &closed(ROOM)]).await;
    client.send("join_room", &json!({ "roomId": OTHER })).await;
    client.expect(&["joined"]).await;
    broadcast(&world).await;
    client.expect(&[&format!("custom \"{OTHER}\"")]).await;
    other.expect(&[&format!("custom \"{ROOM}\""), &format!("custom \"{OTHER}\"")]).await;
}

#[tokio::test]
async fn what_is_withdrawn_while_rooms_are_resumed_does_not_stay() {
    let (world, rule) = with_rule().await;
    let mut client = world.open(identity(Role::User), None);
    rule.changes.store(true, Ordering::SeqCst);
    client.connection.resume(vec![(ROOM, Seq(0)), (OTHER, Seq(0))]).await;
    broadcast(&world).await;
    let resumed = format!(r#"resumed {{"rooms":{{"{OTHER}":{{"recovered":true,"seq":0}}}}}}"#);
    client.expect(&[&closed(ROOM), &resumed, &format!("custom \"{OTHER}\"")]).await;
}

#[tokio::test]
async fn what_is_withdrawn_while_a_connection_is_recovered_does_not_stay() {
    let (world, rule) = with_rule().await;
    let pid = world.gateway.new_pid();
    let mut client = world.open(identity(Role::User), Some(pid));
    for room in [ROOM, OTHER] {
        client.send("join_room", &json!({ "roomId": room })).await;
        client.expect(&["joined"]).await;
    }
    drop(client);
    let again = world.gateway.recoverable(&identity(Role::User), pid, None).await.unwrap().unwrap();
    let mut client = world.open(identity(Role::User), Some(pid));
    rule.changes.store(true, Ordering::SeqCst);
    client.connection.recover(again).await;
    broadcast(&world).await;
    client.expect(&[&closed(ROOM), &format!("custom \"{OTHER}\"")]).await;
    let rooms = world.kept(pid).await.unwrap().rooms;
    assert_eq!(rooms.iter().map(|(room, _)| *room).collect::<Vec<_>>(), [OTHER]);
}

#[tokio::test]
async fn a_rule_of_ones_own_holds_on_every_path_and_what_it_takes_ends_at_once() {
    let (world, rule) = with_rule().await;
    let mut client = world.open(identity(Role::User), None);
    let post = json!({ "roomId": ROOM, "content": "psst" });
    client.send("new_gossip", &post).await;
    client.expect(&["success"]).await;
    let intent = world.gateway.inner.store.intents(ROOM, None, 1, None).await.unwrap().items.remove(0).id;
    for room in [ROOM, OTHER] {
        client.send("join_room", &json!({ "roomId": room })).await;
        client.expect(&["joined"]).await;
    }
    rule.is_allowed.store(false, Ordering::SeqCst);
    world.gateway.access_changed(UserId::NIL).await.unwrap();
    world.gateway.access_changed(USER).await.unwrap();
    client.expect(&[&closed(ROOM)]).await;
    broadcast(&world).await;
    client.expect(&[&format!("custom \"{OTHER}\"")]).await;
    for (event, data, refused) in [
        ("join_room", json!({ "roomId": ROOM }), "refused Forbidden"),
        ("list_gossip", json!({ "roomId": ROOM }), "refused Forbidden"),
        ("new_gossip", post, "refused Forbidden"),
        ("vote_gossip", json!({ "intentId": intent, "action": "upvote" }), "refused NotFound"),
        ("comment_gossip", json!({ "intentId": intent, "content": "hm" }), "refused NotFound"),
        ("get_gossip", json!({ "intentId": intent }), "refused NotFound"),
        ("list_updates", json!({ "intentId": intent }), "refused NotFound"),
    ] {
        client.send(event, &data).await;
        assert_eq!(client.next().await, refused, "{event}");
    }
}

#[tokio::test]
async fn a_rule_takes_over_from_memberships_and_those_from_a_rule() {
    // An admin who becomes a member of nothing: what was reached as an admin ends.
    let world = World::new(Arc::new(RoomAccess::Members)).await;
    let mut client = world.open(identity(Role::Admin), None);
    world.gateway.add_member(OTHER, USER).await.unwrap();
    for room in [ROOM, OTHER] {
        client.send("join_room", &json!({ "roomId": room })).await;
        client.expect(&["joined"]).await;
    }
    let exp = SystemEnv.now().plus(Duration::from_secs(60)).as_millis() / 1000;
    let claims = Claims { sub: USER, iat: None, exp, role: "user", rooms: None, iss: None, aud: None };
    let token = Key::secret(SECRET).sign(&claims).unwrap();
    client.send("authenticate", &json!({ "token": token })).await;
    client.expect(&["authenticated"]).await;
    broadcast(&world).await;
    client.expect(&[&closed(ROOM), &format!("custom \"{OTHER}\"")]).await;
    // The policy's other members are not touched by what is no news to them.
    world.gateway.access_changed(USER).await.unwrap();
    broadcast(&world).await;
    client.expect(&[&format!("custom \"{OTHER}\"")]).await;
}

#[tokio::test]
async fn a_token_that_is_revoked_while_it_authenticates_does_not_stay() {
    let world = World::new(Arc::new(RoomAccess::Open)).await;
    let not_before = Timestamp::from_millis(5);
    // After the token was verified, and before the connection is known to the shard.
    world.gateway.inner.access.revoke(&[Revocation { user: USER, not_before }]);
    let mut client = world.open(identity(Role::User), None);
    client.expect(&["refused InvalidToken", "close revoked"]).await;
    let later = Identity { issued_at: Some(not_before), ..identity(Role::User) };
    let mut client = world.open(later, None);
    client.send("join_room", &json!({ "roomId": ROOM })).await;
    client.expect(&["joined"]).await;
}

#[tokio::test]
async fn a_revoked_connection_is_not_written_down_again() {
    let world = World::new(Arc::new(RoomAccess::Open)).await;
    let pid = world.gateway.new_pid();
    let mut client = world.open(identity(Role::User), Some(pid));
    client.send("join_room", &json!({ "roomId": ROOM })).await;
    client.expect(&["joined"]).await;
    assert!(world.kept(pid).await.is_some());
    world.gateway.disconnect_user(USER, None).await.unwrap();
    client.expect(&["refused InvalidToken", "close revoked"]).await;
    assert_eq!(world.kept(pid).await, None);
    // A join that was under way writes what it had to.
    client.send("join_room", &json!({ "roomId": OTHER })).await;
    assert_eq!(world.kept(pid).await, None);
    // Nor does another's connection of that name come back to life.
    world.gateway.inner.recoveries.note(RecoveryChange::Join { pid, room: ROOM, seq: Seq(1) });
    assert_eq!(world.kept(pid).await, None);
}

#[test]
fn tokens_are_revoked_by_when_they_were_issued() {
    let access = Access::default();
    let at = Timestamp::from_millis;
    for not_before in [3, 5, 4] {
        access.revoke(&[Revocation { user: USER, not_before: at(not_before) }]);
    }
    for (issued_at, is_revoked) in [(None, true), (Some(at(4)), true), (Some(at(5)), false), (Some(at(6)), false)] {
        let identity = Identity { issued_at, ..identity(Role::Admin) };
        assert_eq!(access.is_revoked(&identity), is_revoked, "{issued_at:?}");
        assert_eq!(access.admit(identity.clone()).map_err(|refusal| refusal.code).is_err(), is_revoked);
        assert!(!access.is_revoked(&Identity { user: UserId::NIL, ..identity }));
    }
}

#[tokio::test]
async fn revocations_are_known_from_the_start_however_many() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open_path(&folder.path().join("gossip.db"), Duration::from_secs(20)).await.unwrap();
    let user = |n: u64| UserId(Uuid::from_u128(u128::from(n)));
    let many = PAGE + 2;
    for n in 0..many {
        store.revoke(user(n), Some(Timestamp::from_millis(1)), Timestamp::from_millis(1)).await.unwrap();
    }
    let (access, _) = Access::load(&store).await.unwrap();
    let is_revoked = |n| access.is_revoked(&Identity { user: user(n), ..identity(Role::User) });
    assert!((0..many).all(is_revoked) && !is_revoked(many));
}

#[tokio::test]
async fn a_time_far_ahead_is_refused() {
    let world = World::new(Arc::new(RoomAccess::Open)).await;
    let now = SystemEnv.now();
    let refused = world.gateway.disconnect_user(USER, Some(now.plus(MAX_AHEAD * 2))).await.unwrap_err();
    assert_eq!((refused.code, refused.field), (Code::InvalidInput, Some("notBefore")));
    assert!(!world.gateway.inner.access.is_revoked(&identity(Role::User)));
    world.gateway.disconnect_user(USER, Some(now.plus(MAX_AHEAD / 2))).await.unwrap();
    assert!(world.gateway.inner.access.is_revoked(&identity(Role::User)));
}
