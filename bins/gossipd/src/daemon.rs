//! The wiring: from settings to a running server, and back to nothing in good order.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gossip_core::access::RoomAccess;
use gossip_core::env::Env;
use gossip_core::text::Limits;
use gossip_hub::{Gateway, GatewayConfig, Key, Verifier, VerifierConfig};
use gossip_proto::id::UserId;
use gossip_store::Store;
use gossip_store::postgres::{self, PostgresStore};
use gossip_store::queue::Config as QueueConfig;
use gossip_store::sqlite::SqliteStore;
use gossip_ws::gossip::service::RETRY_AFTER_DRAIN;
use gossip_ws::gossip::{DevToken, DevTokens, GossipService, ServiceConfig};
use gossip_ws::listener;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::config::{Settings, TokenRole};
use crate::{config, dev, token};

/// Connections that may wait to be accepted: a crowd that comes back at once is not to be turned away, which costs its
/// clients a second and more. The system may have a lower bound of its own.
const BACKLOG: u32 = 4096;

/// How often it is tried again to listen where another process does, and how much longer than `DRAIN_TIMEOUT` that may
/// take to be gone.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// See [`LOOK_AGAIN`].
const LET_GO: Duration = Duration::from_secs(2);

/// What HTTP requests under way get at the end, even where nothing is left of `DRAIN_TIMEOUT`.
const LAST_REQUESTS: Duration = Duration::from_millis(100);

/// How long closing the database may take: with nothing under way it is a matter of milliseconds.
const CLOSE_STORE: Duration = Duration::from_secs(1);
/// Over how long a large crowd is closed, so that it does not return all at once; less where `DRAIN_TIMEOUT` is short.
const MAX_SPREAD: Duration = Duration::from_secs(2);

/// Why the daemon does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting that cannot be used: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// The database.
    #[error("{variable}: the database cannot be used")]
    Store {
        /// The setting that named it.
        variable: &'static str,
        /// Why.
        #[source]
        source: gossip_store::Error,
    },
    /// The address.
    #[error("WS_HOST, WS_PORT: cannot listen on {address}")]
    Listen {
        /// As configured.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The gateway.
    #[error("the gateway cannot start")]
    Gateway(#[source] gossip_hub::Error),
    /// The secret of `--dev`.
    #[error("the secret in {file} can be neither read nor made")]
    DevSecret {
        /// Its file.
        file: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A fault of ours, after which nothing can be promised.
    #[error("the server failed; the log says why")]
    Failed,
    /// Something was still under way at the end.
    #[error("not everything could be finished within DRAIN_TIMEOUT")]
    NotDrained,
    /// A token of our own.
    #[error("JWT_SECRET: a token cannot be made")]
    Token(#[source] gossip_hub::Error),
}

impl Error {
    /// Contract §7: 2 for bad usage or configuration, 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) | Error::Token(_) => 2,
            Error::Store { source: gossip_store::Error::Url(_), .. } => 2,
            Error::Store { .. }
            | Error::Listen { .. }
            | Error::DevSecret { .. }
            | Error::Gateway(_)
            | Error::Failed
            | Error::NotDrained => 1,
        }
    }
}

/// What tells good tokens from bad ones.
///
/// # Errors
/// When the keys are configured by none or several of the variables, or cannot be used.
pub fn verifier(settings: &Settings, is_dev: bool) -> Result<Verifier, Error> {
    let config = VerifierConfig {
        issuer: settings.jwt_issuer.clone(),
        audience: settings.jwt_audience.clone(),
        leeway: settings.jwt_leeway,
    };
    match only(settings)? {
        Some(Keys::Set(file)) => {
            Verifier::from_jwks_file(file, config).map_err(|error| Error::Usage(format!("JWT_JWKS_FILE: {error}")))
        }
        _ => Ok(Verifier::new(key(settings, is_dev)?, config)),
    }
}

/// The key that tokens of our own are signed with, if it is a secret.
///
/// # Errors
/// As [`verifier`]; and where the keys are a set, which only verifies.
pub fn key(settings: &Settings, is_dev: bool) -> Result<Key, Error> {
    match only(settings)? {
        Some(Keys::Secret(secret)) => {
            if secret.len() < 32 {
                tracing::warn!("JWT_SECRET has fewer than 32 bytes, which can be guessed");
            }
            Ok(Key::secret(secret))
        }
        Some(Keys::Public(file)) => {
            let unusable = |why: String| Error::Usage(format!("JWT_PUBLIC_KEY_FILE: {why}"));
            let pem = std::fs::read(file).map_err(|error| unusable(error.to_string()))?;
            Key::public_pem(&pem).map_err(|error| unusable(error.to_string()))
        }
        Some(Keys::Set(_)) => Err(Error::Token(gossip_hub::Error::CannotSign)),
        None if is_dev => dev::secret(Path::new(dev::SECRET_FILE))
            .map(|secret| Key::secret(&secret))
            .map_err(|source| Error::DevSecret { file: dev::SECRET_FILE, source }),
        None => Err(Error::Usage(
            "no key to verify tokens with: set JWT_SECRET, JWT_PUBLIC_KEY_FILE or JWT_JWKS_FILE, or run with --dev"
                .into(),
        )),
    }
}

/// Where keys are.
enum Keys<'a> {
    Secret(&'a str),
    Public(&'a Path),
    Set(&'a Path),
}

/// The one variable that says where the keys are.
fn only(settings: &Settings) -> Result<Option<Keys<'_>>, Error> {
    match (&settings.jwt_secret, &settings.jwt_public_key_file, &settings.jwt_jwks_file) {
        (None, None, None) => Ok(None),
        (Some(secret), None, None) => Ok(Some(Keys::Secret(secret))),
        (None, Some(file), None) => Ok(Some(Keys::Public(file))),
        (None, None, Some(file)) => Ok(Some(Keys::Set(file))),
        _ => Err(Error::Usage("JWT_SECRET, JWT_PUBLIC_KEY_FILE, JWT_JWKS_FILE: set one of them, no more".into())),
    }
}

/// Opens the database and brings its tables up to date.
///
/// # Errors
/// When it cannot be opened or migrated.
pub async fn open_store(settings: &Settings, is_dev: bool) -> Result<Arc<dyn Store>, Error> {
    let timeout = settings.store_timeout;
    let (variable, url) = match (&settings.database_url, &settings.db_host) {
        (Some(url), _) => ("DATABASE_URL", url.as_str()),
        (None, Some(host)) => {
            let Some(database) = settings.db_name.clone() else {
                return Err(Error::Usage("DB_NAME: with DB_HOST it must say which database".into()));
            };
            let (user, password) = (settings.db_user.clone(), settings.db_password.clone());
            let address = postgres::Address { host: host.clone(), port: settings.db_port, user, password, database };
            let store = PostgresStore::connect(&address, timeout).await;
            return Ok(Arc::new(store.map_err(|source| Error::Store { variable: "DB_HOST", source })?));
        }
        (None, None) if is_dev => ("DATABASE_URL", "sqlite://gossip-dev.db"),
        (None, None) => ("DATABASE_URL", "sqlite://gossip.db"),
    };
    let failed = |source| Error::Store { variable, source };
    match url.split_once(':').map_or("", |(scheme, _)| scheme) {
        "postgres" | "postgresql" => Ok(Arc::new(PostgresStore::open(url, timeout).await.map_err(failed)?)),
        "sqlite" => Ok(Arc::new(SqliteStore::open(url, timeout).await.map_err(failed)?)),
        _ => Err(Error::Usage(format!("{variable}: must begin with postgres:// or sqlite://"))),
    }
}

/// A server that runs. Dropped without [`Daemon::stop`], it goes on until its runtime ends.
pub struct Daemon {
    address: SocketAddr,
    gateway: Gateway,
    service: Arc<GossipService>,
    store: Arc<dyn Store>,
    listening: JoinHandle<()>,
    /// Is told how long the listener may take to end.
    stop: oneshot::Sender<Instant>,
    drain_timeout: Duration,
}

impl Daemon {
    /// Opens the database, listens, and serves.
    ///
    /// # Errors
    /// When one of these fails or a setting cannot be used.
    pub async fn start(settings: &Settings, is_dev: bool, env: Arc<dyn Env>) -> Result<Daemon, Error> {
        refuse_unknown()?;
        if settings.expiry_default_minutes > settings.expiry_max_minutes {
            return Err(Error::Usage("EXPIRY_DEFAULT_MINUTES: must not be over EXPIRY_MAX_MINUTES".into()));
        }
        let verifier = verifier(settings, is_dev)?;
        let store = open_store(settings, is_dev).await?;
        let host = settings.ws_host.as_deref().unwrap_or(if is_dev { "127.0.0.1" } else { "0.0.0.0" });
        let failed = |source| Error::Listen { address: format!("{host}:{}", settings.ws_port), source };
        let addresses = tokio::net::lookup_host((host, settings.ws_port)).await;
        let addresses = addresses.map_err(|error| Error::Usage(format!("WS_HOST: no such address: {error}")))?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        let listener = listen_when_free(&addresses, settings.drain_timeout).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;

        let dev_tokens = if is_dev { dev_tokens(settings, Arc::clone(&env))? } else { None };
        let gateway = Gateway::start(gateway_config(settings, is_dev), Arc::clone(&store), verifier, env).await;
        let gateway = gateway.map_err(Error::Gateway)?;
        let service = Arc::new(GossipService::new(gateway.clone(), &service_config(settings), dev_tokens));
        let config = listener::Config { header_timeout: settings.header_timeout, ..listener::Config::default() };
        let (stop, stopped) = oneshot::channel();
        let serving = listener::serve_until(listener, Arc::clone(&service), config, async {
            match stopped.await {
                Ok(deadline) => deadline,
                // A daemon that is dropped is not one that is stopped.
                Err(_) => std::future::pending().await,
            }
        });
        let listening = tokio::spawn(serving);
        Ok(Daemon { address, gateway, service, store, listening, stop, drain_timeout: settings.drain_timeout })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its gateway, for broadcasts and figures.
    #[must_use]
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Resolves if the server fails as a whole; the process should then end.
    pub async fn failed(&self) {
        self.gateway.failed().await;
    }

    /// Drains: no new connections, every accepted command is carried out and acked, clients are told and closed; then
    /// the database is closed. At most `DRAIN_TIMEOUT`; returns whether all was done by then.
    pub async fn stop(self) -> bool {
        let deadline = Instant::now() + self.drain_timeout;
        let spread = MAX_SPREAD.min(self.drain_timeout / 4);
        let drained = timeout_at(deadline, self.gateway.drain(RETRY_AFTER_DRAIN, spread)).await.is_ok();
        if !drained {
            // Those who are not told go with the process.
            let _ = timeout_at(Instant::now() + LAST_REQUESTS, self.gateway.close_now()).await;
        }
        self.service.close_all();
        // The listener stays until then: polling clients fetch their last packets through it.
        let settled = timeout_at(deadline, self.service.settled()).await.is_ok();
        let last_requests = deadline.max(Instant::now() + LAST_REQUESTS);
        let ended = self.stop.send(last_requests).is_ok() && self.listening.await.is_ok();
        let closed = timeout_at(Instant::now() + CLOSE_STORE, self.store.close()).await;
        let closed = matches!(closed, Ok(Ok(())));
        if !(drained && settled && ended && closed) {
            tracing::warn!(drained, settled, ended, closed, "not everything was done at the end of DRAIN_TIMEOUT");
        }
        drained && settled && ended && closed
    }
}

/// Variables of the contract that this version does not know must not be believed to work.
fn refuse_unknown() -> Result<(), Error> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if let Some((name, why)) = config::HARMFUL_TO_IGNORE.into_iter().find(|(name, _)| is_set(name)) {
        return Err(Error::Usage(format!("{name}: {why}")));
    }
    Ok(())
}

/// Listens, if need be when another process has let go of the port: one that drains has so long for it.
async fn listen_when_free(addresses: &[SocketAddr], patience: Duration) -> io::Result<TcpListener> {
    let until = Instant::now() + patience + LET_GO;
    let mut waiting = false;
    loop {
        match listen(addresses) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                if !std::mem::replace(&mut waiting, true) {
                    tracing::warn!(?addresses, ?patience, "the port is in use; waiting for its process to end");
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            listening => return listening,
        }
    }
}

/// Listens at the first address where that can be done.
fn listen(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for &address in addresses {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let listening = socket.and_then(|socket| {
            // Else a new process could not listen while old connections linger.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        });
        match listening {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn gateway_config(settings: &Settings, is_dev: bool) -> GatewayConfig {
    let default_access = if is_dev { RoomAccess::Open } else { RoomAccess::Claims };
    GatewayConfig {
        shards: settings.shards.unwrap_or_else(|| GatewayConfig::default().shards),
        room_access: Arc::new(settings.room_access.unwrap_or(default_access)),
        text: Limits {
            content: settings.max_content,
            expiry_max_minutes: settings.expiry_max_minutes as u64,
            expiry_default_minutes: settings.expiry_default_minutes as u64,
            ..Limits::default()
        },
        auth_timeout: settings.auth_timeout,
        log_retention: settings.log_retention,
        max_rooms: settings.max_rooms_per_socket,
        limits: settings.limits.config(),
        queue: QueueConfig {
            lanes: settings.commit_lanes,
            delay: settings.commit_delay,
            timeout: settings.store_timeout,
            ..QueueConfig::default()
        },
        ..GatewayConfig::default()
    }
}

fn service_config(settings: &Settings) -> ServiceConfig {
    ServiceConfig {
        cors: settings.ws_cors_origin.clone(),
        ping_interval: settings.ping_interval,
        ping_timeout: settings.ping_timeout,
        upgrade_timeout: settings.upgrade_timeout,
        connect_timeout: settings.auth_timeout,
        max_payload: settings.max_payload,
        trusted_proxies: settings.limits.trusted_proxies.clone(),
        ..ServiceConfig::default()
    }
}

/// None where the key only verifies.
fn dev_tokens(settings: &Settings, env: Arc<dyn Env>) -> Result<Option<DevTokens>, Error> {
    if settings.has_public_keys() {
        return Ok(None);
    }
    let (key, settings) = (key(settings, true)?, settings.clone());
    Ok(Some(Box::new(move |role| {
        let role = match role {
            "user" => TokenRole::User,
            "admin" => TokenRole::Admin,
            "service" => TokenRole::Service,
            _ => return None,
        };
        let user_id = UserId(env.new_id());
        let token = token::for_all_rooms(&key, &settings, user_id, role, env.now()).ok()?;
        Some(DevToken { token, user_id })
    })))
}

/// The token that `--dev` prints: an admin's, for all rooms.
///
/// # Errors
/// When the key cannot sign.
pub fn admin_token(settings: &Settings, env: &dyn Env) -> Result<String, Error> {
    let key = key(settings, true)?;
    token::for_all_rooms(&key, settings, UserId(env.new_id()), TokenRole::Admin, env.now())
}
