//! Group commit: commands queue here, and whatever has queued while the last transaction was under way goes into the
//! next one. There is no timer: a command that comes alone is carried out alone and at once. One task owns the
//! writing; no rule and no SQL is here.

use std::future::Future;
use std::sync::Arc;

use gossip_core::command::Command;
use gossip_core::env::Env;
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::reply::Outcome;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::{Error, LogEvent, Store};

/// Bounds of the queue.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// Commands that may wait; past it [`CommitQueue::submit`] waits, which slows who submits.
    pub capacity: usize,
    /// The most commands of one transaction.
    pub max_batch: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config { capacity: 4096, max_batch: 512 }
    }
}

/// What a transaction came to, for those who wait and those who watch.
#[derive(Debug)]
pub struct Batch<T> {
    /// Each command's ticket with its result, in the order of their submission.
    pub results: Vec<(T, Result<Outcome, Refusal>)>,
    /// The events, in the order of their positions.
    pub events: Vec<LogEvent>,
}

/// Who is told of every transaction, in the order of commits.
pub trait Sink<T>: Send + 'static {
    /// Takes what was committed. The next transaction begins when this is done.
    fn committed(&mut self, batch: Batch<T>) -> impl Future<Output = ()> + Send;
}

/// The way into the store for commands. `T` is the ticket by which the sink knows whose a result is.
#[derive(Debug)]
pub struct CommitQueue<T> {
    queue: mpsc::Sender<(Command, T)>,
}

impl<T> Clone for CommitQueue<T> {
    fn clone(&self) -> Self {
        CommitQueue { queue: self.queue.clone() }
    }
}

impl<T: Send + 'static> CommitQueue<T> {
    /// Starts the task that writes. It ends, with all that was accepted carried out, when the last handle is gone.
    pub fn start(
        store: Arc<dyn Store>,
        env: Arc<dyn Env>,
        config: Config,
        sink: impl Sink<T>,
    ) -> (CommitQueue<T>, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(config.capacity);
        let task = tokio::spawn(write(store, env, config.max_batch, receiver, sink));
        (CommitQueue { queue: sender }, task)
    }

    /// Hands a command in. Commands of one caller are carried out in the order of their submission.
    ///
    /// # Errors
    /// Gives the ticket back when the queue is closed.
    pub async fn submit(&self, command: Command, ticket: T) -> Result<(), T> {
        self.queue.send((command, ticket)).await.map_err(|refused| refused.0.1)
    }
}

async fn write<T: Send>(
    store: Arc<dyn Store>,
    env: Arc<dyn Env>,
    max_batch: usize,
    mut queue: mpsc::Receiver<(Command, T)>,
    mut sink: impl Sink<T>,
) {
    let mut waiting = Vec::with_capacity(max_batch);
    while queue.recv_many(&mut waiting, max_batch).await > 0 {
        let (commands, tickets): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
        let batch = match store.commit(&commands, &*env).await {
            Ok(committed) => {
                Batch { results: tickets.into_iter().zip(committed.results).collect(), events: committed.events }
            }
            Err(error) => {
                tracing::error!(error = chain(&error), commands = commands.len(), "a batch of commands failed");
                let refusal = refusal_of(&error);
                Batch {
                    results: tickets.into_iter().map(|ticket| (ticket, Err(refusal.clone()))).collect(),
                    events: vec![],
                }
            }
        };
        sink.committed(batch).await;
    }
}

/// What a client is told of a failing store.
#[must_use]
pub fn refusal_of(error: &Error) -> Refusal {
    match error {
        Error::Database { .. } => Refusal::unavailable(),
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
