//! Whether a server's memory is flat. In a long run a line is fitted to what it had once it was warm: a leak is a slope, and
//! one slow enough to pass in a minute shows in an hour. In a short one there is no telling a slope from noise, so there
//! the last third is held against the first.

use crate::report::{Run, Sample, Unit, Window, number};

/// The shortest run that a line is fitted to, in seconds.
const LONG: f64 = 600.0;
/// The part of it that counts as warming up: caches fill, and the allocator finds its size.
const WARM: f64 = 0.25;
/// What the line may rise by from its beginning to its end: a share of what there is, or some bytes if that is more. In an
/// hour with the default load guests come and go some 20,000 times: 200 bytes that each leaves behind are found.
const RISE: (f64, f64) = (0.03, 4.0 * 1_048_576.0);
/// In a short run, what there may be in the last third of the time beyond what there was in the first: a share, and some
/// bytes.
const GROWTH: (f64, f64) = (1.1, 8.0 * 1_048_576.0);

pub(super) fn tell(run: &mut Run) {
    match run.window {
        Some(window) if window.to_s - window.from_s >= LONG => slope(run, window),
        _ => thirds(run),
    }
}

fn slope(run: &mut Run, window: Window) {
    let warm = window.from_s + (window.to_s - window.from_s) * WARM;
    let points: Vec<(f64, f64)> = run
        .timeline
        .iter()
        .filter(|sample| (warm..=window.to_s).contains(&sample.at_s))
        .filter_map(|sample| Some((sample.at_s, sample.rss_bytes? as f64)))
        .collect();
    let Some(line) = Line::through(&points) else { return };
    let seconds = window.to_s - warm;
    let (rise, most) = (line.slope * seconds, (line.mean * RISE.0).max(RISE.1));
    let text = |bytes: f64| number::text(bytes, Unit::Bytes);
    run.figure("rssMean", "server memory once it was warm", line.mean, Unit::Bytes);
    // A fall is no fault, and is not told as a figure of bytes, which are never fewer than none.
    run.figure("rssRise", "its rise from then on", rise.max(0.0), Unit::Bytes);
    let minutes = seconds / 60.0;
    let told = format!(
        "memory is flat: in {minutes:.0} minutes a line through it rises by {}, at most {}",
        text(rise.max(0.0)),
        text(most)
    );
    run.check(rise <= most, told);
}

/// The straight line that is nearest to all points (least squares).
#[derive(Debug, PartialEq)]
struct Line {
    /// A second.
    slope: f64,
    mean: f64,
}

impl Line {
    /// Nothing for points that are all at one time.
    fn through(points: &[(f64, f64)]) -> Option<Line> {
        let count = points.len() as f64;
        let mean = |part: fn(&(f64, f64)) -> f64| points.iter().map(part).sum::<f64>() / count;
        let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
        let both: f64 = points.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
        let square: f64 = points.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
        (square > 0.0).then(|| Line { slope: both / square, mean: mean_y })
    }
}

fn thirds(run: &mut Run) {
    let Some((first, last)) = thirds_of(&run.timeline) else { return };
    let text = |bytes: f64| number::text(bytes, Unit::Bytes);
    run.figure("rssFirstThird", "server memory in the first third", first, Unit::Bytes);
    run.figure("rssLastThird", "server memory in the last third", last, Unit::Bytes);
    let told = format!("memory stays: {} in the first third of the time, {} in the last", text(first), text(last));
    run.check(last <= first * GROWTH.0 + GROWTH.1, told);
}

/// The mean memory of the first and of the last third of the samples.
fn thirds_of(timeline: &[Sample]) -> Option<(f64, f64)> {
    let all: Vec<f64> = timeline.iter().filter_map(|sample| Some(sample.rss_bytes? as f64)).collect();
    let third = all.len() / 3;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    (third > 0).then(|| (mean(&all[..third]), mean(&all[all.len() - third..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(rss: impl Iterator<Item = f64>) -> Vec<Sample> {
        let sample = |(at, mib): (usize, f64)| Sample {
            at_s: at as f64,
            rss_bytes: Some((mib * 1_048_576.0) as u64),
            ..Sample::default()
        };
        rss.enumerate().map(sample).collect()
    }

    fn flat(seconds: u32, mib: impl Fn(f64) -> f64) -> Vec<bool> {
        let window = Some(Window { from_s: 0.0, to_s: f64::from(seconds) });
        let timeline = timeline((0..=seconds).map(|at| mib(f64::from(at))));
        let mut run = Run { timeline, window, ..Run::new("gossipd") };
        tell(&mut run);
        run.checks.iter().map(|check| check.met).collect()
    }

    #[test]
    fn a_long_run_is_flat_or_it_leaks() {
        // Fills at first, then wavers.
        let warming = |at: f64| 60.0 - 30.0 * (-at / 100.0).exp() + (at / 7.0).sin() * 3.0;
        assert_eq!(flat(3600, warming), [true]);
        assert_eq!(flat(3600, |at| warming(at) + at / 3600.0 * 8.0), [false]);
        assert_eq!(flat(3600, |at| warming(at) - at / 3600.0 * 8.0), [true]);
        assert_eq!(flat(600, |at| 40.0 + at / 600.0 * 8.0), [false]);
        assert_eq!(Line::through(&[(1.0, 1.0), (2.0, 3.0), (3.0, 5.0)]), Some(Line { slope: 2.0, mean: 3.0 }));
        assert_eq!(Line::through(&[(1.0, 1.0), (1.0, 3.0)]), None);
    }

    #[test]
    fn in_a_short_run_memory_may_move_but_not_grow() {
        assert_eq!(flat(59, |at| if at < 20.0 { 50.0 } else { 60.0 }), [true]);
        assert_eq!(flat(59, |at| if at < 30.0 { 50.0 } else { 75.0 }), [false]);
        assert_eq!(flat(1, |_| 50.0), [true; 0]);
        let some = timeline([3.0, 5.0, 100.0, 7.0, 9.0, 1.0, 2.0].into_iter());
        assert_eq!(thirds_of(&some), Some((4.0 * 1_048_576.0, 1.5 * 1_048_576.0)));
    }
}
