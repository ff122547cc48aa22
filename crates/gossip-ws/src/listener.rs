//! Accepts TCP connections and serves HTTP/1.1 on them, a task each, until told to stop. What is answered is the
//! [`Service`]'s business; a connection that became a WebSocket is no longer the listener's.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::transport::HttpStream;

/// How long accepting pauses when the process is out of file descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 32 * 1024;

/// What answers requests.
pub trait Service: Send + Sync + 'static {
    /// The answers' body.
    type Body: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static;

    /// Answers a request of the connection from `peer`. The future is dropped when the client goes away; a panic ends
    /// this connection alone.
    fn call(&self, req: Request<Incoming>, peer: SocketAddr) -> impl Future<Output = Response<Self::Body>> + Send;

    /// A connection has ended by a panic, which only a fault of ours brings about: to be counted. Does nothing by itself.
    fn panicked(&self) {}
}

/// How to treat connections.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    /// How long the head of a request may take; also how long a connection may be idle between requests. Default: 10 s.
    pub header_timeout: Duration,
    /// How long a client may take none of an answer, before its connection is cut. Default: 30 s.
    pub write_timeout: Duration,
    /// How long requests under way may take once [`serve`] is told to stop. Default: 10 s.
    pub grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            grace: Duration::from_secs(10),
        }
    }
}

/// Serves until `shutdown` resolves, and then stops within [`Config::grace`]: see [`serve_until`].
pub async fn serve<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    config: Config,
    shutdown: impl Future<Output = ()>,
) {
    let deadline = async {
        shutdown.await;
        Instant::now() + config.grace
    };
    serve_until(listener, service, config, deadline).await;
}

/// Serves until `shutdown` resolves to a deadline. Then it accepts no more, ends idle connections, and returns when the
/// requests under way are answered. At the deadline the connections that are left are cut, whether they wait for an
/// answer or have sent half a request. WebSockets live on. [`Config::grace`] has no say here.
pub async fn serve_until<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    config: Config,
    shutdown: impl Future<Output = Instant>,
) {
    let (stop, stopped) = watch::channel(None);
    let mut shutdown = pin!(shutdown);
    let mut refused = 0_u64;
    let deadline = loop {
        let accepted = tokio::select! {
            deadline = &mut shutdown => break deadline,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, peer)) => {
                if refused > 0 {
                    tracing::info!(pauses = std::mem::take(&mut refused), "connections are accepted again");
                }
                tokio::spawn(connection(socket, peer, Arc::clone(&service), config, stopped.clone()));
            }
            Err(error) if is_about_one_connection(error.kind()) => {}
            Err(error) => {
                // Said once, not ten times a second.
                if refused == 0 {
                    tracing::warn!(%error, "cannot accept connections; trying again until it can be done");
                }
                refused += 1;
                tokio::select! {
                    deadline = &mut shutdown => break deadline,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    };
    drop(listener);
    drop(stopped);
    stop.send_replace(Some(deadline));
    // Each connection holds a receiver until its end.
    if timeout_at(deadline, stop.closed()).await.is_err() {
        tracing::warn!("requests were still under way when their time was over");
    }
}

/// Whether a failed accept is the fault of the connection that was to be accepted.
fn is_about_one_connection(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::Interrupted
    )
}

/// Tells the service of a panic that ends the task it is in.
struct Watched<'a, S: Service>(&'a S);

impl<S: Service> Drop for Watched<'_, S> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panicked();
        }
    }
}

async fn connection<S: Service>(
    socket: TcpStream,
    peer: SocketAddr,
    service: Arc<S>,
    config: Config,
    mut stopped: watch::Receiver<Option<Instant>>,
) {
    let _watched = Watched(&*service);
    // Without it small answers wait for the peer's delayed ACK. A socket that refuses is already broken.
    if socket.set_nodelay(true).is_err() {
        return;
    }
    let answer = service_fn(|req| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(service.call(req, peer).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(config.header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(HttpStream::new(socket, config.write_timeout), answer)
        .with_upgrades();
    let mut serving = pin!(serving);
    let outcome = tokio::select! {
        outcome = &mut serving => outcome,
        deadline = async { stopped.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline) } => {
            serving.as_mut().graceful_shutdown();
            match deadline {
                // Dropped, an unfinished connection is closed.
                Some(deadline) => timeout_at(deadline, serving).await.unwrap_or(Ok(())),
                // Whoever served is gone without a word.
                None => serving.await,
            }
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "HTTP connection ended with an error");
    }
}
