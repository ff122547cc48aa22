//! The one connection that writes. A call to it is a message to SQLite's own thread and one back, which costs more than
//! most statements do: what can go together goes in one call, transactions begin and end within such calls, and here is
//! kept in mind whether one may be open. Which statements, the others say.

use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

/// Where everything is written, one after another.
#[derive(Debug)]
pub(super) struct Writer {
    held: Mutex<Held>,
    patience: Duration,
}

#[derive(Debug)]
struct Held {
    /// None once closed.
    connection: Option<SqliteConnection>,
    /// A transaction was begun, and not seen to end.
    is_open: bool,
}

/// The connection, for as long as this is held.
pub(super) struct Writing<'a>(MutexGuard<'a, Held>);

impl Writer {
    /// Who waits for longer than `patience` for the connection fails.
    pub(super) async fn connect(options: &SqliteConnectOptions, patience: Duration) -> sqlx::Result<Writer> {
        let connection = Some(options.connect().await?);
        Ok(Writer { held: Mutex::new(Held { connection, is_open: false }), patience })
    }

    /// The connection, in no transaction.
    pub(super) async fn acquire(&self) -> sqlx::Result<Writing<'_>> {
        let held = timeout(self.patience, self.held.lock()).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let mut writing = Writing(held);
        // Whoever had it last was dropped in the middle.
        writing.roll_back().await;
        Ok(writing)
    }

    pub(super) async fn close(&self) -> sqlx::Result<()> {
        match self.held.lock().await.connection.take() {
            Some(connection) => connection.close().await,
            None => Ok(()),
        }
    }
}

impl Writing<'_> {
    /// For statements that begin no transaction, or end what they begin.
    pub(super) fn connection(&mut self) -> sqlx::Result<&mut SqliteConnection> {
        self.0.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// For a call that begins a transaction by itself.
    pub(super) fn begin(&mut self) -> sqlx::Result<&mut SqliteConnection> {
        self.0.is_open = true;
        self.connection()
    }

    /// After a call that ended the transaction.
    pub(super) fn ended(&mut self) {
        self.0.is_open = false;
    }

    /// Takes back what was begun, if it was. Where the begin failed, or the end came after all, this fails, and nothing
    /// is open either.
    pub(super) async fn roll_back(&mut self) {
        if std::mem::take(&mut self.0.is_open)
            && let Ok(connection) = self.connection()
            && let Err(error) = sqlx::query("ROLLBACK").execute(connection).await
        {
            tracing::debug!(%error, "nothing to take back");
        }
    }
}
