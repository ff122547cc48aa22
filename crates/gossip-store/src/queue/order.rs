//! Tells of commits in the order of their positions, whichever lane they come from, and reads from the log what no lane
//! tells of: commits of other processes, and those whose end was in doubt. Positions have no gaps, so one that is
//! skipped is one that was missed.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use gossip_proto::refusal::Refusal;
use gossip_proto::reply::Outcome;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Batch, Sink, chain};
use crate::{LogEvent, Position, Store};

/// How soon the log is tried again that could not be read.
const AGAIN: Duration = Duration::from_millis(250);
/// Events read from the log at once.
const PAGE: u64 = 256;

/// What a lane's transaction came to.
pub(super) struct Decided<T> {
    pub(super) results: Vec<(T, Result<Outcome, Refusal>)>,
    pub(super) events: Vec<LogEvent>,
    /// There may be events in the log that the lane does not know of.
    pub(super) is_in_doubt: bool,
}

/// How far the log must be read.
#[derive(Clone, Copy)]
enum Behind {
    Not,
    /// Up to here.
    To(Position),
    /// Up to its end, once no commit is under way.
    Unknown,
}

struct Publisher<T, S> {
    store: Arc<dyn Store>,
    timeout: Duration,
    sink: S,
    /// The last position told of.
    last: Position,
    behind: Behind,
    is_failing: bool,
    _ticket: PhantomData<fn(T)>,
}

/// Publishes until the last lane has ended.
pub(super) async fn publish<T: Send + 'static, S: Sink<T>>(
    store: Arc<dyn Store>,
    last: Position,
    timeout: Duration,
    mut decided: mpsc::Receiver<Decided<T>>,
    sink: S,
) {
    let mut publisher =
        Publisher { store, timeout, sink, last, behind: Behind::Not, is_failing: false, _ticket: PhantomData };
    loop {
        let next = match publisher.behind {
            Behind::Not => decided.recv().await,
            _ => match tokio::time::timeout(AGAIN, decided.recv()).await {
                Ok(next) => next,
                Err(_) => {
                    publisher.catch_up().await;
                    continue;
                }
            },
        };
        let Some(decided) = next else { return };
        publisher.decided(decided).await;
    }
}

impl<T: Send + 'static, S: Sink<T>> Publisher<T, S> {
    async fn decided(&mut self, decided: Decided<T>) {
        let Decided { results, mut events, is_in_doubt } = decided;
        let skipped = events.first().map(|event| Position(event.position.0 - 1)).filter(|before| *before > self.last);
        match (self.behind, skipped) {
            _ if is_in_doubt => self.behind = Behind::Unknown,
            (Behind::Not, Some(before)) => self.behind = Behind::To(before),
            _ => {}
        }
        if !matches!(self.behind, Behind::Not) {
            self.catch_up().await;
        }
        match self.behind {
            // The log may have told of some of them already.
            Behind::Not => events.retain(|event| event.position > self.last),
            // They are in the log, and must not be told of before what comes first there.
            _ => {
                let end = events.last().map_or(self.last, |event| event.position);
                if let Behind::To(position) = self.behind {
                    self.behind = Behind::To(position.max(end));
                }
                events.clear();
            }
        }
        self.last = events.last().map_or(self.last, |event| event.position);
        self.sink.committed(Batch { results, events }).await;
    }

    /// Tells of what the log has beyond the last event told of. Where it cannot be read, it stays behind.
    async fn catch_up(&mut self) {
        match self.read_on().await {
            Ok(()) => (self.behind, self.is_failing) = (Behind::Not, false),
            Err(error) if !self.is_failing => {
                self.is_failing = true;
                tracing::error!(error, "cannot read the log to go on; will keep trying");
            }
            Err(_) => {}
        }
    }

    async fn read_on(&mut self) -> Result<(), String> {
        let slow = |_| "the store does not answer".to_owned();
        let to = match self.behind {
            Behind::Not => return Ok(()),
            Behind::To(position) => position,
            Behind::Unknown => {
                let position = timeout(self.timeout, self.store.position()).await.map_err(slow)?;
                position.map_err(|error| chain(&error))?
            }
        };
        while self.last < to {
            let page = timeout(self.timeout, self.store.log(self.last, PAGE)).await.map_err(slow)?;
            let events = page.map_err(|error| chain(&error))?;
            let Some(last) = events.last() else {
                // Pruned before it was told of: the process slept for the log's retention.
                self.last = to;
                break;
            };
            self.last = last.position;
            self.sink.committed(Batch { results: Vec::new(), events }).await;
        }
        Ok(())
    }
}
