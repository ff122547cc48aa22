//! A daemon in this process, and the file it keeps its data in, which outlives it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use gossip_core::env::Env;
use gossip_hub::{Claims, Key};
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::timestamp::Timestamp;
use gossipd::Daemon;
use gossipd::config::Cli;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};
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
    token_issued(user, role, None, expires_at)
}

/// As [`token`], saying since when.
pub(crate) fn token_issued(
    user: UserId,
    role: &'static str,
    issued_at: Option<Timestamp>,
    expires_at: Timestamp,
) -> String {
    let (iat, exp) = (issued_at.map(|at| at.as_millis() / 1000), expires_at.as_millis() / 1000);
    let claims = Claims { sub: user, iat, exp, role, rooms: Some("*".into()), iss: None, aud: None };
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

    /// Starts a daemon here, which lets through whatever is too much. `more` are further arguments.
    pub(crate) async fn start(&self, more: &[&str]) -> Server {
        self.start_limiting(&[&["--rate-limit-mode", "observe"], more].concat()).await
    }

    /// Starts a daemon with its limits.
    pub(crate) async fn start_limiting(&self, more: &[&str]) -> Server {
        let database = format!("sqlite://{}", self.directory.path().join("gossip.db").display());
        let ours = ["gossipd", "--ws-host", "127.0.0.1", "--ws-port", "0", "--database-url", &database];
        let unless = |name, default: [&'static str; 2]| if more.contains(&name) { vec![] } else { default.to_vec() };
        let access = unless("--room-access", ["--room-access", "claims"]);
        let key = unless("--jwt-jwks-file", ["--jwt-secret", SECRET]);
        let args = ours.iter().chain(&access).chain(&key).chain(more).map(OsString::from);
        let settings = Cli::read(args).unwrap().settings;
        let daemon = Daemon::start(&settings, false, Arc::clone(&self.env)).await.unwrap();
        Server { daemon, env: Arc::clone(&self.env) }
    }

    /// A file of this name beside the database.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// As somebody with a database client.
    pub(crate) async fn execute(&self, sql: String) {
        let options = SqliteConnectOptions::new().filename(self.file("gossip.db"));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut options.connect().await.unwrap()).await.unwrap();
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

    /// The code and message by which a handshake is refused; nothing where it is not.
    pub(crate) async fn refused(&self, token: &str) -> Option<(String, String)> {
        let answer = Polling::connect(self.address(), Some(token)).await.err()?.to_string();
        let error: Value = serde_json::from_str(answer.strip_prefix("44/gossip,").unwrap()).unwrap();
        let data = &error["data"];
        Some((data["code"].as_str().unwrap().to_owned(), data["message"].as_str().unwrap().to_owned()))
    }
}
