//! `cargo xtask autobahn`: Autobahn's WebSocket suite against the echo example, which frames as gossipd does.
//!
//! The suite ends with success whatever it found, so its report is read: anything but OK and INFORMATIONAL fails, also
//! what the suite calls NON-STRICT. Cases 12 and 13 are left out: they are of permessage-deflate, which is not offered.

use std::{
    collections::BTreeMap,
    env, fs, io,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    error::Error,
    exec::{self, Workspace},
    needs,
};

/// What there is but 12 and 13; the suite has no 8 and no 11.
const CASES: [&str; 9] = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"];

/// How many these are, in the version that the requirements name.
const ALL: usize = 301;

const EXAMPLE: &str = "websocket_echo";
const AGENT: &str = "gossipd";

/// How long the example may take to listen.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run these cases alone, as the suite names them: `--cases '6.4.*' 7.3.6`
    #[arg(long, value_name = "CASE", num_args = 1..)]
    cases: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<(), Error> {
    let cases: Vec<&str> = args.cases.iter().map(String::as_str).collect();
    check(workspace, if cases.is_empty() { &CASES } else { &cases })
}

/// Every case there is.
pub(crate) fn every_case(workspace: &Workspace) -> Result<(), Error> {
    check(workspace, &CASES)
}

fn check(workspace: &Workspace, cases: &[&str]) -> Result<(), Error> {
    let folder = workspace.target.join("autobahn");
    let python = suite(workspace, &folder)?;
    exec::run(&mut workspace.cargo(&["build", "-p", "gossip-ws", "--example", EXAMPLE]))?;
    let reports = folder.join("reports");
    // Results of an earlier run are none of this one's.
    match fs::remove_dir_all(&reports) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::file(&reports)(error)),
        _ => {}
    }
    let server = Server::start(workspace)?;
    let url = format!("ws://127.0.0.1:{}", server.port);
    let specification = json!({
        "outdir": reports,
        "servers": [{ "agent": AGENT, "url": url }],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    let file = folder.join("specification.json");
    fs::write(&file, specification.to_string()).map_err(Error::file(&file))?;
    exec::run(in_folder(&python, &folder).arg(wstest(&folder)).args(["-m", "fuzzingclient", "-s"]).arg(&file))?;
    drop(server);
    let file = reports.join("index.json");
    let report = fs::read(&file).map_err(Error::file(&file))?;
    let report = serde_json::from_slice(&report).map_err(|error| Error::file(&file)(error.into()))?;
    let outcome = Outcome::read(&report);
    println!("\n{outcome}");
    let whole = cases == CASES;
    let missing = if whole { ALL.saturating_sub(outcome.cases) } else { usize::from(outcome.cases == 0) };
    match outcome.failures.len() + missing {
        0 => Ok(()),
        failed => Err(Error::Nonconforming { failed, reports }),
    }
}

/// The suite, in a folder of its own; the Python that runs it.
fn suite(workspace: &Workspace, folder: &Path) -> Result<PathBuf, Error> {
    let python = python2().ok_or_else(|| needs::PYTHON2.missing())?;
    let requirements = workspace.root.join("tests/autobahn/requirements.txt");
    let wanted = fs::read(&requirements).map_err(Error::file(&requirements))?;
    // A copy of the requirements last installed in full.
    let stamp = folder.join("requirements.installed");
    if !wstest(folder).is_file() || fs::read(&stamp).ok().as_ref() != Some(&wanted) {
        fs::create_dir_all(folder).map_err(Error::file(folder))?;
        let pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-warn-script-location", "--user", "-r"];
        exec::run_online(in_folder(&python, folder).args(pip).arg(&requirements))?;
        fs::write(&stamp, &wanted).map_err(Error::file(&stamp))?;
    }
    Ok(python)
}

/// A Python 2.7 with pip: on the path, or one that pyenv keeps off it.
pub(crate) fn python2() -> Option<PathBuf> {
    let pyenv = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let pyenv = pyenv.or_else(|| env::home_dir().map(|home| home.join(".pyenv")));
    let kept = pyenv.and_then(|root| fs::read_dir(root.join("versions")).ok()).into_iter().flatten().flatten();
    let kept = kept.filter(|version| version.file_name().to_string_lossy().starts_with("2.7"));
    let kept = kept.map(|version| version.path().join("bin/python2.7"));
    let works = ["-c", "import pip, sys; sys.exit(sys.version_info[:2] != (2, 7))"];
    let mut all = ["python2.7", "python2"].map(PathBuf::from).into_iter().chain(kept);
    all.find(|python| exec::succeeds(Command::new(python).args(works)))
}

/// Python 2 knows no virtual environments; what a user installs it takes from where this variable says.
fn in_folder(python: &Path, folder: &Path) -> Command {
    let mut command = Command::new(python);
    command.env("PYTHONUSERBASE", folder.join("python")).current_dir(folder);
    command
}

fn wstest(folder: &Path) -> PathBuf {
    folder.join("python/bin/wstest")
}

/// The example, running; it ends when dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(workspace: &Workspace) -> Result<Server, Error> {
        let program = workspace.target.join("debug/examples").join(format!("{EXAMPLE}{}", env::consts::EXE_SUFFIX));
        let failed = |source| Error::Start { program: EXAMPLE.into(), source };
        let local = |port| (Ipv4Addr::LOCALHOST, port);
        let port = TcpListener::bind(local(0)).and_then(|free| free.local_addr()).map_err(failed)?.port();
        let mut command = workspace.program(program);
        let child = command.env("PORT", port.to_string()).stdin(Stdio::null()).spawn().map_err(failed)?;
        let mut server = Server { child, port };
        let begun = Instant::now();
        while let Err(error) = TcpStream::connect(local(port)) {
            if begun.elapsed() > PATIENCE || !matches!(server.child.try_wait(), Ok(None)) {
                return Err(failed(error));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a report says.
#[derive(Debug, Default)]
struct Outcome {
    cases: usize,
    /// How often a case had this behaviour, and this one on closing.
    counts: BTreeMap<(String, String), usize>,
    failures: Vec<String>,
}

impl Outcome {
    fn read(report: &Value) -> Outcome {
        let mut outcome = Outcome::default();
        for (case, result) in report[AGENT].as_object().into_iter().flatten() {
            let [behavior, close] = ["behavior", "behaviorClose"].map(|key| result[key].as_str().unwrap_or("none"));
            if ![behavior, close].into_iter().all(|word| matches!(word, "OK" | "INFORMATIONAL")) {
                outcome.failures.push(format!("{case}: {behavior}, on closing {close}"));
            }
            *outcome.counts.entry((behavior.to_owned(), close.to_owned())).or_default() += 1;
            outcome.cases += 1;
        }
        outcome
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:>5}  {:14}  on closing", "cases", "behaviour")?;
        for ((behavior, close), count) in &self.counts {
            writeln!(f, "{count:>5}  {behavior:14}  {close}")?;
        }
        writeln!(f, "{:>5}  in all", self.cases)?;
        self.failures.iter().try_for_each(|failure| writeln!(f, "FAILED {failure}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ok_and_informational_pass() {
        let report = json!({ AGENT: {
            "1.1.1": { "behavior": "OK", "behaviorClose": "OK" },
            "1.1.2": { "behavior": "OK", "behaviorClose": "OK" },
            "6.4.3": { "behavior": "NON-STRICT", "behaviorClose": "OK" },
            "7.1.6": { "behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL" },
            "7.3.6": { "behavior": "OK", "behaviorClose": "FAILED" },
            "9.1.1": {},
        }});
        let outcome = Outcome::read(&report);
        assert_eq!(outcome.cases, 6);
        assert_eq!(outcome.counts[&("OK".to_owned(), "OK".to_owned())], 2);
        let failed: Vec<&str> = outcome.failures.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(failed, ["6.4.3", "7.3.6", "9.1.1"]);
        assert!(outcome.to_string().contains("FAILED 7.3.6: OK, on closing FAILED"));
    }

    #[test]
    fn an_empty_report_has_no_cases() {
        assert_eq!(Outcome::read(&json!({})).cases, 0);
    }

    #[test]
    fn compression_is_left_out() {
        assert!(!CASES.iter().any(|case| case.starts_with("12") || case.starts_with("13")));
    }
}
