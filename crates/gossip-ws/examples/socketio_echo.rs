//! A Socket.IO server on `/socket.io/` with the namespaces `/` and `/custom`. A client that connects is sent `auth` with
//! the payload of its handshake; `message` comes back as `message-back`, `message-with-ack` as its ack. The official
//! protocol suite runs against it. `PORT` is where it listens, 3000 by default.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gossip_ws::engine::{Config, Server};
use gossip_ws::http::{Body, empty};
use gossip_ws::listener::{self, Service};
use gossip_ws::socket::{App, ConnectRequest, DisconnectReason, Event, Handler, Limits, Socket, Sockets};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use tokio::net::TcpListener;

struct Echo;

struct EchoSocket(Socket);

impl App for Echo {
    type Handler = EchoSocket;

    async fn connect(&self, mut request: ConnectRequest) -> Option<EchoSocket> {
        if !matches!(&*request.nsp, "/" | "/custom") {
            request.refuse(r#"{"message":"Invalid namespace"}"#);
            return None;
        }
        let auth = request.auth.take();
        let socket = request.accept(None);
        socket.emit("auth", &[auth.as_ref().map_or("{}", |auth| auth.get())], &[]);
        Some(EchoSocket(socket))
    }
}

impl Handler for EchoSocket {
    async fn event(&self, event: Event, ack: Option<u64>) {
        let args: Vec<&str> = event.args.raw().iter().map(|arg| arg.get()).collect();
        match (&*event.name, ack) {
            ("message", _) => self.0.emit("message-back", &args, event.args.attachments()),
            ("message-with-ack", Some(id)) => self.0.ack(id, &args, event.args.attachments()),
            _ => return,
        };
    }

    fn disconnected(&self, reason: DisconnectReason) {
        tracing::info!(socket = %self.0.id(), ?reason, "disconnected");
    }
}

struct Http(Arc<Server<Sockets<Echo>>>);

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
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        connect_timeout: Duration::from_secs(1),
        max_payload: 1_000_000,
        ..Config::default()
    };
    let port = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    let service = Arc::new(Http(Server::new(config, Sockets::new(Echo, Limits::default()))));
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    listener::serve(listener, service, listener::Config::default(), stop).await;
    Ok(())
}
