//! The gateway: what an embedder holds. It starts the shards, the commit queue and the janitor, gives each socket a
//! [`Connection`], and speaks to rooms, users and everybody on the server's behalf.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gossip_core::access::{AccessPolicy, Identity, RoomAccess};
use gossip_core::command::Command;
use gossip_core::env::Env;
use gossip_core::text::Limits as TextLimits;
use gossip_proto::id::{Pid, RoomId, UserId};
use gossip_proto::notice::ServerDraining;
use gossip_proto::refusal::Refusal;
use gossip_proto::request::Token;
use gossip_proto::socketio::RESERVED_EVENTS;
use gossip_store::queue::{CommitQueue, Config as QueueConfig, Observer, chain, refusal_of};
use gossip_store::{Error as StoreError, RecoveryChange, Store};
use serde::Serialize;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::access::Access;
use crate::auth::{self, Verifier};
use crate::changes;
use crate::connection::{Connection, Link};
use crate::directory::Directory;
use crate::error::Error;
use crate::event::Event;
use crate::failure::{Failure, vital};
use crate::figures;
use crate::inbox::Inbox;
use crate::janitor;
use crate::lag::{self, Refiller};
use crate::limits::{Limits, LimitsConfig, Place, Seated};
use crate::metrics::counts::Commits;
use crate::offset::Offset;
use crate::outbox::{Close, Outbox};
use crate::publisher::{Publisher, Ticket, index};
use crate::recover::Recoverable;
use crate::recoveries::Recoveries;
use crate::shard::{self, Audience, ConnectionId, Item, Limits as ShardLimits, Peer, Shard, Tracked};
use crate::stats::{ConnectionStats, Stats};
use crate::story;
use crate::under_way::UnderWay;

/// A drain closes connections in so many batches, a pause apart, unless there are few.
const DRAIN_BATCHES: u32 = 20;
/// See [`DRAIN_BATCHES`]: a batch has at least so many connections.
const DRAIN_BATCH_MIN: usize = 100;

/// Settings of a gateway; the defaults are those of contract §7.
#[derive(Debug, Clone)]
pub struct GatewayConfig {
    /// `ROOM_ACCESS`: one of [`RoomAccess`], or a policy of one's own.
    pub room_access: Arc<dyn AccessPolicy>,
    /// Maxima of texts and times.
    pub text: TextLimits,
    /// `AUTH_TIMEOUT`
    pub auth_timeout: Duration,
    /// `LOG_RETENTION`
    pub log_retention: Duration,
    /// `MAX_ROOMS_PER_SOCKET`
    pub max_rooms: usize,
    /// Bounds of the commit queue, and with its `timeout` (`STORE_TIMEOUT`) of every read.
    pub queue: QueueConfig,
    /// How many shards; about one a core.
    pub shards: usize,
    /// How much one client may do.
    pub limits: LimitsConfig,
    /// How often the log has the figures, at info.
    pub figures: Duration,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        GatewayConfig {
            room_access: Arc::new(RoomAccess::default()),
            text: TextLimits::default(),
            auth_timeout: Duration::from_secs(10),
            log_retention: Duration::from_secs(24 * 60 * 60),
            max_rooms: 100,
            queue: QueueConfig::default(),
            shards: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            limits: LimitsConfig::default(),
            figures: Duration::from_secs(30),
        }
    }
}

impl GatewayConfig {
    pub(crate) fn shard_limits(&self) -> ShardLimits {
        ShardLimits { max_rooms: self.max_rooms }
    }
}

pub(crate) struct Inner {
    pub(crate) config: GatewayConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) stats: Arc<Stats>,
    verifier: Arc<Verifier>,
    pub(crate) access: Access,
    directory: Arc<Directory>,
    queue: CommitQueue<Ticket>,
    pub(crate) recoveries: Recoveries,
    pub(crate) limits: Limits,
    under_way: Arc<UnderWay>,
    inboxes: Arc<[Arc<Inbox<Item>>]>,
    next_id: AtomicU64,
    draining: AtomicBool,
    pub(crate) failure: Arc<Failure>,
}

impl Inner {
    pub(crate) fn inbox(&self, id: ConnectionId) -> &Inbox<Item> {
        &self.inboxes[index(id, self.inboxes.len())]
    }

    /// Waits for the store, but not longer than `STORE_TIMEOUT`.
    pub(crate) async fn read<T>(&self, query: impl Future<Output = Result<T, StoreError>>) -> Result<T, Refusal> {
        match tokio::time::timeout(self.config.queue.timeout, query).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                tracing::error!(error = chain(&error), "a read failed");
                Err(refusal_of(&error))
            }
            Err(_) => Err(Refusal::unavailable()),
        }
    }

    pub(crate) fn verify(
        &self,
        token: &Token,
        user_id: Option<UserId>,
        address: Option<IpAddr>,
    ) -> Result<Identity, Refusal> {
        self.limits.may_authenticate(address)?;
        let verified = self.verifier.verify(token, user_id, self.env.now());
        verified
            .and_then(|identity| self.access.admit(identity))
            .inspect_err(|_| self.limits.failed_to_authenticate(address))
    }

    /// Accepts a command, or gives the ticket back: while draining nothing new is accepted.
    pub(crate) async fn submit(&self, command: Command, ticket: Ticket) -> Result<(), Ticket> {
        // Counted before it looks: a drain that has begun either sees it or is seen.
        self.under_way.begin();
        if self.draining.load(Ordering::SeqCst) {
            self.under_way.finish(1);
            return Err(ticket);
        }
        let submitted = self.queue.submit(command, ticket).await;
        if submitted.is_err() {
            self.under_way.finish(1);
        }
        submitted
    }

    pub(crate) fn inboxes(&self) -> &[Arc<Inbox<Item>>] {
        &self.inboxes
    }

    /// Whether the database answers within `STORE_TIMEOUT`.
    pub(crate) async fn store_answers(&self) -> bool {
        matches!(tokio::time::timeout(self.config.queue.timeout, self.store.ping()).await, Ok(Ok(())))
    }

    /// Commands that no transaction has taken yet.
    pub(crate) fn commands_waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// How many rooms have members, and how many users connections.
    pub(crate) fn rooms_and_users(&self) -> (u64, u64) {
        (self.directory.rooms.len() as u64, self.directory.users.len() as u64)
    }

    pub(crate) fn is_connected(&self, user: UserId) -> bool {
        self.directory.users.contains(&user)
    }

    pub(crate) async fn send_all(&self, item: impl Fn() -> Item) {
        for inbox in &*self.inboxes {
            inbox.send(item()).await;
        }
    }
}

/// A running gateway. Clones are the same one. With the last of them its tasks end, whoever is still connected.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) inner: Arc<Inner>,
    /// Ends the shards and the janitor with the last clone.
    _tasks: Arc<Tasks>,
}

struct Tasks(Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Gateway {
    /// Starts the gateway's tasks on the present tokio runtime.
    ///
    /// # Errors
    /// When the store cannot say where its log ends.
    pub async fn start(
        config: GatewayConfig,
        store: Arc<dyn Store>,
        verifier: Verifier,
        env: Arc<dyn Env>,
    ) -> Result<Gateway, Error> {
        let directory = Arc::new(Directory::default());
        let stats = Arc::new(Stats::new(Instant::now()));
        let mut tasks = Vec::new();
        let failure = Arc::new(Failure::default());
        let reads = lag::reads();
        let inboxes: Arc<[Arc<Inbox<Item>>]> = (0..config.shards.max(1))
            .map(|_| {
                let inbox = Arc::new(Inbox::default());
                let shard = Shard::new(config.shard_limits(), Arc::clone(&directory), Arc::clone(&stats));
                let refiller = Refiller {
                    store: Arc::clone(&store),
                    inbox: Arc::clone(&inbox),
                    failure: Arc::clone(&failure),
                    timeout: config.queue.timeout,
                    reads: Arc::clone(&reads),
                };
                let refill = move |peer| refiller.start(peer);
                let running = shard::run(shard, Arc::clone(&inbox), Arc::clone(&env), refill);
                tasks.push(tokio::spawn(vital(running, Arc::clone(&failure))).abort_handle());
                inbox
            })
            .collect();
        let under_way = Arc::new(UnderWay::default());
        let publisher = Publisher { inboxes: Arc::clone(&inboxes), under_way: Arc::clone(&under_way) };
        let commits: Arc<dyn Observer> = Arc::<Commits>::clone(&stats.commits);
        let (kept, clock) = (Arc::clone(&store), Arc::clone(&env));
        let queue = CommitQueue::start_observed(kept, clock, config.queue, publisher, commits);
        let (queue, writing) = match queue.await {
            Ok(queue) => queue,
            Err(error) => {
                tasks.iter().for_each(AbortHandle::abort);
                return Err(Error::Store(error));
            }
        };
        let (recoveries, keeping) = Recoveries::new(Arc::clone(&store), Arc::clone(&env), config.queue.timeout);
        tasks.push(tokio::spawn(vital(keeping, Arc::clone(&failure))).abort_handle());
        tokio::spawn(vital(async { drop(writing.await) }, Arc::clone(&failure)));
        let (access, news) = match Access::load(&*store).await {
            Ok(loaded) => loaded,
            Err(error) => {
                tasks.iter().for_each(AbortHandle::abort);
                return Err(Error::Store(error));
            }
        };
        let verifier = Arc::new(verifier);
        tasks.push(tokio::spawn(auth::follow(Arc::clone(&verifier))).abort_handle());
        let limits = Limits::new(&config.limits, &env);
        let inner = Arc::new(Inner {
            config,
            store,
            env,
            stats,
            verifier,
            access,
            directory,
            queue,
            recoveries,
            limits,
            under_way,
            inboxes,
            next_id: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            failure,
        });
        let following = vital(changes::follow(Arc::clone(&inner), news), Arc::clone(&inner.failure));
        tasks.push(tokio::spawn(following).abort_handle());
        tasks.push(tokio::spawn(janitor::expire(Arc::clone(&inner))).abort_handle());
        tasks.push(tokio::spawn(janitor::prune(Arc::clone(&inner))).abort_handle());
        tasks.push(tokio::spawn(janitor::forget(Arc::clone(&inner))).abort_handle());
        let (stats, directory) = (Arc::clone(&inner.stats), Arc::clone(&inner.directory));
        let telling = figures::tell(inner.config.figures, move || stats.read(&directory, Instant::now()));
        tasks.push(tokio::spawn(telling).abort_handle());
        Ok(Gateway { inner, _tasks: Arc::new(Tasks(tasks)) })
    }

    /// Lets a client at this address open a connection, or not; where none is known there is no limit. What is returned
    /// goes with the connection: while it is kept, the connection counts.
    ///
    /// # Errors
    /// `rate_limited`: `RATE_CONNECT`, `MAX_SOCKETS_PER_ADDRESS`.
    pub fn admit(&self, address: Option<IpAddr>) -> Result<Place, Refusal> {
        self.inner.limits.admit(address)
    }

    /// Who a token speaks for; `user_id` is what the client claims beside it, `address` where it is.
    ///
    /// # Errors
    /// `invalid_token` or `token_expired`; `rate_limited` without a look at the token, where too many from that address
    /// were refused (`RATE_AUTH_FAILURES`).
    pub fn verify(&self, token: &Token, user_id: Option<UserId>, address: Option<IpAddr>) -> Result<Identity, Refusal> {
        self.inner.verify(token, user_id, address)
    }

    /// A place among the sockets of who was verified, for [`Connection::authenticate`]. `pid` names a connection that can
    /// be recovered: a new one, or the user's own that it is to go on with, whose place it then takes.
    ///
    /// # Errors
    /// `rate_limited`: `MAX_SOCKETS_PER_USER`.
    pub fn seat(&self, identity: Identity, pid: Option<Pid>, address: Option<IpAddr>) -> Result<Seated, Refusal> {
        self.inner.limits.seat(identity, pid, address)
    }

    /// Whether there is such a place now, without taking it.
    ///
    /// # Errors
    /// As [`Gateway::seat`].
    pub fn may_seat(&self, identity: &Identity, address: Option<IpAddr>) -> Result<(), Refusal> {
        self.inner.limits.may_seat(identity, address)
    }

    /// How often each limit was reached since the start, by name: refused, or with [`LimitMode::Observe`] let through.
    ///
    /// [`LimitMode::Observe`]: crate::LimitMode::Observe
    #[must_use]
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        self.inner.limits.refusals()
    }

    /// Takes a socket in, of a client at this address. From now on its time to authenticate runs.
    pub fn connect(&self, outbox: Box<dyn Outbox>, address: Option<IpAddr>) -> Connection {
        self.open(outbox, address, None)
    }

    /// As [`Gateway::connect`], for a client of `seated` that asked to be recovered. With `again` it goes on with that
    /// connection, which must follow by [`Connection::recover`]; if that is still open, it is closed.
    pub fn connect_tracked(
        &self,
        outbox: Box<dyn Outbox>,
        address: Option<IpAddr>,
        seated: Seated,
        pid: Pid,
        again: Option<&Recoverable>,
    ) -> Connection {
        let user = seated.identity().user;
        let seen = again.map_or_else(Offset::default, |again| again.offset.clone());
        let connection = self.open(outbox, address, Some(Tracked::new(pid, seen, self.inner.recoveries.notes())));
        if let Some(replaced) = self.inner.recoveries.opened(pid, Arc::clone(connection.peer())) {
            replaced.outbox.close(Close::Replaced);
        }
        self.inner.recoveries.note(RecoveryChange::Open { pid, user });
        connection.authenticate(seated);
        connection
    }

    fn open(&self, outbox: Box<dyn Outbox>, address: Option<IpAddr>, tracked: Option<Tracked>) -> Connection {
        let inner = &self.inner;
        let id = ConnectionId(inner.next_id.fetch_add(1, Ordering::Relaxed));
        let peer = Arc::new(Peer::new(id, outbox, tracked));
        inner.stats.opened(peer.outbox.protocol());
        story::opened(id, &*peer.outbox, address);
        let authenticate_by = inner.env.now().plus(inner.config.auth_timeout);
        inner.inbox(id).push(Item::Open { peer: Arc::clone(&peer), authenticate_by });
        Connection::new(Link { gateway: Arc::clone(inner), peer, address })
    }

    /// Sends an event to every member of a room: passed on as it is, in order with everything else, not logged.
    ///
    /// # Errors
    /// When the name is reserved or the data will not become JSON.
    pub async fn broadcast_to_room(&self, room: RoomId, event: &str, data: &impl Serialize) -> Result<(), Error> {
        self.broadcast(Audience::Room(room), event, data).await
    }

    /// Sends an event to every connection of a user, as [`Gateway::broadcast_to_room`].
    ///
    /// # Errors
    /// As [`Gateway::broadcast_to_room`].
    pub async fn broadcast_to_user(&self, user: UserId, event: &str, data: &impl Serialize) -> Result<(), Error> {
        self.broadcast(Audience::User(user), event, data).await
    }

    /// Sends an event to every authenticated connection, as [`Gateway::broadcast_to_room`].
    ///
    /// # Errors
    /// As [`Gateway::broadcast_to_room`].
    pub async fn broadcast_to_all(&self, event: &str, data: &impl Serialize) -> Result<(), Error> {
        self.broadcast(Audience::Authenticated, event, data).await
    }

    async fn broadcast(&self, audience: Audience, event: &str, data: &impl Serialize) -> Result<(), Error> {
        if event.is_empty() || RESERVED_EVENTS.contains(&event) {
            return Err(Error::ReservedEvent(event.to_owned()));
        }
        let event = Arc::new(Event::new(event, serde_json::to_string(data)?));
        self.inner.send_all(|| Item::Emit { audience, event: Arc::clone(&event) }).await;
        Ok(())
    }

    /// The figures of contract §6.
    #[must_use]
    pub fn connection_stats(&self) -> ConnectionStats {
        self.inner.stats.read(&self.inner.directory, Instant::now())
    }

    /// Whether it is ending and takes no new connections.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.inner.draining.load(Ordering::Relaxed)
    }

    /// Whether it can serve: the store answers in time, nothing has failed, and it is not draining.
    pub async fn is_ready(&self) -> bool {
        let can_serve = !self.is_draining() && !self.inner.failure.has_happened();
        can_serve && self.inner.store_answers().await
    }

    /// Resolves if a task that everything depends on ends, which only a fault of ours brings about: the process should
    /// then end, and start anew.
    pub async fn failed(&self) {
        self.inner.failure.happened().await;
    }

    /// Ends in good order: nothing new is accepted, every accepted command is carried out and acked, then every client
    /// is told and closed, in batches over `spread`, so that they do not all return at once. Who calls it takes no new
    /// connections any more, decides how long to wait, and calls [`Gateway::close_now`] when that is over.
    pub async fn drain(&self, retry_after: Duration, spread: Duration) {
        self.inner.draining.store(true, Ordering::SeqCst);
        let retry_after_ms = u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX);
        let told = ServerDraining { retry_after_ms };
        if let Err(error) = self.broadcast(Audience::Everybody, ServerDraining::NAME, &told).await {
            tracing::error!(%error, "clients could not be told of the end");
        }
        self.inner.under_way.finished().await;
        let shards = self.inner.inboxes.len();
        let active = usize::try_from(self.inner.stats.active()).unwrap_or(usize::MAX);
        let each = active.div_ceil(DRAIN_BATCHES as usize).max(DRAIN_BATCH_MIN).div_ceil(shards);
        for _ in 1..active.div_ceil(each * shards) {
            self.close_some(each).await;
            tokio::time::sleep(spread / DRAIN_BATCHES).await;
        }
        self.close_now().await;
    }

    /// Closes every connection, whatever is under way; what was answered before is sent first.
    pub async fn close_now(&self) {
        self.close_some(usize::MAX).await;
    }

    /// Closes so many connections of each shard.
    async fn close_some(&self, count: usize) {
        for inbox in &*self.inner.inboxes {
            let (done, closed) = oneshot::channel();
            inbox.send(Item::CloseSome { count, close: Close::Draining, done }).await;
            tokio::select! {
                // A shard that is gone closes nothing any more.
                () = self.inner.failure.happened() => return,
                _ = closed => {}
            }
        }
    }
}
