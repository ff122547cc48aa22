//! The bare loop to measure against: one thread, epoll, non-blocking sockets, and no more of the protocol than the
//! load test needs. It is no part of the product: it verifies no token, stores nothing and bounds no queue.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program: its first line says where it listens")]

mod connection;
mod event;
mod feed;
mod frame;
mod packet;
mod server;

use std::{env, io, process::ExitCode};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const USAGE: &str = "usage: peer-loop [--port PORT] [--joined]
  --port PORT  where to listen on 127.0.0.1; 0, the default, takes a free one
  --joined     one write a member for all that a round of epoll brought, not one a delivery";

struct Args {
    port: u16,
    joined: bool,
}

fn args(mut words: impl Iterator<Item = String>) -> Option<Args> {
    let mut args = Args { port: 0, joined: false };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--port" => args.port = words.next()?.parse().ok()?,
            "--joined" => args.joined = true,
            _ => return None,
        }
    }
    Some(args)
}

/// Ten thousand connections are ten thousand files.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        eprintln!("peer-loop: the limit of open files stays: {error}");
    }
}

fn serve(args: &Args) -> io::Result<()> {
    let mut server = server::Server::bind(args.port, args.joined)?;
    println!("listening on http://{}", server.address()?);
    server.run()
}

fn main() -> ExitCode {
    let Some(args) = args(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    raise_file_limit();
    match serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer-loop: {error}");
            ExitCode::FAILURE
        }
    }
}
