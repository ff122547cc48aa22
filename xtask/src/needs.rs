//! Tools outside this repository that a step needs: how to tell they are there, name them, and get them.
//! Nothing is ever installed unless `--strict` asks for it.

use std::process::Command;

use crate::{
    error::Error,
    exec::{self, Workspace},
};

/// One tool. `probe` is a command that succeeds if and only if the tool works.
pub(crate) struct Need {
    what: &'static str,
    probe: &'static [&'static str],
    how: &'static str,
    from: Source,
}

enum Source {
    /// Debian packages.
    Apt(&'static [&'static str]),
    /// A component of the toolchain.
    Rustup(&'static str),
}

pub(crate) const RUSTFMT: Need = Need {
    what: "rustfmt",
    probe: &["cargo", "fmt", "--version"],
    how: "rustup component add rustfmt",
    from: Source::Rustup("rustfmt"),
};
pub(crate) const CLIPPY: Need = Need {
    what: "clippy",
    probe: &["cargo", "clippy", "--version"],
    how: "rustup component add clippy",
    from: Source::Rustup("clippy"),
};
pub(crate) const NODE: Need = Need {
    what: "node",
    probe: &["node", "--version"],
    how: "apt-get install nodejs npm, or the installer of nodejs.org",
    from: Source::Apt(&["nodejs", "npm"]),
};
pub(crate) const NPM: Need = Need {
    what: "npm",
    probe: &["npm", "--version"],
    how: "apt-get install npm (it comes with the installer of nodejs.org)",
    from: Source::Apt(&["npm"]),
};
pub(crate) const PYTHON: Need = Need {
    what: "python3",
    probe: &["python3", "--version"],
    how: "apt-get install python3 python3-venv, or the installer of python.org",
    from: Source::Apt(&["python3", "python3-venv"]),
};
pub(crate) const VENV: Need = Need {
    what: "python3's venv and ensurepip modules",
    probe: &["python3", "-c", "import venv, ensurepip"],
    how: "apt-get install python3-venv",
    from: Source::Apt(&["python3-venv"]),
};

impl Need {
    /// Answers [`Error::Missing`] if the tool is not there and, when `install` is set, could not be had.
    pub(crate) fn require(&self, workspace: &Workspace, install: bool) -> Result<(), Error> {
        if self.is_met(workspace) {
            return Ok(());
        }
        if install {
            println!("{} is missing: trying to install it", self.what);
            match self.from {
                Source::Apt(packages) => apt_get(packages),
                Source::Rustup(component) => tried(Command::new("rustup").args(["component", "add", component])),
            }
            if self.is_met(workspace) {
                return Ok(());
            }
        }
        Err(Error::Missing { what: self.what.into(), how: self.how.into() })
    }

    fn is_met(&self, workspace: &Workspace) -> bool {
        match self.probe {
            ["cargo", args @ ..] => exec::succeeds(&mut workspace.cargo(args)),
            [program, args @ ..] => exec::succeeds(workspace.program(program).args(args)),
            [] => true,
        }
    }
}

/// Installs on a root shell that has apt-get. A failure is told but not returned: the probe decides.
fn apt_get(packages: &[&str]) {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !root || !exec::succeeds(Command::new("apt-get").arg("--version")) {
        println!("not root, or no apt-get here: not installing");
        return;
    }
    let mut update = Command::new("apt-get");
    tried(update.arg("update"));
    let mut install = Command::new("apt-get");
    tried(install.env("DEBIAN_FRONTEND", "noninteractive").args(["install", "-y"]).args(packages));
}

fn tried(command: &mut Command) {
    if let Err(error) = exec::run(command) {
        println!("{error}");
    }
}
