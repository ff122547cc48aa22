//! One line about a run that is under way, on standard error, where that is a terminal; nothing elsewhere.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::report::{Sample, Unit, number};

/// The line of one run.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Draws nothing where standard error is no terminal.
    bar: ProgressBar,
    phase: Cell<Phase>,
}

#[derive(Debug, Clone, Copy)]
struct Phase {
    doing: &'static str,
    begun: Instant,
    takes: Option<Duration>,
}

impl Progress {
    /// Before the first phase.
    pub(crate) fn new(title: &str) -> Progress {
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template("{prefix} {bar:16} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_prefix(title.to_owned());
        Progress { bar, phase: Cell::new(Phase { doing: "starting", begun: Instant::now(), takes: None }) }
    }

    /// What the run is at now, and how long that takes, if it is known.
    pub(crate) fn phase(&self, doing: &'static str, takes: Option<Duration>) {
        self.phase.set(Phase { doing, begun: Instant::now(), takes });
        self.bar.set_length(takes.map_or(0, millis));
        self.bar.set_position(0);
        self.bar.set_message(doing);
    }

    /// Shows how it goes.
    pub(crate) fn show(&self, sample: &Sample, errors: u64) {
        let phase = self.phase.get();
        if let Some(takes) = phase.takes {
            self.bar.set_position(millis(phase.begun.elapsed().min(takes)));
        }
        self.bar.set_message(line(phase.doing, sample, errors));
    }

    /// Takes the line away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// What matters most comes first: a narrow terminal cuts the end off.
fn line(doing: &str, sample: &Sample, errors: u64) -> String {
    let mut parts = vec![format!("{errors} errors")];
    if let Some(p99) = sample.p99_ms {
        parts.push(format!("p99 {}", number::text(p99, Unit::Millis)));
    }
    for (name, &rate) in &sample.rates {
        if rate > 0.0 {
            parts.push(format!("{} {name}/s", number::plain(rate)));
        }
    }
    if let Some(cores) = sample.cpu_cores {
        parts.push(format!("server {}", number::text(cores, Unit::Cores)));
    }
    if let Some(bytes) = sample.rss_bytes {
        parts.push(number::text(bytes as f64, Unit::Bytes));
    }
    format!("{doing}: {}", parts.join(", "))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_line_says_what_there_is() {
        let mut sample = Sample { rates: BTreeMap::from([("acks", 0.0), ("posts", 1234.0)]), ..Sample::default() };
        assert_eq!(line("measuring", &sample, 0), "measuring: 0 errors, 1,234 posts/s");
        (sample.p99_ms, sample.cpu_cores, sample.rss_bytes) = (Some(2.5), Some(0.5), Some(3 << 20));
        let full = "measuring: 2 errors, p99 2.50 ms, 1,234 posts/s, server 0.50 cores, 3.00 MiB";
        assert_eq!(line("measuring", &sample, 2), full);
    }
}
