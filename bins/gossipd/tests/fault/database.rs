//! The database of a daemon under test, SQLite or Postgres, seen past the daemon: what is in it, and keeping the daemon
//! from writing to it. Queries are the same for both: every column is cast to text.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gossip_test_postgres::{Cluster, shared_url};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row, SqliteConnection};
use tempfile::TempDir;

/// A row, each column as text.
pub(crate) type Columns = Vec<Option<String>>;

/// What is deferred is done by the COMMIT, and here it waits for a lock that is held until the transaction's end. The
/// position's row is changed by every batch.
const HOLD_COMMIT: &str = r#"
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON "gossip_position" DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION hold()"#;

pub(crate) enum Database {
    Sqlite(TempDir),
    Postgres {
        url: String,
        /// The name, where it was made on a server that others use too.
        made: Option<String>,
        /// Its server, where it has one to itself.
        cluster: Option<Arc<Cluster>>,
    },
}

/// Keeps the daemon from writing until it is released.
pub(crate) enum Lock {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    pub(crate) fn sqlite() -> Database {
        Database::Sqlite(TempDir::new().unwrap())
    }

    /// A new database on the server that tests share.
    pub(crate) async fn postgres() -> Database {
        let name = format!("gossipd_{}", uuid::Uuid::new_v4().simple());
        let server = PgConnectOptions::from_str(&shared_url()).unwrap();
        let mut connection = server.connect().await.unwrap();
        connection.execute(AssertSqlSafe(format!(r#"CREATE DATABASE "{name}""#))).await.unwrap();
        let url = server.database(&name).to_url_lossy().to_string();
        Database::Postgres { url, made: Some(name), cluster: None }
    }

    /// A server that is this test's alone.
    pub(crate) fn own_postgres() -> Database {
        let cluster = tokio::task::block_in_place(Cluster::start).unwrap();
        Database::Postgres { url: cluster.url(), made: None, cluster: Some(Arc::new(cluster)) }
    }

    /// Calls one of the slow functions of its own server.
    pub(crate) fn server<E: std::fmt::Debug>(&self, call: impl FnOnce(&Cluster) -> Result<(), E>) {
        let Database::Postgres { cluster: Some(cluster), .. } = self else { panic!("no server of its own") };
        tokio::task::block_in_place(|| call(cluster)).unwrap();
    }

    pub(crate) fn url(&self) -> String {
        match self {
            Database::Sqlite(folder) => format!("sqlite://{}", file(folder).display()),
            Database::Postgres { url, .. } => url.clone(),
        }
    }

    /// `sql` gives text or NULL alone.
    pub(crate) async fn rows(&self, sql: &'static str) -> Vec<Columns> {
        match self {
            Database::Sqlite(folder) => {
                let rows = sqlx::query(sql).fetch_all(&mut sqlite(folder).await).await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|column| row.get(column)).collect()).collect()
            }
            Database::Postgres { url, .. } => {
                let rows = sqlx::query(sql).fetch_all(&mut postgres(url).await).await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|column| row.get(column)).collect()).collect()
            }
        }
    }

    /// Another process takes what the daemon needs for writing, and holds it.
    pub(crate) async fn lock(&self) -> Lock {
        match self {
            Database::Sqlite(folder) => {
                let mut connection = sqlite(folder).await;
                connection.execute("BEGIN IMMEDIATE").await.unwrap();
                Lock::Sqlite(connection)
            }
            Database::Postgres { url, .. } => {
                let mut connection = postgres(url).await;
                let lock = r#"BEGIN; SELECT 1 FROM "gossip_position" FOR UPDATE"#;
                connection.execute(sqlx::raw_sql(lock)).await.unwrap();
                Lock::Postgres(connection)
            }
        }
    }

    /// For Postgres: a COMMIT of the daemon's is under way on return, and does not end before this is released.
    pub(crate) async fn hold_commit(&self) -> Lock {
        let Database::Postgres { url, .. } = self else { panic!("not Postgres") };
        let mut connection = postgres(url).await;
        connection.execute(sqlx::raw_sql(HOLD_COMMIT)).await.unwrap();
        connection.execute(sqlx::raw_sql("BEGIN; SELECT pg_advisory_xact_lock(1)")).await.unwrap();
        let waiting = r#"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"#;
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut connection).await.unwrap() == 0 {
            // tidy: sleep because Postgres does not tell others that somebody waits
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Lock::Postgres(connection)
    }

    /// Leaves nothing on a server that others use. The daemon must have ended.
    pub(crate) async fn remove(self) {
        if let Database::Postgres { made: Some(name), .. } = self {
            let mut connection = postgres(&shared_url()).await;
            connection.execute(AssertSqlSafe(format!(r#"DROP DATABASE "{name}" WITH (FORCE)"#))).await.unwrap();
        }
    }
}

impl Lock {
    pub(crate) async fn release(self) {
        match self {
            Lock::Sqlite(mut connection) => {
                connection.execute("ROLLBACK").await.unwrap();
                connection.close().await.unwrap();
            }
            Lock::Postgres(mut connection) => {
                connection.execute("ROLLBACK").await.unwrap();
                connection.close().await.unwrap();
            }
        }
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("gossip.db")
}

async fn sqlite(folder: &TempDir) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file(folder)).connect().await.unwrap()
}

async fn postgres(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}
