//! Where the load of one run goes: a server that is started for it, with a database of its own, both gone afterwards
//! whatever happens; or somebody else's. And which servers are measured in turn.

use std::net::SocketAddr;
use std::time::Duration;

use gossip_core::env::Env as _;
use gossip_hub::{Claims, Key, SystemEnv};
use gossip_proto::id::UserId;
use tokio::net::lookup_host;
use uuid::Uuid;

use crate::cli::{Servers, Tuning};
use crate::database::{Counts, Database, Place};
use crate::error::Error;
use crate::report::Run;
use crate::server::{Kind, Server};

/// How long tokens are good for: longer than any run.
const TOKEN_LIFE: Duration = Duration::from_secs(86_400);

/// A server under load.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) kind: Kind,
    /// `host:port`.
    pub(crate) address: String,
    pub(crate) socket_address: SocketAddr,
    /// `postgres` or `sqlite`; nothing where there is none, or it is not known.
    pub(crate) database: Option<&'static str>,
    /// The server's process, where it is one of ours.
    pub(crate) process: Option<u32>,
    secret: String,
}

impl Target {
    async fn new(kind: Kind, address: &str, secret: &str) -> Result<Target, Error> {
        let looking = || Error::io("looking up the server's address");
        let mut found = lookup_host(address).await.map_err(looking())?;
        let socket_address = found.next().ok_or_else(|| Error::Usage(format!("{address} is no host with a port")))?;
        let (address, secret) = (address.to_owned(), secret.to_owned());
        Ok(Target { kind, address, socket_address, database: None, process: None, secret })
    }

    /// A token of a new user for all rooms.
    ///
    /// # Errors
    /// Where the secret does not sign.
    pub(crate) fn token(&self) -> Result<String, Error> {
        self.token_of("user")
    }

    /// The same, of another role.
    ///
    /// # Errors
    /// As of [`token`](Self::token).
    pub(crate) fn token_of(&self, role: &'static str) -> Result<String, Error> {
        let now = SystemEnv.now();
        let (iat, exp) = (now.as_millis() / 1000, now.plus(TOKEN_LIFE).as_millis() / 1000);
        let sub = UserId(Uuid::new_v4());
        let claims = Claims { sub, iat: Some(iat), exp, role, rooms: Some("*".into()), iss: None, aud: None };
        Ok(Key::secret(&self.secret).sign(&claims)?)
    }

    /// The server's name and settings, on which its figures go.
    pub(crate) fn run(&self) -> Run {
        let mut run = Run::new(self.kind.name());
        if let Some(database) = self.database {
            run.set("database", database);
        }
        run
    }
}

/// Runs the load on each server in turn, as often as is asked for.
///
/// # Errors
/// Where there is nothing to report.
pub(crate) async fn on_each(
    servers: &Servers,
    load: impl AsyncFn(&Target) -> Result<Run, Error>,
) -> Result<Vec<Run>, Error> {
    if let Some((url, secret)) = servers.remote() {
        return Ok(vec![load(&remote(url, secret).await?).await?]);
    }
    let place = Place::of(servers.database_url.as_deref())?;
    let mut runs = Vec::new();
    for (kind, peer) in servers.in_turn() {
        let mut run = on(kind, &place, Tuning::default(), &load).await?.0;
        run.peer = peer;
        runs.push(run);
    }
    Ok(runs)
}

/// A server of somebody else's, at `http://host:port`.
///
/// # Errors
/// Where there is no such host.
pub(crate) async fn remote(url: &str, secret: &str) -> Result<Target, Error> {
    let address = url.strip_prefix("http://").unwrap_or(url).trim_end_matches('/');
    Target::new(Kind::Remote, address, secret).await
}

/// Starts a server for one run, puts the load on it, kills it, and tells what its database then held.
///
/// # Errors
/// Where any of that fails, and on Ctrl-C.
pub(crate) async fn on<T>(
    kind: Kind,
    place: &Place,
    tuning: Tuning,
    load: impl AsyncFn(&Target) -> Result<T, Error>,
) -> Result<(T, Option<Counts>), Error> {
    on_with(kind, place, tuning, &[], load).await
}

/// As [`on`], with variables beyond those that every run sets, or other values of them.
///
/// # Errors
/// As of [`on`].
pub(crate) async fn on_with<T>(
    kind: Kind,
    place: &Place,
    tuning: Tuning,
    settings: &[(&str, &str)],
    load: impl AsyncFn(&Target) -> Result<T, Error>,
) -> Result<(T, Option<Counts>), Error> {
    let database = if kind.has_database() { Some(place.create().await?) } else { None };
    let outcome = tokio::select! {
        outcome = serve_and_load(kind, place, database.as_ref(), tuning, settings, load) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Error::Interrupted),
    };
    let removed = match database {
        Some(database) => database.remove().await,
        None => Ok(()),
    };
    let found = outcome?;
    removed.map(|()| found)
}

async fn serve_and_load<T>(
    kind: Kind,
    place: &Place,
    database: Option<&Database>,
    tuning: Tuning,
    settings: &[(&str, &str)],
    load: impl AsyncFn(&Target) -> Result<T, Error>,
) -> Result<(T, Option<Counts>), Error> {
    let secret = Uuid::new_v4().to_string();
    let server = Server::start(kind, database.map_or("", Database::url), &secret, tuning, settings).await?;
    let mut target = Target::new(kind, server.address(), &secret).await?;
    target.database = database.map(|_| place.name());
    target.process = server.process();
    let found = load(&target).await?;
    server.kill().await?;
    let counts = match database {
        Some(database) => Some(database.counts().await?),
        None => None,
    };
    Ok((found, counts))
}
