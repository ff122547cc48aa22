//! Which plots the page has: rates, p99, processors and memory over time, and the latency percentiles; a line a run.

use super::axis::{self, Axis};
use super::compare::names;
use super::html::escape;
use super::plot::{COLOURS, Line, POINTS, Plot};
use super::{Run, Sample, Unit, layout};

/// What a sample says of one thing.
type Read<'a> = &'a dyn Fn(&Sample) -> Option<f64>;

/// The plots and their key, as markup.
pub(super) fn all(runs: &[Run]) -> String {
    let mut plots = Vec::new();
    for name in
        layout::in_order(runs.iter().map(|run| run.timeline.iter().flat_map(|sample| sample.rates.keys().copied())))
    {
        let read: Read<'_> = &|sample| sample.rates.get(name).copied();
        plots.extend(over_time(runs, &format!("{name} a second"), Unit::Count, read, false));
    }
    plots.extend(over_time(runs, "p99 over time", Unit::Millis, &|sample| sample.p99_ms, true));
    for key in layout::in_order(runs.iter().map(|run| run.latencies.iter().map(|latency| latency.key))) {
        plots.extend(percentiles(runs, key));
    }
    plots.extend(over_time(runs, "server CPU", Unit::Cores, &|sample| sample.cpu_cores, false));
    plots.extend(over_time(runs, "server memory (RSS)", Unit::Bytes, &|sample| Some(sample.rss_bytes? as f64), true));
    plots.extend(over_time(runs, "load test's own CPU", Unit::Cores, &|sample| sample.own_cpu_cores, false));
    if plots.is_empty() {
        return String::new();
    }
    let key = colours(runs).into_iter().zip(names(runs)).map(|((colour, again), name)| {
        let variable = if again { "again" } else { "run" };
        format!(r#"<li><i style="background:var(--{variable}{colour})"></i>{}</li>"#, escape(&name))
    });
    let key: String = key.collect();
    let figures = plots.iter().filter_map(|plot| {
        Some(format!("<figure><figcaption>{}</figcaption>{}</figure>\n", escape(&plot.label), plot.svg()?))
    });
    let figures: String = figures.collect();
    format!("<section><h2>Plots</h2><ul class=\"key\">{key}</ul><div class=\"plots\">\n{figures}</div></section>\n")
}

/// A colour a server, lighter for its later runs; peers come after what is tested, so that the same server has the same
/// colour on most pages.
fn colours(runs: &[Run]) -> Vec<(usize, bool)> {
    let ours_first = runs.iter().filter(|run| !run.peer).chain(runs.iter().filter(|run| run.peer));
    let servers = layout::in_order(ours_first.map(|run| std::iter::once(run.server.as_str())));
    let of = |(index, run): (usize, &Run)| {
        let colour = servers.iter().position(|server| *server == run.server).unwrap_or(0) % COLOURS;
        (colour, runs[..index].iter().any(|before| before.server == run.server))
    };
    runs.iter().enumerate().map(of).collect()
}

/// Seconds are counted from where the measuring began, so that runs lie above each other. `worst`: where there are more
/// samples than can be drawn, the largest is shown, not the mean.
fn over_time(runs: &[Run], label: &str, unit: Unit, read: Read<'_>, worst: bool) -> Option<Plot> {
    let mut lines = Vec::new();
    for (run, (colour, again)) in runs.iter().zip(colours(runs)) {
        let from = run.window.map_or(0.0, |window| window.from_s);
        let all: Vec<_> = run.timeline.iter().map(|sample| (sample.at_s - from, read(sample))).collect();
        lines.push(Line { colour, again, pieces: pieces(&thinned(&all, POINTS, worst)) });
    }
    let points = || lines.iter().flat_map(|line| line.pieces.iter().flatten());
    let (first, last) = points().fold((0.0_f64, 0.0_f64), |(first, last), (x, _)| (first.min(*x), last.max(*x)));
    points().next()?;
    let y = Axis::of_values(points().map(|(_, y)| *y), unit);
    let shaded = runs.iter().filter_map(|run| run.window).map(|window| window.to_s - window.from_s).reduce(f64::max);
    let shaded = shaded.map(|seconds| (0.0, seconds.min(last)));
    Some(Plot { label: label.to_owned(), x: Axis::of_seconds(first, last), y, shaded, lines })
}

fn percentiles(runs: &[Run], key: &str) -> Option<Plot> {
    let mut lines = Vec::new();
    let (mut label, mut most) = (None, 0);
    for (run, (colour, again)) in runs.iter().zip(colours(runs)) {
        let Some(latency) = run.latencies.iter().find(|latency| latency.key == key && latency.count > 0) else {
            continue;
        };
        label.get_or_insert(&latency.label);
        most = most.max(latency.count);
        let place = |point: &super::Point| (axis::percentile(point.percentile, latency.count), point.millis);
        lines.push(Line { colour, again, pieces: vec![latency.curve.iter().map(place).collect()] });
    }
    let points = lines.iter().flat_map(|line| line.pieces.iter().flatten());
    let y = Axis::of_values(points.map(|(_, y)| *y), Unit::Millis);
    Some(Plot { label: format!("{}: percentiles", label?), x: Axis::of_percentiles(most), y, shaded: None, lines })
}

/// As many points as can be told apart.
fn thinned(all: &[(f64, Option<f64>)], most: usize, worst: bool) -> Vec<(f64, Option<f64>)> {
    if all.len() <= most {
        return all.to_vec();
    }
    let joined = |chunk: &[(f64, Option<f64>)]| {
        let values: Vec<f64> = chunk.iter().filter_map(|(_, value)| *value).collect();
        let mean = || values.iter().sum::<f64>() / values.len() as f64;
        let value = if worst { values.iter().copied().reduce(f64::max) } else { (!values.is_empty()).then(mean) };
        (chunk[chunk.len() / 2].0, value)
    };
    all.chunks(all.len().div_ceil(most)).map(joined).collect()
}

/// What lies between two moments without a value.
fn pieces(all: &[(f64, Option<f64>)]) -> Vec<Vec<(f64, f64)>> {
    let pieces = all.split(|(_, value)| value.is_none());
    let known = |piece: &[(f64, Option<f64>)]| piece.iter().filter_map(|(at, value)| Some((*at, (*value)?))).collect();
    pieces.filter(|piece| !piece.is_empty()).map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_gaps_where_nothing_is_known() {
        let all = [(0.0, None), (1.0, Some(1.0)), (2.0, Some(2.0)), (3.0, None), (4.0, Some(4.0))];
        assert_eq!(pieces(&all), [vec![(1.0, 1.0), (2.0, 2.0)], vec![(4.0, 4.0)]]);
        assert!(pieces(&[]).is_empty());
    }

    #[test]
    fn long_lines_are_thinned() {
        let all: Vec<_> = (0..1000).map(|at| (f64::from(at), (at >= 10).then(|| f64::from(at % 10)))).collect();
        let mean = thinned(&all, 100, false);
        assert_eq!((mean.len(), mean[0], mean[1]), (100, (5.0, None), (15.0, Some(4.5))));
        assert_eq!(thinned(&all, 100, true)[1], (15.0, Some(9.0)));
        assert_eq!(thinned(&all, 1000, true), all);
    }

    #[test]
    fn a_server_has_one_colour() {
        let mut runs = ["a", "b", "a"].map(Run::new);
        assert_eq!(colours(&runs), [(0, false), (1, false), (0, true)]);
        (runs[0].peer, runs[2].peer) = (true, true);
        assert_eq!(colours(&runs), [(1, false), (0, false), (1, true)]);
        assert_eq!(all(&runs), "");
    }
}
