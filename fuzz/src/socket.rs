//! One client's socket: the task that has its connection, as a server would, and what the client asks and waits for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gossip_hub::{Connection, Recoverable};
use gossip_proto::id::{IntentId, Pid, RoomId, Seq};
use gossip_proto::model::{Intent, Vote};
use gossip_proto::request::Request;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::check::{Common, View};
use crate::client::Seen;
use crate::script::Who;

/// Nothing takes so long, but on a machine that does not get on.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a socket's task is told to do.
enum Told {
    Ask { name: String, data: Option<Box<RawValue>>, ack: Option<u64> },
    Forget,
}

pub(crate) struct Socket {
    pub(crate) seen: Arc<Seen>,
    pub(crate) view: View,
    told: mpsc::UnboundedSender<Told>,
    task: JoinHandle<()>,
    next_ack: u64,
    /// Its name, and whose it is, where it can be recovered.
    pub(crate) tracked: Option<(Pid, Who)>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.seen.end();
        self.task.abort();
    }
}

/// What a connection does first.
pub(crate) enum Begin {
    Nothing,
    Resume(Vec<(RoomId, Seq)>),
    Recover(Recoverable),
}

/// The data of an event.
pub(crate) fn raw(data: &Value) -> Option<Box<RawValue>> {
    serde_json::value::to_raw_value(data).ok()
}

impl Socket {
    /// Starts the task that has the connection.
    pub(crate) fn start(
        seen: Arc<Seen>,
        view: View,
        connection: Connection,
        begin: Begin,
        tracked: Option<(Pid, Who)>,
    ) -> Socket {
        let (told, mut tasks) = mpsc::unbounded_channel();
        let begun = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            match begin {
                Begin::Nothing => {}
                Begin::Resume(rooms) => connection.resume(rooms).await,
                Begin::Recover(again) => connection.recover(again).await,
            }
            begun.begin();
            while let Some(told) = tasks.recv().await {
                match told {
                    Told::Ask { name, data, ack } => connection.receive(&name, data.as_deref(), ack).await,
                    Told::Forget => connection.forget(),
                }
            }
        });
        Socket { seen, view, told, task, next_ack: 0, tracked }
    }

    pub(crate) fn ask(&mut self, name: String, data: Option<Box<RawValue>>, with_ack: bool) {
        // What may begin a room is told of by its ack.
        let since = match Request::parse(&name, data.as_deref()) {
            Ok(Request::JoinRoom { since, .. }) => since.map(|since| since.0),
            _ => None,
        };
        let ack = with_ack.then(|| {
            self.next_ack += 1;
            self.view.waiting.insert(self.next_ack, since);
            self.next_ack
        });
        let _ = self.told.send(Told::Ask { name, data, ack });
    }

    /// Says goodbye, and goes without waiting for anything; what came until then is seen.
    pub(crate) fn end(&mut self, says_goodbye: bool, common: &mut Common) {
        if says_goodbye {
            let _ = self.told.send(Told::Forget);
            self.tracked = None;
        }
        self.lose(common);
        // The task ends when it has nothing left to be told, and with it the connection.
        self.told = mpsc::unbounded_channel().0;
    }

    /// The line is dead, which the server has not noticed.
    pub(crate) fn lose(&mut self, common: &mut Common) {
        self.seen.end();
        self.take(common);
    }

    fn take(&mut self, common: &mut Common) {
        for sent in self.seen.take() {
            self.view.see(sent, common);
        }
    }

    /// Until everything it asked is answered, or it is closed.
    pub(crate) async fn settle(&mut self, common: &mut Common) {
        self.until(common, |seen, view| seen.has_begun() && view.waiting.is_empty()).await;
    }

    /// Takes what there is and settles. Says whether it then knows which rooms it is in: one that was closed before may not.
    pub(crate) async fn rest(&mut self, common: &mut Common) -> bool {
        self.seen.set_behind(false);
        self.settle(common).await;
        self.seen.has_begun() && self.view.waiting.is_empty()
    }

    /// Until it has had these rooms' events up to these places, as far as it is in them, or it is closed. One that lags
    /// gets them when it can take them.
    pub(crate) async fn catch_up(&mut self, last: &HashMap<RoomId, u64>, common: &mut Common) {
        let has = |(room, next): (&RoomId, &u64)| *next > last.get(room).copied().unwrap_or(0);
        self.until(common, |_, view| view.rooms.iter().all(has)).await;
    }

    async fn until(&mut self, common: &mut Common, is_done: impl Fn(&Seen, &View) -> bool) {
        let done = async {
            loop {
                // What came before it was done is taken after it is known to be.
                let was_closed = self.seen.is_closed();
                let has_begun = self.seen.has_begun();
                self.take(common);
                if was_closed || (has_begun && is_done(&self.seen, &self.view)) {
                    return;
                }
                self.seen.more().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, done).await;
        assert!(in_time.is_ok(), "it waits for ever: {:?}", self.view);
    }

    /// An intent as its user sees it, and the user's vote.
    pub(crate) async fn get(&mut self, intent: IntentId, common: &mut Common) -> Option<(Intent, Option<Vote>)> {
        self.ask("get_gossip".into(), raw(&json!({ "intentId": intent })), true);
        self.settle(common).await;
        self.view.found.take()
    }
}
