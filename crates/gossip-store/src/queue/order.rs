//! Tells of commits in the order of their positions, whichever lane they come from, and reads from the log what no lane
//! tells of: commits of other processes, and those whose end was in doubt. Positions have no gaps, so one that is
//! skipped is one that was missed. Answers never wait for the log.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gossip_proto::refusal::Refusal;
use gossip_proto::reply::Outcome;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

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
    /// See [`Batch::commit`].
    pub(super) commit: Option<u64>,
}

/// What the log has that was not told of.
#[derive(Debug, Clone, Copy)]
struct Behind {
    /// It has events up to here, at least.
    to: Position,
    /// Perhaps more: it must be asked, once no commit is under way.
    is_in_doubt: bool,
}

/// The log, read on a little: the events, and how far it goes where that was asked.
type Reading = Pin<Box<dyn Future<Output = Result<(Vec<LogEvent>, Option<Position>), String>> + Send>>;

/// Publishes until the last lane has ended.
pub(super) async fn publish<T: Send + 'static>(
    store: Arc<dyn Store>,
    mut last: Position,
    limit: Duration,
    mut decided: mpsc::Receiver<Decided<T>>,
    mut sink: impl Sink<T>,
) {
    let mut behind: Option<Behind> = None;
    let mut reading: Option<Reading> = None;
    let mut is_failing = false;
    // Commits in doubt so far, and how many of them the log was asked for.
    let (mut doubts, mut asked) = (0_u64, 0);
    loop {
        if let (Some(behind), None) = (behind, &reading) {
            asked = doubts;
            let pause = if is_failing { AGAIN } else { Duration::ZERO };
            reading = Some(Box::pin(read_on(Arc::clone(&store), last, behind.is_in_doubt, limit, pause)));
        }
        tokio::select! {
            next = decided.recv() => {
                let Some(Decided { results, mut events, is_in_doubt, commit }) = next else { return };
                let end = events.last().map_or(last, |event| event.position);
                let is_next = events.first().is_none_or(|event| event.position.0 <= last.0 + 1);
                doubts += u64::from(is_in_doubt);
                if is_in_doubt || !is_next || behind.is_some() {
                    let known = behind.unwrap_or(Behind { to: last, is_in_doubt: false });
                    let is_in_doubt = is_in_doubt || known.is_in_doubt;
                    // The log has them, and they must not be told of before what comes first there.
                    behind = Some(Behind { to: known.to.max(end), is_in_doubt }).filter(|b| is_in_doubt || b.to > last);
                    events.clear();
                } else {
                    // The log may have told of some of them already.
                    events.retain(|event| event.position > last);
                    last = last.max(end);
                }
                sink.committed(Batch { results, events, commit }).await;
            }
            read = async { match &mut reading { Some(reading) => reading.await, None => pending().await } } => {
                reading = None;
                match read {
                    Ok((events, end)) => {
                        is_failing = false;
                        behind = behind.map(|known| match end {
                            Some(end) => Behind { to: known.to.max(end), is_in_doubt: asked < doubts },
                            None => known,
                        });
                        last = events.last().map_or(last, |event| event.position);
                        if !events.is_empty() {
                            sink.committed(Batch { results: Vec::new(), events, commit: None }).await;
                        } else if let (Some(known), None) = (behind, end) {
                            // Pruned before it was told of: the process slept for the log's retention.
                            last = last.max(known.to);
                        }
                        behind = behind.filter(|known| known.is_in_doubt || known.to > last);
                    }
                    Err(error) => {
                        if !is_failing {
                            tracing::error!(error, "cannot read the log to go on; will keep trying");
                        }
                        is_failing = true;
                    }
                }
            }
        }
    }
}

/// Reads the events after `last`, or asks first how far the log goes.
async fn read_on(
    store: Arc<dyn Store>,
    last: Position,
    is_in_doubt: bool,
    limit: Duration,
    pause: Duration,
) -> Result<(Vec<LogEvent>, Option<Position>), String> {
    let slow = |_| "the store does not answer".to_owned();
    sleep(pause).await;
    if is_in_doubt {
        let end = timeout(limit, store.position()).await.map_err(slow)?;
        return Ok((Vec::new(), Some(end.map_err(|error| chain(&error))?)));
    }
    let events = timeout(limit, store.log(last, PAGE)).await.map_err(slow)?;
    Ok((events.map_err(|error| chain(&error))?, None))
}
