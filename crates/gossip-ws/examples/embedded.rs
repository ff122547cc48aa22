//! A Rust service with the gateway in it: all that gossipd serves, on one port, and a route of its own. To try it:
//! `JWT_SECRET=… cargo run -p gossip-ws --example embedded`, sign in with any client, then
//! `curl -X POST -H "Authorization: Bearer $TOKEN" localhost:3000/hello` with an admin's token (the same `JWT_SECRET=…`
//! with `gossipd token --role admin`): every client hears `hello`. Ctrl-c lets them go in good order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use gossip_core::access::Role;
use gossip_hub::{Gateway, GatewayConfig, Key, SystemEnv, Verifier, VerifierConfig};
use gossip_proto::request::Token;
use gossip_store::{Store, sqlite::SqliteStore};
use gossip_ws::gossip::{GossipService, ServiceConfig, service::RETRY_AFTER_DRAIN};
use gossip_ws::http::{Body, BoxError, empty};
use gossip_ws::listener::{self, Service};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header::AUTHORIZATION};
use tokio::{net::TcpListener, time::timeout};

struct Own(Gateway, GossipService);

impl Service for Own {
    type Body = Body;
    async fn call(&self, req: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        let Own(gateway, gossip) = self;
        if (req.method(), req.uri().path()) != (&Method::POST, "/hello") {
            return gossip.handle(req, peer).await;
        }
        let bearer = req.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let who = gateway.verify(&Token(bearer.unwrap_or_default().into()), None, Some(peer.ip()));
        if !who.is_ok_and(|who| who.role == Role::Admin) {
            return empty(StatusCode::FORBIDDEN);
        }
        let told = gateway.broadcast_to_all("hello", &serde_json::json!({ "text": "hello, everybody" })).await;
        empty(told.map_or(StatusCode::INTERNAL_SERVER_ERROR, |()| StatusCode::NO_CONTENT))
    }
}

pub(crate) async fn run(tcp: TcpListener, url: &str, key: Key, stop: impl Future<Output = ()>) -> Result<(), BoxError> {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(url, Duration::from_secs(2)).await?);
    let verifier = Verifier::new(key, VerifierConfig::default());
    let gateway = Gateway::start(GatewayConfig::default(), Arc::clone(&store), verifier, Arc::new(SystemEnv)).await?;
    let service = Arc::new(Own(gateway.clone(), GossipService::new(gateway.clone(), &ServiceConfig::default(), None)));
    // The listener serves until this ends: clients that poll fetch their last packets through it.
    let ended = async {
        stop.await;
        let _ = timeout(Duration::from_secs(10), gateway.drain(RETRY_AFTER_DRAIN, Duration::from_secs(2))).await;
        gateway.close_now().await;
        service.1.close_all();
        let _ = timeout(Duration::from_secs(5), service.1.settled()).await;
    };
    listener::serve(tcp, Arc::clone(&service), listener::Config::default(), ended).await;
    Ok(store.close().await?)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    let key = Key::secret(&std::env::var("JWT_SECRET")?);
    run(TcpListener::bind("127.0.0.1:3000").await?, "sqlite://gossip.db", key, stop).await
}
