//! The server that is measured, where it is not somebody else's: a child process, gossipd or this program's own baseline,
//! on a free port of this machine.

use std::process::Stdio;
use std::time::Duration;

use clap::ValueEnum as _;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::cli::Tuning;
use crate::error::Error;

/// Where gossipd is; `cargo xtask loadtest` sets it.
const GOSSIPD_BIN: &str = "GOSSIPD_BIN";
/// How long a server may take to migrate its database and listen.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// What a server says once it listens, before `host:port`.
pub(crate) const LISTENING: &str = "listening on http://";

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Gossipd,
    Baseline,
    /// Whatever listens at `--url`.
    Remote,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Gossipd => "gossipd",
            Kind::Baseline => "baseline",
            Kind::Remote => "remote",
        }
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
    /// Starts a server on a database, and waits until it listens.
    ///
    /// # Errors
    /// Where it cannot be started, or ends instead.
    pub(crate) async fn start(kind: Kind, database: &str, secret: &str, tuning: Tuning) -> Result<Server, Error> {
        let mut command = match kind {
            Kind::Gossipd => gossipd(database)?,
            Kind::Baseline => baseline(database, tuning)?,
            Kind::Remote => return Err(Error::Usage("a remote server is not ours to start".into())),
        };
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

/// How many transactions it has under way at once.
const COMMIT_LANES: &str = "COMMIT_LANES";

/// gossipd as it comes, but for what the run needs: settings of whoever runs this are not its own.
fn gossipd(database: &str) -> Result<Command, Error> {
    let program = std::env::var_os(GOSSIPD_BIN).filter(|program| !program.is_empty());
    let program = program.ok_or_else(|| {
        Error::Usage(format!("{GOSSIPD_BIN} must name the gossipd to start, as `cargo xtask loadtest` does"))
    })?;
    let mut command = Command::new(program);
    command.env_clear().envs([
        ("WS_HOST", "127.0.0.1"),
        ("WS_PORT", "0"),
        ("ROOM_ACCESS", "open"),
        ("RATE_LIMIT_MODE", "observe"),
        ("LOG_LEVEL", "warn"),
        ("DATABASE_URL", database),
    ]);
    // What may be tried against each other.
    command.envs(std::env::var_os(COMMIT_LANES).map(|lanes| (COMMIT_LANES, lanes)));
    Ok(command)
}

fn baseline(database: &str, tuning: Tuning) -> Result<Command, Error> {
    let program = std::env::current_exe().map_err(Error::io("finding this program"))?;
    let transaction = tuning.transaction.to_possible_value();
    let mut command = Command::new(program);
    command.env_clear().args(["baseline-server", "--database-url", database, "--pool", &tuning.pool.to_string()]);
    command.args(transaction.iter().flat_map(|value| ["--transaction", value.get_name()]));
    Ok(command)
}
