//! Whether the log still has all that a returning client has not seen: one judgement for every database, from what a
//! query finds. No I/O here.

use gossip_proto::id::Seq;

use crate::{Position, Seen, Standing};

/// What a database says of one room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// The room's last event.
    pub last: Seq,
    /// The first of its events that the log has.
    pub first: Option<Seq>,
    /// With [`Seen::Position`]: the last of its events in the log that is not after that position.
    pub seen: Option<Seq>,
}

/// The log as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogEnds {
    /// The first position that it has.
    pub first: Option<Position>,
    /// The last position ever given.
    pub last: Position,
}

/// Where a client stands in a room. Pruning goes by position, so what the log has of a room has no holes.
#[must_use]
pub fn of(seen: Seen, found: Found, log: LogEnds) -> Standing {
    let after = match seen {
        Seen::Seq(seq) => Some(seq),
        // From another database, or one that was restored from a backup: it says nothing about this one.
        Seen::Position { position, .. } if position > log.last => None,
        Seen::Position { joined, position } => {
            // Where the log has nothing of the room up to the position, what there was is pruned, and was seen if
            // pruning has not gone beyond the position.
            let pruned = log.first.map_or(log.last, |first| Position(first.0.saturating_sub(1)));
            let all_pruned = found.first.map_or(found.last, |first| Seq(first.0.saturating_sub(1)));
            let seen = found.seen.or((position >= pruned).then_some(all_pruned));
            Some(seen.map_or(joined, |seen| seen.max(joined)))
        }
    };
    let is_reached = |after: &Seq| {
        *after == found.last || (*after < found.last && found.first.is_some_and(|first| first.0 <= after.0 + 1))
    };
    Standing { seq: found.last, after: after.filter(is_reached) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of positions 11 to 20, of which the room has seqs 4 to 6 at 12, 15 and 18.
    const LOG: LogEnds = LogEnds { first: Some(Position(11)), last: Position(20) };

    fn at(seen: Seen, found_seen: Option<u64>) -> Option<u64> {
        let found = Found { last: Seq(6), first: Some(Seq(4)), seen: found_seen.map(Seq) };
        of(seen, found, LOG).after.map(|seq| seq.0)
    }

    fn position(joined: u64, position: u64) -> Seen {
        Seen::Position { joined: Seq(joined), position: Position(position) }
    }

    #[test]
    fn a_seq_is_reached_from_just_before_the_first_to_the_last() {
        let reached = (0..9).map(|seq| at(Seen::Seq(Seq(seq)), None));
        assert_eq!(reached.collect::<Vec<_>>(), [None, None, None, Some(3), Some(4), Some(5), Some(6), None, None]);
    }

    #[test]
    fn a_position_stands_for_the_last_event_up_to_it() {
        assert_eq!(at(position(0, 16), Some(5)), Some(5));
        assert_eq!(at(position(6, 16), Some(5)), Some(6), "joined later than the last event it saw elsewhere");
        assert_eq!(at(position(0, 20), Some(6)), Some(6));
        assert_eq!(at(position(0, 21), Some(6)), None, "a position that was never given");
    }

    #[test]
    fn what_is_pruned_was_seen_or_is_lost() {
        assert_eq!(at(position(0, 11), None), Some(3), "all before position 11 is gone, and was seen");
        assert_eq!(at(position(0, 10), None), Some(3));
        assert_eq!(at(position(0, 9), None), None, "an event of the room may have been at 10");
        assert_eq!(at(position(3, 9), None), Some(3), "unless it came in after what is gone");
    }

    #[test]
    fn an_empty_log_has_nothing_to_replay() {
        let log = LogEnds { first: None, last: Position(20) };
        let found = Found { last: Seq(6), first: None, seen: None };
        let after = |seen| of(seen, found, log).after;
        assert_eq!(after(Seen::Seq(Seq(6))), Some(Seq(6)));
        assert_eq!(after(Seen::Seq(Seq(5))), None);
        assert_eq!(after(position(2, 20)), Some(Seq(6)));
        assert_eq!(after(position(2, 19)), None);
        let unknown = Found::default();
        assert_eq!(of(Seen::Seq(Seq(0)), unknown, log).after, Some(Seq(0)), "a room without events");
    }
}
