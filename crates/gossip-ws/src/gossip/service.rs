//! Which path is whose (contract §1): Engine.IO, the plain WebSocket, and the few HTTP answers of the daemon itself.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gossip_core::access::Identity;
use gossip_hub::Gateway;
use gossip_proto::refusal::{Code, Refusal};
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use super::api::{self, Route};
use super::console;
use super::dev::{Dev, DevTokens};
use super::json;
use super::metrics;
use super::plain::{GossipPlain, bearer};
use super::sockets::GossipSockets;
use super::spec;
use super::stream::Streams;
use crate::engine::{self, CloseReason, PacketRate, Pass, Server};
use crate::http::{self, Body, Cors, RequestBody, TrustedProxies};
use crate::listener::Service;
use crate::socket::{Limits, Sockets};

/// What a client is asked to wait before it comes back to a draining server.
pub const RETRY_AFTER_DRAIN: Duration = Duration::from_secs(1);

/// Settings of the network side; the defaults are those of contract §7.
#[derive(Debug, Clone)]
pub struct ServiceConfig {
    /// `WS_CORS_ORIGIN`
    pub cors: Cors,
    /// `PING_INTERVAL`
    pub ping_interval: Duration,
    /// `PING_TIMEOUT`
    pub ping_timeout: Duration,
    /// `UPGRADE_TIMEOUT`
    pub upgrade_timeout: Duration,
    /// `AUTH_TIMEOUT`: also how long a client may take to name a namespace.
    pub connect_timeout: Duration,
    /// `MAX_PAYLOAD`, bytes.
    pub max_payload: usize,
    /// Bytes that may wait for one client before it counts as a slow reader.
    pub max_queue_bytes: usize,
    /// How many packets a client may send; where the gateway only observes, more are only counted.
    pub packet_rate: Option<PacketRate>,
    /// `TRUSTED_PROXIES`
    pub trusted_proxies: TrustedProxies,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        ServiceConfig {
            cors: Cors::Any,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            max_payload: 65_536,
            max_queue_bytes: 4 * 1024 * 1024,
            packet_rate: Some(PacketRate::default()),
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

impl ServiceConfig {
    fn engine(&self) -> engine::Config {
        engine::Config {
            path: "/socket.io/".into(),
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
            upgrade_timeout: self.upgrade_timeout,
            connect_timeout: self.connect_timeout,
            max_payload: self.max_payload,
            max_queue_bytes: self.max_queue_bytes,
            packet_rate: self.packet_rate,
            cors: self.cors.clone(),
            ..engine::Config::default()
        }
    }
}

/// Everything the daemon serves, for one [`listener`](crate::listener).
pub struct GossipService {
    gateway: Gateway,
    sockets: Arc<Server<Sockets<GossipSockets>>>,
    plain: Arc<Server<GossipPlain>>,
    streams: Streams,
    cors: Cors,
    trusted_proxies: TrustedProxies,
    max_payload: usize,
    dev: Option<Dev>,
    /// Of connections that are no session's.
    panics: AtomicU64,
}

impl GossipService {
    /// Serves `gateway`; with `dev`, tokens too.
    #[must_use]
    pub fn new(gateway: Gateway, config: &ServiceConfig, dev: Option<DevTokens>) -> Self {
        let sockets = GossipSockets::new(gateway.clone(), config.max_payload);
        let plain = GossipPlain::new(gateway.clone(), config.max_payload);
        GossipService {
            sockets: Server::new(config.engine(), Sockets::new(sockets, Limits::default())),
            plain: Server::new(config.engine(), plain),
            streams: Streams::new(gateway.clone(), config),
            gateway,
            cors: config.cors.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            max_payload: config.max_payload,
            dev: dev.map(Dev),
            panics: AtomicU64::new(0),
        }
    }

    /// Ends whoever is still connected, also those whom the gateway does not know: clients that have not named a
    /// namespace yet.
    pub fn close_all(&self) {
        self.sockets.close_all(CloseReason::Shutdown);
        self.plain.close_all(CloseReason::Shutdown);
        self.streams.close_all();
    }

    /// How many connections have ended by a panic: a fault of ours, whose harm ends with the connection.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed) + self.sockets.panics() + self.plain.panics()
    }

    /// Resolves when every client is gone with all that was sent to it.
    pub async fn settled(&self) {
        self.sockets.settled().await;
        self.plain.settled().await;
        self.streams.settled().await;
    }

    /// Answers a request of the connection from `peer`, whatever its path. Of an embedder's own service those are to come
    /// here whose paths are not its own; WebSockets need the connection to be [`listener`](crate::listener)'s. The future
    /// is to be dropped when the client goes away, which hyper does.
    pub async fn handle<B: RequestBody>(&self, req: Request<B>, peer: SocketAddr) -> Response<Body> {
        let path = req.uri().path();
        if path == "/dev/token" {
            // From this machine, without a proxy: whatever that says.
            return self.own(&req.into_parts().0, peer).await;
        }
        let peer = self.trusted_proxies.client(peer, req.headers());
        if self.sockets.serves(path) {
            return self.sockets.handle(req, peer).await;
        }
        if path == "/gossip/ws" {
            return self.plain.handle_plain(req, peer).await;
        }
        if console::serves(path) {
            return console::answer(req.method(), path, req.headers(), self.dev.is_some());
        }
        let uri = req.uri().clone();
        let route = api::route(uri.path());
        if req.method() == Method::OPTIONS {
            return self.cors.preflight(req.headers(), route.map_or("GET", Route::methods));
        }
        let origin = req.headers().get(ORIGIN).cloned();
        let mut response = match route {
            Some(route) => self.api(route, req, peer).await,
            None => self.own(&req.into_parts().0, peer).await,
        };
        // What the server does is no business of a page that somebody with access to it has open.
        if uri.path() != "/metrics" {
            self.cors.apply(origin.as_ref(), response.headers_mut());
        }
        response
    }

    async fn own(&self, req: &Parts, peer: SocketAddr) -> Response<Body> {
        let path = req.uri.path();
        match path {
            "/healthz" | "/readyz" | "/metrics" | spec::OPENAPI_PATH | spec::ASYNCAPI_PATH => {}
            "/dev/token" if self.dev.is_some() => {}
            _ => return refusal(&nothing_here()),
        }
        if !matches!(req.method, Method::GET | Method::HEAD) {
            let mut response = http::empty(StatusCode::METHOD_NOT_ALLOWED);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        if let Some(response) = spec::answer(path, &req.headers) {
            return response;
        }
        match (path, &self.dev) {
            ("/healthz", _) => http::content(StatusCode::OK, "text/plain", "ok\n"),
            ("/metrics", _) => metrics::answer(&self.gateway, self.panics()).await,
            ("/readyz", _) if self.gateway.is_ready().await => http::content(StatusCode::OK, "text/plain", "ready\n"),
            ("/readyz", _) => http::content(StatusCode::SERVICE_UNAVAILABLE, "text/plain", "not ready\n"),
            (_, Some(dev)) => dev.token(peer, &req.headers, req.uri.query()),
            // Not reached: without dev its path is not one.
            (_, None) => refusal(&nothing_here()),
        }
    }

    /// What needs a token.
    async fn api<B: RequestBody>(&self, route: Route<'_>, req: Request<B>, peer: SocketAddr) -> Response<Body> {
        if let Some(response) = route.refuse_method(req.method()) {
            return response;
        }
        let authorised = self.identity(req.headers(), peer.ip()).and_then(|who| route.admit(&who).map(|()| who));
        match authorised {
            Ok(identity) => route.answer(&self.gateway, &identity, req, peer, self.max_payload, &self.streams).await,
            Err(refused) => {
                if refused.code != Code::RateLimited {
                    tracing::info!(%peer, code = ?refused.code, "a call over HTTP was refused");
                }
                refusal(&refused)
            }
        }
    }

    fn identity(&self, headers: &HeaderMap, address: IpAddr) -> Result<Identity, Refusal> {
        let header = headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or(""));
        bearer(&self.gateway, header, address)?.ok_or_else(Refusal::not_authenticated)
    }
}

fn nothing_here() -> Refusal {
    Refusal::new(Code::NotFound, "there is nothing here")
}

impl Service for GossipService {
    type Body = Body;

    fn panicked(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    async fn call(&self, req: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        self.handle(req, peer).await
    }
}

/// A refusal over HTTP, with the status that fits its code (contract §6).
pub(super) fn refusal(refusal: &Refusal) -> Response<Body> {
    let mut response = http::json(status(refusal.code), json(refusal));
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(millis) = refusal.retry_after_ms {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(millis.div_ceil(1000)));
    }
    response
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidInput | Code::UnknownEvent => StatusCode::BAD_REQUEST,
        Code::NotAuthenticated | Code::InvalidToken | Code::TokenExpired => StatusCode::UNAUTHORIZED,
        Code::Forbidden => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Closed | Code::Conflict => StatusCode::CONFLICT,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable | Code::Unresolved => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// 503 for who asks something of a gateway that is ending.
pub(super) fn shutting_down() -> Response<Body> {
    let refused = Refusal::new(Code::Unavailable, "the server is shutting down; come back in a moment");
    let mut response = refusal(&refused);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_DRAIN.as_secs()));
    response
}

/// Lets a connection to a gateway be opened: 503 while that is ending, 429 for who opens or has too many.
pub(super) fn admit(gateway: &Gateway, peer: SocketAddr) -> Result<Pass, Box<Response<Body>>> {
    if gateway.is_draining() {
        return Err(Box::new(shutting_down()));
    }
    gateway.admit(Some(peer.ip())).map(Pass::holding).map_err(|refused| Box::new(refusal(&refused)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::combinators::UnsyncBoxBody;

    use super::*;
    use crate::http::BoxError;

    fn needs_send(_: &impl Send) {}

    #[test]
    fn other_services_may_hand_on_their_requests() {
        // axum's: a body that cannot be shared, and a future that must be sent. That it compiles is the test.
        let _ = |service: &GossipService, req: Request<UnsyncBoxBody<Bytes, BoxError>>, peer: SocketAddr| {
            needs_send(&service.handle(req, peer));
        };
    }
}
