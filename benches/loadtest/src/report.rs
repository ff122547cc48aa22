//! What was found, the same for every scenario, so that the table, the JSON and the HTML need to know none of them.
//! Nothing is measured here, and nothing is decided but the verdict.

mod axis;
mod compare;
mod html;
mod json;
mod latency;
mod layout;
pub(crate) mod number;
mod origin;
mod plot;
mod plots;
mod table;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::error::Error;
pub(crate) use compare::{Ratio, Standing, Verdict};
pub(crate) use latency::{Latency, Percentiles, Point, histogram};
pub(crate) use origin::{Machine, started_now};

/// Everything that was measured, and what it comes to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) scenario: &'static str,
    /// What runs it again, without secrets.
    pub(crate) command: String,
    pub(crate) machine: Machine,
    /// RFC 3339, UTC.
    pub(crate) started_at: String,
    pub(crate) runs: Vec<Run>,
    pub(crate) comparison: Vec<Ratio>,
    pub(crate) verdict: Verdict,
}

/// The figures of one server in one run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    pub(crate) server: String,
    /// Measured to be compared with, so that what is wrong with it is told but no reason to fail.
    pub(crate) peer: bool,
    pub(crate) settings: Vec<Setting>,
    /// How long was measured.
    pub(crate) seconds: f64,
    pub(crate) figures: Vec<Figure>,
    pub(crate) latencies: Vec<Latency>,
    pub(crate) timeline: Vec<Sample>,
    /// Which part of the timeline was measured.
    pub(crate) window: Option<Window>,
    /// What was demanded of the figures.
    pub(crate) checks: Vec<Check>,
    /// What is wrong, and not to be overlooked.
    pub(crate) faults: Vec<String>,
}

/// What a run was set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// A number that was found.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    /// For programs: the same in all runs of a scenario.
    pub(crate) key: &'static str,
    pub(crate) label: String,
    pub(crate) value: f64,
    pub(crate) unit: Unit,
    /// What is better, of the figures that servers are compared by.
    pub(crate) better: Option<Better>,
}

/// Of what a figure is so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Unit {
    Count,
    PerSecond,
    PerCpuSecond,
    Seconds,
    Millis,
    Micros,
    Bytes,
    /// Processor seconds a second.
    Cores,
    /// A ratio.
    Times,
}

/// Which way a figure should go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Better {
    More,
    Less,
}

/// A moment of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    /// Seconds since the run began.
    pub(crate) at_s: f64,
    /// A second, since the sample before.
    pub(crate) rates: BTreeMap<&'static str, f64>,
    /// Of what ended since the sample before.
    pub(crate) p99_ms: Option<f64>,
    /// Of the server, since the sample before.
    pub(crate) cpu_cores: Option<f64>,
    /// Of the server.
    pub(crate) rss_bytes: Option<u64>,
    /// Of the load test itself, since the sample before.
    pub(crate) own_cpu_cores: Option<f64>,
    /// Of the load test itself.
    pub(crate) own_rss_bytes: Option<u64>,
}

/// A part of a timeline, in its seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Window {
    pub(crate) from_s: f64,
    pub(crate) to_s: f64,
}

/// A demand, and whether it was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub(crate) met: bool,
    pub(crate) text: String,
}

impl Report {
    /// Of what was measured, by the command of this program.
    pub(crate) fn new(scenario: &'static str, started_at: String, runs: Vec<Run>) -> Report {
        Report {
            scenario,
            command: origin::command(),
            machine: Machine::this(),
            started_at,
            comparison: Ratio::of(&runs),
            verdict: Verdict::of(&runs),
            runs,
        }
    }
}

impl Report {
    /// Prints the table and writes the files that were asked for. Whether the verdict is good.
    ///
    /// # Errors
    /// Where a file cannot be written.
    pub(crate) fn deliver(&self, json: Option<&Path>, html: Option<&Path>) -> Result<bool, Error> {
        print!("{}", self.table());
        if let Some(path) = json {
            fs::write(path, self.json()?).map_err(Error::io("writing the JSON report"))?;
        }
        if let Some(path) = html {
            fs::write(path, self.html()).map_err(Error::io("writing the HTML report"))?;
        }
        Ok(self.verdict.passed)
    }
}

impl Run {
    /// Of which nothing is known yet.
    pub(crate) fn new(server: impl Into<String>) -> Run {
        Run {
            server: server.into(),
            peer: false,
            settings: Vec::new(),
            seconds: 0.0,
            figures: Vec::new(),
            latencies: Vec::new(),
            timeline: Vec::new(),
            window: None,
            checks: Vec::new(),
            faults: Vec::new(),
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: impl ToString) {
        self.settings.push(Setting { name: name.to_owned(), value: value.to_string() });
    }

    pub(crate) fn figure(&mut self, key: &'static str, label: impl Into<String>, value: f64, unit: Unit) {
        self.figures.push(Figure { key, label: label.into(), value, unit, better: None });
    }

    /// A figure that servers are compared by.
    pub(crate) fn compared(
        &mut self,
        key: &'static str,
        label: impl Into<String>,
        value: f64,
        unit: Unit,
        better: Better,
    ) {
        self.figures.push(Figure { key, label: label.into(), value, unit, better: Some(better) });
    }

    /// Lets servers be compared by a figure that is there already.
    pub(crate) fn compare_by(&mut self, key: &str, better: Better) {
        let found = self.figures.iter_mut().find(|figure| figure.key == key);
        found.into_iter().for_each(|figure| figure.better = Some(better));
    }

    pub(crate) fn latency(&mut self, key: &'static str, label: impl Into<String>, histogram: Histogram<u64>) {
        self.latencies.push(Latency::of(key, label, histogram));
    }

    /// A latency that is told of each server on its own.
    pub(crate) fn latency_alone(&mut self, key: &'static str, label: impl Into<String>, histogram: Histogram<u64>) {
        self.latencies.push(Latency { compared: false, ..Latency::of(key, label, histogram) });
    }

    /// Demands something; `text` says what, and what was found.
    pub(crate) fn check(&mut self, met: bool, text: impl Into<String>) {
        self.checks.push(Check { met, text: text.into() });
    }

    pub(crate) fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }

    /// The value of a figure.
    pub(crate) fn value(&self, key: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.key == key).map(|figure| figure.value)
    }
}
