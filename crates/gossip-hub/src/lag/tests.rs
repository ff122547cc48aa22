//! Who reads for connections that lag, with a real store: that it brings all there is, waits for a store that is away,
//! and closes rather than leave a hole.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use gossip_core::access::{Identity, Role, RoomAccess, RoomsClaim};
use gossip_proto::id::UserId;
use gossip_proto::reply::Reply;
use gossip_proto::timestamp::Timestamp;
use gossip_store::queue::Config as QueueConfig;
use gossip_store::sqlite::SqliteStore;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

use super::*;
use crate::shard::ConnectionId;
use crate::{Event, GatewayConfig, Key, Outbox, ReplyTo, SystemEnv, Verifier, VerifierConfig};

const ROOM: RoomId = RoomId(Uuid::from_u128(1));

/// Tells what reaches it, and takes it or not.
struct Told {
    told: mpsc::UnboundedSender<String>,
    takes: watch::Sender<bool>,
    is_closed: AtomicBool,
}

impl Told {
    fn tell(&self, line: String) {
        // The test may be over.
        let _ = self.told.send(line);
    }
}

impl Outbox for Arc<Told> {
    fn event(&self, event: &Arc<Event>) {
        let data: Value = serde_json::from_str(event.data()).unwrap();
        self.tell(format!("{} {}", event.name(), data["seq"]));
    }

    fn reply(&self, _: &ReplyTo, reply: &Result<Reply, Refusal>) {
        self.tell(match reply {
            Ok(reply) => serde_json::to_value(reply).unwrap()["status"].as_str().unwrap().to_owned(),
            Err(refusal) => format!("refused {:?}", refusal.code),
        });
    }

    fn flush(&self) {}

    fn is_behind(&self) -> bool {
        !*self.takes.borrow()
    }

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            let mut takes = self.takes.subscribe();
            let drained = takes.wait_for(|takes| *takes || self.is_closed.load(Ordering::SeqCst)).await;
            drop(drained.unwrap());
        })
    }

    fn close(&self, close: Close) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.takes.send_modify(|_| ());
        self.tell(format!("close {}", close.as_str()));
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }
}

struct Client {
    connection: Connection,
    outbox: Arc<Told>,
    told: mpsc::UnboundedReceiver<String>,
}

impl Client {
    async fn next(&mut self) -> String {
        timeout(Duration::from_secs(20), self.told.recv()).await.expect("nothing came").unwrap()
    }

    async fn send(&self, event: &str, data: &Value) {
        let data = RawValue::from_string(data.to_string()).unwrap();
        self.connection.receive(event, Some(&data), Some(1)).await;
    }

    /// The next events are these, each once and in order.
    async fn gets(&mut self, seqs: std::ops::RangeInclusive<u64>) {
        for seq in seqs {
            assert_eq!(self.next().await, format!("gossip_update {seq}"));
        }
    }
}

fn outbox(takes: bool) -> (Arc<Told>, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    let takes = watch::Sender::new(takes);
    (Arc::new(Told { told: tell, takes, is_closed: AtomicBool::new(false) }), told)
}

struct World {
    gateway: Gateway,
    store: Arc<SqliteStore>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new(store_timeout: Duration) -> World {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open_path(&folder.path().join("gossip.db"), Duration::from_secs(20)).await.unwrap();
        let store = Arc::new(store);
        let config = GatewayConfig {
            room_access: Arc::new(RoomAccess::Open),
            queue: QueueConfig { timeout: store_timeout, ..QueueConfig::default() },
            limits: crate::LimitsConfig { mode: crate::LimitMode::Observe, ..crate::LimitsConfig::default() },
            shards: 1,
            ..GatewayConfig::default()
        };
        let verifier = Verifier::new(Key::secret("a secret of at least thirty-two bytes"), VerifierConfig::default());
        let shared = Arc::clone(&store);
        let gateway = Gateway::start(config, shared, verifier, Arc::new(SystemEnv)).await.unwrap();
        World { gateway, store, _folder: folder }
    }

    fn open(&self) -> Client {
        let (outbox, told) = outbox(true);
        let connection = self.gateway.connect(Box::new(Arc::clone(&outbox)), None);
        let user = UserId(Uuid::new_v4());
        let identity =
            Identity { user, role: Role::User, rooms: RoomsClaim::All, expires_at: Timestamp::MAX, issued_at: None };
        connection.authenticate(self.gateway.seat(identity, None, None).unwrap());
        Client { connection, outbox, told }
    }

    /// A member of the room that takes nothing from now on, while so much passes.
    async fn stuck(&self, posts: u64) -> Client {
        let mut client = self.open();
        client.send("join_room", &json!({ "roomId": ROOM })).await;
        assert_eq!(client.next().await, "joined");
        client.outbox.takes.send_replace(false);
        self.post(posts).await;
        client
    }

    async fn post(&self, posts: u64) {
        let mut author = self.open();
        for _ in 0..posts {
            author.send("new_gossip", &json!({ "roomId": ROOM, "content": "x" })).await;
        }
        for _ in 0..posts {
            assert_eq!(author.next().await, "success");
        }
    }
}

#[tokio::test]
async fn all_that_was_left_in_the_log_comes_when_the_client_takes_more() {
    let world = World::new(Duration::from_secs(20)).await;
    let mut client = world.stuck(300).await;
    assert_eq!(world.gateway.slow_readers(), SlowReaders { lagged: 1, closed: 0 });
    assert!(client.told.try_recv().is_err(), "not before that");
    client.outbox.takes.send_replace(true);
    client.gets(1..=300).await;
    world.post(2).await;
    client.gets(301..=302).await;
    client.connection.was_slow();
    assert_eq!(world.gateway.slow_readers(), SlowReaders { lagged: 1, closed: 1 });
}

#[tokio::test]
async fn who_joins_again_while_it_lags_has_all_before_the_ack() {
    let world = World::new(Duration::from_secs(20)).await;
    let mut client = world.stuck(300).await;
    let again = async {
        client
            .connection
            .receive(
                "join_room",
                Some(&RawValue::from_string(json!({ "roomId": ROOM, "history": 1 }).to_string()).unwrap()),
                Some(2),
            )
            .await;
    };
    let takes = async {
        tokio::task::yield_now().await;
        client.outbox.takes.send_replace(true);
    };
    tokio::join!(again, takes);
    client.gets(1..=300).await;
    assert_eq!(client.next().await, "joined");
    world.post(1).await;
    client.gets(301..=301).await;
}

#[tokio::test]
async fn who_cannot_be_told_all_is_closed_rather_than_told_a_part() {
    let world = World::new(Duration::from_secs(20)).await;
    // All of it is gone, or the first part.
    for (before, after) in [(3, 0), (3, 2)] {
        let mut client = world.stuck(before).await;
        while world.store.prune(Timestamp::MAX, 100).await.unwrap() > 0 {}
        world.post(after).await;
        client.outbox.takes.send_replace(true);
        assert_eq!(client.next().await, "close slow_reader");
    }
}

#[tokio::test]
async fn a_store_that_stays_away_is_not_asked_for_ever() {
    let world = World::new(Duration::from_millis(200)).await;
    let mut client = world.stuck(3).await;
    world.store.close().await.unwrap();
    client.outbox.takes.send_replace(true);
    assert_eq!(client.next().await, "close slow_reader");
}

#[tokio::test]
async fn only_so_many_read_at_once() {
    let world = World::new(Duration::from_secs(20)).await;
    world.post(1).await;
    let reads = Arc::new(Semaphore::new(0));
    let inbox = Arc::new(Inbox::default());
    let store = Arc::clone(&world.store) as Arc<dyn Store>;
    let failure = Arc::default();
    let refiller = Refiller {
        store,
        inbox: Arc::clone(&inbox),
        failure,
        timeout: Duration::from_secs(20),
        reads: Arc::clone(&reads),
    };
    let (outbox, _told) = outbox(true);
    let peer = Arc::new(Peer::new(ConnectionId(1), Box::new(outbox), None));
    refiller.start(peer);
    let mut items = Vec::new();
    inbox.take(&mut items).await;
    let Some(Item::Missing { done, .. }) = items.pop() else { panic!("it asks what is missing first") };
    let rooms = |seq| vec![(ROOM, Seq(seq))];
    assert!(done.send(Some(Missing { version: 7, after: rooms(0), last: rooms(1) })).is_ok());
    // Long enough for who would not wait for its turn.
    assert!(timeout(Duration::from_millis(100), inbox.take(&mut items)).await.is_err());
    reads.add_permits(1);
    inbox.take(&mut items).await;
    let Some(Item::Refill { refill, .. }) = items.pop() else { panic!("it brings what it read") };
    assert_eq!((refill.version, refill.events.len(), refill.is_last), (7, 1, true));
    assert_eq!(reads.available_permits(), 1);
}
