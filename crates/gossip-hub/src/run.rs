//! Events that come right after one another: who gets all of them gets them in one piece, so that a batch costs a
//! member one entry of its queue, however many events it has. Which members those are, the shard knows.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use gossip_proto::id::{RoomId, Seq};
use gossip_store::{LogEvent, Position};

use crate::event::{Encoded, Event, Wire};

/// The name under which the contract's events go out.
pub(crate) const GOSSIP_UPDATE: &str = gossip_proto::model::GossipUpdate::NAME;

/// Data of so many bytes ends a run: a reader's queue is bounded in bytes, and takes a run whole.
const MAX_DATA: usize = 64 * 1024;

/// Events in their order, none of it missing.
#[derive(Debug)]
pub struct Run {
    events: Box<[Arc<Event>]>,
    joined: [OnceLock<Bytes>; Wire::COUNT],
}

impl Run {
    /// Of these events.
    pub fn new(events: impl Into<Box<[Arc<Event>]>>) -> Run {
        Run { events: events.into(), joined: Default::default() }
    }

    /// The events.
    #[must_use]
    pub fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    /// Their bytes on `wire`, one after another: put together the first time and shared from then on. `encode` is as for
    /// [`Event::encoded`].
    pub fn joined(&self, wire: Wire, encode: impl Fn(&Event) -> Encoded) -> &Bytes {
        if let [event] = &*self.events {
            return &event.encoded(wire, encode).frame;
        }
        self.joined[wire as usize].get_or_init(|| {
            let frames = || self.events.iter().map(|event| &event.encoded(wire, &encode).frame);
            let mut joined = BytesMut::with_capacity(frames().map(Bytes::len).sum());
            frames().for_each(|frame| joined.extend_from_slice(frame));
            joined.freeze()
        })
    }
}

/// A run of one room's events, with its place: `first`, and a place each.
#[derive(Debug, Clone)]
pub(crate) struct RoomRun {
    pub(crate) room: RoomId,
    pub(crate) first: Seq,
    pub(crate) run: Arc<Run>,
}

impl RoomRun {
    /// As few runs as there can be with the events in their order.
    pub(crate) fn of(log: &[LogEvent]) -> Arc<[RoomRun]> {
        let mut data = 0;
        let follows = |one: &LogEvent, next: &LogEvent| {
            data += one.payload.len();
            let goes_on = one.room == next.room && one.seq.next() == next.seq && data < MAX_DATA;
            if !goes_on {
                data = 0;
            }
            goes_on
        };
        let run = |events: &[LogEvent]| {
            let first = events.first()?;
            let run = Run::new(events.iter().map(event_of).collect::<Vec<_>>());
            Some(RoomRun { room: first.room, first: first.seq, run: Arc::new(run) })
        };
        log.chunk_by(follows).filter_map(run).collect()
    }

    /// The events with their places.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Seq, &Arc<Event>)> {
        (self.first.0..).map(Seq).zip(self.run.events())
    }

    /// The last event's place.
    pub(crate) fn last(&self) -> Seq {
        Seq(self.first.0 + self.run.events().len().saturating_sub(1) as u64)
    }

    /// The first and the last event's position.
    pub(crate) fn positions(run: &Run) -> Option<(Position, Position)> {
        Some((run.events().first()?.position()?, run.events().last()?.position()?))
    }
}

pub(crate) fn event_of(log: &LogEvent) -> Arc<Event> {
    Arc::new(Event::logged(GOSSIP_UPDATE, &*log.payload, log.position, log.seq))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn log(room: u128, seq: u64, len: usize) -> LogEvent {
        let room = RoomId(Uuid::from_u128(room));
        LogEvent { position: Position(seq), room, seq: Seq(seq), payload: "x".repeat(len).into() }
    }

    #[test]
    fn a_run_ends_with_the_room_at_a_gap_and_when_it_is_long() {
        let events = [
            log(1, 1, 10),
            log(1, 2, 10),
            log(2, 1, 10),
            log(1, 3, 10),
            log(1, 5, 10),
            log(1, 6, MAX_DATA),
            log(1, 7, 1),
            log(1, 8, 1),
        ];
        let runs = RoomRun::of(&events);
        let places = |run: &RoomRun| (run.room.0.as_u128(), run.first.0, run.last().0);
        let got: Vec<_> = runs.iter().map(places).collect();
        assert_eq!(got, [(1, 1, 2), (2, 1, 1), (1, 3, 3), (1, 5, 6), (1, 7, 8)]);
        let all: Vec<_> = runs.iter().flat_map(|run| run.events().map(|(seq, _)| (run.room, seq))).collect();
        assert_eq!(all, events.map(|event| (event.room, event.seq)));
    }

    #[test]
    fn the_bytes_are_those_of_the_events() {
        let run = Run::new(["a", "b", "c"].map(|data| Arc::new(Event::new("e", data))));
        let encode = |event: &Event| Encoded { frame: Bytes::from(format!("<{}>", event.data())), head: 1 };
        assert_eq!(run.joined(Wire::Plain, encode)[..], b"<a><b><c>"[..]);
        let again = run.joined(Wire::Plain, |_| unreachable!("it is there"));
        assert_eq!(again.len(), 9);
    }
}
