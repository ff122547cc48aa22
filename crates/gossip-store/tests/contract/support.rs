//! A database of one test's own, a clock it turns by hand, and short names for commands.

mod database;
pub(crate) mod seed;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use gossip_core::access::Reach;
use gossip_core::command::{Action, Actor, Command};
use gossip_core::env::Env;
use gossip_core::text::Limits;
use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::model::{Intent, Status, VoteAction};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Outcome;
use gossip_proto::request::Request;
use gossip_proto::timestamp::Timestamp;
use gossip_store::{Committed, LogEvent, Position, Store};
use uuid::Uuid;

use database::Database;
pub(crate) use database::{PostgresDatabase, SqliteDatabase};

/// Long enough for a busy machine: what is tested is not how fast it is.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// A clock that stands until it is moved.
pub(crate) struct TestEnv {
    millis: AtomicI64,
    ids: AtomicU64,
}

impl Default for TestEnv {
    fn default() -> Self {
        TestEnv { millis: AtomicI64::new(1_700_000_000_000), ids: AtomicU64::new(1) }
    }
}

impl TestEnv {
    pub(crate) fn advance_ms(&self, millis: i64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    pub(crate) fn millis(&self) -> i64 {
        self.millis.load(Ordering::SeqCst)
    }
}

impl Env for TestEnv {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.millis())
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.ids.fetch_add(1, Ordering::SeqCst)))
    }
}

pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) env: Arc<TestEnv>,
    database: Database,
}

impl Fixture {
    pub(crate) async fn sqlite() -> Fixture {
        Self::over(Database::Sqlite(SqliteDatabase::default())).await
    }

    pub(crate) async fn custom() -> Fixture {
        Self::over(Database::Custom(SqliteDatabase::default())).await
    }

    pub(crate) async fn postgres() -> Fixture {
        Self::over(Database::Postgres(PostgresDatabase::create().await)).await
    }

    pub(crate) async fn of_postgres(database: PostgresDatabase) -> Fixture {
        Self::over(Database::Postgres(database)).await
    }

    pub(crate) async fn of_sqlite(database: SqliteDatabase) -> Fixture {
        Self::over(Database::Sqlite(database)).await
    }

    /// One row of one query, where this is Postgres.
    pub(crate) async fn postgres_row<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
    {
        match &self.database {
            Database::Postgres(database) => database.row(sql).await,
            Database::Sqlite(_) | Database::Custom(_) => panic!("this is SQLite"),
        }
    }

    async fn over(database: Database) -> Fixture {
        Fixture { store: database.open().await, env: Arc::default(), database }
    }

    pub(crate) async fn reopen(self) -> Fixture {
        self.store.close().await.unwrap();
        Fixture { store: self.database.open().await, ..self }
    }

    /// Another node's store over the same database.
    pub(crate) async fn another_store(&self) -> Arc<dyn Store> {
        self.database.open().await
    }

    pub(crate) async fn add_member(&self, room: RoomId, user: UserId) {
        let row = format!("INSERT INTO \"gossip_room_members\" (\"roomId\", \"userId\") VALUES ('{room}', '{user}')");
        self.database.execute(&row).await;
    }

    /// As someone beside the store.
    pub(crate) async fn execute(&self, sql: &str) {
        self.database.execute(sql).await;
    }

    /// All that the log has.
    pub(crate) async fn log(&self) -> Vec<LogEvent> {
        self.store.log(Position(0), 1_000_000).await.unwrap()
    }

    pub(crate) fn room(&self) -> RoomId {
        RoomId(self.env.new_id())
    }

    pub(crate) fn user(&self, n: u128) -> UserId {
        UserId(Uuid::from_u128(n))
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.env.now()
    }

    pub(crate) async fn commit(&self, batch: &[Command]) -> Committed {
        self.store.commit(batch, &*self.env).await.unwrap()
    }

    fn command(&self, user: u128, action: Action) -> Command {
        Command { actor: Actor { user: self.user(user), reach: Reach::All }, action, request_id: None }
    }

    pub(crate) fn new_gossip(&self, user: u128, room: RoomId, text: &str) -> Command {
        self.new_gossip_for(user, room, text, 60)
    }

    fn new_gossip_for(&self, user: u128, room: RoomId, text: &str, minutes: u64) -> Command {
        let limits = Limits::default();
        let content = limits.gossip(text).unwrap();
        let metadata = limits.metadata(Some(serde_json::json!({ "n": minutes }))).unwrap();
        let lives = limits.expiry(Some(minutes)).unwrap();
        self.command(user, Action::Post { room, content, metadata, lives })
    }

    pub(crate) async fn post(&self, room: RoomId, user: u128, text: &str) -> Intent {
        self.post_for(room, user, text, 60).await
    }

    pub(crate) async fn post_for(&self, room: RoomId, user: u128, text: &str, minutes: u64) -> Intent {
        match self.commit(&[self.new_gossip_for(user, room, text, minutes)]).await.results.remove(0) {
            Ok(Outcome::Intent { intent, .. }) => (*intent).clone(),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn vote(&self, user: u128, intent: IntentId, action: VoteAction) -> Command {
        self.command(user, Action::Vote { intent, action })
    }

    pub(crate) fn comment(&self, user: u128, intent: IntentId, text: &str) -> Command {
        self.command(user, Action::Comment { intent, content: Limits::default().comment(text).unwrap() })
    }

    pub(crate) fn set_status(&self, user: u128, intent: IntentId, status: Status, reason: Option<&str>) -> Command {
        self.command(user, Action::SetStatus { intent, status, reason: Limits::default().reason(reason).unwrap() })
    }

    pub(crate) fn expire(&self, intent: IntentId) -> Command {
        Command { actor: Actor::SYSTEM, action: Action::Expire { intent }, request_id: None }
    }

    pub(crate) fn with_request_id(&self, command: Command, id: &str) -> Command {
        let json = format!(r#"{{"intentId":"{}","content":"x","requestId":"{id}"}}"#, Uuid::nil());
        let raw: &serde_json::value::RawValue = serde_json::from_str(&json).unwrap();
        match Request::parse("comment_gossip", Some(raw)) {
            Ok(Request::CommentGossip { request_id, .. }) => Command { request_id, ..command },
            other => panic!("{other:?}"),
        }
    }
}

/// The seq of a success, or the code of a refusal.
pub(crate) fn seq_of(result: &Result<Outcome, Refusal>) -> Result<u64, Code> {
    match result {
        Ok(Outcome::Intent { seq, .. } | Outcome::Update { seq, .. }) => Ok(seq.0),
        Err(refusal) => Err(refusal.code),
    }
}

/// How many statements a file of SQL defines, beside the list of them.
pub(crate) fn statements_in(source: &str) -> usize {
    source.matches("\npub const ").count() - 1
}
