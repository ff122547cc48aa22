//! From the commit queue to the shards: events to all of them, each answer to its connection's. What a shard does with
//! them is its own business.

use std::sync::Arc;

use gossip_store::queue::{Batch, Sink};
use tokio::sync::oneshot;

use crate::inbox::Inbox;
use crate::outbox::Asked;
use crate::run::RoomRun;
use crate::shard::{Answer, ConnectionId, Item, Peer};
use crate::under_way::UnderWay;

/// Whose a command is.
pub(crate) enum Ticket {
    Client {
        peer: Arc<Peer>,
        asked: Asked,
    },
    /// Is told whether the command was carried out.
    Janitor(oneshot::Sender<bool>),
}

/// Connections are dealt out to the shards in turn.
pub(crate) fn index(id: ConnectionId, shards: usize) -> usize {
    usize::try_from(id.0).unwrap_or(0) % shards
}

/// Passes what was committed on to the shards: the events to all, each answer to its connection's.
pub(crate) struct Publisher {
    pub(crate) inboxes: Arc<[Arc<Inbox<Item>>]>,
    pub(crate) under_way: Arc<UnderWay>,
}

impl Sink<Ticket> for Publisher {
    async fn committed(&mut self, batch: Batch<Ticket>) {
        let runs = RoomRun::of(&batch.events);
        let finished = batch.results.len();
        let mut answers: Vec<Vec<Answer>> = self.inboxes.iter().map(|_| Vec::new()).collect();
        for (ticket, result) in batch.results {
            match ticket {
                Ticket::Client { peer, asked } => {
                    let reply = result.map(Into::into);
                    let commit = batch.commit;
                    answers[index(peer.id, self.inboxes.len())].push(Answer { peer, asked, reply, commit });
                }
                Ticket::Janitor(done) => {
                    // A janitor that no longer waits is ending.
                    let _ = done.send(result.is_ok());
                }
            }
        }
        for (inbox, answers) in self.inboxes.iter().zip(answers) {
            if !(runs.is_empty() && answers.is_empty()) {
                inbox.send(Item::Committed { runs: Arc::clone(&runs), answers }).await;
            }
        }
        self.under_way.finish(finished);
    }
}
