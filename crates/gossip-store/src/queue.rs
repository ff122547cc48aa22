//! Group commit: commands queue for a lane, and whatever has queued while the lane's last transaction was under way
//! goes into the next one. A command that comes alone is carried out alone and at once; under a steady load a batch may
//! wait a few milliseconds for more ([`Config::delay`]). A user's commands go through one lane, so they take effect in the
//! order sent. No rule and no SQL is here.
//!
//! While the store works a full queue makes those wait who submit, and nothing is refused. When it fails, what waits
//! for too long is refused as `unavailable`, so that clients are told in time.

mod gather;
mod order;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use gossip_core::command::Command;
use gossip_core::env::Env;
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Outcome;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

use self::gather::{ENOUGH, Gather};
use crate::{Error, LogEvent, Store, StoreFuture};

/// Bounds of the queue.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Transactions that may be under way at once. They share the work before the commit, not the commit itself: the
    /// order of positions is the order of commits.
    pub lanes: usize,
    /// Commands that may wait in a lane; past it [`CommitQueue::submit`] waits, which slows who submits.
    pub capacity: usize,
    /// The most commands of one transaction.
    pub max_batch: usize,
    /// Under load, the least time from the begin of one transaction to that of the next. It costs a command so much at
    /// most, and saves most of what a transaction for each would cost. Nothing waits that comes alone, or where waiting
    /// brought nothing before.
    pub delay: Duration,
    /// `STORE_TIMEOUT`: a command that has waited so long for a store that fails is refused.
    pub timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let (delay, timeout) = (Duration::from_millis(14), Duration::from_secs(2));
        Config { lanes: 1, capacity: 4096, max_batch: 512, delay, timeout }
    }
}

/// What a transaction came to, for those who wait and those who watch.
#[derive(Debug)]
pub struct Batch<T> {
    /// Each command's ticket with its result, in the order of their submission.
    pub results: Vec<(T, Result<Outcome, Refusal>)>,
    /// The events, in the order of their positions.
    pub events: Vec<LogEvent>,
    /// The number of the transaction, as the log names it: counted since the start, over all lanes. None where there was
    /// no transaction of ours.
    pub commit: Option<u64>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// What it did is on disk.
    Committed,
    /// Nothing was written.
    Failed,
    /// Nobody could be asked what became of it.
    Unresolved,
}

impl End {
    fn of<T>(result: &Result<T, Error>) -> End {
        match result {
            Ok(_) => End::Committed,
            Err(Error::Unresolved(_)) => End::Unresolved,
            Err(_) => End::Failed,
        }
    }
}

/// Who is told what each transaction took, for figures. A lane goes on when this returns, so it must not wait.
pub trait Observer: Send + Sync + 'static {
    /// A transaction of so many commands has ended.
    fn ended(&self, commands: usize, took: Duration, end: End);
}

/// Nobody.
impl Observer for () {
    fn ended(&self, _: usize, _: Duration, _: End) {}
}

/// Who is told of every transaction, in the order of commits: of each event once and of none before those with lower
/// positions, whichever lane or process caused them.
pub trait Sink<T>: Send + 'static {
    /// Takes what was committed. The next is told when this is done.
    fn committed(&mut self, batch: Batch<T>) -> impl Future<Output = ()> + Send;
}

/// A command that waits for its transaction.
struct Waiting<T> {
    command: Command,
    ticket: T,
    since: Instant,
}

/// The way into the store for commands. `T` is the ticket by which the sink knows whose a result is.
#[derive(Debug)]
pub struct CommitQueue<T> {
    lanes: Arc<[mpsc::Sender<Waiting<T>>]>,
}

impl<T> Clone for CommitQueue<T> {
    fn clone(&self) -> Self {
        CommitQueue { lanes: Arc::clone(&self.lanes) }
    }
}

impl<T: Send + 'static> CommitQueue<T> {
    /// Starts the tasks that write. They end, with all that was accepted carried out, when the last handle is gone;
    /// the returned one ends with them.
    ///
    /// # Errors
    /// When the store cannot say where its log ends.
    pub async fn start(
        store: Arc<dyn Store>,
        env: Arc<dyn Env>,
        config: Config,
        sink: impl Sink<T>,
    ) -> Result<(CommitQueue<T>, JoinHandle<()>), Error> {
        Self::start_observed(store, env, config, sink, Arc::new(())).await
    }

    /// As [`CommitQueue::start`], with `observer` told of each transaction.
    ///
    /// # Errors
    /// As [`CommitQueue::start`].
    pub async fn start_observed(
        store: Arc<dyn Store>,
        env: Arc<dyn Env>,
        config: Config,
        sink: impl Sink<T>,
        observer: Arc<dyn Observer>,
    ) -> Result<(CommitQueue<T>, JoinHandle<()>), Error> {
        let last = store.position().await?;
        let lanes = config.lanes.max(1);
        let mut tasks = JoinSet::new();
        let (decided, to_publish) = mpsc::channel(lanes);
        let commits = Arc::new(AtomicU64::new(0));
        let start_lane = |_| {
            let (sender, queue) = mpsc::channel(config.capacity.max(1));
            let (store, env, decided) = (Arc::clone(&store), Arc::clone(&env), decided.clone());
            let (observer, commits) = (Arc::clone(&observer), Arc::clone(&commits));
            let lane = Lane { store, env, config, decided, observer, commits };
            tasks.spawn(lane.run(queue));
            sender
        };
        let lanes = (0..lanes).map(start_lane).collect();
        drop(decided);
        tasks.spawn(order::publish(store, last, config.timeout, to_publish, sink));
        // The end of all, or of one by a panic, which then ends the others.
        let ended = tokio::spawn(async move { while let Some(Ok(())) = tasks.join_next().await {} });
        Ok((CommitQueue { lanes }, ended))
    }

    /// How many commands wait for a transaction to take them.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.lanes.iter().map(|lane| lane.max_capacity() - lane.capacity()).sum()
    }

    /// Hands a command in. Commands of one user are carried out in the order of their submission.
    ///
    /// # Errors
    /// Gives the ticket back when the queue is closed.
    pub async fn submit(&self, command: Command, ticket: T) -> Result<(), T> {
        let lane = command.actor.user.0.as_u128() % self.lanes.len() as u128;
        let lane = &self.lanes[usize::try_from(lane).unwrap_or(0)];
        let waiting = Waiting { command, ticket, since: Instant::now() };
        lane.send(waiting).await.map_err(|refused| refused.0.ticket)
    }
}

struct Lane<T> {
    store: Arc<dyn Store>,
    env: Arc<dyn Env>,
    config: Config,
    decided: mpsc::Sender<order::Decided<T>>,
    observer: Arc<dyn Observer>,
    /// Transactions begun, over all lanes.
    commits: Arc<AtomicU64>,
}

impl<T: Send> Lane<T> {
    async fn run(self, mut queue: mpsc::Receiver<Waiting<T>>) {
        let mut next = Vec::with_capacity(self.config.max_batch);
        let mut is_failing = false;
        let mut gather = Gather::new(self.config.delay);
        loop {
            if next.is_empty() && queue.recv_many(&mut next, self.config.max_batch).await == 0 {
                return;
            }
            self.fill(&mut queue, &mut next);
            if is_failing {
                let patience = self.config.timeout / 2;
                loop {
                    let late: Vec<_> = next.extract_if(.., |waiting| waiting.since.elapsed() > patience).collect();
                    if late.is_empty() {
                        break;
                    }
                    if self.refuse(late).await.is_err() {
                        return;
                    }
                    self.fill(&mut queue, &mut next);
                }
                if next.is_empty() {
                    // One look at the store for each time that it has to answer, not one for each command.
                    let Ok(answer) = self.attend(self.store.ping(), &mut queue, &mut next).await else { return };
                    is_failing = answer.is_err();
                    continue;
                }
            }
            self.gather(&mut gather, &mut queue, &mut next).await;
            let batch = std::mem::replace(&mut next, Vec::with_capacity(self.config.max_batch));
            let (commands, tickets): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|waiting| (waiting.command, waiting.ticket)).unzip();
            let commit = self.commits.fetch_add(1, Relaxed) + 1;
            let span = tracing::debug_span!("commit", commit, commands = commands.len());
            let began = Instant::now();
            let committing = Box::pin(self.store.commit(&commands, &*self.env).instrument(span));
            let Ok(committed) = self.attend(committing, &mut queue, &mut next).await else { return };
            let (took, end) = (began.elapsed(), End::of(&committed));
            self.observer.ended(commands.len(), took, end);
            let (events, ms) = (committed.as_ref().map_or(0, |done| done.events.len()), took.as_secs_f64() * 1e3);
            tracing::debug!(commit, commands = commands.len(), events, ms, ?end, "a transaction ended");
            is_failing = committed.is_err();
            if self.tell(commit, tickets, committed).await.is_err() {
                return;
            }
        }
    }

    /// Lets a batch become larger, where that is worth its while.
    async fn gather(&self, gather: &mut Gather, queue: &mut mpsc::Receiver<Waiting<T>>, next: &mut Vec<Waiting<T>>) {
        let enough = ENOUGH.min(self.config.max_batch);
        if next.len() < enough
            && let Some(due) = gather.due(Instant::now())
        {
            let before = next.len();
            for looks in 0.. {
                sleep_until(Gather::look_at(due, Instant::now(), looks)).await;
                let had = next.len();
                self.fill(queue, next);
                if next.len() == had || next.len() >= enough || Instant::now() >= due {
                    break;
                }
            }
            gather.waited(next.len() - before);
        }
        gather.begin(Instant::now());
    }

    /// Takes from the queue what is there, up to a batch.
    fn fill(&self, queue: &mut mpsc::Receiver<Waiting<T>>, next: &mut Vec<Waiting<T>>) {
        while next.len() < self.config.max_batch
            && let Ok(waiting) = queue.try_recv()
        {
            next.push(waiting);
        }
    }

    /// Waits for the store. Those who wait behind that are not kept waiting if it takes too long: they are refused, up to
    /// one that has time left, which becomes the `next` batch's first.
    async fn attend<R>(
        &self,
        mut asked: StoreFuture<'_, R>,
        queue: &mut mpsc::Receiver<Waiting<T>>,
        next: &mut Vec<Waiting<T>>,
    ) -> Result<Result<R, Error>, Closed> {
        let mut look = tokio::time::interval_at(Instant::now() + self.config.timeout / 2, self.config.timeout / 16);
        loop {
            tokio::select! {
                biased;
                answer = &mut asked => return Ok(answer),
                _ = look.tick() => {}
            }
            // A little early, so that the answer is there in time.
            let is_late = |waiting: &Waiting<T>| waiting.since.elapsed() >= self.config.timeout * 7 / 8;
            let mut late: Vec<_> = next.extract_if(.., |waiting| is_late(waiting)).collect();
            while next.is_empty()
                && let Ok(waiting) = queue.try_recv()
            {
                if is_late(&waiting) { late.push(waiting) } else { next.push(waiting) }
            }
            self.refuse(late).await?;
        }
    }

    async fn refuse(&self, late: Vec<Waiting<T>>) -> Result<(), Closed> {
        if late.is_empty() {
            return Ok(());
        }
        let results = late.into_iter().map(|waiting| (waiting.ticket, Err(Refusal::unavailable()))).collect();
        self.publish(order::Decided { results, events: Vec::new(), is_in_doubt: false, commit: None }).await
    }

    async fn tell(
        &self,
        commit: u64,
        tickets: Vec<T>,
        committed: Result<crate::Committed, Error>,
    ) -> Result<(), Closed> {
        let commit = Some(commit);
        let decided = match committed {
            Ok(committed) => order::Decided {
                results: tickets.into_iter().zip(committed.results).collect(),
                events: committed.events,
                is_in_doubt: false,
                commit,
            },
            Err(error) => {
                tracing::error!(error = chain(&error), commit, commands = tickets.len(), "a batch of commands failed");
                let refusal = refusal_of(&error);
                order::Decided {
                    results: tickets.into_iter().map(|ticket| (ticket, Err(refusal.clone()))).collect(),
                    events: Vec::new(),
                    is_in_doubt: matches!(error, Error::Unresolved(_)),
                    commit,
                }
            }
        };
        self.publish(decided).await
    }

    async fn publish(&self, decided: order::Decided<T>) -> Result<(), Closed> {
        self.decided.send(decided).await.map_err(|_| Closed)
    }
}

/// Nobody is there any more to be told: the tasks are ending.
struct Closed;

/// What a client is told of a failing store.
#[must_use]
pub fn refusal_of(error: &Error) -> Refusal {
    match error {
        Error::Database { .. } => Refusal::unavailable(),
        Error::Unresolved(_) => Refusal::new(
            Code::Unresolved,
            "the store vanished during the commit; repeat the command with the same requestId to learn what became of it",
        ),
        Error::Url(_) | Error::Migration(_) | Error::Corrupt { .. } | Error::Encode(_) => {
            Refusal::new(Code::Internal, "the server failed; nothing was written")
        }
    }
}

/// An error with all its causes, for the log.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
