//! An axum router with the gateway behind it: `/hello` and `/notices/{room}` are the router's, every other path is
//! gossipd's. WebSockets need a connection of gossip-ws's listener, so the router runs within that, not under
//! `axum::serve`; a `layer` on the router goes around the gateway's paths too. To try it:
//! `JWT_SECRET=… cargo run -p gossip-ws --example axum`, join a room with any client, then
//! `curl -d 'Doors open at nine' -H "Authorization: Bearer $TOKEN" localhost:3000/notices/$ROOM` with an admin's token
//! (the same `JWT_SECRET=…` with `gossipd token --role admin`): its members hear `notice`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use gossip_core::access::Role;
use gossip_hub::{Gateway, GatewayConfig, Key, SystemEnv, Verifier, VerifierConfig};
use gossip_proto::id::RoomId;
use gossip_proto::request::Token;
use gossip_store::Store;
use gossip_store::sqlite::SqliteStore;
use gossip_ws::gossip::service::RETRY_AFTER_DRAIN;
use gossip_ws::gossip::{GossipService, ServiceConfig};
use gossip_ws::http::BoxError;
use gossip_ws::listener::{self, Service};
use hyper::body::Incoming;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tower::ServiceExt as _;

#[derive(Clone)]
struct Shared {
    gateway: Gateway,
    gossip: Arc<GossipService>,
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/hello", get(|| async { "hello\n" }))
        .route("/notices/{room}", post(notice))
        .fallback(gossip)
        .with_state(shared)
}

async fn notice(
    State(shared): State<Shared>,
    Extension(peer): Extension<SocketAddr>,
    Path(room): Path<RoomId>,
    headers: HeaderMap,
    text: String,
) -> StatusCode {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match shared.gateway.verify(&Token(bearer.unwrap_or_default().to_owned()), None, Some(peer.ip())) {
        Err(_) => StatusCode::UNAUTHORIZED,
        Ok(who) if who.role != Role::Admin => StatusCode::FORBIDDEN,
        Ok(_) => match shared.gateway.broadcast_to_room(room, "notice", &json!({ "text": text })).await {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

/// All that is not the router's.
async fn gossip(State(shared): State<Shared>, Extension(peer): Extension<SocketAddr>, req: Request) -> Response {
    shared.gossip.handle(req, peer).await.map(Body::new)
}

/// The router, as the listener calls it.
struct Routed {
    router: Router,
    gossip: Arc<GossipService>,
}

impl Service for Routed {
    type Body = Body;

    async fn call(&self, req: hyper::Request<Incoming>, peer: SocketAddr) -> Response {
        let mut req = req.map(Body::new);
        req.extensions_mut().insert(peer);
        match self.router.clone().oneshot(req).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    fn panicked(&self) {
        self.gossip.panicked();
    }
}

pub(crate) async fn run(
    socket: TcpListener,
    url: &str,
    key: Key,
    stop: impl Future<Output = ()>,
) -> Result<(), BoxError> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(url, Duration::from_secs(2)).await?);
    let verifier = Verifier::new(key, VerifierConfig::default());
    let gateway = Gateway::start(GatewayConfig::default(), Arc::clone(&store), verifier, Arc::new(SystemEnv)).await?;
    let gossip = Arc::new(GossipService::new(gateway.clone(), &ServiceConfig::default(), None));
    let router = router(Shared { gateway: gateway.clone(), gossip: Arc::clone(&gossip) });
    let routed = Arc::new(Routed { router, gossip: Arc::clone(&gossip) });
    // The listener serves until this ends: clients that poll fetch their last packets through it.
    let ended = async {
        stop.await;
        if timeout(Duration::from_secs(10), gateway.drain(RETRY_AFTER_DRAIN, Duration::from_secs(2))).await.is_err() {
            gateway.close_now().await;
        }
        gossip.close_all();
        let _ = timeout(Duration::from_secs(5), gossip.settled()).await;
    };
    listener::serve(socket, routed, listener::Config::default(), ended).await;
    Ok(store.close().await?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    let key = Key::secret(&std::env::var("JWT_SECRET")?);
    run(TcpListener::bind("127.0.0.1:3000").await?, "sqlite://gossip.db", key, stop).await
}
