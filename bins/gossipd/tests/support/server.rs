//! A daemon in this process, and the file it keeps its data in, which outlives it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;

use gossip_core::env::Env;
use gossip_hub::{Claims, Key};
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::timestamp::Timestamp;
use gossipd::Daemon;
use gossipd::config::Cli;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::polling::Polling;
use super::websocket::Client;

pub(crate) const SECRET: &str = "a secret of at least thirty-two bytes";

pub(crate) fn new_user() -> UserId {
    UserId(Uuid::new_v4())
}

pub(crate) fn new_room() -> RoomId {
    RoomId(Uuid::new_v4())
}

/// A token for all rooms.
pub(crate) fn token(user: UserId, role: &'static str, expires_at: Timestamp) -> String {
    let exp = expires_at.as_millis() / 1000;
    let claims = Claims { sub: user, exp, role, rooms: Some("*".into()), iss: None, aud: None };
    Key::secret(SECRET).sign(&claims).unwrap()
}

/// Where a daemon lives: its database and its clock.
pub(crate) struct Home {
    directory: TempDir,
    env: Arc<dyn Env>,
}

impl Home {
    pub(crate) fn new(env: Arc<dyn Env>) -> Home {
        Home { directory: TempDir::new().unwrap(), env }
    }

    /// Starts a daemon here. `more` are further arguments.
    pub(crate) async fn start(&self, more: &[&str]) -> Server {
        let database = format!("sqlite://{}", self.directory.path().join("gossip.db").display());
        let ours = ["gossipd", "--ws-host", "127.0.0.1", "--ws-port", "0", "--room-access", "claims"];
        let theirs = ["--jwt-secret", SECRET, "--database-url", &database];
        let args = ours.iter().chain(&theirs).chain(more).map(OsString::from);
        let settings = Cli::read(args).unwrap().settings;
        let daemon = Daemon::start(&settings, false, Arc::clone(&self.env)).await.unwrap();
        Server { daemon, env: Arc::clone(&self.env) }
    }

    /// The database as anyone may open it.
    pub(crate) async fn database(&self) -> SqliteConnection {
        let file = self.directory.path().join("gossip.db");
        SqliteConnectOptions::new().filename(file).read_only(true).connect().await.unwrap()
    }
}

pub(crate) struct Server {
    pub(crate) daemon: Daemon,
    env: Arc<dyn Env>,
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.daemon.address()
    }

    /// A token that is good for a week.
    pub(crate) fn token(&self, role: &'static str) -> String {
        self.token_of(new_user(), role)
    }

    pub(crate) fn token_of(&self, user: UserId, role: &'static str) -> String {
        token(user, role, self.env.now().plus(std::time::Duration::from_secs(7 * 86_400)))
    }

    /// A Socket.IO client of a new user on a WebSocket.
    pub(crate) async fn client(&self, role: &'static str) -> Client {
        Client::socket_io(self.address(), Some(&self.token(role))).await
    }

    /// A new user's client on the plain WebSocket.
    pub(crate) async fn plain(&self, role: &'static str) -> Client {
        Client::plain(self.address(), Some(&self.token(role))).await
    }

    /// A new user's Socket.IO client on long-polling.
    pub(crate) async fn polling(&self, role: &'static str) -> Polling {
        Polling::connect(self.address(), Some(&self.token(role))).await.unwrap()
    }
}
