//! Brings rooms from what a client has seen to what is live: page after page from the log, as fast as the client takes
//! them, so that what is missed may be long and memory stays bounded. What passes meanwhile the shard keeps, or lets go
//! for the log to be read once more.

use std::sync::Arc;

use gossip_proto::id::{RoomId, Seq};
use gossip_proto::refusal::{Code, Refusal};
use gossip_store::{LogEvent, Position};
use tokio::sync::oneshot;

use crate::connection::Link;
use crate::run::event_of;
use crate::session::Session;
use crate::shard::{Item, Order, Progress, Replayed};

/// Events read and queued at once.
const PAGE: u64 = 128;
/// With so many bytes a page is full, however few events that are: as much as a client may have waiting when it is
/// queued, so that it does not bring it far behind.
const PAGE_BYTES: usize = 128 * 1024;

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
        let mut pages = Pages::default();
        while !after.is_empty() {
            let Some(page) = self.page(&mut pages, &mut after, |_| true).await? else { return Ok(()) };
            page.must_reach(&after, last)?;
            let live_after = if page.is_last { after.clone() } else { Vec::new() };
            if self.queue(page, order, live_after).await != Progress::Behind {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Replays what this room missed up to a position, without going live.
    pub(crate) async fn catch_up_to(&self, after: &mut (RoomId, Seq), until: Position) -> Result<(), Refusal> {
        self.catch_up_while(after, |event| event.position <= until).await
    }

    /// Replays what this room missed up to one of its events, without going live.
    pub(crate) async fn catch_up_until(&self, room: RoomId, after: Seq, until: Seq) -> Result<(), Refusal> {
        let mut after = (room, after);
        self.catch_up_while(&mut after, |event| event.seq <= until).await?;
        if after.1 < until && !self.link.peer.outbox.is_closed() { Err(pruned()) } else { Ok(()) }
    }

    async fn catch_up_while(
        &self,
        after: &mut (RoomId, Seq),
        is_wanted: impl Fn(&LogEvent) -> bool,
    ) -> Result<(), Refusal> {
        let mut pages = Pages::default();
        loop {
            let page = self.page(&mut pages, std::slice::from_mut(after), &is_wanted).await?;
            let Some(page) = page else { return Ok(()) };
            let is_last = page.is_last;
            if self.queue(page, Order::OneRoom, Vec::new()).await == Progress::Gone || is_last {
                return Ok(());
            }
        }
    }

    /// The next events, once the client has taken most of those before; nothing when it is gone.
    async fn page(
        &self,
        pages: &mut Pages,
        after: &mut [(RoomId, Seq)],
        is_wanted: impl Fn(&LogEvent) -> bool,
    ) -> Result<Option<Page>, Refusal> {
        self.link.peer.outbox.drained().await;
        if self.link.peer.outbox.is_closed() {
            return Ok(None);
        }
        let events = self.read(self.link.gateway.store.replay(after, pages.limit())).await?;
        pages.page(events, after, is_wanted).map(Some)
    }

    async fn queue(&self, page: Page, order: Order, live_after: Vec<(RoomId, Seq)>) -> Progress {
        let events = page.replayed();
        let id = self.link.id();
        let progress = self.link.ask(|done| Item::Replay { id, events, order, live_after, done }).await;
        progress.unwrap_or(Progress::Gone)
    }
}

/// What was found there a moment ago is not there any more: what is left would be a part.
fn pruned() -> Refusal {
    Refusal::new(Code::Unavailable, "the log no longer reaches back so far")
}

/// Makes pages of what is read: neither of many events, nor of few large ones read in vain.
pub(crate) struct Pages(u64);

impl Default for Pages {
    fn default() -> Pages {
        Pages(PAGE)
    }
}

impl Pages {
    /// So many events are to be read.
    pub(crate) fn limit(&self) -> u64 {
        self.0
    }

    /// The next page, of what was read with the limit: of the events that are wanted, which come first, as many as fit.
    /// `after` is what the client has of each room, and then with the page.
    ///
    /// # Errors
    /// Where events are missing between.
    pub(crate) fn page(
        &mut self,
        mut events: Vec<LogEvent>,
        after: &mut [(RoomId, Seq)],
        is_wanted: impl Fn(&LogEvent) -> bool,
    ) -> Result<Page, Refusal> {
        let is_all = (events.len() as u64) < self.0;
        let wanted = events.iter().position(|event| !is_wanted(event)).unwrap_or(events.len());
        let mut bytes = 0;
        let mut fits = |event: &LogEvent| {
            bytes += event.payload.len();
            bytes <= PAGE_BYTES
        };
        // One always does.
        let fitting = events[..wanted].iter().take_while(|event| fits(event)).count().max(wanted.min(1));
        let is_last = fitting == wanted && (is_all || wanted < events.len());
        self.0 = if fitting < wanted { fitting as u64 + 1 } else { PAGE.min(self.0 * 2) };
        events.truncate(fitting);
        for event in &events {
            let at = after.iter_mut().find(|(room, _)| *room == event.room).map(|(_, seq)| seq);
            match at {
                Some(at) if at.next() == event.seq => *at = event.seq,
                _ => return Err(pruned()),
            }
        }
        Ok(Page { events, is_last })
    }
}

/// Events of the log, to be sent to one client.
pub(crate) struct Page {
    events: Vec<LogEvent>,
    pub(crate) is_last: bool,
}

impl Page {
    /// For who wants nothing.
    pub(crate) fn nothing() -> Page {
        Page { events: Vec::new(), is_last: true }
    }

    pub(crate) fn replayed(&self) -> Vec<Replayed> {
        let replayed = |log: &LogEvent| Replayed { room: log.room, seq: log.seq, event: event_of(log) };
        self.events.iter().map(replayed).collect()
    }

    pub(crate) fn into_payloads(self) -> Vec<Arc<str>> {
        self.events.into_iter().map(|event| event.payload).collect()
    }

    /// Where it is the last: that rooms which it brought to `after` have what they are known to have had.
    ///
    /// # Errors
    /// Where one has not: its log was pruned.
    pub(crate) fn must_reach(&self, after: &[(RoomId, Seq)], last: &[(RoomId, Seq)]) -> Result<(), Refusal> {
        let is_short = |(room, last): &(RoomId, Seq)| after.iter().any(|(at, seq)| at == room && seq < last);
        if self.is_last && last.iter().any(is_short) { Err(pruned()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const ROOM: RoomId = RoomId(Uuid::from_u128(1));

    fn log(seqs: std::ops::RangeInclusive<u64>, len: usize) -> Vec<LogEvent> {
        let event =
            |seq| LogEvent { position: Position(seq), room: ROOM, seq: Seq(seq), payload: "x".repeat(len).into() };
        seqs.map(event).collect()
    }

    fn seqs(page: &Page) -> Vec<u64> {
        page.events.iter().map(|event| event.seq.0).collect()
    }

    #[test]
    fn a_page_is_bounded_in_bytes_and_little_is_read_in_vain() {
        let mut pages = Pages::default();
        let mut after = [(ROOM, Seq(0))];
        let page = pages.page(log(1..=PAGE, PAGE_BYTES / 3), &mut after, |_| true).unwrap();
        assert_eq!((seqs(&page), page.is_last, pages.limit()), (vec![1, 2, 3], false, 4));
        let page = pages.page(log(4..=6, PAGE_BYTES / 3), &mut after, |_| true).unwrap();
        assert_eq!((seqs(&page), page.is_last, pages.limit()), (vec![4, 5, 6], true, 8));
        // One that alone is too large is sent alone.
        let page = pages.page(log(7..=8, 2 * PAGE_BYTES), &mut after, |_| true).unwrap();
        assert_eq!((seqs(&page), page.is_last, pages.limit()), (vec![7], false, 2));
        let page = pages.page(log(8..=9, 1), &mut after, |event| event.seq <= Seq(8)).unwrap();
        assert_eq!((seqs(&page), page.is_last, after[0].1), (vec![8], true, Seq(8)));
    }

    #[test]
    fn a_page_with_a_hole_is_none() {
        let mut after = [(ROOM, Seq(0))];
        assert!(Pages::default().page(log(2..=3, 1), &mut after, |_| true).is_err());
        let page = Pages::default().page(log(1..=2, 1), &mut after, |_| true).unwrap();
        assert!(page.must_reach(&after, &[(ROOM, Seq(2))]).is_ok());
        assert!(page.must_reach(&after, &[(ROOM, Seq(3))]).is_err());
        let nothing = Pages::default().page(Vec::new(), &mut after, |_| true).unwrap();
        assert!(nothing.is_last && nothing.must_reach(&after, &[(ROOM, Seq(3))]).is_err());
    }
}
