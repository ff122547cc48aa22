//! The report for a terminal.

use std::fmt::Write as _;

use super::compare::names;
use super::{Better, Ratio, Report, Standing, Unit, layout, number};

/// Columns of runs that fit beside each other.
const RUNS_ABREAST: usize = 6;

impl Report {
    /// For people: figures, latencies, ratios, and last what all of it comes to.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("\n{} on {}\n", self.scenario, self.machine.text());
        let shared: Vec<_> = layout::shared(&self.runs).iter().map(|(name, value)| format!("{name} {value}")).collect();
        if !shared.is_empty() {
            text += &format!("{}\n", shared.join(", "));
        }
        self.figures(&mut text);
        self.latencies(&mut text);
        ratios(&self.comparison, &mut text);
        self.verdict(&mut text);
        text
    }

    fn figures(&self, text: &mut String) {
        let names = names(&self.runs);
        for (chunk, runs) in self.runs.chunks(RUNS_ABREAST).enumerate() {
            let names = &names[chunk * RUNS_ABREAST..];
            let mut grid = vec![std::iter::once(String::new()).chain(names[..runs.len()].iter().cloned()).collect()];
            for (label, values) in layout::rows(runs) {
                let values = values.into_iter().map(|value| value.unwrap_or_else(|| "-".to_owned()));
                grid.push(std::iter::once(label).chain(values).collect());
            }
            draw(&grid, text);
        }
    }

    fn latencies(&self, text: &mut String) {
        let keys = layout::in_order(self.runs.iter().map(|run| run.latencies.iter().map(|latency| latency.key)));
        let head = ["latency", "", "count", "p50", "p90", "p95", "p99", "p99.9", "max, ms"];
        let mut grid = vec![head.map(str::to_owned).to_vec()];
        for key in keys {
            let mut first = true;
            for (run, name) in self.runs.iter().zip(names(&self.runs)) {
                let Some(latency) = run.latencies.iter().find(|latency| latency.key == key) else { continue };
                let label = if first { latency.label.clone() } else { String::new() };
                first = false;
                let at = latency.millis;
                let millis = [at.p50, at.p90, at.p95, at.p99, at.p999, at.max].map(number::plain);
                grid.push([label, name, number::plain(latency.count as f64)].into_iter().chain(millis).collect());
            }
        }
        if grid.len() > 1 {
            draw(&grid, text);
        }
    }

    fn verdict(&self, text: &mut String) {
        text.push('\n');
        for reason in &self.verdict.reasons {
            let mark = match reason.standing {
                Standing::Met => "met   ",
                Standing::Missed => "MISSED",
                Standing::Noted => "note  ",
            };
            // Writing to a String does not fail.
            let _ = writeln!(text, "  {mark} {}", reason.text);
        }
        text.push_str(if self.verdict.passed { "PASS\n" } else { "FAIL\n" });
    }
}

/// A line for each: how many times more, or less.
fn ratios(ratios: &[Ratio], text: &mut String) {
    if ratios.is_empty() {
        return;
    }
    text.push('\n');
    for ratio in ratios {
        let _ = writeln!(
            text,
            "{} / {}: {} {} ({} / {}){}",
            ratio.server,
            ratio.other,
            ratio.label,
            number::text(ratio.ratio, Unit::Times),
            number::text(ratio.value, ratio.unit),
            number::text(ratio.other_value, ratio.unit),
            if judged(ratio) == "worse" { ", worse" } else { "" },
        );
    }
}

/// What the figure of the server that is tested is, beside the other's.
pub(super) fn judged(ratio: &Ratio) -> &'static str {
    let more = ratio.ratio > 1.0;
    match ratio.better {
        // As it is shown, it is 1.
        _ if (ratio.ratio - 1.0).abs() < 0.005 => "alike",
        Better::More if more => "better",
        Better::Less if !more => "better",
        _ => "worse",
    }
}

/// Columns as wide as they must be; the first to the left, numbers to the right.
fn draw(grid: &[Vec<String>], text: &mut String) {
    text.push('\n');
    let columns = grid.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |column: usize| {
        let cells = grid.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(wide).collect();
    for row in grid {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            line += &if column == 0 { format!("{cell}{pad}") } else { format!("  {pad}{cell}") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use crate::report::{Better, Report, Run, Unit, histogram};

    #[test]
    fn everything_is_in_the_table() {
        let run = |server: &str, peer: bool, rate: f64| {
            let mut run = Run::new(server);
            run.peer = peer;
            run.set("members", 1000);
            run.compared("rate", "deliveries", rate, Unit::PerSecond, Better::More);
            let mut latency = histogram();
            latency.saturating_record(2500);
            run.latency("ack", "to the ack", latency);
            run.check(!peer, "p99 under 25 ms: 2.50 ms");
            run
        };
        let runs = vec![run("loop", true, 2000.0), run("gossipd", false, 4000.0)];
        let table = Report::new("fanout", String::new(), runs).table();
        for expected in [
            "members 1000",
            "                loop   gossipd\ndeliveries  2,000 /s  4,000 /s\n",
            "to the ack     loop      1  2.50",
            "gossipd / loop: deliveries 2.00× (4,000 /s / 2,000 /s)\n",
            "  met    gossipd: p99 under 25 ms: 2.50 ms\n",
            "  note   loop: not met: p99 under 25 ms: 2.50 ms\nPASS\n",
        ] {
            assert!(table.contains(expected), "{expected}\nis not in\n{table}");
        }
    }
}
