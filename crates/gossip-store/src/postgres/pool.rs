//! The connections. A pool of our own, for two things that sqlx's does not do: a connection whose query was given up
//! is closed at once, and never tested by a question that a vanished server will not answer; and one that is in use all
//! the time costs no round trip between two uses.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, timeout};

use super::failure::{is_transient, timed_out};

/// A connection that was not used for so long is asked whether it lives: the server may have been restarted meanwhile.
const FRESH: Duration = Duration::from_millis(200);

/// A bounded number of connections to one database.
pub(super) struct Pool {
    server: Server,
    permits: Semaphore,
    max: u32,
    idle: Mutex<Vec<(PgConnection, Instant)>>,
    wait: Duration,
}

/// How to come to a connection that is set up. No `Debug`: the options would show the password.
#[derive(Clone)]
pub(super) struct Server {
    options: PgConnectOptions,
    setup: String,
}

/// A connection taken from the pool: dropped, it is closed, since what it was doing is unknown.
pub(super) struct Lease<'a> {
    connection: PgConnection,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Server {
    /// `timeout` is how long a statement or a wait for a lock may take.
    pub(super) fn new(options: PgConnectOptions, timeout: Duration) -> Server {
        let millis = timeout.as_millis().max(1);
        // A peer that vanished must not hold locks: hence the keepalives and the limit on idle transactions. Every
        // statement goes by key, and is planned once for a connection: perhaps on tables that were empty then, when
        // reading them as a whole looked cheap.
        let setup = format!(
            "SET statement_timeout = {millis}; SET lock_timeout = {millis};
             SET idle_in_transaction_session_timeout = {};
             SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;
             SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off",
            millis * 2
        );
        Server { options, setup }
    }

    /// A new connection; one attempt.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.options.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(self.setup.clone())).execute(&mut connection).await?;
        Ok(connection)
    }
}

impl Pool {
    /// At most `max` connections, each made when it is needed; a caller waits for one at most `wait`.
    pub(super) fn new(server: Server, max: u32, wait: Duration) -> Pool {
        Pool { server, permits: Semaphore::new(max as usize), max, idle: Mutex::default(), wait }
    }

    /// A connection that is free, or a new one.
    pub(super) async fn lease(&self) -> Result<Lease<'_>, sqlx::Error> {
        let mut refused = None;
        match timeout(self.wait, self.take(&mut refused)).await {
            Ok(result) => result,
            Err(_) => Err(refused.unwrap_or_else(timed_out)),
        }
    }

    async fn take(&self, refused: &mut Option<sqlx::Error>) -> Result<Lease<'_>, sqlx::Error> {
        let permit = self.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        while let Some((mut connection, since)) = self.pop() {
            if since.elapsed() < FRESH || connection.ping().await.is_ok() {
                return Ok(Lease { connection, pool: self, _permit: permit });
            }
        }
        let mut pause = Duration::from_millis(10);
        loop {
            match self.server.connect().await {
                Ok(connection) => return Ok(Lease { connection, pool: self, _permit: permit }),
                Err(error) if is_transient(&error) => *refused = Some(error),
                Err(error) => return Err(error),
            }
            sleep(pause).await;
            pause = (pause * 2).min(FRESH);
        }
    }

    /// How many connections there may be.
    pub(super) fn max(&self) -> u32 {
        self.max
    }

    fn pop(&self) -> Option<(PgConnection, Instant)> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Waits for those in use, at most as long as for a lease, and closes all.
    pub(super) async fn close(&self) {
        let _all = timeout(self.wait, self.permits.acquire_many(self.max)).await;
        self.permits.close();
        while let Some((connection, _)) = self.pop() {
            let _farewell = timeout(self.wait, connection.close()).await;
        }
    }
}

impl Lease<'_> {
    /// The connection is as it was when it was taken: others may use it.
    pub(super) fn give_back(self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push((self.connection, Instant::now()));
    }
}

impl Deref for Lease<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
