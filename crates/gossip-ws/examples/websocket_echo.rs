//! Plain WebSockets, framed as gossipd's are, that send every message back, text or binary. Autobahn's suite runs against
//! it. `PORT` is where it listens, 9001 by default.

use std::net::SocketAddr;
use std::sync::Arc;

use gossip_ws::engine::{App, CloseReason, Config, Frame, Handler, Message, Server, Session};
use gossip_ws::http::Body;
use gossip_ws::listener::{self, Service};
use hyper::body::Incoming;
use hyper::{Request, Response};
use tokio::net::TcpListener;

/// The suite's largest messages have 16 MiB.
const MAX_PAYLOAD: usize = 16 << 20;

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
            Message::Text(text) => Frame::text(&text),
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
        self.0.handle_plain(req, peer).await
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt::init();
    // Room for several of the largest messages.
    let max_queue_bytes = 4 * MAX_PAYLOAD;
    let config = Config { max_payload: MAX_PAYLOAD, max_queue_bytes, packet_rate: None, ..Config::default() };
    let port = std::env::var("PORT").map_or(Ok(9001), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let service = Arc::new(Http(Server::new(config, Echo)));
    let stop = async { drop(tokio::signal::ctrl_c().await) };
    listener::serve(listener, service, listener::Config::default(), stop).await;
    Ok(())
}
