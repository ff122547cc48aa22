//! What can go wrong with a database, by what a caller can do about it. A refused command is not an error: it is a
//! [`gossip_proto::refusal::Refusal`] in the results.

/// Failure of a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database's address is not one.
    #[error("the database URL is wrong: {0}")]
    Url(String),
    /// The database did not answer, or not as asked; trying again later may help.
    #[error("the database failed while {doing}")]
    Database {
        /// What was attempted.
        doing: &'static str,
        /// Why it failed.
        #[source]
        source: sqlx::Error,
    },
    /// The database vanished during the commit and could not be asked again in time: it may have been written.
    #[error("the database vanished during a commit and could not be asked whether that was written")]
    Unresolved(#[source] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("the migration failed")]
    Migration(#[source] sqlx::migrate::MigrateError),
    /// A row holds what this program never writes.
    #[error("a row of {table} has no sensible {column}")]
    Corrupt {
        /// In which table.
        table: &'static str,
        /// In which column.
        column: &'static str,
    },
    /// A value of ours would not become JSON.
    #[error("a value could not be encoded")]
    Encode(#[from] serde_json::Error),
}

impl Error {
    /// For `map_err`: says what was attempted.
    pub(crate) fn while_(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
        move |source| Error::Database { doing, source }
    }
}
