//! A cluster's life: made, started, crashed, started again, frozen and thawed. Taking it down is the watchdog's.

use std::{
    env, fs,
    hash::{BuildHasher as _, RandomState},
    iter,
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Pid;
use tempfile::TempDir;

use crate::{Error, account::Account, processes, programs, watchdog::Watchdog};

/// The superuser, who needs no password.
const USER: &str = "postgres";
/// How often another program may take the chosen port before the server does.
const PORT_ATTEMPTS: usize = 3;
/// Ports are chosen from here: above those of well-known services, below those that systems give to outgoing
/// connections (from 32768 on Linux). One of the latter could be taken while the server is down, even by a client
/// that tries to reach it again: on one machine such a connection can meet itself.
const PORTS: std::ops::Range<u16> = 15_000..30_000;
/// In seconds; recovery after a crash is part of a start.
const START_MAX: &str = "60";
/// Bytes of the server's log that an error repeats.
const LOG_SHOWN: usize = 4096;

/// A Postgres server of its own, with default settings but for the number of connections (200), listening on
/// 127.0.0.1 alone. Writes are as durable as Postgres makes them: `fsync` and `synchronous_commit` are on.
///
/// Dropping it ends the server and removes its files. So does the end of this process, also by SIGKILL, shortly after.
pub struct Cluster {
    port: u16,
    bin: PathBuf,
    account: Option<Account>,
    // Before the folder: fields are dropped in order, and the server goes before its files.
    watchdog: Watchdog,
    folder: TempDir,
}

impl Cluster {
    /// Makes a cluster and starts it: one or two seconds. It accepts connections on return.
    ///
    /// Under root it runs as the user `postgres`, or `nobody`, who must be able to reach the folder for temporary
    /// files.
    pub fn start() -> Result<Self, Error> {
        let mut cluster = Self::make()?;
        cluster.start_on_one_of(free_ports())?;
        Ok(cluster)
    }

    /// A cluster that is not running yet.
    pub(crate) fn make() -> Result<Self, Error> {
        let bin = programs::find()?;
        let account = Account::instead_of_root()?;
        let folder = tempfile::Builder::new().prefix("gossip-postgres-").tempdir();
        let folder = folder.map_err(Error::on("make a temporary folder"))?;
        if let Some(Account { uid, gid }) = account {
            chown(folder.path(), Some(uid), Some(gid)).map_err(Error::on("give the temporary folder away"))?;
        }
        let shell = command("sh".as_ref(), account, folder.path());
        let watchdog = Watchdog::start(shell, &bin.join("pg_ctl"), &folder.path().join("data"), folder.path());
        let watchdog =
            watchdog.map_err(Error::on("start a shell in the temporary folder as the user that runs Postgres"))?;
        let cluster = Self { port: 0, bin, account, watchdog, folder };
        // Only the new cluster's first files are not forced to disk: a crash of the machine is not what tests survive.
        let auth = ["--auth=trust", "--username", USER, "--encoding=UTF8", "--locale=C", "--no-sync"];
        cluster.run("initdb", cluster.command("initdb").args(auth).arg("-D").arg(cluster.data()))?;
        Ok(cluster)
    }

    /// That a port was free when it was chosen does not keep it so: there is no way to hand a listening socket to
    /// Postgres, and another program may come first. Then it is the next one's turn.
    pub(crate) fn start_on_one_of(&mut self, ports: impl Iterator<Item = u16>) -> Result<(), Error> {
        let mut result = Err(Error::NoPort);
        for port in ports.take(PORT_ATTEMPTS) {
            self.port = port;
            result = self.start_again();
            if !matches!(&result, Err(error) if error.is_port_taken()) {
                break;
            }
            fs::remove_file(self.log()).map_err(Error::on("remove the log of a start that failed"))?;
        }
        result
    }

    /// The server's address and its superuser, with the database that every cluster has.
    #[must_use]
    pub fn url(&self) -> String {
        self.database_url("postgres")
    }

    /// Like [`Self::url`], for another database, which this does not make.
    #[must_use]
    pub fn database_url(&self, name: &str) -> String {
        format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port)
    }

    /// The port on 127.0.0.1; it stays the same when the server is started again.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends the server as a crash does: connections break, nothing is written any more, and the next start recovers
    /// from the log. It is gone on return, and nobody listens on its port. Thaws it first if it is frozen.
    pub fn stop_immediately(&self) -> Result<(), Error> {
        let postmaster = self.postmaster()?;
        // Frozen, it would not hear of this. Where it cannot be thawed it cannot have been frozen either.
        let _ = self.resume();
        let arguments = ["-m", "immediate", "-w", "stop", "-D"];
        self.run("pg_ctl", self.command("pg_ctl").args(arguments).arg(self.data()))?;
        // pg_ctl waits for the end of postmaster.pid, which comes a moment earlier.
        processes::await_end(postmaster)
    }

    /// Starts a server that was stopped, on the same port and files. It accepts connections on return.
    pub fn start_again(&self) -> Result<(), Error> {
        // pg_ctl has the options split by a shell; none of these has anything to quote. Sockets in the file system are
        // left out, since a path of theirs may not exceed 107 bytes, and nobody knows how long that of a folder is.
        let options = format!("-p {} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -N 200", self.port);
        let mut start = self.command("pg_ctl");
        start.args(["-w", "-t", START_MAX, "-o", &options, "start", "-D"]).arg(self.data()).arg("-l").arg(self.log());
        self.run("pg_ctl", &mut start).map_err(|error| match error {
            Error::Failed { program, said } => Error::Failed { program, said: said + "\n" + &self.end_of_log() },
            other => other,
        })
    }

    /// Freezes all of the server's processes: connections stay open, new ones are taken by the kernel, nothing is
    /// answered. Nothing of it runs any more on return. Linux only.
    pub fn pause(&self) -> Result<(), Error> {
        let postmaster = self.postmaster()?;
        // It first: from then on it starts no others.
        processes::freeze(postmaster)?;
        processes::children(postmaster)?.into_iter().try_for_each(processes::freeze)
    }

    /// Lets a frozen server go on; one that is not frozen does not notice.
    pub fn resume(&self) -> Result<(), Error> {
        let postmaster = self.postmaster()?;
        processes::children(postmaster)?.into_iter().try_for_each(processes::thaw)?;
        processes::thaw(postmaster)
    }

    /// The server's first process. Fails if there is none.
    pub(crate) fn postmaster(&self) -> Result<Pid, Error> {
        let file = fs::read_to_string(self.data().join("postmaster.pid"));
        let file = file.map_err(Error::on("read postmaster.pid: the server does not run"))?;
        let pid = file.lines().next().and_then(|line| line.trim().parse().ok()).and_then(Pid::from_raw);
        pid.ok_or_else(|| Error::on("understand postmaster.pid")(std::io::Error::from(std::io::ErrorKind::InvalidData)))
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// One of Postgres' programs.
    pub(crate) fn command(&self, program: &str) -> Command {
        command(&self.bin.join(program), self.account, self.folder())
    }

    fn run(&self, program: &'static str, command: &mut Command) -> Result<(), Error> {
        let hold = self.watchdog.hold().map_err(Error::on("duplicate a pipe"))?;
        let output = command.stdin(hold).output().map_err(Error::on("run one of Postgres' programs"))?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        Err(Error::Failed { program, said })
    }

    fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder().join("log")
    }

    fn end_of_log(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_SHOWN)..]).into_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The watchdog can take down a frozen server too, but needs five seconds for that.
        let _ = self.resume();
    }
}

/// A program as the user that runs Postgres, in a folder that user may read, with messages in English and none of the
/// caller's settings for Postgres.
fn command(program: &Path, account: Option<Account>, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).env("LC_ALL", "C");
    for (name, _) in env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"PG")) {
        command.env_remove(name);
    }
    if let Some(Account { uid, gid }) = account {
        // Root's other groups are given up with it.
        command.uid(uid).gid(gid);
    }
    command
}

/// Ports of [`PORTS`], at random, on which nobody listens at the moment.
pub(crate) fn free_ports() -> impl Iterator<Item = u16> {
    let random = || RandomState::new().hash_one(PORTS.start) % (PORTS.len() as u64);
    let ports = iter::repeat_with(random).filter_map(|offset| Some(PORTS.start + u16::try_from(offset).ok()?));
    ports.take(PORTS.len()).filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
}
