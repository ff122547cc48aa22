//! `cargo xtask test`: everything there is to check, cheapest first, stopping at the first failure.
//! `cargo test` does the unit tests, not another runner: its closing lines are what CI reads.

use std::{fs, path::Path, process::Command};

use crate::{
    error::Error,
    exec::{self, Workspace},
    fuzz, needs, peers,
    postgres::Shared,
    proxies,
    steps::{self, Step},
    tidy, types,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run this part alone
    #[arg(long, value_name = "PART")]
    only: Option<Part>,
    /// Take anything that could not run for a failure, after trying to install what it needs
    #[arg(long)]
    strict: bool,
}

/// A part of the tests that can be run alone.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// cargo fmt --check
    Fmt,
    /// cargo xtask tidy
    Tidy,
    /// cargo clippy, warnings denied
    Clippy,
    /// cargo doc, warnings denied
    Doc,
    /// cargo test
    Unit,
    /// gossipd through npm's socket.io-client
    Js,
    /// The console in a headless Chromium
    Browser,
    /// gossipd behind nginx and HAProxy, as deploy/ configures them
    Proxies,
    /// gossipd through PyPI's python-socketio
    Python,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<(), Error> {
    let chosen = |part| args.only.is_none_or(|only| only == part);
    let postgres = Shared::from_env();
    let steps = all(workspace, &postgres, args.strict, &chosen);
    steps::run_all(steps, args.strict)
}

/// Every step of every part, as `ci` wants them.
pub(crate) fn every_step<'a>(workspace: &'a Workspace, postgres: &'a Shared) -> Vec<Step<'a>> {
    all(workspace, postgres, true, &|_| true)
}

fn all<'a>(
    workspace: &'a Workspace,
    postgres: &'a Shared,
    install: bool,
    chosen: &dyn Fn(Part) -> bool,
) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    if chosen(Part::Fmt) {
        steps.push(Step::new("fmt", move || {
            needs::RUSTFMT.require(workspace, install)?;
            exec::run(&mut workspace.cargo(&["fmt", "--all", "--check"]))?;
            let peers = format!("{}/Cargo.toml", peers::FOLDER);
            exec::run(&mut workspace.cargo(&["fmt", "--all", "--check", "--manifest-path", &peers]))?;
            let fuzz = format!("{}/Cargo.toml", fuzz::FOLDER);
            exec::run(&mut workspace.cargo(&["fmt", "--all", "--check", "--manifest-path", &fuzz]))
        }));
    }
    if chosen(Part::Tidy) {
        steps.push(Step::new("tidy", || tidy::run(workspace)));
    }
    if chosen(Part::Clippy) {
        steps.push(Step::new("clippy", move || {
            needs::CLIPPY.require(workspace, install)?;
            exec::run(&mut workspace.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
        }));
    }
    if chosen(Part::Doc) {
        steps.push(Step::new("doc", || {
            exec::run(workspace.cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
        }));
    }
    if chosen(Part::Unit) {
        steps.push(Step::new("unit", move || {
            // Also where a server is given: tests that harm theirs start their own.
            needs::POSTGRES.require(workspace, install)?;
            exec::run(postgres.lend(workspace, install, &mut workspace.cargo(&["test", "--workspace"]))?)
        }));
    }
    if [Part::Js, Part::Browser, Part::Proxies, Part::Python].into_iter().any(chosen) {
        steps.push(Step::new("build", || exec::run(&mut workspace.cargo(&["build", "-p", "gossipd"]))));
    }
    if chosen(Part::Js) {
        steps.push(Step::new("types", || types::check(workspace)));
        steps.push(Step::new("js", move || js(workspace, postgres, install)));
    }
    if chosen(Part::Browser) {
        steps.push(Step::new("browser", move || browser(workspace, install)));
    }
    if chosen(Part::Proxies) {
        steps.push(Step::new("proxies", move || proxies::briefly(workspace, install)));
    }
    if chosen(Part::Python) {
        steps.push(Step::new("python", move || python(workspace, postgres, install)));
    }
    steps
}

fn js(workspace: &Workspace, postgres: &Shared, install: bool) -> Result<(), Error> {
    let mut test = npm_with_clients(workspace, install)?;
    exec::run(postgres.lend(workspace, install, test.arg("test"))?)
}

fn browser(workspace: &Workspace, install: bool) -> Result<(), Error> {
    needs::CHROMIUM.require(workspace, install)?;
    exec::run(npm(workspace, install, "tests/browser")?.arg("test"))
}

/// `npm` in the folder of the tests that use the stock client, which is there, upon the daemon that is built.
pub(crate) fn npm_with_clients(workspace: &Workspace, install: bool) -> Result<Command, Error> {
    npm(workspace, install, "tests/js")
}

/// `npm` in a folder of tests, once what the folder asks for is installed.
fn npm(workspace: &Workspace, install: bool, folder: &str) -> Result<Command, Error> {
    needs::NODE.require(workspace, install)?;
    needs::NPM.require(workspace, install)?;
    let folder = workspace.root.join(folder);
    let npm = || {
        let mut command = workspace.program("npm");
        command.current_dir(&folder);
        command
    };
    if is_older(&folder.join("node_modules/.package-lock.json"), &folder.join("package-lock.json"))? {
        exec::run_online(npm().arg("ci"))?;
    }
    let mut command = npm();
    command.env("GOSSIPD_BIN", workspace.gossipd());
    Ok(command)
}

fn python(workspace: &Workspace, postgres: &Shared, install: bool) -> Result<(), Error> {
    needs::PYTHON.require(workspace, install)?;
    needs::VENV.require(workspace, install)?;
    let requirements = workspace.root.join("tests/python/requirements.txt");
    let wanted = fs::read(&requirements).map_err(Error::file(&requirements))?;
    let venv = workspace.target.join("python-venv");
    // A copy of the requirements last installed in full: without it, or with another, install again.
    let stamp = venv.join("requirements.installed");
    let in_venv = || {
        let mut command: Command = workspace.program(venv.join("bin/python"));
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    };
    let usable = exec::succeeds(in_venv().args(["-c", "import pip"]));
    if !usable {
        exec::run(workspace.program("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    }
    if !usable || fs::read(&stamp).ok().as_ref() != Some(&wanted) {
        let pip = ["-m", "pip", "install", "--disable-pip-version-check", "-r"];
        exec::run_online(in_venv().args(pip).arg(&requirements))?;
        fs::write(&stamp, &wanted).map_err(Error::file(&stamp))?;
    }
    let discover = ["-m", "unittest", "discover", "-s", "tests/python", "-v"];
    exec::run(postgres.lend(workspace, install, in_venv().args(discover).env("GOSSIPD_BIN", workspace.gossipd()))?)
}

/// Whether `made` is absent or older than `source`, which must exist.
///
/// npm writes `node_modules/.package-lock.json` last, so an install cut short counts as absent.
pub(crate) fn is_older(made: &Path, source: &Path) -> Result<bool, Error> {
    let source_time = fs::metadata(source).and_then(|file| file.modified()).map_err(Error::file(source))?;
    Ok(fs::metadata(made).and_then(|file| file.modified()).map_or(true, |time| time < source_time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_is_older_and_a_source_must_exist() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        assert!(is_older(Path::new("no/such/file"), &here).unwrap());
        assert!(!is_older(&here, &here).unwrap());
        is_older(&here, Path::new("no/such/file")).unwrap_err();
    }
}
