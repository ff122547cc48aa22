//! The feed as one would write it with socketioxide, to measure against: tokens are verified, and rooms, intents and
//! votes are in memory alone. It is no part of the product: no store, no rights, no limits, no recovery.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program: its first line says where it listens")]

mod auth;
mod feed;
mod handlers;
mod model;

use std::{env, error::Error, net::SocketAddr, process::ExitCode, sync::Arc};

use axum::{Router, serve::ListenerExt as _};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socketioxide::{SocketIo, handler::ConnectHandler as _};
use tokio::net::TcpSocket;

use crate::feed::Feed;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const BACKLOG: u32 = 4096;

/// Packets a connection may have waiting; past it socketioxide loses what is sent to that connection. The default of
/// 128 is soon full when a member's task waits its turn behind a thousand others. A queue takes memory only as it
/// fills, so a long one costs an idle connection nothing.
const MAX_BUFFER_SIZE: usize = 65_536;

const USAGE: &str = "usage: JWT_SECRET=… peer-socketioxide [--port PORT]
  --port PORT  where to listen on 127.0.0.1; 0, the default, takes a free one";

fn port(mut words: impl Iterator<Item = String>) -> Option<u16> {
    match (words.next().as_deref(), words.next(), words.next()) {
        (None, ..) => Some(0),
        (Some("--port"), Some(port), None) => port.parse().ok(),
        _ => None,
    }
}

/// All was done before.
async fn connected() {}

async fn serve(port: u16, secret: &str) -> Result<(), Box<dyn Error>> {
    let (layer, io) = SocketIo::builder()
        .max_buffer_size(MAX_BUFFER_SIZE)
        .with_state(Arc::new(auth::Verifier::new(secret)))
        .with_state(Arc::new(Feed::default()))
        .build_layer();
    io.ns("/gossip", connected.with(auth::authenticate));
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], port)))?;
    let listener = socket.listen(BACKLOG)?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // It fails where the client is gone already; reading will tell.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, Router::new().layer(layer)).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> ExitCode {
    let (Some(port), Ok(secret)) = (port(env::args().skip(1)), env::var("JWT_SECRET")) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // Ten thousand connections are ten thousand files.
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        eprintln!("peer-socketioxide: the limit of open files stays: {error}");
    }
    match serve(port, &secret).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer-socketioxide: {error}");
            ExitCode::FAILURE
        }
    }
}
