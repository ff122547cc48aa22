//! What other services and admins manage over HTTP (contract §6): members of rooms, and the end of a user's connections.
//! What follows for connections is gossip-hub's business.

use gossip_hub::Gateway;
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::refusal::Refusal;
use gossip_proto::timestamp::Timestamp;
use hyper::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::super::json;
use super::query::parameter;
use crate::http::{self, Body};

/// Members that one answer has, unless fewer are asked for.
pub(in super::super) const MAX_MEMBERS: u64 = 1_000;

/// Who may be in a room.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Member {
    /// Who.
    user_id: UserId,
    /// Since when.
    added_at: Timestamp,
}

/// A page of the members of a room.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Members {
    #[schemars(extend("const" = "success"))]
    status: &'static str,
    /// In the order of their ids.
    members: Vec<Member>,
    /// The `after` of the next page; `null` at the end.
    next_after: Option<UserId>,
}

/// A page of the members of a room.
pub(super) async fn list(gateway: &Gateway, room: RoomId, query: Option<&str>) -> Result<Response<Body>, Refusal> {
    let (after, limit) = page(query)?;
    // One more tells whether there is a next page.
    let mut found = gateway.members(room, after, limit + 1).await?;
    let is_more = found.len() as u64 > limit;
    found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_after = found.last().filter(|_| is_more).map(|last| last.user);
    let members = found.iter().map(|member| Member { user_id: member.user, added_at: member.added_at });
    let body = Members { status: "success", members: members.collect(), next_after };
    Ok(http::json(StatusCode::OK, json(&body)))
}

/// `after` and `limit`.
fn page(query: Option<&str>) -> Result<(Option<UserId>, u64), Refusal> {
    let after = parameter(query, "after")?;
    let after = after.map(|text| text.parse().map_err(|_| Refusal::invalid("after", "must be a userId")));
    let limit = match parameter(query, "limit")?.map(|text| text.parse()) {
        None => MAX_MEMBERS,
        Some(Ok(limit @ 1..=MAX_MEMBERS)) => limit,
        Some(_) => return Err(Refusal::invalid("limit", format!("must be from 1 to {MAX_MEMBERS}"))),
    };
    Ok((after.transpose()?, limit))
}

/// `notBefore`.
pub(super) fn not_before(query: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let wrong = || Refusal::invalid("notBefore", "must be a time such as 2026-01-31T12:00:00Z");
    parameter(query, "notBefore")?.map(|text| Timestamp::parse(&text).ok_or_else(wrong)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let user: UserId = "018f2a3e-0000-7000-8000-000000000001".parse().unwrap();
        assert_eq!(page(None).unwrap(), (None, 1_000));
        assert_eq!(page(Some(&format!("limit=7&after={user}"))).unwrap(), (Some(user), 7));
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("limit=", "limit"),
            ("limit=-1", "limit"),
            ("after=", "after"),
            ("after=x", "after"),
            ("after=%ff", "after"),
        ] {
            assert_eq!(page(Some(query)).unwrap_err().field, Some(field), "{query}");
        }
        let noon = Timestamp::parse("2026-01-31T12:00:00Z");
        for text in ["2026-01-31T12:00:00Z", "2026-01-31T14%3A00%3a00%2B02:00", "2026-01-31T14:00:00+02:00"] {
            assert_eq!(not_before(Some(&format!("x=1&notBefore={text}"))).unwrap(), noon, "{text}");
        }
        assert_eq!(not_before(Some("notbefore=1")).unwrap(), None);
        for text in ["", "now", "1769860800", "%", "%4", "%zz", "2026-01-31"] {
            assert_eq!(not_before(Some(&format!("notBefore={text}"))).unwrap_err().field, Some("notBefore"), "{text}");
        }
    }
}
