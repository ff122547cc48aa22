//! What other services and admins manage over HTTP (contract §6): members of rooms, and the end of a user's connections.
//! What follows for connections is gossip-hub's business.

use std::time::Duration;

use gossip_hub::Gateway;
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::timestamp::Timestamp;
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONNECTION, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::time::timeout;

use super::json;
use super::service::{refusal, shutting_down};
use crate::http::{self, Body};

/// How long a body may take that says nothing to us.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Members that one answer has, unless fewer are asked for.
const MAX_MEMBERS: u64 = 1_000;

/// A path that is managed here, with the ids as they stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `/v1/rooms/{roomId}/members`
    Members { room: &'a str },
    /// `/v1/rooms/{roomId}/members/{userId}`
    Member { room: &'a str, user: &'a str },
    /// `/v1/users/{userId}/connections`
    Connections { user: &'a str },
}

/// The route of a path.
pub(super) fn route(path: &str) -> Option<Route<'_>> {
    let parts: Vec<&str> = path.strip_prefix("/v1/")?.splitn(6, '/').collect();
    match parts[..] {
        ["rooms", room, "members"] => Some(Route::Members { room }),
        ["rooms", room, "members", user] => Some(Route::Member { room, user }),
        ["users", user, "connections"] => Some(Route::Connections { user }),
        _ => None,
    }
}

impl Route<'_> {
    /// What may be done there.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Route::Members { .. } => "GET, HEAD",
            Route::Member { .. } => "PUT, DELETE",
            Route::Connections { .. } => "DELETE",
        }
    }

    /// 405 for what may not.
    pub(super) fn refuse_method(self, method: &Method) -> Option<Response<Body>> {
        let is_allowed = self.methods().split(", ").any(|allowed| allowed == method.as_str());
        (!is_allowed).then(|| {
            let mut response = http::empty(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(self.methods()));
            response
        })
    }

    /// Does what is asked, by one of its methods, of who may.
    pub(super) async fn answer(self, gateway: &Gateway, req: Request<Incoming>, max_payload: usize) -> Response<Body> {
        let (head, body) = req.into_parts();
        if let Err(response) = discard(body, max_payload).await {
            return *response;
        }
        let done = match (self, &head.method) {
            (Route::Members { room }, _) => return members(gateway, room, head.uri.query()).await,
            _ if gateway.is_draining() => return shutting_down(),
            (Route::Member { room, user }, &Method::PUT) => match (room_id(room), user_id(user)) {
                (Ok(room), Ok(user)) => gateway.add_member(room, user).await,
                (Err(refused), _) | (_, Err(refused)) => Err(refused),
            },
            (Route::Member { room, user }, _) => match (room_id(room), user_id(user)) {
                (Ok(room), Ok(user)) => gateway.remove_member(room, user).await,
                (Err(refused), _) | (_, Err(refused)) => Err(refused),
            },
            (Route::Connections { user }, _) => match (user_id(user), not_before(head.uri.query())) {
                (Ok(user), Ok(not_before)) => gateway.disconnect_user(user, not_before).await,
                (Err(refused), _) | (_, Err(refused)) => Err(refused),
            },
        };
        match done {
            Ok(()) => http::empty(StatusCode::NO_CONTENT),
            Err(refused) => refusal(&refused),
        }
    }
}

async fn members(gateway: &Gateway, room: &str, query: Option<&str>) -> Response<Body> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Member {
        user_id: UserId,
        added_at: Timestamp,
    }

    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Members {
        status: &'static str,
        members: Vec<Member>,
        next_after: Option<UserId>,
    }

    let found = async {
        let (room, (after, limit)) = (room_id(room)?, page(query)?);
        // One more tells whether there is a next page.
        Ok((limit, gateway.members(room, after, limit + 1).await?))
    };
    match found.await {
        Ok((limit, mut found)) => {
            let is_more = found.len() as u64 > limit;
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            let next_after = found.last().filter(|_| is_more).map(|last| last.user);
            let members = found.iter().map(|member| Member { user_id: member.user, added_at: member.added_at });
            let body = Members { status: "success", members: members.collect(), next_after };
            http::json(StatusCode::OK, json(&body))
        }
        Err(refused) => refusal(&refused),
    }
}

fn room_id(text: &str) -> Result<RoomId, Refusal> {
    text.parse().map_err(|error: gossip_proto::id::NotAUuid| Refusal::invalid("roomId", error.to_string()))
}

fn user_id(text: &str) -> Result<UserId, Refusal> {
    text.parse().map_err(|error: gossip_proto::id::NotAUuid| Refusal::invalid("userId", error.to_string()))
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

fn not_before(query: Option<&str>) -> Result<Option<Timestamp>, Refusal> {
    let wrong = || Refusal::invalid("notBefore", "must be a time such as 2026-01-31T12:00:00Z");
    parameter(query, "notBefore")?.map(|text| Timestamp::parse(&text).ok_or_else(wrong)).transpose()
}

/// A parameter of the query, decoded; the first where there are several.
fn parameter(query: Option<&str>, name: &'static str) -> Result<Option<String>, Refusal> {
    let mut pairs = query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.find(|(key, _)| *key == name).map(|(_, value)| value);
    value.map(|value| decoded(value).ok_or_else(|| Refusal::invalid(name, "is not percent-encoded text"))).transpose()
}

/// What stands behind `%` and two digits (RFC 3986 §2.1). A `+` is a plus, as in a time's offset.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// Reads a body that means nothing, so that the connection can go on.
async fn discard(body: Incoming, max: usize) -> Result<(), Box<Response<Body>>> {
    let too_large = || {
        let refused = Refusal::new(Code::TooLarge, format!("a body may have at most {max} bytes"));
        let mut response = refusal(&refused);
        // The rest of it is not read.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Err(Box::new(response))
    };
    if body.size_hint().lower() > max as u64 {
        return too_large();
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, max).collect()).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) => too_large(),
        Err(_) => Err(Box::new(http::empty(StatusCode::REQUEST_TIMEOUT))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(route("/v1/rooms/a/members"), Some(Route::Members { room: "a" }));
        assert_eq!(route("/v1/rooms/a/members/b"), Some(Route::Member { room: "a", user: "b" }));
        assert_eq!(route("/v1/users/b/connections"), Some(Route::Connections { user: "b" }));
        let others =
            ["/v1/rooms/a/members/b/c", "/v1/rooms/a", "/v1/rooms//a/members", "/v1/users/b", "/rooms/a/members"];
        for other in others {
            assert_eq!(route(other), None, "{other}");
        }
    }

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
