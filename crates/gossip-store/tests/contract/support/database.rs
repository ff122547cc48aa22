//! Databases that are made for a test and gone with it.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use gossip_store::Store;
use gossip_store::postgres::PostgresStore;
use gossip_store::sqlite::SqliteStore;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

use super::TIMEOUT;
use crate::custom_store::Audited;

pub(crate) enum Database {
    Sqlite(SqliteDatabase),
    /// The example's store, around SQLite's.
    Custom(SqliteDatabase),
    Postgres(PostgresDatabase),
}

impl Database {
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        match self {
            Database::Sqlite(database) => Arc::new(database.open().await),
            Database::Custom(database) => Arc::new(Audited::new(database.open().await)),
            Database::Postgres(database) => Arc::new(database.open().await),
        }
    }

    pub(crate) async fn execute(&self, sql: &str) {
        match self {
            Database::Sqlite(database) | Database::Custom(database) => database.execute(sql).await,
            Database::Postgres(database) => database.execute(sql).await,
        }
    }
}

/// A file of its own.
pub(crate) struct SqliteDatabase {
    dir: TempDir,
}

impl Default for SqliteDatabase {
    fn default() -> Self {
        SqliteDatabase { dir: tempfile::tempdir().unwrap() }
    }
}

impl SqliteDatabase {
    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join("gossip.db")
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        SqliteStore::open_path(&self.path(), TIMEOUT).await.unwrap()
    }

    /// A connection beside the store's.
    pub(crate) async fn connection(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.path()).create_if_missing(true).connect().await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection().await).await.unwrap();
    }
}

/// A database of its own on the server that tests share.
pub(crate) struct PostgresDatabase {
    server: String,
    name: String,
}

impl PostgresDatabase {
    pub(crate) async fn create() -> Self {
        Self::create_on(gossip_test_postgres::shared_url()).await
    }

    /// On the server of that URL.
    pub(crate) async fn create_on(server: String) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("gossip_store_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect(&server).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
        PostgresDatabase { server, name }
    }

    /// The server's URL, with this database.
    pub(crate) fn url(&self) -> String {
        let (address, query) = match self.server.split_once('?') {
            Some((address, query)) => (address, format!("?{query}")),
            None => (self.server.as_str(), String::new()),
        };
        let (authority, _) = address.rsplit_once('/').unwrap();
        format!("{authority}/{}{query}", self.name)
    }

    pub(crate) async fn open(&self) -> PostgresStore {
        PostgresStore::open(&self.url(), TIMEOUT).await.unwrap()
    }

    /// A connection beside the store's.
    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnectOptions::from_str(&self.url()).unwrap().disable_statement_logging().connect().await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.connection().await).await.unwrap();
    }

    /// One row of one query.
    pub(crate) async fn row<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
    {
        sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut self.connection().await).await.unwrap()
    }
}

impl Drop for PostgresDatabase {
    /// On a thread and a runtime of its own, since here nothing can be awaited. A server that is gone has taken its
    /// databases with it.
    fn drop(&mut self) {
        let (server, drop) = (self.server.clone(), format!("DROP DATABASE {} WITH (FORCE)", self.name));
        let work = async move {
            if let Ok(mut connection) = PgConnection::connect(&server).await {
                let _dropped = sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await;
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ended = thread::spawn(move || runtime.block_on(work)).join();
    }
}
