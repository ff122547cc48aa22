//! Access to rooms by a policy of one's own, whose answers change while clients are connected: rooms belong to tenants,
//! and so do users, by a map in memory. `cargo run -p gossip-hub --example access_policy` lets a user try a room of each
//! of two tenants, moves the user from one to the other, and prints what the user's connection is told. To try: leave out
//! the call of `access_changed`, and see who still hears a room.

use std::collections::HashMap;
use std::error::Error;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use gossip_core::access::{AccessPolicy, Identity, Reach, Role, RoomRule};
use gossip_hub::{
    Claims, Close, Event, Gateway, GatewayConfig, Key, Outbox, ReplyTo, SystemEnv, Verifier, VerifierConfig,
};
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::refusal::Refusal;
use gossip_proto::reply::Reply;
use gossip_proto::request::Token;
use gossip_store::sqlite::SqliteStore;
use serde_json::json;
use serde_json::value::to_raw_value;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Whose something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tenant {
    North,
    South,
}

/// Which room and which user is whose. A service would fill it from its own database, and keep it up to date.
#[derive(Debug, Default)]
struct Tenants {
    rooms: RwLock<HashMap<RoomId, Tenant>>,
    users: RwLock<HashMap<UserId, Tenant>>,
}

impl Tenants {
    fn give(&self, room: RoomId, tenant: Tenant) {
        self.rooms.write().unwrap_or_else(PoisonError::into_inner).insert(room, tenant);
    }

    fn employ(&self, user: UserId, tenant: Tenant) {
        self.users.write().unwrap_or_else(PoisonError::into_inner).insert(user, tenant);
    }

    fn share(&self, user: UserId, room: RoomId) -> bool {
        let tenant = self.users.read().unwrap_or_else(PoisonError::into_inner).get(&user).copied();
        // A user without a tenant has nothing in common with a room without one.
        tenant.is_some() && tenant == self.rooms.read().unwrap_or_else(PoisonError::into_inner).get(&room).copied()
    }
}

/// Asked once for each token.
#[derive(Debug)]
struct ByTenant(Arc<Tenants>);

impl AccessPolicy for ByTenant {
    fn reach(&self, identity: &Identity) -> Reach {
        match identity.role {
            Role::Admin | Role::Service => Reach::All,
            Role::User => Reach::Rule(Arc::new(Employed { user: identity.user, tenants: Arc::clone(&self.0) })),
        }
    }
}

/// Asked whenever the user names a room, also within a transaction: it looks at the map, and waits for nothing.
#[derive(Debug)]
struct Employed {
    user: UserId,
    tenants: Arc<Tenants>,
}

impl RoomRule for Employed {
    fn allows(&self, room: RoomId) -> bool {
        self.tenants.share(self.user, room)
    }
}

/// Writes down what a client is told; a transport that is one is in `custom_transport.rs`.
struct Heard(mpsc::Sender<String>);

impl Outbox for Heard {
    fn event(&self, event: &Arc<Event>) {
        let _ = self.0.try_send(format!("{} {}", event.name(), event.data()));
    }

    fn reply(&self, _: &ReplyTo, reply: &Result<Reply, Refusal>) {
        let _ = self.0.try_send(match reply {
            Ok(_) => "yes".to_owned(),
            Err(refusal) => format!("no: {}", refusal.message),
        });
    }

    fn flush(&self) {}

    fn drained(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::ready(()))
    }

    fn close(&self, _: Close) {}

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}

/// What happens, and what the user is told of it.
pub(crate) async fn story() -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let [north, south] = [1, 2].map(|n| RoomId(Uuid::from_u128(n)));
    let user = UserId(Uuid::from_u128(3));
    let tenants = Arc::new(Tenants::default());
    tenants.give(north, Tenant::North);
    tenants.give(south, Tenant::South);
    tenants.employ(user, Tenant::North);

    let dir = tempfile::tempdir()?;
    let store = SqliteStore::open_path(&dir.path().join("gossip.db"), Duration::from_secs(2)).await?;
    let config = GatewayConfig { room_access: Arc::new(ByTenant(Arc::clone(&tenants))), ..GatewayConfig::default() };
    let secret = "a secret of at least thirty-two bytes";
    let verifier = Verifier::new(Key::secret(secret), VerifierConfig::default());
    let gateway = Gateway::start(config, Arc::new(store), verifier, Arc::new(SystemEnv)).await?;

    // A client, as a transport would bring it.
    let hour_from_now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs() + 3600;
    let exp = i64::try_from(hour_from_now)?;
    let claims = Claims { sub: user, exp, iat: None, role: "user", rooms: None, iss: None, aud: None };
    let token = Token(Key::secret(secret).sign(&claims)?);
    let told = |refusal: Refusal| refusal.message.into_owned();
    let identity = gateway.verify(&token, None, None).map_err(told)?;
    let seated = gateway.seat(identity, None, None).map_err(told)?;
    let (sender, mut heard) = mpsc::channel(16);
    let connection = gateway.connect(Box::new(Heard(sender)), None);
    connection.authenticate(seated);

    let mut story = Vec::new();
    let mut note = async |what: &str| story.push(format!("{what}: {}", heard.recv().await.unwrap_or_default()));
    let join = async |room: RoomId| {
        let data = to_raw_value(&json!({ "roomId": room }))?;
        connection.receive("join_room", Some(&data), Some(1)).await;
        Ok::<_, serde_json::Error>(())
    };
    join(north).await?;
    note("north").await;
    join(south).await?;
    note("south").await;
    // The map first, then the gateway: whoever asks from now on is answered by the new map, and who is in goes out.
    tenants.employ(user, Tenant::South);
    gateway.access_changed(user).await.map_err(told)?;
    note("moved").await;
    join(north).await?;
    note("north").await;
    join(south).await?;
    note("south").await;
    Ok(story)
}

#[expect(clippy::print_stdout, reason = "what an example has to show")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    for line in story().await? {
        println!("{line}");
    }
    Ok(())
}
