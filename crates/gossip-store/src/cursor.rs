//! Where a page ended: the opaque `before` and `nextBefore` of contract §2. Not a secret and not a right: a made-up
//! one only names another place in the same list.

use std::fmt;
use std::str::FromStr;

use gossip_proto::refusal::Refusal;
use gossip_proto::timestamp::Timestamp;
use uuid::Uuid;

/// The last item of a page, by what lists are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Its `createdAt`.
    pub created_at: Timestamp,
    /// Its id, among those of the same millisecond.
    pub id: Uuid,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{}", self.created_at.as_millis(), self.id.as_simple())
    }
}

impl FromStr for Cursor {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let read = || {
            let (millis, id) = text.split_once('-')?;
            let millis = i64::from_str_radix(millis, 16).ok()?;
            Some(Cursor { created_at: Timestamp::from_millis(millis), id: Uuid::try_parse(id).ok()? })
        };
        read().ok_or_else(|| Refusal::invalid("before", "must be the nextBefore of an earlier page"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_shows_and_nothing_else() {
        let cursor = Cursor { created_at: Timestamp::from_millis(1_704_067_200_007), id: Uuid::from_u128(7) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "x", "-", "18cc251f407", "18cc251f407-", "zz-00000000000000000000000000000007"] {
            assert_eq!(bad.parse::<Cursor>().unwrap_err().field, Some("before"), "{bad}");
        }
    }
}
