//! The server's processes: which there are, from Linux' /proc, and freezing and thawing one.

use std::{
    fs, io, thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::Error;

/// How long a process may take to stop or to end: it finishes a write to disk first.
const WAIT_MAX: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The processes that `parent` has started and that are still its own.
pub(crate) fn children(parent: Pid) -> Result<Vec<Pid>, Error> {
    let processes = fs::read_dir("/proc").map_err(Error::on("list the processes in /proc, which Linux has"))?;
    let numbers = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let pids = numbers.filter_map(Pid::from_raw);
    Ok(pids.filter(|pid| status(*pid).is_some_and(|(_, of)| of == parent.as_raw_nonzero().get())).collect())
}

/// Sends SIGSTOP and returns once the process stands still or is gone.
pub(crate) fn freeze(pid: Pid) -> Result<(), Error> {
    signal(pid, Signal::STOP)?;
    await_state(pid, &['T', 'Z'])
}

/// Returns once the process is gone, or has ended and only its parent has not heard of it.
pub(crate) fn await_end(pid: Pid) -> Result<(), Error> {
    await_state(pid, &['Z'])
}

/// Returns once the process is in one of these states, or gone.
fn await_state(pid: Pid, states: &[char]) -> Result<(), Error> {
    let begun = Instant::now();
    while status(pid).is_some_and(|(state, _)| !states.contains(&state)) {
        if begun.elapsed() > WAIT_MAX {
            return Err(Error::GoesOn(pid.as_raw_nonzero().get()));
        }
        // tidy: sleep because only a process's parent is told that it has stopped or ended
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Sends SIGCONT.
pub(crate) fn thaw(pid: Pid) -> Result<(), Error> {
    signal(pid, Signal::CONT)
}

/// One that is gone needs no signal.
fn signal(pid: Pid, signal: Signal) -> Result<(), Error> {
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(Error::on("signal a process of the server")(io::Error::from(error))),
    }
}

/// A process's state and its parent; none if it is gone.
fn status(pid: Pid) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    parse(&stat)
}

/// `pid (name) state parent …`, where the name may hold anything.
fn parse(stat: &str) -> Option<(char, i32)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut words = rest.split(' ');
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_more() {
        assert_eq!(parse("12 (postgres) S 7 12 12 0"), Some(('S', 7)));
        assert_eq!(parse("12 (a) T 9 (b) Z 7 12"), Some(('Z', 7)));
        assert_eq!(parse(""), None);
    }
}
