//! An Engine.IO server on `/engine.io/` that sends every message back, text or binary. The official protocol suite runs
//! against it. `PORT` is where it listens, 3000 by default.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gossip_ws::engine::{App, CloseReason, Config, Frame, Handler, Message, Server, Session};
use gossip_ws::http::{Body, empty};
use gossip_ws::listener::{self, Service};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;

struct Echo;

struct EchoSession(Arc<Session>);

impl App for Echo {
    type Handler = EchoSession;

    fn open(&self, session: Arc<Session>) -> EchoSession {
        EchoSession(session)
    }
}

impl Handler for EchoSession {
    async fn message(&self, message: Message) -> Result<(), CloseReason> {
        let frame = match message {
            Message::Text(text) => Frame::text(&format!("4{text}")),
            Message::Binary(data) => Frame::binary(data),
        };
        self.0.send(&[frame]);
        Ok(())
    }

    fn closed(&self, reason: CloseReason) {
        tracing::info!(session = self.0.number(), %reason, "closed");
    }
}

struct Http(Arc<Server<Echo>>);

impl Service for Http {
    type Body = Body;

    async fn call(&self, req: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
        if self.0.serves(req.uri().path()) { self.0.handle(req, peer).await } else { empty(StatusCode::NOT_FOUND) }
    }
}

// One thread, like the reference server: requests that race each other are then taken in the order they came.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    let config = Config {
        path: "/engine.io/".to_owned(),
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_secs(1),
        max_payload: 1_000_000,
        ..Config::default()
    };
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    let service = Arc::new(Http(Server::new(config, Echo)));
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    listener::serve(listener, service, listener::Config::default(), stop).await;
    Ok(())
}
