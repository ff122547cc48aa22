//! A `Store` of one's own: around another one, it keeps an audit of what is committed and passes everything on. To see
//! what it writes down: `cargo run -p gossip-store --example custom_store`. A gateway takes it as any other:
//! `Gateway::start(config, Arc::new(Audited::new(store)), …)`.
//!
//! A store of another database has the same methods with queries in them; `commit` loads the rows that its commands
//! touch, calls `gossip_store::batch::decide`, and writes what that says in one transaction, as the two databases here do
//! (src/sqlite, src/postgres). What it must keep to is in tests/contract, a suite of which each test runs against every
//! store, this one too. For a new one: a variant of `Database` in tests/contract/support/database.rs that opens it, a
//! `Fixture` of it in tests/contract/support.rs, and a `mod on_…` beside the others in tests/contract/main.rs; then
//! `cargo test -p gossip-store --test contract on_`. Some tests add a row or take one away by SQL, as another program
//! would: what does that for the new database goes into `Database::execute`.

use std::collections::HashSet;
use std::error::Error as StdError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gossip_core::access::Reach;
use gossip_core::command::{Action, Actor, Command};
use gossip_core::env::Env;
use gossip_core::text::Limits;
use gossip_proto::id::{IntentId, Pid, RoomId, Seq, UserId};
use gossip_proto::model::{Intent, Status, Update, Vote, VoteAction};
use gossip_proto::timestamp::Timestamp;
use gossip_store::sqlite::SqliteStore;
use gossip_store::{
    AccessCursor, AccessPage, Committed, Cursor, JoinQuery, LogEvent, Member, Paged, Position, Recovery,
    RecoveryChange, Revocation, RoomSnapshot, Seen, Standing, Store, StoreFuture,
};
use uuid::Uuid;

/// What was committed since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Audit {
    pub(crate) transactions: u64,
    pub(crate) carried_out: u64,
    pub(crate) refused: u64,
    pub(crate) events: u64,
}

#[derive(Debug, Default)]
struct Counts {
    transactions: AtomicU64,
    carried_out: AtomicU64,
    refused: AtomicU64,
    events: AtomicU64,
}

/// A store that is audited.
pub(crate) struct Audited<S> {
    store: S,
    counts: Counts,
}

impl<S> Audited<S> {
    pub(crate) fn new(store: S) -> Self {
        Audited { store, counts: Counts::default() }
    }

    pub(crate) fn audit(&self) -> Audit {
        let Counts { transactions, carried_out, refused, events } = &self.counts;
        let [transactions, carried_out, refused, events] =
            [transactions, carried_out, refused, events].map(|count| count.load(Ordering::Relaxed));
        Audit { transactions, carried_out, refused, events }
    }

    /// Only what is certain: after an error nothing was committed, or nobody knows.
    fn note(&self, batch: &[Command], committed: &Committed) {
        let refused = committed.results.iter().filter(|result| result.is_err()).count() as u64;
        let count = |count: &AtomicU64, more: u64| count.fetch_add(more, Ordering::Relaxed);
        count(&self.counts.transactions, 1);
        count(&self.counts.refused, refused);
        count(&self.counts.carried_out, committed.results.len() as u64 - refused);
        count(&self.counts.events, committed.events.len() as u64);
        for (command, result) in batch.iter().zip(&committed.results) {
            // Who, and whether: what users write stays out of the log.
            let code = result.as_ref().err().map(|refusal| refusal.code);
            tracing::info!(target: "audit", user = %command.actor.user, refused = ?code, "a command was committed");
        }
    }
}

impl<S: Store> Store for Audited<S> {
    fn commit<'a>(&'a self, batch: &'a [Command], env: &'a dyn Env) -> StoreFuture<'a, Committed> {
        Box::pin(async move {
            let committed = self.store.commit(batch, env).await?;
            self.note(batch, &committed);
            Ok(committed)
        })
    }

    // The rest is passed on, also what has a default: else this store would answer for the one within.

    fn position(&self) -> StoreFuture<'_, Position> {
        self.store.position()
    }

    fn log(&self, after: Position, limit: u64) -> StoreFuture<'_, Vec<LogEvent>> {
        self.store.log(after, limit)
    }

    fn room(&self, room: RoomId, query: JoinQuery) -> StoreFuture<'_, RoomSnapshot> {
        self.store.room(room, query)
    }

    fn standings<'a>(&'a self, rooms: &'a [(RoomId, Seen)]) -> StoreFuture<'a, Vec<Standing>> {
        self.store.standings(rooms)
    }

    fn replay<'a>(&'a self, after: &'a [(RoomId, Seq)], limit: u64) -> StoreFuture<'a, Vec<LogEvent>> {
        self.store.replay(after, limit)
    }

    fn recovery(&self, pid: Pid) -> StoreFuture<'_, Option<Recovery>> {
        self.store.recovery(pid)
    }

    fn keep<'a>(&'a self, changes: &'a [RecoveryChange], now: Timestamp) -> StoreFuture<'a, ()> {
        self.store.keep(changes, now)
    }

    fn touch<'a>(&'a self, pids: &'a [Pid], now: Timestamp) -> StoreFuture<'a, ()> {
        self.store.touch(pids, now)
    }

    fn intent(&self, id: IntentId, viewer: UserId) -> StoreFuture<'_, Option<(Intent, Option<Vote>)>> {
        self.store.intent(id, viewer)
    }

    fn intents(
        &self,
        room: RoomId,
        status: Option<Status>,
        limit: u64,
        before: Option<Cursor>,
    ) -> StoreFuture<'_, Paged<Intent>> {
        self.store.intents(room, status, limit, before)
    }

    fn updates(
        &self,
        intent: IntentId,
        with_votes: bool,
        limit: u64,
        before: Option<Cursor>,
    ) -> StoreFuture<'_, Paged<Update>> {
        self.store.updates(intent, with_votes, limit, before)
    }

    fn is_member(&self, room: RoomId, user: UserId) -> StoreFuture<'_, bool> {
        self.store.is_member(room, user)
    }

    fn memberships<'a>(&'a self, pairs: &'a [(RoomId, UserId)]) -> StoreFuture<'a, HashSet<(RoomId, UserId)>> {
        self.store.memberships(pairs)
    }

    fn members(&self, room: RoomId, after: Option<UserId>, limit: u64) -> StoreFuture<'_, Vec<Member>> {
        self.store.members(room, after, limit)
    }

    fn add_member(&self, room: RoomId, user: UserId, now: Timestamp) -> StoreFuture<'_, ()> {
        self.store.add_member(room, user, now)
    }

    fn remove_member(&self, room: RoomId, user: UserId) -> StoreFuture<'_, ()> {
        self.store.remove_member(room, user)
    }

    fn access_cursor(&self) -> StoreFuture<'_, AccessCursor> {
        self.store.access_cursor()
    }

    fn access_changes(&self, after: AccessCursor, limit: u64) -> StoreFuture<'_, AccessPage> {
        self.store.access_changes(after, limit)
    }

    fn revoke(&self, user: UserId, not_before: Option<Timestamp>, now: Timestamp) -> StoreFuture<'_, ()> {
        self.store.revoke(user, not_before, now)
    }

    fn revocations(&self, after: Option<UserId>, limit: u64) -> StoreFuture<'_, Vec<Revocation>> {
        self.store.revocations(after, limit)
    }

    fn revocations_of<'a>(&'a self, users: &'a [UserId]) -> StoreFuture<'a, Vec<Revocation>> {
        self.store.revocations_of(users)
    }

    fn prune_access_changes(&self, limit: u64) -> StoreFuture<'_, u64> {
        self.store.prune_access_changes(limit)
    }

    fn due(&self, now: Timestamp, limit: u64) -> StoreFuture<'_, Vec<IntentId>> {
        self.store.due(now, limit)
    }

    fn prune(&self, before: Timestamp, limit: u64) -> StoreFuture<'_, u64> {
        self.store.prune(before, limit)
    }

    fn kind(&self) -> &'static str {
        self.store.kind()
    }

    fn ping(&self) -> StoreFuture<'_, ()> {
        self.store.ping()
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        self.store.close()
    }
}

/// A clock that stands, and ids that count: a service takes `gossip_hub::SystemEnv`.
#[derive(Default)]
struct Still(AtomicU64);

impl Env for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    fn new_id(&self) -> Uuid {
        Uuid::from_u128(u128::from(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Somebody posts, somebody else votes on it, and on an intent that is none.
pub(crate) async fn story() -> Result<Audit, Box<dyn StdError>> {
    let dir = tempfile::tempdir()?;
    let store = SqliteStore::open_path(&dir.path().join("gossip.db"), Duration::from_secs(2)).await?;
    let (store, env, limits) = (Audited::new(store), Still::default(), Limits::default());
    let content = limits.gossip("psst").map_err(|refusal| refusal.message)?;
    let lives = limits.expiry(None).map_err(|refusal| refusal.message)?;
    let by = |user, action| {
        let actor = Actor { user: UserId(Uuid::from_u128(user)), reach: Reach::All };
        Command { actor, action, request_id: None }
    };
    let vote = |user, intent| by(user, Action::Vote { intent, action: VoteAction::Upvote });
    let room = RoomId(Uuid::from_u128(1));
    store.commit(&[by(1, Action::Post { room, content, metadata: None, lives })], &env).await?;
    let posted = store.intents(room, None, 1, None).await?.items;
    let intents = posted.iter().map(|intent| intent.id).chain([IntentId(Uuid::from_u128(u128::MAX))]);
    let votes: Vec<Command> = intents.map(|intent| vote(2, intent)).collect();
    store.commit(&votes, &env).await?;
    store.close().await?;
    Ok(store.audit())
}

#[expect(clippy::print_stdout, reason = "what an example has to show")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    println!("{:?}", story().await?);
    Ok(())
}
