//! Status and expiry (contract §4): who may change where an intent stands, and what follows. `expired` is final, and
//! an intent past its time is treated so even before the clock has marked it.

use gossip_proto::model::{Intent, Status};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::timestamp::Timestamp;

use crate::access::Role;

/// A change of status that was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusChange {
    /// From.
    pub old: Status,
    /// To.
    pub new: Status,
}

impl StatusChange {
    /// Whether a `verification` follows the `status_change`.
    #[must_use]
    pub fn is_verdict(self) -> bool {
        matches!(self.new, Status::Verified | Status::Debunked)
    }

    /// Brings `intent` up to date.
    pub fn apply(self, intent: &mut Intent, now: Timestamp) {
        intent.status = self.new;
        intent.updated_at = now;
    }
}

/// Whether the intent's time is over, marked or not.
#[must_use]
pub fn is_over(intent: &Intent, now: Timestamp) -> bool {
    intent.status == Status::Expired || intent.expires_at.is_some_and(|at| at <= now)
}

/// Refuses what an expired intent does not take.
///
/// # Errors
/// `closed`.
pub fn must_be_open(intent: &Intent, now: Timestamp) -> Result<(), Refusal> {
    if is_over(intent, now) {
        return Err(Refusal::new(Code::Closed, "the intent has expired"));
    }
    Ok(())
}

/// Whether `role` may set statuses.
///
/// # Errors
/// `forbidden` for all but admins.
pub fn may_set_status(role: Role) -> Result<(), Refusal> {
    if role != Role::Admin {
        return Err(Refusal::new(Code::Forbidden, "only an admin may set a status"));
    }
    Ok(())
}

/// Decides an admin's change of status. `None`: it is so already, which is a success.
///
/// # Errors
/// `closed` once the intent has expired.
pub fn set_status(intent: &Intent, new: Status, now: Timestamp) -> Result<Option<StatusChange>, Refusal> {
    if intent.status == new {
        return Ok(None);
    }
    if new != Status::Expired || intent.status == Status::Expired {
        must_be_open(intent, now)?;
    }
    Ok(Some(StatusChange { old: intent.status, new }))
}

/// Decides expiry by the clock. `None`: not due, or done already.
#[must_use]
pub fn expire(intent: &Intent, now: Timestamp) -> Option<StatusChange> {
    let due = intent.expires_at.is_some_and(|at| at <= now);
    (due && intent.status != Status::Expired).then_some(StatusChange { old: intent.status, new: Status::Expired })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use gossip_proto::id::{IntentId, RoomId, UserId};
    use uuid::Uuid;

    pub(crate) fn intent(status: Status) -> Intent {
        Intent {
            id: IntentId(Uuid::nil()),
            room_id: RoomId(Uuid::nil()),
            user_id: UserId::NIL,
            content: "x".into(),
            status,
            metadata: None,
            upvotes: 0,
            downvotes: 0,
            expires_at: None,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        }
    }

    const ALL: [Status; 4] = [Status::Pending, Status::Verified, Status::Debunked, Status::Expired];
    const NOW: Timestamp = Timestamp::MAX;

    #[test]
    fn every_change_but_out_of_expired() {
        for old in ALL {
            for new in ALL {
                let result = set_status(&intent(old), new, NOW);
                match (old, new) {
                    _ if old == new => assert_eq!(result, Ok(None)),
                    (Status::Expired, _) => assert_eq!(result.unwrap_err().code, Code::Closed),
                    _ => assert_eq!(result, Ok(Some(StatusChange { old, new }))),
                }
            }
        }
    }

    #[test]
    fn verdicts_are_verified_and_debunked() {
        for new in ALL {
            let change = StatusChange { old: Status::Pending, new };
            assert_eq!(change.is_verdict(), new == Status::Verified || new == Status::Debunked);
        }
    }

    #[test]
    fn expiry_is_due_at_its_instant_and_happens_once() {
        let at = Timestamp::from_millis(1000);
        for status in [Status::Pending, Status::Verified, Status::Debunked] {
            let mut intent = Intent { expires_at: Some(at), ..intent(status) };
            assert_eq!(expire(&intent, Timestamp::from_millis(999)), None);
            let change = expire(&intent, at).unwrap();
            assert_eq!(change, StatusChange { old: status, new: Status::Expired });
            change.apply(&mut intent, at);
            assert_eq!(expire(&intent, at), None);
        }
        assert_eq!(expire(&intent(Status::Pending), NOW), None);
    }

    #[test]
    fn past_its_time_it_can_only_be_expired() {
        let due = Intent { expires_at: Some(NOW), ..intent(Status::Pending) };
        assert_eq!(set_status(&due, Status::Verified, NOW).unwrap_err().code, Code::Closed);
        assert!(set_status(&due, Status::Expired, NOW).unwrap().is_some());
    }

    #[test]
    fn only_admins_set_statuses() {
        assert!(may_set_status(Role::Admin).is_ok());
        assert!(may_set_status(Role::User).is_err());
        assert!(may_set_status(Role::Service).is_err());
    }
}
