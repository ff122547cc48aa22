//! Whether the rows that a user's votes on an intent have left can come from what was sent, in the order sent, given
//! what is known of each vote's fate. Values only.

use std::collections::BTreeSet;

/// What is known of a vote that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It was acked, with a `vote` event of this intent or with another seq.
    Acked { has_event: bool },
    /// It may have been carried out.
    Unknown,
    /// It was refused.
    Refused,
}

/// `sent` in the order sent; `rows` are those of `gossip_updates` in their order; `stands` is that of `gossip_votes`.
pub(crate) fn is_possible(sent: &[(&str, Known)], rows: &[&str], stands: Option<&str>) -> bool {
    // The vote that stands is that of the last row, so how many rows have been explained is all there is to know.
    let after = |explained: usize| explained.checked_sub(1).map(|last| rows[last]).filter(|action| *action != "remove");
    let mut possible = BTreeSet::from([0]);
    for (action, known) in sent {
        let wanted = Some(*action).filter(|action| *action != "remove");
        let carried_out = |explained: &usize| {
            if wanted == after(*explained) {
                return Some(*explained);
            }
            let is_told = *known != Known::Acked { has_event: false };
            (rows.get(*explained) == Some(action) && is_told).then_some(explained + 1)
        };
        let next = possible.iter().filter_map(carried_out).collect();
        match known {
            Known::Acked { .. } => possible = next,
            Known::Unknown => possible.extend(next),
            Known::Refused => {}
        }
    }
    possible.contains(&rows.len()) && after(rows.len()) == stands
}

#[test]
fn votes_explain_rows() {
    let acked = Known::Acked { has_event: true };
    let unchanged = Known::Acked { has_event: false };
    let up = ["upvote"];
    assert!(is_possible(&[], &[], None));
    assert!(is_possible(&[("upvote", acked)], &up, Some("upvote")));
    assert!(!is_possible(&[("upvote", acked)], &up, None), "the row of the vote is missing");
    assert!(!is_possible(&[("upvote", acked)], &[], None), "an acked vote is missing");
    assert!(!is_possible(&[("upvote", unchanged)], &up, Some("upvote")), "a vote without an event");
    assert!(is_possible(&[("remove", unchanged), ("upvote", acked), ("upvote", unchanged)], &up, Some("upvote")));
    for (rows, stands) in [(&up[..], Some("upvote")), (&[], None)] {
        assert!(is_possible(&[("upvote", Known::Unknown)], rows, stands));
    }
    assert!(!is_possible(&[("upvote", Known::Refused)], &up, Some("upvote")));
    let sent = [("upvote", Known::Unknown), ("downvote", acked), ("remove", Known::Unknown)];
    for rows in [&["upvote", "downvote"][..], &["downvote"]] {
        assert!(is_possible(&sent, rows, Some("downvote")));
    }
    assert!(is_possible(&sent, &["downvote", "remove"], None));
    assert!(!is_possible(&sent, &["downvote", "upvote"], Some("upvote")), "another order");
    assert!(!is_possible(&sent, &["upvote"], Some("upvote")));
}
