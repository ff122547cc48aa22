//! SQLite, the embedded default: one file, WAL, every commit flushed to disk before it returns (`synchronous=FULL`;
//! in batches that costs nothing against NORMAL). One connection writes, since SQLite has one writer; a few read.

mod access;
mod commit;
mod log;
mod read;
mod recovery;
mod rows;
mod script;
#[doc(hidden)]
pub mod sql;
mod writer;

use std::collections::HashSet;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gossip_core::command::Command;
use gossip_core::env::Env;
use gossip_proto::id::{IntentId, Pid, RoomId, Seq, UserId};
use gossip_proto::model::{Intent, Status, Update, Vote};
use gossip_proto::timestamp::Timestamp;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use self::writer::Writer;
use crate::{
    AccessCursor, AccessPage, Committed, Cursor, Error, JoinQuery, LogEvent, Member, Paged, Position, Recovery,
    RecoveryChange, Revocation, RoomSnapshot, Seen, Standing, Store, StoreFuture,
};

/// How many connections read beside the one that writes.
const READERS: u32 = 4;

/// Bytes of a page of a new database. What a batch writes is a row here and there, and of each the page goes to the WAL as
/// a whole: with SQLite's 4096 bytes that is twice as much.
const PAGE_SIZE: u32 = 2048;

/// How many pages the WAL grows by before they are written to the file. Most that is written goes to the same few
/// hundred pages again, and so into the file once rather than many times.
const CHECKPOINT_PAGES: &str = "16000";

/// The pages that the writing connection keeps in memory, in KiB (negative, as SQLite has it): what rooms that are busy
/// write to.
const WRITER_CACHE: &str = "-8000";

/// A SQLite database that keeps gossip.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    writer: Arc<Writer>,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens `sqlite://path`, creating the file if there is none, and migrates it. `timeout` is how long a command may
    /// take with its waiting: a call has half of it for a connection that is free and for a file that another process
    /// has locked, the other half is for waiting in the queue before.
    ///
    /// # Errors
    /// When the URL is wrong, the file cannot be opened, or the migration fails.
    pub async fn open(url: &str, timeout: Duration) -> Result<Self, Error> {
        let options = SqliteConnectOptions::from_str(url).map_err(|error| Error::Url(error.to_string()))?;
        Self::open_with(options, timeout).await
    }

    /// As [`SqliteStore::open`], by path.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn open_path(path: &Path, timeout: Duration) -> Result<Self, Error> {
        Self::open_with(SqliteConnectOptions::new().filename(path), timeout).await
    }

    async fn open_with(options: SqliteConnectOptions, timeout: Duration) -> Result<Self, Error> {
        let options = options
            .create_if_missing(true)
            .page_size(PAGE_SIZE)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(timeout / 2)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            // What a statement notes for itself needs no file.
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging();
        let open = || Error::while_("opening the database");
        let writer =
            Writer::connect(&options.clone().pragma("cache_size", WRITER_CACHE), timeout / 2).await.map_err(open())?;
        {
            let mut writing = writer.acquire().await.map_err(open())?;
            let connection = writing.connection().map_err(open())?;
            let migrator = sqlx::migrate!("../../migrations/sqlite");
            // What `run` does; its future could not be spawned, nor could any that opens a store.
            migrator.run_direct(None, connection, false).await.map_err(Error::Migration)?;
        }
        // The defaults would probe a connection before every use and replace it now and then: for a file, mere cost.
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .acquire_timeout(timeout / 2)
            .connect_lazy_with(options);
        Ok(SqliteStore { writer: Arc::new(writer), readers })
    }
}

impl Store for SqliteStore {
    fn commit<'a>(&'a self, batch: &'a [Command], env: &'a dyn Env) -> StoreFuture<'a, Committed> {
        Box::pin(commit::commit(&self.writer, batch, env))
    }

    fn position(&self) -> StoreFuture<'_, Position> {
        Box::pin(log::position(&self.writer))
    }

    fn log(&self, after: Position, limit: u64) -> StoreFuture<'_, Vec<LogEvent>> {
        Box::pin(log::log(&self.readers, after, limit))
    }

    fn room(&self, room: RoomId, query: JoinQuery) -> StoreFuture<'_, RoomSnapshot> {
        Box::pin(read::room(&self.readers, room, query))
    }

    fn standings<'a>(&'a self, rooms: &'a [(RoomId, Seen)]) -> StoreFuture<'a, Vec<Standing>> {
        Box::pin(log::standings(&self.readers, rooms))
    }

    fn replay<'a>(&'a self, after: &'a [(RoomId, Seq)], limit: u64) -> StoreFuture<'a, Vec<LogEvent>> {
        Box::pin(log::replay(&self.readers, after, limit))
    }

    fn recovery(&self, pid: Pid) -> StoreFuture<'_, Option<Recovery>> {
        Box::pin(recovery::recovery(&self.readers, pid))
    }

    fn keep<'a>(&'a self, changes: &'a [RecoveryChange], now: Timestamp) -> StoreFuture<'a, ()> {
        Box::pin(recovery::keep(&self.writer, changes, now))
    }

    fn touch<'a>(&'a self, pids: &'a [Pid], now: Timestamp) -> StoreFuture<'a, ()> {
        Box::pin(recovery::touch(&self.writer, pids, now))
    }

    fn intent(&self, id: IntentId, viewer: UserId) -> StoreFuture<'_, Option<(Intent, Option<Vote>)>> {
        Box::pin(read::intent(&self.readers, id, viewer))
    }

    fn intents(
        &self,
        room: RoomId,
        status: Option<Status>,
        limit: u64,
        before: Option<Cursor>,
    ) -> StoreFuture<'_, Paged<Intent>> {
        Box::pin(read::intents(&self.readers, room, status, limit, before))
    }

    fn updates(
        &self,
        intent: IntentId,
        with_votes: bool,
        limit: u64,
        before: Option<Cursor>,
    ) -> StoreFuture<'_, Paged<Update>> {
        Box::pin(read::updates(&self.readers, intent, with_votes, limit, before))
    }

    fn is_member(&self, room: RoomId, user: UserId) -> StoreFuture<'_, bool> {
        Box::pin(read::is_member(&self.readers, room, user))
    }

    fn memberships<'a>(&'a self, pairs: &'a [(RoomId, UserId)]) -> StoreFuture<'a, HashSet<(RoomId, UserId)>> {
        Box::pin(access::memberships(&self.readers, pairs))
    }

    fn members(&self, room: RoomId, after: Option<UserId>, limit: u64) -> StoreFuture<'_, Vec<Member>> {
        Box::pin(access::members(&self.readers, room, after, limit))
    }

    fn add_member(&self, room: RoomId, user: UserId, now: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(access::add_member(&self.writer, room, user, now))
    }

    fn remove_member(&self, room: RoomId, user: UserId) -> StoreFuture<'_, ()> {
        Box::pin(access::remove_member(&self.writer, room, user))
    }

    fn access_cursor(&self) -> StoreFuture<'_, AccessCursor> {
        Box::pin(access::cursor(&self.readers))
    }

    fn access_changes(&self, after: AccessCursor, limit: u64) -> StoreFuture<'_, AccessPage> {
        Box::pin(access::changes(&self.readers, after, limit))
    }

    fn revoke(&self, user: UserId, not_before: Option<Timestamp>, now: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(access::revoke(&self.writer, user, not_before, now))
    }

    fn revocations(&self, after: Option<UserId>, limit: u64) -> StoreFuture<'_, Vec<Revocation>> {
        Box::pin(access::revocations(&self.readers, after, limit))
    }

    fn revocations_of<'a>(&'a self, users: &'a [UserId]) -> StoreFuture<'a, Vec<Revocation>> {
        Box::pin(access::revocations_of(&self.readers, users))
    }

    fn prune_access_changes(&self, limit: u64) -> StoreFuture<'_, u64> {
        Box::pin(access::prune(&self.writer, limit))
    }

    fn due(&self, now: Timestamp, limit: u64) -> StoreFuture<'_, Vec<IntentId>> {
        Box::pin(read::due(&self.readers, now, limit))
    }

    fn prune(&self, before: Timestamp, limit: u64) -> StoreFuture<'_, u64> {
        Box::pin(recovery::prune(&self.writer, before, limit))
    }

    fn kind(&self) -> &'static str {
        "sqlite"
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        Box::pin(read::ping(&self.readers))
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async {
            self.readers.close().await;
            self.writer.close().await.map_err(Error::while_("closing the database"))
        })
    }
}
