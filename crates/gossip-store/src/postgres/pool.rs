//! The connections. A pool of our own, for what sqlx's does not do: a connection whose query was given up
//! is closed at once, and never tested by a question that a vanished server will not answer; and one that is in use all
//! the time costs no round trip between two uses.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::failure::{is_transient, timed_out};

/// A connection is tested so often when it is taken: the server may have been restarted, and its tables may have grown.
const FRESH: Duration = Duration::from_millis(500);

/// The longest pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(200);

/// A bounded number of connections to one database.
pub(super) struct Pool {
    server: Server,
    permits: Semaphore,
    max: u32,
    idle: Mutex<Vec<Tested>>,
    wait: Duration,
}

/// How to come to a connection that is set up. No `Debug`: the options would show the password.
#[derive(Clone)]
pub(super) struct Server {
    options: PgConnectOptions,
    setup: String,
}

/// A connection, and when it was last known to live.
struct Tested {
    connection: PgConnection,
    at: Instant,
}

impl Tested {
    fn new(connection: PgConnection) -> Tested {
        Tested { connection, at: Instant::now() }
    }

    /// Whether it lives. What is asked has it plan its statements anew: the plans were made for the tables as they were
    /// then, and the server itself thinks of that only a minute later.
    async fn test(&mut self) -> bool {
        if self.at.elapsed() >= FRESH {
            if sqlx::raw_sql("DISCARD PLANS").execute(&mut self.connection).await.is_err() {
                return false;
            }
            self.at = Instant::now();
        }
        true
    }
}

/// A connection taken from the pool: dropped, it is closed, since what it was doing is unknown.
pub(super) struct Lease<'a> {
    tested: Tested,
    pool: &'a Pool,
    _permit: SemaphorePermit<'a>,
}

impl Server {
    /// `timeout` is how long a statement or a wait for a lock may take.
    pub(super) fn new(options: PgConnectOptions, timeout: Duration) -> Server {
        let millis = timeout.as_millis().max(1);
        // A peer that vanished must not hold locks: hence the keepalives and the limit on idle transactions. Every
        // statement goes by key, and is planned without looking at its values: planning costs more than most of them.
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
        self.lease_until(Instant::now() + self.wait).await
    }

    /// As [`Pool::lease`], with an end of the waiting of its own.
    pub(super) async fn lease_until(&self, deadline: Instant) -> Result<Lease<'_>, sqlx::Error> {
        let mut refused = None;
        match timeout_at(deadline, self.take(&mut refused)).await {
            Ok(result) => result,
            Err(_) => Err(refused.unwrap_or_else(timed_out)),
        }
    }

    async fn take(&self, refused: &mut Option<sqlx::Error>) -> Result<Lease<'_>, sqlx::Error> {
        let permit = self.permits.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        while let Some(mut tested) = self.pop() {
            if tested.test().await {
                return Ok(Lease { tested, pool: self, _permit: permit });
            }
        }
        let mut pause = Duration::from_millis(10);
        loop {
            match self.server.connect().await {
                Ok(connection) => {
                    return Ok(Lease { tested: Tested::new(connection), pool: self, _permit: permit });
                }
                Err(error) if is_transient(&error) => *refused = Some(error),
                Err(error) => return Err(error),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
    }

    /// How many connections there may be.
    pub(super) fn max(&self) -> u32 {
        self.max
    }

    fn pop(&self) -> Option<Tested> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Waits for those in use, at most as long as for a lease, and closes all.
    pub(super) async fn close(&self) {
        let _all = timeout(self.wait, self.permits.acquire_many(self.max)).await;
        self.permits.close();
        while let Some(tested) = self.pop() {
            let _farewell = timeout(self.wait, tested.connection.close()).await;
        }
    }
}

impl Lease<'_> {
    /// The connection is as it was when it was taken: others may use it.
    pub(super) fn give_back(self) {
        self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push(self.tested);
    }
}

impl Deref for Lease<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.tested.connection
    }
}

impl DerefMut for Lease<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.tested.connection
    }
}
