//! What `--dev` adds to HTTP: a token for whoever asks from this machine. It is not there otherwise.

use std::fmt;
use std::net::SocketAddr;

use gossip_proto::id::UserId;
use hyper::header::{HOST, HeaderMap};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::json;
use crate::http::{self, Body};

/// A token and whose it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DevToken {
    /// The JWT.
    pub token: String,
    /// Its `sub`.
    pub user_id: UserId,
}

/// Makes tokens: for a new user with the role asked for, `None` for an unknown role.
pub type DevTokens = Box<dyn Fn(&str) -> Option<DevToken> + Send + Sync>;

pub(super) struct Dev(pub(super) DevTokens);

impl fmt::Debug for Dev {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dev")
    }
}

impl Dev {
    /// `GET /dev/token?role=…`, from this machine only, whatever the address listened on. A page from elsewhere in a
    /// browser here cannot read the answer, since it allows no origin, and cannot come under a name of its own, since
    /// the name must be this machine's.
    pub(super) fn token(&self, peer: SocketAddr, headers: &HeaderMap, query: Option<&str>) -> Response<Body> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let is_from_here = peer.ip().to_canonical().is_loopback();
        if !is_from_here || !matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
            return http::empty(StatusCode::FORBIDDEN);
        }
        let role = query.and_then(|query| query.strip_prefix("role=")).unwrap_or("user");
        match (self.0)(role) {
            Some(token) => http::json(StatusCode::OK, json(&token)),
            None => http::empty(StatusCode::BAD_REQUEST),
        }
    }
}
