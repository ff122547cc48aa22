//! What takes a cluster down: in the end always the same small process, whether its owner dropped it or was killed.
//!
//! It waits for the end of its standard input, a pipe that the owner holds. The kernel closes that pipe however the
//! owner ends, SIGKILL included. A parent-death signal would not do: it is tied to the thread that started the server,
//! and a test's thread ends before its process. Nor would a signal handler: nothing is called on SIGKILL.

use std::{
    io,
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::Path,
    process::{Child, Command, Stdio},
};

/// Waits, stops the server at once, removes the folder. `$1`: pg_ctl, `$2`: the server's data, `$3`: the folder.
///
/// A server that was frozen when its owner was killed gets SIGCONT, or it would not hear of the stop; its children,
/// frozen too, are killed by it after five seconds.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
read -r nothing
if read -r pid < "$2/postmaster.pid"; then kill -CONT "$pid"; fi 2>/dev/null
"$1" -D "$2" -m immediate -w stop >/dev/null 2>&1
rm -rf "$3"
"#;

/// Dropping it takes the cluster down, and waits for that.
pub(crate) struct Watchdog(Child);

impl Watchdog {
    /// `shell` is `sh` as the user that runs Postgres.
    pub(crate) fn start(mut shell: Command, pg_ctl: &Path, data: &Path, folder: &Path) -> io::Result<Self> {
        shell.args(["-c", SCRIPT, "watchdog"]).args([pg_ctl, data, folder]);
        // In a group of its own it is spared what ends its owner: Ctrl-C, and a kill of the owner's whole group.
        // Standard error stays the owner's, so whoever reads that to its end has waited for the cleaning up as well.
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).process_group(0).spawn().map(Self)
    }

    /// Something to give to a program as its standard input: the watchdog then does not begin before that program has
    /// ended, also when the owner is killed meanwhile. Without it, a server just being started could be missed.
    pub(crate) fn hold(&self) -> io::Result<Stdio> {
        let pipe = self.0.stdin.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(pipe.as_fd().try_clone_to_owned()?.into())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Closes the pipe first. There is nobody to tell of a failure.
        let _ = self.0.wait();
    }
}
