//! Brings rooms from what a client has seen to what is live: page after page from the log, as fast as the client takes
//! them, so that what is missed may be long and memory stays bounded. What passes meanwhile the shard keeps, or lets go
//! for the log to be read once more.

use gossip_proto::id::{RoomId, Seq};
use gossip_proto::refusal::{Code, Refusal};
use gossip_store::{LogEvent, Position};
use tokio::sync::oneshot;

use crate::connection::Link;
use crate::run::event_of;
use crate::session::Session;
use crate::shard::{Item, Order, Progress, Replayed};

/// Events read and queued at once. The largest there can be take 2 MiB, half of what may wait for a client.
const PAGE: u64 = 128;
/// How far a snapshot may be ahead of what has reached a member that is live.
const MAX_EVENTS: usize = 1024;

impl Link {
    /// Asks the shard for something; `None` where it is gone.
    pub(crate) async fn ask<T>(&self, item: impl FnOnce(oneshot::Sender<T>) -> Item) -> Option<T> {
        let (done, answered) = oneshot::channel();
        self.send(item(done)).await;
        tokio::select! {
            () = self.gateway.failure.happened() => None,
            answer = answered => answer.ok(),
        }
    }
}

impl Session {
    /// Replays what these rooms missed, until they are live. Where that fails, none of them is. `last` is what the rooms
    /// had when it was found that the log reaches back: so far it must bring them.
    pub(crate) async fn catch_up(
        &self,
        order: Order,
        mut after: Vec<(RoomId, Seq)>,
        last: &[(RoomId, Seq)],
    ) -> Result<(), Refusal> {
        while !after.is_empty() {
            let Some(page) = self.page(&mut after, None).await? else { return Ok(()) };
            let is_short = |(room, last): &(RoomId, Seq)| after.iter().any(|(at, seq)| at == room && seq < last);
            if page.is_last && last.iter().any(is_short) {
                return Err(pruned());
            }
            let live_after = if page.is_last { after.clone() } else { Vec::new() };
            if self.queue(page, order, live_after).await != Progress::Behind {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Replays what this room missed up to a position, without going live.
    pub(crate) async fn catch_up_to(&self, after: &mut (RoomId, Seq), until: Position) -> Result<(), Refusal> {
        loop {
            let Some(page) = self.page(std::slice::from_mut(after), Some(until)).await? else { return Ok(()) };
            let is_last = page.is_last;
            if self.queue(page, Order::OneRoom, Vec::new()).await == Progress::Gone || is_last {
                return Ok(());
            }
        }
    }

    /// The next events, once the client has taken most of those before; nothing when it is gone.
    async fn page(&self, after: &mut [(RoomId, Seq)], until: Option<Position>) -> Result<Option<Page>, Refusal> {
        self.link.peer.outbox.drained().await;
        if self.link.peer.outbox.is_closed() {
            return Ok(None);
        }
        let mut events = self.read(self.link.gateway.store.replay(after, PAGE)).await?;
        let mut is_last = (events.len() as u64) < PAGE;
        if let Some(until) = until
            && events.last().is_some_and(|event| event.position > until)
        {
            events.retain(|event| event.position <= until);
            is_last = true;
        }
        for event in &events {
            let at = after.iter_mut().find(|(room, _)| *room == event.room).map(|(_, seq)| seq);
            match at {
                Some(at) if at.next() == event.seq => *at = event.seq,
                _ => return Err(pruned()),
            }
        }
        Ok(Some(Page { events, is_last }))
    }

    /// The events of a room after one and up to another, which are not many.
    pub(crate) async fn events(&self, room: RoomId, after: Seq, to: Seq) -> Result<Vec<Replayed>, Refusal> {
        let mut at = [(room, after)];
        let mut found = Vec::new();
        while at[0].1 < to {
            let mut events = self.read(self.link.gateway.store.replay(&at, PAGE)).await?;
            events.retain(|event| event.seq <= to);
            match events.last() {
                Some(last) if events[0].seq == at[0].1.next() && found.len() < MAX_EVENTS => at[0].1 = last.seq,
                _ => return Err(pruned()),
            }
            found.extend(events.iter().map(replayed));
        }
        Ok(found)
    }

    async fn queue(&self, page: Page, order: Order, live_after: Vec<(RoomId, Seq)>) -> Progress {
        let events = page.events.iter().map(replayed).collect();
        let id = self.link.id();
        let progress = self.link.ask(|done| Item::Replay { id, events, order, live_after, done }).await;
        progress.unwrap_or(Progress::Gone)
    }
}

fn replayed(log: &LogEvent) -> Replayed {
    Replayed { room: log.room, seq: log.seq, event: event_of(log) }
}

/// What was found there a moment ago is not there any more: what is left would be a part.
fn pruned() -> Refusal {
    Refusal::new(Code::Unavailable, "the log no longer reaches back so far")
}

struct Page {
    events: Vec<LogEvent>,
    is_last: bool,
}
