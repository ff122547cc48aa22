//! Tools outside this repository that a step needs: how to tell they are there, name them, and get them.
//! Nothing is ever installed unless `--strict` asks for it.

use std::process::Command;

use crate::{
    autobahn,
    error::Error,
    exec::{self, Workspace},
};

/// One tool.
pub(crate) struct Need {
    what: &'static str,
    probe: Probe,
    how: &'static str,
    from: Source,
}

/// How to tell that a tool works.
enum Probe {
    /// A command that succeeds if and only if it does.
    Succeeds(&'static [&'static str]),
    /// A question to a crate that knows.
    Holds(fn() -> bool),
}

enum Source {
    /// Debian packages.
    Apt(&'static [&'static str]),
    /// A component of the toolchain.
    Rustup(&'static str),
    /// Nothing that installs without asking has it.
    Person,
}

pub(crate) const RUSTFMT: Need = Need {
    what: "rustfmt",
    probe: Probe::Succeeds(&["cargo", "fmt", "--version"]),
    how: "rustup component add rustfmt",
    from: Source::Rustup("rustfmt"),
};
pub(crate) const CLIPPY: Need = Need {
    what: "clippy",
    probe: Probe::Succeeds(&["cargo", "clippy", "--version"]),
    how: "rustup component add clippy",
    from: Source::Rustup("clippy"),
};
/// For the fuzzer's own half.
pub(crate) const CXX: Need = Need {
    what: "a C++ compiler, c++",
    probe: Probe::Succeeds(&["c++", "--version"]),
    how: "apt-get install g++",
    from: Source::Apt(&["g++"]),
};
pub(crate) const NODE: Need = Need {
    what: "node",
    probe: Probe::Succeeds(&["node", "--version"]),
    how: "apt-get install nodejs npm, or the installer of nodejs.org",
    from: Source::Apt(&["nodejs", "npm"]),
};
pub(crate) const NPM: Need = Need {
    what: "npm",
    probe: Probe::Succeeds(&["npm", "--version"]),
    how: "apt-get install npm (it comes with the installer of nodejs.org)",
    from: Source::Apt(&["npm"]),
};
/// For the console's tests.
pub(crate) const CHROMIUM: Need = Need {
    what: "chromium",
    probe: Probe::Succeeds(&["chromium", "--version"]),
    how: "apt-get install chromium",
    from: Source::Apt(&["chromium"]),
};
pub(crate) const PYTHON: Need = Need {
    what: "python3",
    probe: Probe::Succeeds(&["python3", "--version"]),
    how: "apt-get install python3 python3-venv, or the installer of python.org",
    from: Source::Apt(&["python3", "python3-venv"]),
};
pub(crate) const VENV: Need = Need {
    what: "python3's venv and ensurepip modules",
    probe: Probe::Succeeds(&["python3", "-c", "import venv, ensurepip"]),
    how: "apt-get install python3-venv",
    from: Source::Apt(&["python3-venv"]),
};
/// What Autobahn's suite is written in. Debian no longer has it.
pub(crate) const PYTHON2: Need = Need {
    what: "a Python 2.7 with pip",
    probe: Probe::Holds(|| autobahn::python2().is_some()),
    how: "pyenv install 2.7.18 (it is found there, it need not be the chosen one)",
    from: Source::Person,
};
/// Debian's package starts a cluster of its own as well, on port 5432. It is in nobody's way.
pub(crate) const POSTGRES: Need = Need {
    what: "Postgres' programs initdb, pg_ctl and postgres",
    probe: Probe::Holds(|| gossip_test_postgres::find_programs().is_ok()),
    how: "apt-get install postgresql, or the installer of postgresql.org",
    from: Source::Apt(&["postgresql"]),
};

/// Debian's package starts it as well, with a page that says so.
pub(crate) const NGINX: Need = Need {
    what: "nginx",
    probe: Probe::Succeeds(&["env", SYSTEM_PATH, "nginx", "-v"]),
    how: "apt-get install nginx",
    from: Source::Apt(&["nginx"]),
};
pub(crate) const HAPROXY: Need = Need {
    what: "haproxy",
    probe: Probe::Succeeds(&["env", SYSTEM_PATH, "haproxy", "-v"]),
    how: "apt-get install haproxy",
    from: Source::Apt(&["haproxy"]),
};
/// For a certificate of a proxy under test.
pub(crate) const OPENSSL: Need = Need {
    what: "openssl",
    probe: Probe::Succeeds(&["openssl", "version"]),
    how: "apt-get install openssl",
    from: Source::Apt(&["openssl"]),
};

/// Where services are, which a user's own path may leave out.
const SYSTEM_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
                Source::Person => println!("nothing here can install it"),
                Source::Rustup(component) => tried(Command::new("rustup").args(["component", "add", component])),
            }
            if self.is_met(workspace) {
                return Ok(());
            }
        }
        Err(self.missing())
    }

    pub(crate) fn missing(&self) -> Error {
        Error::Missing { what: self.what.into(), how: self.how.into() }
    }

    fn is_met(&self, workspace: &Workspace) -> bool {
        match self.probe {
            Probe::Succeeds(["cargo", args @ ..]) => exec::succeeds(&mut workspace.cargo(args)),
            Probe::Succeeds([program, args @ ..]) => exec::succeeds(workspace.program(program).args(args)),
            Probe::Succeeds([]) => true,
            Probe::Holds(holds) => holds(),
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
