//! The HTTP face of the sessions: which request opens one, which belongs to one, and which is refused how. The codes are
//! the reference server's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gossip_proto::engineio::Handshake;
use hyper::header::{HeaderMap, HeaderValue, ORIGIN, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::mpsc;

use super::driver::{Source, drive};
use super::link::{Link, Polling};
use super::registry::{Registry, Running};
use super::session::Dialect;
use super::{App, CloseReason, Config, Frame, Headers, Session, SessionId, polling, probe};
use crate::http::{Body, RequestBody, empty, json};
use crate::transport::{self, Upgrading};

/// POSTs that were answered before they were handled, and the WebSocket that may follow them.
const INBOX: usize = 4;

/// A refusal in the reference server's words.
pub(super) struct Refusal(&'static str);

pub(super) const UNKNOWN_TRANSPORT: Refusal = Refusal(r#"{"code":0,"message":"Transport unknown"}"#);
pub(super) const UNKNOWN_SID: Refusal = Refusal(r#"{"code":1,"message":"Session ID unknown"}"#);
pub(super) const BAD_HANDSHAKE_METHOD: Refusal = Refusal(r#"{"code":2,"message":"Bad handshake method"}"#);
pub(super) const BAD_REQUEST: Refusal = Refusal(r#"{"code":3,"message":"Bad request"}"#);
pub(super) const FORBIDDEN: Refusal = Refusal(r#"{"code":4,"message":"Forbidden"}"#);
pub(super) const UNSUPPORTED_VERSION: Refusal = Refusal(r#"{"code":5,"message":"Unsupported protocol version"}"#);

impl Refusal {
    pub(super) fn response(&self) -> Response<Body> {
        let status = if self.0 == FORBIDDEN.0 { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
        json(status, self.0)
    }
}

/// Serves Engine.IO to one [`App`].
pub struct Server<A> {
    config: Arc<Config>,
    app: A,
    registry: Arc<Registry>,
}

impl<A: App> Server<A> {
    /// A server without sessions.
    #[must_use]
    pub fn new(config: Config, app: A) -> Arc<Self> {
        Arc::new(Server { config: Arc::new(config), app, registry: Arc::default() })
    }

    /// The application.
    #[must_use]
    pub fn app(&self) -> &A {
        &self.app
    }

    /// Whether requests for this path are to go to [`handle`](Self::handle): [`Config::path`], with or without the slash
    /// at its end.
    #[must_use]
    pub fn serves(&self, path: &str) -> bool {
        path == self.config.path || path == self.config.path.trim_end_matches('/')
    }

    /// How many sessions are open.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.registry.open()
    }

    /// How many sessions have ended by a panic of their handler or of ours: a fault, whose harm ends with the session.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.registry.panics()
    }

    /// The open sessions, for example to close them in batches. Some may have closed a moment ago.
    #[must_use]
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.registry.all()
    }

    /// Closes all sessions. With [`CloseReason::Shutdown`] it is for good: what is being opened at this moment is closed
    /// as soon as it is open, and after that new sessions are refused with 503 and `Retry-After: 1`.
    pub fn close_all(&self, reason: CloseReason) {
        if reason == CloseReason::Shutdown {
            self.registry.end();
        }
        for session in self.sessions() {
            session.close(reason);
        }
    }

    /// Resolves when no session is open.
    pub async fn drained(&self) {
        self.registry.drained().await;
    }

    /// Resolves when no session is open or being opened, and the closed ones have delivered what they still had: a moment
    /// later than [`drained`](Self::drained), some seconds where clients do not fetch it. For the end of the process.
    pub async fn settled(&self) {
        self.registry.settled().await;
    }

    /// Answers a request for [`Config::path`]. The future is to be dropped when the client goes away, which hyper does.
    pub async fn handle<B: RequestBody>(self: &Arc<Self>, req: Request<B>, peer: SocketAddr) -> Response<Body> {
        if req.method() == Method::OPTIONS {
            return self.config.cors.preflight(req.headers(), "GET,POST");
        }
        let origin = req.headers().get(ORIGIN).cloned();
        let mut response = match self.route(req, peer).await {
            Ok(response) => response,
            Err(refusal) => refusal.response(),
        };
        self.config.cors.apply(origin.as_ref(), response.headers_mut());
        response
    }

    /// Answers a WebSocket upgrade of a client that speaks no Engine.IO: its frames are the messages, as they are.
    pub async fn handle_plain<B: RequestBody>(
        self: &Arc<Self>,
        mut req: Request<B>,
        peer: SocketAddr,
    ) -> Response<Body> {
        if !self.config.cors.allows(req.headers()) {
            return empty(StatusCode::FORBIDDEN);
        }
        self.open_websocket(&mut req, peer, Dialect::Plain)
    }

    async fn route<B: RequestBody>(
        self: &Arc<Self>,
        mut req: Request<B>,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Refusal> {
        let query = Query::parse(req.uri().query().unwrap_or_default())?;
        let websocket = match query.transport {
            Some("polling") => false,
            Some("websocket") => true,
            _ => return Err(UNKNOWN_TRANSPORT),
        };
        // On every request, also those of open sessions (CVE-2026-102599).
        if query.version != Some("4") {
            return Err(UNSUPPORTED_VERSION);
        }
        let session = match query.sid {
            Some(sid) => {
                let found = SessionId::parse(sid).and_then(|id| self.registry.find(id));
                Some(found.ok_or(UNKNOWN_SID)?)
            }
            None => None,
        };
        if websocket != transport::is_upgrade(req.headers()) {
            return Err(BAD_REQUEST);
        }
        if websocket || session.is_none() {
            self.admit_origin(req.headers())?;
        }
        match (session, websocket) {
            (None, true) => Ok(self.open_websocket(&mut req, peer, Dialect::EngineIo)),
            (None, false) if req.method() != Method::GET => Err(BAD_HANDSHAKE_METHOD),
            (None, false) => Ok(self.open_polling(&req, peer)),
            (Some(session), true) => match transport::accept(&mut req, self.config.limits()) {
                Ok((response, upgrading)) => {
                    let Some(running) = self.registry.begin() else {
                        return Ok(unavailable());
                    };
                    tokio::spawn(async move {
                        let _watched = running.watch();
                        probe::probe(session, upgrading).await;
                        drop(running);
                    });
                    Ok(response)
                }
                Err(response) => Ok(*response),
            },
            (Some(session), false) => match *req.method() {
                Method::GET => Ok(polling::get(&session).await),
                Method::POST => Ok(polling::post(&session, req).await),
                _ => Err(BAD_REQUEST),
            },
        }
    }

    fn admit_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.config.cors.allows(headers) { Ok(()) } else { Err(FORBIDDEN) }
    }

    fn open_polling<B>(self: &Arc<Self>, req: &Request<B>, peer: SocketAddr) -> Response<Body> {
        let pass = match self.app.admit(req.headers(), peer) {
            Ok(pass) => pass,
            Err(refused) => return *refused,
        };
        let Some(running) = self.registry.begin().map(|running| running.holding(pass)) else {
            return unavailable();
        };
        let (inbox, receiver) = mpsc::channel(INBOX);
        let link = Link::Polling(Box::new(Polling::new(self.config.max_queue_bytes, inbox)));
        let headers = Headers::of(req.headers());
        let session = Session::new(peer, headers, Arc::clone(&self.config), Dialect::EngineIo, link);
        let handshake = self.handshake(session.id(), &["websocket"]);
        self.open(session, running, Source::Polling(receiver));
        polling::packets(handshake)
    }

    fn open_websocket<B>(self: &Arc<Self>, req: &mut Request<B>, peer: SocketAddr, dialect: Dialect) -> Response<Body> {
        let pass = match self.app.admit(req.headers(), peer) {
            Ok(pass) => pass,
            Err(refused) => return *refused,
        };
        let Some(running) = self.registry.begin().map(|running| running.holding(pass)) else {
            return unavailable();
        };
        let headers = Headers::of(req.headers());
        match transport::accept(req, self.config.limits()) {
            Ok((response, upgrading)) => {
                tokio::spawn(Arc::clone(self).connected(upgrading, running, peer, headers, dialect));
                response
            }
            Err(response) => *response,
        }
    }

    async fn connected(
        self: Arc<Self>,
        upgrading: Upgrading,
        running: Running,
        peer: SocketAddr,
        headers: Headers,
        dialect: Dialect,
    ) {
        let _watched = running.watch();
        let (reader, writer) = match upgrading.connected().await {
            Ok(halves) => halves,
            Err(error) => {
                tracing::debug!(%peer, %error, "no WebSocket after all");
                return;
            }
        };
        let session = Session::new(peer, headers, Arc::clone(&self.config), dialect, Link::WebSocket(writer));
        if dialect == Dialect::EngineIo {
            session.queue(&[Frame::text(&self.handshake(session.id(), &[]))]);
        }
        self.open(session, running, Source::WebSocket(Box::new(reader)));
    }

    fn open(&self, session: Arc<Session>, running: Running, source: Source) {
        if !self.registry.enter(&session) {
            session.close(CloseReason::Shutdown);
        }
        let handler = self.app.open(Arc::clone(&session));
        session.flush();
        tokio::spawn(drive(session, running, handler, source));
    }

    fn handshake(&self, id: SessionId, upgrades: &'static [&'static str]) -> String {
        Handshake {
            sid: &id.to_string(),
            upgrades,
            ping_interval: millis(self.config.ping_interval),
            ping_timeout: millis(self.config.ping_timeout),
            max_payload: self.config.max_payload,
        }
        .encode()
    }
}

/// For those who would open a session that would be closed at once.
fn unavailable() -> Response<Body> {
    let mut response = empty(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The parameters the protocol knows. All their valid values are plain text, so nothing is decoded.
#[derive(Debug, Default)]
struct Query<'a> {
    version: Option<&'a str>,
    transport: Option<&'a str>,
    sid: Option<&'a str>,
}

impl<'a> Query<'a> {
    fn parse(query: &'a str) -> Result<Query<'a>, Refusal> {
        let mut parsed = Query::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let slot = match name {
                "EIO" => &mut parsed.version,
                "transport" => &mut parsed.transport,
                "sid" => &mut parsed.sid,
                _ => continue,
            };
            // Given twice, what is checked and what is used could differ.
            if slot.replace(value).is_some() {
                return Err(BAD_REQUEST);
            }
        }
        Ok(parsed)
    }
}
