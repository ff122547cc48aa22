//! The axes of plots: where their ticks are and what stands beside them. Positions are what is drawn; on a logarithmic
//! axis that is the logarithm, so that plotters need not know.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::{Unit, number};

/// What an axis shows.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    range: Range<f64>,
    ticks: Vec<(f64, String)>,
    log: bool,
}

/// How many ticks fit, about.
const TICKS: f64 = 6.0;
const MIB: f64 = 1_048_576.0;
/// From this ratio of the largest to the smallest value on, the small ones would lie on the axis.
const FAR_APART: f64 = 30.0;

impl Axis {
    /// From 0, or logarithmic where values are far apart; of figures in `unit`.
    pub(super) fn of_values(values: impl Iterator<Item = f64> + Clone, unit: Unit) -> Axis {
        let max = values.clone().fold(0.0, f64::max);
        let min = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        if unit == Unit::Millis && max / min > FAR_APART {
            return Axis::log(min, max);
        }
        let end = if max > 0.0 { max * 1.05 } else { 1.0 };
        if unit == Unit::Bytes {
            return Axis::scaled(0.0, end, MIB, |value| format!("{} MiB", number::plain(value)));
        }
        Axis::linear(0.0, end, |value| number::text(value, unit))
    }

    /// Seconds, or minutes where there are many.
    pub(super) fn of_seconds(from: f64, to: f64) -> Axis {
        if to - from > 600.0 {
            return Axis::scaled(from, to, 60.0, |value| format!("{} min", number::plain(value)));
        }
        Axis::linear(from, to, |value| number::text(value, Unit::Seconds))
    }

    /// 50, 90, 99, 99.9… at equal distances, as far as `count` values reach.
    pub(super) fn of_percentiles(count: u64) -> Axis {
        let end = percentile(100.0, count).max(1.0);
        let all = [
            (0.0, "0"),
            (50.0, "50"),
            (90.0, "90"),
            (99.0, "99"),
            (99.9, "99.9"),
            (99.99, "99.99"),
            (99.999, "99.999"),
        ];
        let ticks = all.map(|(at, text)| (percentile(at, u64::MAX), format!("{text} %")));
        Axis { range: 0.0..end, ticks: ticks.into_iter().filter(|(at, _)| *at <= end + 1e-9).collect(), log: false }
    }

    fn log(min: f64, max: f64) -> Axis {
        let range = (min.log10() - 0.05)..(max.log10() + 0.05);
        let steps: &[f64] = if range.end - range.start > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let mut ticks = Vec::new();
        let mut decade = 10_f64.powf(range.start.floor());
        while decade <= max * 10.0 {
            for step in steps {
                let at = (decade * step).log10();
                if range.contains(&at) {
                    ticks.push((at, number::text(decade * step, Unit::Millis)));
                }
            }
            decade *= 10.0;
        }
        Axis { range, ticks, log: true }
    }

    /// With round ticks in a unit that is `scale` times as large.
    fn scaled(from: f64, to: f64, scale: f64, text: impl Fn(f64) -> String) -> Axis {
        let large = Axis::linear(from / scale, to / scale, text);
        let ticks = large.ticks.into_iter().map(|(at, text)| (at * scale, text)).collect();
        Axis { range: from..to, ticks, log: false }
    }

    fn linear(from: f64, to: f64, text: impl Fn(f64) -> String) -> Axis {
        let to = if to > from { to } else { from + 1.0 };
        let step = step((to - from) / TICKS);
        let first = (from / step).ceil();
        let last = (to / step).floor();
        let count = (last - first).clamp(0.0, 100.0) as u32;
        // No sum of steps: a tick that should be 0 must be 0.
        let ticks = (0..=count).map(|index| (first + f64::from(index)) * step).map(|at| (at, text(at))).collect();
        Axis { range: from..to, ticks, log: false }
    }

    /// Where a value is drawn; nothing for what a logarithmic axis has no place for.
    pub(super) fn position(&self, value: f64) -> Option<f64> {
        if self.log { (value > 0.0).then(|| value.log10()) } else { Some(value) }
    }
}

/// Where a percentile is drawn, the last of `count` values at the end.
pub(super) fn percentile(percentile: f64, count: u64) -> f64 {
    let rest = (1.0 - percentile / 100.0).max(1.0 / count.max(1) as f64);
    -rest.log10()
}

/// 1, 2 or 5 times a power of ten.
fn step(least: f64) -> f64 {
    let decade = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    decade * steps.into_iter().find(|step| decade * step >= least * 0.999_999).unwrap_or(10.0)
}

impl Ranged for Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        limit.0 + (share * f64::from(limit.1 - limit.0)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(at, _)| *at).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Axis {
    fn format_ext(&self, value: &f64) -> String {
        let found = self.ticks.iter().find(|(at, _)| (at - value).abs() < 1e-9);
        found.map_or_else(String::new, |(_, text)| text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        let of = |values: &[f64], unit| Axis::of_values(values.iter().copied(), unit);
        assert_eq!(texts(&of(&[3.0, 9.0], Unit::Count)), ["0", "2", "4", "6", "8"]);
        assert_eq!(texts(&of(&[], Unit::Count)).len(), 6);
        assert_eq!(texts(&of(&[1.0, 80.0], Unit::Millis)), ["1 ms", "2 ms", "5 ms", "10 ms", "20 ms", "50 ms"]);
        assert_eq!(texts(&of(&[0.01, 200.0], Unit::Millis)), ["0.010 ms", "0.100 ms", "1 ms", "10 ms", "100 ms"]);
        assert_eq!(texts(&Axis::of_seconds(-2.0, 10.0)), ["-2 s", "0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]);
        assert_eq!(texts(&Axis::of_seconds(0.0, 3600.0))[1], "10 min");
        assert_eq!(texts(&Axis::of_percentiles(5000)), ["0 %", "50 %", "90 %", "99 %", "99.9 %"]);
    }

    #[test]
    fn percentiles_are_equally_far_apart() {
        let at = |value| percentile(value, 1_000_000);
        assert!((at(99.0) - 2.0 * at(90.0)).abs() < 1e-9 && (at(100.0) - 6.0).abs() < 1e-9);
        assert_eq!(percentile(100.0, 0), 0.0);
    }

    #[test]
    fn values_are_placed() {
        let axis = Axis::of_values([0.1, 100.0].into_iter(), Unit::Millis);
        assert_eq!((axis.position(0.0), axis.position(10.0)), (None, Some(1.0)));
        let axis = Axis::of_values([10.0].into_iter(), Unit::Bytes);
        assert_eq!(axis.map(&0.0, (100, 0)), 100);
    }
}
