//! gossipd as a process of its own, on one port for good: killed, started again, and looked at from outside.

use std::fs::{File, read_dir, read_to_string};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use super::database::Database;
use crate::support::server::SECRET;

/// Below the ports that systems give to outgoing connections: one of those could be taken by a client while the daemon
/// is down, even by one that wants to reach it.
const PORTS: std::ops::Range<u16> = 30_000..32_000;

pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    command: Command,
    folder: TempDir,
}

impl Process {
    /// Starts it on a port that is free now. `more` are further variables.
    pub(crate) fn start(database: &Database, more: &[(&str, &str)]) -> Process {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gossipd"));
        command
            .current_dir(folder.path())
            .env_clear()
            .env("WS_HOST", "127.0.0.1")
            .env("WS_PORT", port.to_string())
            .env("DATABASE_URL", database.url())
            .env("JWT_SECRET", SECRET)
            .env("ROOM_ACCESS", "claims")
            .env("RATE_LIMIT_MODE", "observe")
            .env("LOG_LEVEL", "warn")
            .envs(more.iter().copied());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let child = run(&mut command, &folder.path().join("log"));
        Process { child, address, command, folder }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// SIGKILL. It is gone on return.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// After [`kill`](Process::kill): the same again, listening on return.
    pub(crate) fn start_again(&mut self) {
        self.child = run(&mut self.command, &self.folder.path().join("log"));
    }

    /// SIGTERM, or another signal that it is to end by.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended by itself; its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// The same again beside this one, which still runs: on return it listens, and this one has its place no more. The
    /// old one's exit code.
    pub(crate) fn replaced(&mut self, meanwhile: impl FnOnce(&Process)) -> Option<i32> {
        let log = self.folder.path().join("log");
        let spawned = spawn(&mut self.command, &log);
        meanwhile(self);
        let code = self.ended();
        self.child = listening(spawned, &log);
        code
    }

    /// A panic of one task goes unnoticed otherwise.
    pub(crate) fn assert_no_panic(&self) {
        let log = self.log();
        assert!(!log.contains("panicked"), "{log}");
    }

    /// What it has said, in all its lives.
    pub(crate) fn log(&self) -> String {
        read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// What it has said that has this in it, in all its lives.
    pub(crate) fn said(&self, what: &str) -> usize {
        self.log().matches(what).count()
    }

    /// From now on it may have so many files open.
    pub(crate) fn limit_files(&self, files: usize) {
        let limit = Rlimit { current: Some(files as u64), maximum: Some(files as u64) };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).unwrap();
    }

    /// How many files it has open.
    pub(crate) fn files(&self) -> usize {
        read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// How many of them are sockets: of the database's files there are more or fewer as it needs them.
    pub(crate) fn sockets(&self) -> usize {
        let open = read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().flatten();
        let links = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    }

    /// Processor time so far, in hundredths of a second: what Linux has as a tick on every machine.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // The name before them is in brackets.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> usize {
        let status = read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

/// Starts it and waits until it listens.
fn run(command: &mut Command, log: &Path) -> Child {
    listening(spawn(command, log), log)
}

fn spawn(command: &mut Command, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().unwrap()
}

fn listening(mut child: Child, log: &Path) -> Child {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if !line.starts_with("gossipd listening on http://") {
        panic!("{line:?} instead of its address; it says:\n{}", read_to_string(log).unwrap());
    }
    child
}

fn free_port() -> u16 {
    let random = || PORTS.start + (uuid::Uuid::new_v4().as_u128() % PORTS.len() as u128) as u16;
    std::iter::repeat_with(random).find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).unwrap()
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<_> = log.lines().collect();
            println!("the last of what gossipd said:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}
