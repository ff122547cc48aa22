//! A server that is started to be measured: a child process on a free port of this machine, gossipd, a peer, or this
//! program's own baseline. What is done with it is the business of [`crate::target`].

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::cli::Tuning;
use crate::error::Error;

/// Where gossipd is; `cargo xtask loadtest` sets it, and the next two.
const GOSSIPD_BIN: &str = "GOSSIPD_BIN";
/// The folder of the peers' programs.
const PEERS_DIR: &str = "PEERS_DIR";
/// The peer that runs on Node.
const PEERS_NODE: &str = "PEERS_NODE";
/// What of gossipd may be tried against each other: how many transactions it has under way at once, its shards, and what
/// its limits cost.
const PASSED_ON: [&str; 4] = ["COMMIT_DELAY", "COMMIT_LANES", "RATE_LIMIT_MODE", "SHARDS"];
/// How long a server may take to migrate its database and listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// What a server says once it listens, before `host:port`.
pub(crate) const LISTENING: &str = "listening on http://";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// This repository's, with a database
    Gossipd,
    /// A bare epoll loop that makes one write per delivery
    Loop,
    /// The same loop, joining what is pending into one write per member
    LoopJoined,
    /// A feed server as one would write it with socketioxide, without a database
    Socketioxide,
    /// The same with socket.io on Node
    Socketio,
    /// One transaction per vote.
    #[value(skip)]
    Baseline,
    /// Whatever listens at `--url`.
    #[value(skip)]
    Remote,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Gossipd => "gossipd",
            Kind::Loop => "loop",
            Kind::LoopJoined => "loop-joined",
            Kind::Socketioxide => "socketioxide",
            Kind::Socketio => "socketio",
            Kind::Baseline => "baseline",
            Kind::Remote => "remote",
        }
    }

    /// Whether it keeps anything.
    pub(crate) fn has_database(self) -> bool {
        matches!(self, Kind::Gossipd | Kind::Baseline)
    }

    /// Whether it knows no more than joining a room and posting.
    pub(crate) fn only_posts(self) -> bool {
        matches!(self, Kind::Loop | Kind::LoopJoined)
    }
}

/// A running child. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    // Kept open: a server that is still writing to it must not fail.
    _stdout: Lines<BufReader<ChildStdout>>,
    address: String,
}

impl Server {
    /// Starts a server, on the database where it has one, with these variables on top, and waits until it listens.
    ///
    /// # Errors
    /// Where it cannot be started, or ends instead.
    pub(crate) async fn start(
        kind: Kind,
        database: &str,
        secret: &str,
        tuning: Tuning,
        settings: &[(&str, &str)],
    ) -> Result<Server, Error> {
        let mut command = match kind {
            Kind::Gossipd => gossipd(database)?,
            Kind::Baseline => baseline(database, tuning)?,
            Kind::Loop => peer("peer-loop", &[])?,
            Kind::LoopJoined => peer("peer-loop", &["--joined"])?,
            Kind::Socketioxide => peer("peer-socketioxide", &[])?,
            Kind::Socketio => node()?,
            Kind::Remote => return Err(Error::Usage("a remote server is not ours to start".into())),
        };
        command.envs(settings.iter().copied());
        command.env("JWT_SECRET", secret).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(Error::io("starting a server"))?;
        let failed = || Error::Start(kind.name().to_owned());
        let mut stdout = BufReader::new(child.stdout.take().ok_or_else(failed)?).lines();
        let address = async {
            while let Some(line) = stdout.next_line().await.map_err(Error::io("reading what a server says"))? {
                if let Some((_, address)) = line.split_once(LISTENING) {
                    return Ok(address.trim().to_owned());
                }
            }
            Err(failed())
        };
        let address = timeout(START_TIMEOUT, address).await.map_err(|_| failed())??;
        Ok(Server { child, _stdout: stdout, address })
    }

    /// `host:port`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The process, while it runs.
    pub(crate) fn process(&self) -> Option<u32> {
        self.child.id()
    }

    /// Kills it, without a chance to write anything more: what it has acked must be in the database already.
    ///
    /// # Errors
    /// Where it cannot be killed.
    pub(crate) async fn kill(mut self) -> Result<(), Error> {
        self.child.kill().await.map_err(Error::io("ending the server"))
    }
}

/// A variable that `cargo xtask loadtest` sets.
fn set(name: &'static str) -> Result<OsString, Error> {
    env::var_os(name).filter(|value| !value.is_empty()).ok_or_else(|| {
        Error::Usage(format!("{name} must say where the server to start is, as `cargo xtask loadtest` does"))
    })
}

/// gossipd as it comes, but for what the run needs: settings of whoever runs this are not its own.
fn gossipd(database: &str) -> Result<Command, Error> {
    let mut command = Command::new(set(GOSSIPD_BIN)?);
    command.env_clear().envs([
        ("WS_HOST", "127.0.0.1"),
        ("WS_PORT", "0"),
        ("ROOM_ACCESS", "open"),
        ("RATE_LIMIT_MODE", "observe"),
        ("LOG_LEVEL", "warn"),
        ("DATABASE_URL", database),
    ]);
    command.envs(PASSED_ON.into_iter().filter_map(|name| Some((name, env::var_os(name)?))));
    Ok(command)
}

fn baseline(database: &str, tuning: Tuning) -> Result<Command, Error> {
    let program = env::current_exe().map_err(Error::io("finding this program"))?;
    let transaction = tuning.transaction.to_possible_value();
    let mut command = Command::new(program);
    command.env_clear().args(["baseline-server", "--database-url", database, "--pool", &tuning.pool.to_string()]);
    command.args(transaction.iter().flat_map(|value| ["--transaction", value.get_name()]));
    Ok(command)
}

fn peer(program: &str, args: &[&str]) -> Result<Command, Error> {
    let program = PathBuf::from(set(PEERS_DIR)?).join(format!("{program}{}", env::consts::EXE_SUFFIX));
    let mut command = Command::new(program);
    command.env_clear().args(["--port", "0"]).args(args);
    Ok(command)
}

fn node() -> Result<Command, Error> {
    let mut command = Command::new("node");
    command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
    command.arg(set(PEERS_NODE)?).args(["--port", "0"]);
    Ok(command)
}
