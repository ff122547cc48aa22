//! What a process of this machine has used, as Linux tells it. On a system that does not, there is nothing to tell.

use std::fs;
use std::time::Duration;

use serde::Serialize;

/// What a process has used so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Processor time, its own and the kernel's on its behalf.
    pub(crate) cpu: Duration,
    pub(crate) memory: Memory,
}

/// Bytes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    /// Now.
    pub(crate) rss_bytes: u64,
    /// At most so far.
    pub(crate) peak_bytes: u64,
}

/// Asks about a process; its id, or `self`.
pub(crate) fn usage(process: &str) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let ticks = cpu_ticks(&stat)?;
    let cpu = Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
    let memory = Memory { rss_bytes: bytes(&status, "VmRSS:")?, peak_bytes: bytes(&status, "VmHWM:")? };
    Some(Usage { cpu, memory })
}

/// How many descriptors a process has open.
pub(crate) fn descriptors(process: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{process}/fd")).ok()?.count())
}

/// `utime` and `stime` of proc(5). The name before them is in brackets and may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

fn bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_by_its_fields() {
        let stat = "42 (a ) b) S 1 2 3 4 5 6 7 8 9 10 700 30 0 0 20 0 4 0 5 6 7";
        assert_eq!(cpu_ticks(stat), Some(730));
        assert_eq!(cpu_ticks("42"), None);
        assert_eq!(bytes("Name:\tx\nVmRSS:\t    1200 kB\n", "VmRSS:"), Some(1_228_800));
        assert_eq!(bytes("Name:\tx\n", "VmRSS:"), None);
    }
}
