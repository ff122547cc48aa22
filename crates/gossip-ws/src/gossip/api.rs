//! The HTTP of contract §6 that needs a token: which path is what, who may ask, and with which method. What is answered is
//! in the modules below; sockets, the console and the daemon's own paths are [`super::service`]'s.

mod body;
mod broadcasts;
mod members;
mod query;
mod reads;

use std::net::SocketAddr;

pub(super) use broadcasts::Broadcast;
pub(super) use members::{MAX_MEMBERS, Members};
pub(super) use reads::Events;

use gossip_core::access::{Identity, Role};
use gossip_hub::Gateway;
use gossip_proto::id::{IntentId, RoomId, UserId};
use gossip_proto::refusal::{Code, Refusal};
use hyper::header::{ALLOW, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::json;
use super::service::{refusal, shutting_down};
use super::stream::{self, Streams};
use crate::http::{self, Body, RequestBody};

/// A path of the API, with the ids as they stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `/v1/stats`
    Stats,
    /// `/v1/rooms/{roomId}/gossip`
    Gossip { room: &'a str },
    /// `/v1/rooms/{roomId}/events`
    Events { room: &'a str },
    /// `/v1/gossip/{intentId}`
    Intent { intent: &'a str },
    /// `/v1/gossip/{intentId}/updates`
    Updates { intent: &'a str },
    /// `/v1/broadcast`
    Broadcast,
    /// `/v1/rooms/{roomId}/broadcast`
    RoomBroadcast { room: &'a str },
    /// `/v1/users/{userId}/broadcast`
    UserBroadcast { user: &'a str },
    /// `/v1/rooms/{roomId}/members`
    Members { room: &'a str },
    /// `/v1/rooms/{roomId}/members/{userId}`
    Member { room: &'a str, user: &'a str },
    /// `/v1/users/{userId}/connections`
    Connections { user: &'a str },
}

/// The route of a path.
pub(super) fn route(path: &str) -> Option<Route<'_>> {
    // One part more than any route has.
    let parts: Vec<&str> = path.strip_prefix("/v1/")?.splitn(5, '/').collect();
    Some(match parts[..] {
        ["stats"] => Route::Stats,
        ["rooms", room, "gossip"] => Route::Gossip { room },
        ["rooms", room, "events"] => Route::Events { room },
        ["gossip", intent] => Route::Intent { intent },
        ["gossip", intent, "updates"] => Route::Updates { intent },
        ["broadcast"] => Route::Broadcast,
        ["rooms", room, "broadcast"] => Route::RoomBroadcast { room },
        ["users", user, "broadcast"] => Route::UserBroadcast { user },
        ["rooms", room, "members"] => Route::Members { room },
        ["rooms", room, "members", user] => Route::Member { room, user },
        ["users", user, "connections"] => Route::Connections { user },
        _ => return None,
    })
}

impl Route<'_> {
    /// The route that is described after this one, the first after none; so that what goes through all meets every one.
    pub(super) fn after(route: Option<Route<'_>>) -> Option<Route<'_>> {
        // Ids are any: only which route it is counts.
        let (room, intent, user) = ("", "", "");
        Some(match route {
            None => Route::Gossip { room },
            Some(Route::Gossip { .. }) => Route::Events { room },
            Some(Route::Events { .. }) => Route::Intent { intent },
            Some(Route::Intent { .. }) => Route::Updates { intent },
            Some(Route::Updates { .. }) => Route::Broadcast,
            Some(Route::Broadcast) => Route::RoomBroadcast { room },
            Some(Route::RoomBroadcast { .. }) => Route::UserBroadcast { user },
            Some(Route::UserBroadcast { .. }) => Route::Members { room },
            Some(Route::Members { .. }) => Route::Member { room, user },
            Some(Route::Member { .. }) => Route::Connections { user },
            Some(Route::Connections { .. }) => Route::Stats,
            Some(Route::Stats) => return None,
        })
    }

    /// What may be done there.
    pub(super) fn methods(self) -> &'static str {
        match self {
            Route::Stats
            | Route::Gossip { .. }
            | Route::Events { .. }
            | Route::Intent { .. }
            | Route::Updates { .. }
            | Route::Members { .. } => "GET, HEAD",
            Route::Broadcast | Route::RoomBroadcast { .. } | Route::UserBroadcast { .. } => "POST",
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

    /// Lets those through who may ask for this: for reading, who has access to the room, which is looked at later.
    pub(super) fn admit(self, identity: &Identity) -> Result<(), Refusal> {
        match identity.role {
            Role::Admin | Role::Service => Ok(()),
            Role::User if self.is_read() => Ok(()),
            Role::User => Err(Refusal::new(Code::Forbidden, "only a service or an admin may ask for this")),
        }
    }

    /// Whether it is a read of what is in a room.
    fn is_read(self) -> bool {
        matches!(self, Route::Gossip { .. } | Route::Events { .. } | Route::Intent { .. } | Route::Updates { .. })
    }

    /// Does what is asked, by one of its methods, of who may.
    pub(super) async fn answer<B: RequestBody>(
        self,
        gateway: &Gateway,
        identity: &Identity,
        req: Request<B>,
        peer: SocketAddr,
        max_payload: usize,
        streams: &Streams,
    ) -> Response<Body> {
        let (head, body) = req.into_parts();
        let body = match body::read(body, max_payload).await {
            Ok(body) => body,
            Err(response) => return *response,
        };
        let changes = !matches!(head.method, Method::GET | Method::HEAD);
        if changes && gateway.is_draining() {
            return shutting_down();
        }
        let query = head.uri.query();
        let answered = async {
            // Reads see to that themselves.
            if !self.is_read() {
                gateway.admit_call(identity)?;
            }
            Ok(match self {
                Route::Stats => http::json(StatusCode::OK, json(&gateway.connection_stats())),
                Route::Gossip { room } => reads::gossip(gateway, identity, room, query).await?,
                Route::Events { room } if stream::is_wanted(&head.headers) => {
                    let since = match stream::last_event_id(&head.headers)? {
                        None => reads::since(query)?,
                        last => last,
                    };
                    let opened = streams.open(room_id(room)?, since, identity.clone(), peer).await;
                    opened.unwrap_or_else(|refused| *refused)
                }
                Route::Events { room } => reads::events(gateway, identity, room_id(room)?, query).await?,
                Route::Intent { intent } => reads::intent(gateway, identity, intent).await?,
                Route::Updates { intent } => reads::updates(gateway, identity, intent, query).await?,
                Route::Broadcast => broadcasts::to_all(gateway, &body).await?,
                Route::RoomBroadcast { room } => broadcasts::to_room(gateway, room_id(room)?, &body).await?,
                Route::UserBroadcast { user } => broadcasts::to_user(gateway, user_id(user)?, &body).await?,
                Route::Members { room } => members::list(gateway, room_id(room)?, query).await?,
                Route::Member { room, user } => {
                    let (room, user) = (room_id(room)?, user_id(user)?);
                    match head.method {
                        Method::PUT => gateway.add_member(room, user).await?,
                        _ => gateway.remove_member(room, user).await?,
                    }
                    http::empty(StatusCode::NO_CONTENT)
                }
                Route::Connections { user } => {
                    gateway.disconnect_user(user_id(user)?, members::not_before(query)?).await?;
                    http::empty(StatusCode::NO_CONTENT)
                }
            })
        };
        answered.await.unwrap_or_else(|refused: Refusal| refusal(&refused))
    }
}

fn room_id(text: &str) -> Result<RoomId, Refusal> {
    text.parse().map_err(|error: gossip_proto::id::NotAUuid| Refusal::invalid("roomId", error.to_string()))
}

fn user_id(text: &str) -> Result<UserId, Refusal> {
    text.parse().map_err(|error: gossip_proto::id::NotAUuid| Refusal::invalid("userId", error.to_string()))
}

fn intent_id(text: &str) -> Result<IntentId, Refusal> {
    text.parse().map_err(|error: gossip_proto::id::NotAUuid| Refusal::invalid("intentId", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(route("/v1/stats"), Some(Route::Stats));
        assert_eq!(route("/v1/rooms/a/gossip"), Some(Route::Gossip { room: "a" }));
        assert_eq!(route("/v1/rooms/a/events"), Some(Route::Events { room: "a" }));
        assert_eq!(route("/v1/gossip/a"), Some(Route::Intent { intent: "a" }));
        assert_eq!(route("/v1/gossip/a/updates"), Some(Route::Updates { intent: "a" }));
        assert_eq!(route("/v1/broadcast"), Some(Route::Broadcast));
        assert_eq!(route("/v1/rooms/a/broadcast"), Some(Route::RoomBroadcast { room: "a" }));
        assert_eq!(route("/v1/users/a/broadcast"), Some(Route::UserBroadcast { user: "a" }));
        assert_eq!(route("/v1/rooms/a/members"), Some(Route::Members { room: "a" }));
        assert_eq!(route("/v1/rooms/a/members/b"), Some(Route::Member { room: "a", user: "b" }));
        assert_eq!(route("/v1/users/b/connections"), Some(Route::Connections { user: "b" }));
        let others = [
            "/v1/rooms/a/members/b/c",
            "/v1/rooms/a",
            "/v1/rooms//a/members",
            "/v1/users/b",
            "/rooms/a/members",
            "/v1/stats/",
            "/v1/gossip/a/updates/b",
            "/v1/broadcast/a",
        ];
        for other in others {
            assert_eq!(route(other), None, "{other}");
        }
    }
}
