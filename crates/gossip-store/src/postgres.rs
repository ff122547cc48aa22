//! Postgres, for production: many nodes over one database. Every commit is flushed as the server is configured to
//! (`synchronous_commit`); a room's row and the position's row, locked in that order, put the commits of all nodes in
//! one order.
//!
//! Nothing here shows the address: it holds the password.

mod access;
mod commit;
mod failure;
mod load;
mod pool;
mod read;
mod recovery;
mod rows;
#[doc(hidden)]
pub mod sql;
mod write;

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gossip_core::command::Command;
use gossip_core::env::Env;
use gossip_proto::id::{IntentId, Pid, RoomId, Seq, UserId};
use gossip_proto::model::{Intent, Status, Update, Vote};
use gossip_proto::timestamp::Timestamp;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::time::timeout;

use self::failure::timed_out;
use self::pool::{Pool, Server};
use crate::{
    AccessCursor, AccessPage, Committed, Cursor, Error, JoinQuery, LogEvent, Member, Paged, Position, Recovery,
    RecoveryChange, Revocation, RoomSnapshot, Seen, Standing, Store, StoreFuture,
};

/// How many connections write: the lanes of the commit queue, and recoveries beside them.
const WRITERS: u32 = 8;
/// How many connections read.
const READERS: u32 = 8;
/// How long to wait for the first connection, at least.
const OPENING: Duration = Duration::from_secs(10);

/// Where a database is, in parts (`DB_HOST` and the others of contract §7).
#[derive(Clone)]
pub struct Address {
    /// A name, an IP address, or the folder of a Unix socket.
    pub host: String,
    /// 5432 where nothing else is said.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password, if it has one.
    pub password: Option<String>,
    /// The database.
    pub database: String,
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { host, port, user, database, .. } = self;
        write!(f, "Address({user}@{host}:{port}/{database})")
    }
}

/// A Postgres database that keeps gossip.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
}

struct Inner {
    server: Server,
    writers: Pool,
    readers: Pool,
    timeout: Duration,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to `postgres://user:password@host:port/database` and migrates it; several nodes may do so at once.
    /// `timeout` is how long a command may take with its waiting: a batch has half of it for a connection, for locks and
    /// for its statements, the other half is for waiting in the queue before. A COMMIT has half of it, and where that
    /// leaves it in doubt, the other half is for asking.
    ///
    /// # Errors
    /// When the URL is wrong, the database cannot be reached, or the migration fails.
    pub async fn open(url: &str, timeout: Duration) -> Result<Self, Error> {
        // What the parser would say may show a part of the password.
        let wrong = |_| Error::Url("expected postgres://user:password@host:port/database, percent-encoded".into());
        Self::open_with(PgConnectOptions::from_str(url).map_err(wrong)?, timeout).await
    }

    /// As [`PostgresStore::open`], by the parts of the address.
    ///
    /// # Errors
    /// When the database cannot be reached, or the migration fails.
    pub async fn connect(address: &Address, timeout: Duration) -> Result<Self, Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host(&address.host)
            .port(address.port)
            .username(&address.user)
            .database(&address.database);
        let options = match &address.password {
            Some(password) => options.password(password),
            None => options,
        };
        Self::open_with(options, timeout).await
    }

    async fn open_with(options: PgConnectOptions, limit: Duration) -> Result<Self, Error> {
        let options = options.disable_statement_logging();
        migrate(&options, limit.max(OPENING)).await?;
        let server = Server::new(options, limit);
        let pool = |max| Pool::new(server.clone(), max, limit / 2);
        let (writers, readers) = (pool(WRITERS), pool(READERS));
        Ok(PostgresStore { inner: Arc::new(Inner { server, writers, readers, timeout: limit }) })
    }

    fn bounded<'a, T: Send + 'a>(
        &'a self,
        doing: &'static str,
        call: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        let late = move |_| Error::Database { doing, source: timed_out() };
        Box::pin(async move { timeout(self.inner.timeout, call).await.map_err(late)? })
    }

    fn read<'a, T: Send + 'a>(
        &'a self,
        call: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        self.bounded("reading", call)
    }

    fn write<'a, T: Send + 'a>(
        &'a self,
        call: impl Future<Output = Result<T, Error>> + Send + 'a,
    ) -> StoreFuture<'a, T> {
        self.bounded("writing", call)
    }
}

/// On a connection of its own: a migration may take longer than a command may.
async fn migrate(options: &PgConnectOptions, limit: Duration) -> Result<(), Error> {
    let opening = || Error::while_("connecting to the database");
    let mut connection =
        timeout(limit, options.connect()).await.unwrap_or_else(|_| Err(timed_out())).map_err(opening())?;
    sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0")
        .execute(&mut connection)
        .await
        .map_err(opening())?;
    let migrator = sqlx::migrate!("../../migrations/postgres");
    // What `run` does; its future could not be spawned, nor could any that opens a store.
    migrator.run_direct(None, &mut connection, false).await.map_err(Error::Migration)?;
    connection.close().await.map_err(opening())
}

impl Store for PostgresStore {
    fn commit<'a>(&'a self, batch: &'a [Command], env: &'a dyn Env) -> StoreFuture<'a, Committed> {
        let Inner { server, writers, timeout, .. } = &*self.inner;
        Box::pin(commit::commit(writers, server, *timeout, batch, env))
    }

    fn position(&self) -> StoreFuture<'_, Position> {
        self.read(read::last_position(&self.inner.writers))
    }

    fn log(&self, after: Position, limit: u64) -> StoreFuture<'_, Vec<LogEvent>> {
        self.read(read::log(&self.inner.readers, after, limit))
    }

    fn room(&self, room: RoomId, query: JoinQuery) -> StoreFuture<'_, RoomSnapshot> {
        self.read(read::room(&self.inner.readers, room, query))
    }

    fn standings<'a>(&'a self, rooms: &'a [(RoomId, Seen)]) -> StoreFuture<'a, Vec<Standing>> {
        self.read(read::standings(&self.inner.readers, rooms))
    }

    fn replay<'a>(&'a self, after: &'a [(RoomId, Seq)], limit: u64) -> StoreFuture<'a, Vec<LogEvent>> {
        self.read(read::replay(&self.inner.readers, after, limit))
    }

    fn recovery(&self, pid: Pid) -> StoreFuture<'_, Option<Recovery>> {
        self.read(recovery::recovery(&self.inner.readers, pid))
    }

    fn keep<'a>(&'a self, changes: &'a [RecoveryChange], now: Timestamp) -> StoreFuture<'a, ()> {
        self.write(recovery::keep(&self.inner.writers, changes, now))
    }

    fn touch<'a>(&'a self, pids: &'a [Pid], now: Timestamp) -> StoreFuture<'a, ()> {
        self.write(recovery::touch(&self.inner.writers, pids, now))
    }

    fn intent(&self, id: IntentId, viewer: UserId) -> StoreFuture<'_, Option<(Intent, Option<Vote>)>> {
        self.read(read::intent(&self.inner.readers, id, viewer))
    }

    fn intents(
        &self,
        room: RoomId,
        status: Option<Status>,
        limit: u64,
        before: Option<Cursor>,
    ) -> StoreFuture<'_, Paged<Intent>> {
        self.read(read::intents(&self.inner.readers, room, status, limit, before))
    }

    fn updates(
        &self,
        intent: IntentId,
        with_votes: bool,
        limit: u64,
        before: Option<Cursor>,
    ) -> StoreFuture<'_, Paged<Update>> {
        self.read(read::updates(&self.inner.readers, intent, with_votes, limit, before))
    }

    fn is_member(&self, room: RoomId, user: UserId) -> StoreFuture<'_, bool> {
        self.read(read::is_member(&self.inner.readers, room, user))
    }

    fn memberships<'a>(&'a self, pairs: &'a [(RoomId, UserId)]) -> StoreFuture<'a, HashSet<(RoomId, UserId)>> {
        self.read(access::memberships(&self.inner.readers, pairs))
    }

    fn members(&self, room: RoomId, after: Option<UserId>, limit: u64) -> StoreFuture<'_, Vec<Member>> {
        self.read(access::members(&self.inner.readers, room, after, limit))
    }

    fn add_member(&self, room: RoomId, user: UserId, now: Timestamp) -> StoreFuture<'_, ()> {
        self.write(access::add_member(&self.inner.writers, room, user, now))
    }

    fn remove_member(&self, room: RoomId, user: UserId) -> StoreFuture<'_, ()> {
        self.write(access::remove_member(&self.inner.writers, room, user))
    }

    fn access_cursor(&self) -> StoreFuture<'_, AccessCursor> {
        self.read(access::cursor(&self.inner.readers))
    }

    fn access_changes(&self, after: AccessCursor, limit: u64) -> StoreFuture<'_, AccessPage> {
        self.read(access::changes(&self.inner.readers, after, limit))
    }

    fn revoke(&self, user: UserId, not_before: Option<Timestamp>, now: Timestamp) -> StoreFuture<'_, ()> {
        self.write(access::revoke(&self.inner.writers, user, not_before, now))
    }

    fn revocations(&self, after: Option<UserId>, limit: u64) -> StoreFuture<'_, Vec<Revocation>> {
        self.read(access::revocations(&self.inner.readers, after, limit))
    }

    fn revocations_of<'a>(&'a self, users: &'a [UserId]) -> StoreFuture<'a, Vec<Revocation>> {
        self.read(access::revocations_of(&self.inner.readers, users))
    }

    fn prune_access_changes(&self, limit: u64) -> StoreFuture<'_, u64> {
        self.write(access::prune(&self.inner.writers, limit))
    }

    fn due(&self, now: Timestamp, limit: u64) -> StoreFuture<'_, Vec<IntentId>> {
        self.read(read::due(&self.inner.readers, now, limit))
    }

    fn prune(&self, before: Timestamp, limit: u64) -> StoreFuture<'_, u64> {
        self.write(recovery::prune(&self.inner.writers, before, limit))
    }

    fn kind(&self) -> &'static str {
        "postgres"
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.read(read::ping(&self.inner.readers))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async {
            self.inner.readers.close().await;
            self.inner.writers.close().await;
            Ok(())
        })
    }
}
