//! Figures in Prometheus' text format (0.0.4). A name is used once, with all its values, and has the suffix that
//! Prometheus asks for; that is looked at by a test of the whole, not here.

use std::fmt;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Histogram, TextEncoder, core};

/// Figures, in the order in which they were added. [`Display`](fmt::Display) is the text of `/metrics`.
#[derive(Debug, Default)]
pub struct Metrics(Vec<MetricFamily>);

impl Metrics {
    /// `Content-Type` of the text.
    pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

    /// Adds what only grows. The name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.add(name, help, MetricType::COUNTER, [counter(value as f64)]);
    }

    /// Adds what only grows, once for each value of a label.
    pub fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        let metrics = values.into_iter().map(|(value, count)| labelled(counter(count as f64), &[(label, value)]));
        self.add(name, help, MetricType::COUNTER, metrics);
    }

    /// Adds what rises and falls.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Into<u64>) {
        self.add(name, help, MetricType::GAUGE, [gauge(value.into() as f64)]);
    }

    /// Adds what rises and falls, once for each value of a label.
    pub fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, u64)>,
    ) {
        let metrics = values.into_iter().map(|(value, count)| labelled(gauge(count as f64), &[(label, value)]));
        self.add(name, help, MetricType::GAUGE, metrics);
    }

    /// Adds what is a word, not a number. The name ends in `_info`.
    pub fn info(&mut self, name: &str, help: &str, label: &str, value: &str) {
        self.add(name, help, MetricType::GAUGE, [labelled(gauge(1.0), &[(label, value)])]);
    }

    pub(super) fn seconds_total(&mut self, name: &str, help: &str, seconds: f64) {
        self.add(name, help, MetricType::COUNTER, [counter(seconds)]);
    }

    pub(super) fn seconds(&mut self, name: &str, help: &str, seconds: f64) {
        self.add(name, help, MetricType::GAUGE, [gauge(seconds)]);
    }

    /// Counters with several labels.
    pub(super) fn table<'a>(
        &mut self,
        name: &str,
        help: &str,
        rows: impl IntoIterator<Item = (Vec<(&'a str, &'a str)>, u64)>,
    ) {
        let metrics = rows.into_iter().map(|(labels, count)| labelled(counter(count as f64), &labels));
        self.add(name, help, MetricType::COUNTER, metrics);
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.add(name, help, MetricType::HISTOGRAM, [core::Metric::metric(histogram)]);
    }

    pub(super) fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'a str, &'a Histogram)>,
    ) {
        let read = |(value, histogram)| labelled(core::Metric::metric(histogram), &[(label, value)]);
        self.add(name, help, MetricType::HISTOGRAM, values.into_iter().map(read));
    }

    fn add(&mut self, name: &str, help: &str, kind: MetricType, metrics: impl IntoIterator<Item = Metric>) {
        let metrics: Vec<_> = metrics.into_iter().collect();
        // The format knows no family without these.
        if metrics.is_empty() || name.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

fn counter(value: f64) -> Metric {
    let (mut metric, mut counter) = (Metric::default(), Counter::default());
    counter.set_value(value);
    metric.set_counter(counter);
    metric
}

fn gauge(value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    Metric::from_gauge(gauge)
}

fn labelled(mut metric: Metric, labels: &[(&str, &str)]) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    metric.set_label(labels.iter().map(pair).collect());
    metric
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Only a family without a name or a value is refused, and none gets here.
        f.write_str(&TextEncoder::new().encode_to_string(&self.0).unwrap_or_default())
    }
}
