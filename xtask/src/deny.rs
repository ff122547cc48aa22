//! `cargo xtask deny`: licenses, sources and versions of what the product depends on, as deny.toml has it, by cargo-deny.
//! Advisories of RustSec are looked up where their database can be fetched; what must hold anywhere is in deny.toml itself.

use std::{fs, process::Command};

use crate::{
    error::Error,
    exec::{self, Workspace},
    needs,
};

pub(crate) fn run(workspace: &Workspace, install: bool) -> Result<(), Error> {
    let deny = cargo_deny(workspace, install)?;
    exec::run(deny().args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    if exec::succeeds(deny().args(["fetch", "db"])) {
        return exec::run(deny().args(["--offline", "check", "advisories"]));
    }
    println!(
        "note: RustSec's database could not be fetched, so advisories were not looked up, but for those that deny.toml names"
    );
    Ok(())
}

/// Starts cargo-deny: the one on the path, else a ready-made one that is kept in the target folder.
fn cargo_deny(workspace: &Workspace, install: bool) -> Result<impl Fn() -> Command, Error> {
    let requirements = workspace.root.join("xtask/cargo-deny.txt");
    let venv = workspace.target.join("cargo-deny-venv");
    let mut program = "cargo-deny".into();
    if !exec::succeeds(workspace.program(&program).arg("--version")) {
        program = venv.join("bin/cargo-deny").into_os_string();
        let wanted = fs::read(&requirements).map_err(Error::file(&requirements))?;
        // Written last, so that an install cut short counts as none.
        let stamp = venv.join("requirements.installed");
        if fs::read(&stamp).ok().as_ref() != Some(&wanted) {
            if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
                let how = "cargo install cargo-deny --locked".into();
                return Err(Error::Missing { what: "cargo-deny".into(), how });
            }
            needs::PYTHON.require(workspace, install)?;
            needs::VENV.require(workspace, install)?;
            exec::run(workspace.program("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
            let pip = ["-m", "pip", "install", "--disable-pip-version-check", "--require-hashes", "--no-deps", "-r"];
            exec::run_online(workspace.program(venv.join("bin/python")).args(pip).arg(&requirements))?;
            fs::write(&stamp, &wanted).map_err(Error::file(&stamp))?;
        }
    }
    Ok(move || workspace.program(&program))
}

#[cfg(test)]
mod tests {
    /// cargo-deny takes `name@<1` for a version that no crate has, says nothing, and lets all of them pass.
    #[test]
    fn a_ban_on_versions_is_spelled_so_that_it_bans() {
        let config = include_str!("../../deny.toml");
        let specs = config.lines().filter_map(|line| line.trim().strip_prefix("{ crate = \"")?.split('"').next());
        let specs: Vec<&str> = specs.collect();
        assert!(specs.iter().any(|spec| spec.starts_with("jsonwebtoken:<")), "{specs:?}");
        assert!(!specs.iter().any(|spec| spec.contains('@')), "{specs:?}");
    }
}
