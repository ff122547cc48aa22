//! Figures of the process, under the names that all Prometheus clients give them. From Linux's `/proc`; what the system
//! does not say is left out.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::Metrics;
use crate::stats::resident_bytes;

/// Linux counts processor time in hundredths of a second, on every machine.
const TICKS: f64 = 100.0;

/// Read together, from files: not to be done on a task that others wait for.
pub(super) struct Process {
    resident: u64,
    cpu_seconds: Option<f64>,
    open_fds: Option<u64>,
    max_fds: Option<u64>,
}

impl Process {
    pub(super) fn read() -> Process {
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let limits = fs::read_to_string("/proc/self/limits").ok();
        Process {
            resident: resident_bytes(),
            cpu_seconds: stat.as_deref().and_then(cpu_seconds),
            open_fds: open_fds(),
            max_fds: limits.as_deref().and_then(max_fds),
        }
    }

    /// `began` is since 1970.
    pub(super) fn tell(&self, began: Duration, metrics: &mut Metrics) {
        metrics.seconds("process_start_time_seconds", "When it started, since 1970.", began.as_secs_f64());
        if self.resident > 0 {
            metrics.gauge("process_resident_memory_bytes", "Resident memory.", self.resident);
        }
        if let Some(seconds) = self.cpu_seconds {
            metrics.seconds_total("process_cpu_seconds_total", "Processor time, of all cores.", seconds);
        }
        if let Some(open) = self.open_fds {
            metrics.gauge("process_open_fds", "Open file descriptors.", open);
        }
        if let Some(max) = self.max_fds {
            metrics.gauge("process_max_fds", "How many file descriptors may be open.", max);
        }
    }
}

/// The name is in brackets and may hold anything; the fields behind it are numbers.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS)
}

fn open_fds() -> Option<u64> {
    // Linux 6.2 and later tell without a list.
    let counted = fs::metadata("/proc/self/fd").ok().map(|folder| folder.size()).filter(|size| *size > 0);
    counted.or_else(|| Some(fs::read_dir("/proc/self/fd").ok()?.count() as u64))
}

fn max_fds(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_read_as_they_are() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 150 50 0 0 20 0 4 0 100 1 2 3";
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(cpu_seconds("7 (a"), None);
        let limits =
            "Max processes 1 1 processes\nMax open files            1024                 4096                 files\n";
        assert_eq!((max_fds(limits), max_fds("")), (Some(1024), None));
        let process = Process::read();
        assert!(process.resident > 0 && process.open_fds > Some(2) && process.max_fds >= process.open_fds);
    }
}
