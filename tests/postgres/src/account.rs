//! The user that Postgres runs as. It refuses to run as root, which is what containers usually are.

use std::process::Command;

use crate::Error;

/// A user and its group.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Account {
    /// None where this process's own user will do, which is any but root.
    pub(crate) fn instead_of_root() -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        ["postgres", "nobody"].into_iter().find_map(Self::named).map(Some).ok_or(Error::NoAccount)
    }

    fn named(name: &str) -> Option<Self> {
        let id = |what: &str| {
            let output =
                Command::new("id").args([what, name]).output().ok().filter(|output| output.status.success())?;
            String::from_utf8_lossy(&output.stdout).trim().parse().ok()
        };
        Some(Self { uid: id("-u")?, gid: id("-g")? })
    }
}
