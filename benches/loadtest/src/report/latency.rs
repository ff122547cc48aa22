//! How long things took: percentiles, and the curve that is drawn of them. Arithmetic only.

use hdrhistogram::Histogram;
use serde::Serialize;

/// How long something took.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Latency {
    /// For programs: the same in all runs of a scenario.
    pub(crate) key: &'static str,
    pub(crate) label: String,
    pub(crate) count: u64,
    #[serde(flatten)]
    pub(crate) millis: Percentiles,
    /// For plots: by percentile, up to the longest.
    pub(crate) curve: Vec<Point>,
    /// Whether servers are compared by it.
    #[serde(skip)]
    pub(crate) compared: bool,
    #[serde(skip)]
    pub(crate) histogram: Histogram<u64>,
}

/// Milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Percentiles {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    /// 99.9.
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// Of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Point {
    /// Up to 100.
    pub(crate) percentile: f64,
    pub(crate) millis: f64,
}

/// For microseconds, to three digits; what is over ten minutes counts as that.
pub(crate) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).unwrap_or_else(|_| unreachable!("the bounds are in order"))
}

impl Percentiles {
    /// Of microseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Percentiles {
        let millis = |micros: u64| micros as f64 / 1000.0;
        let at = |quantile| millis(histogram.value_at_quantile(quantile));
        Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            max: millis(histogram.max()),
        }
    }
}

impl Latency {
    /// Of microseconds. Servers are compared by it.
    pub(crate) fn of(key: &'static str, label: impl Into<String>, histogram: Histogram<u64>) -> Latency {
        let millis = Percentiles::of(&histogram);
        let curve = curve(&histogram);
        Latency { key, label: label.into(), count: histogram.len(), millis, curve, compared: true, histogram }
    }
}

/// Denser and denser towards 100, as far as there are values to tell percentiles apart by.
fn curve(histogram: &Histogram<u64>) -> Vec<Point> {
    let mut points = Vec::new();
    let point =
        |percentile: f64| Point { percentile, millis: histogram.value_at_quantile(percentile / 100.0) as f64 / 1000.0 };
    let count = histogram.len();
    if count == 0 {
        return points;
    }
    let mut decade = 1.0;
    'all: loop {
        // From 100 - 100 / decade to the next, in steps on a logarithmic axis.
        for step in 0..18 {
            let rest = 100.0 / decade / 10_f64.powf(f64::from(step) / 18.0);
            if rest * (count as f64) < 100.0 {
                break 'all;
            }
            points.push(point(100.0 - rest));
        }
        decade *= 10.0;
    }
    points.push(point(100.0));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(all: impl Iterator<Item = u64>) -> Histogram<u64> {
        let mut latency = histogram();
        all.for_each(|millis| latency.saturating_record(millis * 1000));
        latency
    }

    #[test]
    fn latencies_are_told_in_milliseconds() {
        let Percentiles { p50, p90, p95, p99, p999, max } = Percentiles::of(&millis(1..=1000));
        for (got, expected) in [(p50, 500.0), (p90, 900.0), (p95, 950.0), (p99, 990.0), (p999, 999.0), (max, 1000.0)] {
            assert!((got / expected - 1.0_f64).abs() < 0.002, "{got} for {expected}");
        }
    }

    #[test]
    fn a_curve_rises_to_the_longest_and_no_further_than_is_known() {
        assert!(curve(&histogram()).is_empty());
        for count in [1, 10, 5000] {
            let curve = curve(&millis(1..=count));
            assert!(curve.is_sorted_by(|a, b| a.percentile < b.percentile && a.millis <= b.millis), "{curve:?}");
            let last = curve.last().unwrap();
            assert!((last.percentile - 100.0).abs() < 1e-9 && (last.millis / count as f64 - 1.0).abs() < 0.002);
            // What one in ten thousand took is unknown of five thousand.
            assert!(
                curve.iter().rev().nth(1).is_none_or(|point| point.percentile <= 100.0 - 100.0 / count as f64 + 1e-9)
            );
        }
    }
}
