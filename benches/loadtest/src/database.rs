//! A database for one run: made before it, counted after it, and removed, so that no run meets what another left, and
//! nobody's data is touched.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};
use tempfile::TempDir;
use uuid::Uuid;

use crate::error::Error;

/// Where databases are made.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// On a server.
    Postgres(Box<PgConnectOptions>),
    /// In a folder.
    Sqlite(PathBuf),
}

/// A database of a run's own.
#[derive(Debug)]
pub(crate) struct Database {
    url: String,
    kept: Kept,
}

#[derive(Debug)]
enum Kept {
    Postgres { server: Box<PgConnectOptions>, name: String },
    Sqlite { folder: TempDir, file: PathBuf },
}

/// What is in a database after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    /// The upvotes and downvotes of all intents.
    pub(crate) counted: i64,
    /// Rows of `gossip_votes`.
    pub(crate) votes: i64,
    /// Rows of `gossip_updates` of type `vote`.
    pub(crate) updates: i64,
}

const COUNTED: &str =
    r#"SELECT CAST(COALESCE(SUM("upvotes"), 0) + COALESCE(SUM("downvotes"), 0) AS bigint) FROM "gossip_intents""#;
const VOTES: &str = r#"SELECT count(*) FROM "gossip_votes""#;
const UPDATES: &str = r#"SELECT count(*) FROM "gossip_updates" WHERE "type" = 'vote'"#;

impl Place {
    /// From the url of any database of the kind that is meant; without one, a temporary folder.
    ///
    /// # Errors
    /// Where the url is of neither kind.
    pub(crate) fn of(url: Option<&str>) -> Result<Place, Error> {
        let Some(url) = url else { return Ok(Place::Sqlite(std::env::temp_dir())) };
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let options = PgConnectOptions::from_str(url).map_err(|error| Error::Usage(error.to_string()))?;
            return Ok(Place::Postgres(Box::new(options.disable_statement_logging())));
        }
        let file = url.strip_prefix("sqlite:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        let Some(file) = file else {
            return Err(Error::Usage("--database-url must begin with postgres:// or sqlite://".into()));
        };
        let folder = Path::new(file).parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok(Place::Sqlite(folder.unwrap_or(Path::new(".")).to_owned()))
    }

    /// The kind of database.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Place::Postgres(_) => "postgres",
            Place::Sqlite(_) => "sqlite",
        }
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// Where the server or folder does not let us.
    pub(crate) async fn create(&self) -> Result<Database, Error> {
        match self {
            Place::Postgres(server) => {
                let name = format!("gossip_loadtest_{}", Uuid::new_v4().simple());
                administer(server, format!(r#"CREATE DATABASE "{name}""#), "creating a database").await?;
                let url = server.as_ref().clone().database(&name).to_url_lossy().to_string();
                Ok(Database { url, kept: Kept::Postgres { server: server.clone(), name } })
            }
            Place::Sqlite(folder) => {
                let folder = tempfile::Builder::new().prefix("gossip-loadtest-").tempdir_in(folder);
                let folder = folder.map_err(Error::io("making a temporary folder"))?;
                let file = folder.path().join("gossip.db");
                Ok(Database { url: format!("sqlite://{}", file.display()), kept: Kept::Sqlite { folder, file } })
            }
        }
    }
}

impl Database {
    /// For the server.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Counts what a run left.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub(crate) async fn counts(&self) -> Result<Counts, Error> {
        const DOING: &str = "counting votes";
        let mut counts = [0; 3];
        match &self.kept {
            Kept::Postgres { server, name } => {
                let mut connection = connect(&server.as_ref().clone().database(name)).await?;
                for (count, query) in counts.iter_mut().zip([COUNTED, VOTES, UPDATES]) {
                    let found = sqlx::query_scalar(query).fetch_one(&mut connection).await;
                    *count = found.map_err(Error::database(DOING))?;
                }
            }
            Kept::Sqlite { file, .. } => {
                let options = SqliteConnectOptions::new().filename(file).disable_statement_logging();
                let mut connection = options.connect().await.map_err(Error::database(DOING))?;
                for (count, query) in counts.iter_mut().zip([COUNTED, VOTES, UPDATES]) {
                    let found = sqlx::query_scalar(query).fetch_one(&mut connection).await;
                    *count = found.map_err(Error::database(DOING))?;
                }
            }
        }
        let [counted, votes, updates] = counts;
        Ok(Counts { counted, votes, updates })
    }

    /// Removes it, whoever is still connected.
    ///
    /// # Errors
    /// Where it cannot be removed.
    pub(crate) async fn remove(self) -> Result<(), Error> {
        match self.kept {
            Kept::Postgres { server, name } => {
                administer(&server, format!(r#"DROP DATABASE "{name}" WITH (FORCE)"#), "dropping the database").await
            }
            Kept::Sqlite { folder, .. } => folder.close().map_err(Error::io("removing the temporary folder")),
        }
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, Error> {
    options.connect().await.map_err(Error::database("connecting to Postgres"))
}

/// Runs a statement whose only variable part is a name made here.
async fn administer(server: &PgConnectOptions, statement: String, doing: &'static str) -> Result<(), Error> {
    let mut connection = connect(server).await?;
    connection.execute(AssertSqlSafe(statement)).await.map_err(Error::database(doing))?;
    connection.close().await.map_err(Error::database(doing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_beside_what_the_url_names() {
        let folder = |url| match Place::of(Some(url)).unwrap() {
            Place::Sqlite(folder) => folder,
            Place::Postgres(_) => panic!("{url}"),
        };
        assert_eq!(folder("sqlite://gossip.db"), Path::new("."));
        assert_eq!(folder("sqlite:///data/gossip.db"), Path::new("/data"));
        assert_eq!(Place::of(Some("postgres://me@localhost/mine")).unwrap().name(), "postgres");
        assert!(Place::of(Some("mysql://localhost")).is_err());
    }
}
