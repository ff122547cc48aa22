//! Those who are in a room while others come and go: one of them posts at a steady pace, and what the posts take to all of
//! them shows how much the others are felt.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::sleep_until;

use crate::crowd::{Command, Crowd, Driver, Operation, Plan};
use crate::error::Error;
use crate::meter::Meter;
use crate::report::Run;
use crate::target::Target;

/// How often one of them posts.
const EVERY: Duration = Duration::from_millis(20);
/// How long the last posts may take to reach everybody.
const LAST_POSTS: Duration = Duration::from_secs(30);
/// How long what is posted is, in bytes.
const CONTENT: usize = 200;

/// Sends nothing of its own accord.
pub(crate) struct Silent;

impl Driver for Silent {}

/// Lets a room's member of this number post now; `command` says when that was to be.
pub(crate) fn post(crowd: &Crowd, room: usize, number: usize, command: Command) {
    let id = crowd.room_id(room);
    let data = format_args!(r#"{{"roomId":"{id}","content":"{:.<CONTENT$}"}}"#, "Seen at the harbour again");
    crowd.send(crowd.member(room, number), command, "new_gossip", data);
}

/// Members of one room.
#[derive(Debug)]
pub(super) struct Bystanders {
    crowd: Rc<Crowd>,
    measuring: Cell<bool>,
    _readers: JoinSet<()>,
}

/// How long their posts took, in microseconds.
#[derive(Debug)]
pub(super) struct Times {
    /// To each of them.
    pub(super) each: Histogram<u64>,
    /// To the last of them.
    pub(super) last: Histogram<u64>,
}

impl Bystanders {
    /// Connects them.
    ///
    /// # Errors
    /// Where one is refused.
    pub(super) async fn gather(target: &Target, members: usize, meter: &Meter) -> Result<Bystanders, Error> {
        let plan = Plan { rooms: 1, members, not_reading: 0 };
        let crowd = Rc::new(Crowd::gather(target, plan, meter).await?);
        let readers = crowd.attend(&Rc::new(Silent));
        Ok(Bystanders { crowd, measuring: Cell::new(false), _readers: readers })
    }

    /// Posts at the pace until the time comes when it is dropped.
    pub(super) async fn post_for_ever(&self) {
        let mut scheduled = Instant::now();
        loop {
            scheduled += EVERY;
            sleep_until(scheduled.into()).await;
            post(&self.crowd, 0, 0, Command { operation: Operation::Post, scheduled, measured: self.measuring.get() });
            self.crowd.flush();
        }
    }

    /// Whether the posts that are due from now on are measured.
    pub(super) fn measure(&self, on: bool) {
        self.measuring.set(on);
    }

    /// Of all posts so far that are measured and have arrived.
    pub(super) fn times(&self) -> Times {
        let tally = self.crowd.tally();
        Times { each: tally.each.clone(), last: tally.last() }
    }

    /// Waits for the last posts. How many did not arrive.
    pub(super) async fn settle(&self) -> u64 {
        self.crowd.settle(LAST_POSTS).await
    }

    /// Tells what was wrong with any post.
    pub(super) fn tell_faults(&self, run: &mut Run, left: u64) {
        self.crowd.tell_faults(run, left, LAST_POSTS);
    }
}

impl Times {
    /// What came since then.
    pub(super) fn since(mut self, before: &Times) -> Times {
        // What was counted before is in what is counted now.
        let _ = self.each.subtract(&before.each);
        let _ = self.last.subtract(&before.last);
        self
    }
}
