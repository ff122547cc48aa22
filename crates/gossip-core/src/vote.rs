//! Votes (contract §4): one that stands per user and intent; the counts follow from the changes.

use gossip_proto::model::{Intent, Vote, VoteAction};
use gossip_proto::refusal::Refusal;
use gossip_proto::timestamp::Timestamp;

use crate::status::must_be_open;

/// What a vote changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoteChange {
    /// The vote that stands afterwards.
    pub stands: Option<Vote>,
    up: i64,
    down: i64,
}

impl VoteChange {
    /// Brings the counts of `intent` up to date. They never go below zero, even where an adopted table had counted
    /// fewer votes than it recorded.
    pub fn apply(self, intent: &mut Intent, now: Timestamp) {
        intent.upvotes = (intent.upvotes + self.up).max(0);
        intent.downvotes = (intent.downvotes + self.down).max(0);
        intent.updated_at = now;
    }
}

/// Decides a vote of a user whose standing vote is `current`. `None`: nothing changes, which is a success.
///
/// # Errors
/// `closed` once the intent has expired.
pub fn vote(
    intent: &Intent,
    current: Option<Vote>,
    action: VoteAction,
    now: Timestamp,
) -> Result<Option<VoteChange>, Refusal> {
    must_be_open(intent, now)?;
    let stands = match action {
        VoteAction::Upvote => Some(Vote::Up),
        VoteAction::Downvote => Some(Vote::Down),
        VoteAction::Remove => None,
    };
    if stands == current {
        return Ok(None);
    }
    let counted = |vote, kind| i64::from(vote == Some(kind));
    Ok(Some(VoteChange {
        stands,
        up: counted(stands, Vote::Up) - counted(current, Vote::Up),
        down: counted(stands, Vote::Down) - counted(current, Vote::Down),
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::status::tests::intent;
    use gossip_proto::model::Status;
    use gossip_proto::refusal::Code;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::MAX;

    #[test]
    fn table() {
        use Vote::{Down, Up};
        use VoteAction::{Downvote, Remove, Upvote};
        for (current, action, expected) in [
            (None, Upvote, Some((Some(Up), 1, 0))),
            (None, Downvote, Some((Some(Down), 0, 1))),
            (None, Remove, None),
            (Some(Up), Upvote, None),
            (Some(Up), Downvote, Some((Some(Down), -1, 1))),
            (Some(Up), Remove, Some((None, -1, 0))),
            (Some(Down), Upvote, Some((Some(Up), 1, -1))),
            (Some(Down), Downvote, None),
            (Some(Down), Remove, Some((None, 0, -1))),
        ] {
            let change = vote(&intent(Status::Pending), current, action, NOW).unwrap();
            assert_eq!(change.map(|c| (c.stands, c.up, c.down)), expected, "{current:?} {action}");
        }
    }

    #[test]
    fn verified_and_debunked_take_votes_and_expired_does_not() {
        for status in [Status::Verified, Status::Debunked] {
            assert!(vote(&intent(status), None, VoteAction::Upvote, NOW).is_ok());
        }
        let refusal = vote(&intent(Status::Expired), None, VoteAction::Remove, NOW).unwrap_err();
        assert_eq!(refusal.code, Code::Closed);
        let mut due = intent(Status::Pending);
        due.expires_at = Some(NOW);
        assert_eq!(vote(&due, None, VoteAction::Upvote, NOW).unwrap_err().code, Code::Closed);
    }

    #[test]
    fn adopted_counts_never_go_below_zero() {
        let mut intent = intent(Status::Pending);
        let change = vote(&intent, Some(Vote::Up), VoteAction::Remove, NOW).unwrap().unwrap();
        change.apply(&mut intent, NOW);
        assert_eq!(intent.upvotes, 0);
    }

    proptest! {
        #[test]
        fn counts_equal_the_votes_that_stand(votes in prop::collection::vec((0u8..12, 0u8..3), 0..200)) {
            let mut intent = intent(Status::Pending);
            let mut standing: HashMap<u8, Vote> = HashMap::new();
            for (user, action) in votes {
                let action = [VoteAction::Upvote, VoteAction::Downvote, VoteAction::Remove][usize::from(action)];
                if let Some(change) = vote(&intent, standing.get(&user).copied(), action, NOW).unwrap() {
                    change.apply(&mut intent, NOW);
                    match change.stands {
                        Some(vote) => standing.insert(user, vote),
                        None => standing.remove(&user),
                    };
                }
                let count = |kind| standing.values().filter(|&&vote| vote == kind).count() as i64;
                prop_assert_eq!((intent.upvotes, intent.downvotes), (count(Vote::Up), count(Vote::Down)));
            }
        }
    }
}
