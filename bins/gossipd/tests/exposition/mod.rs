//! Prometheus' text format (0.0.4), read strictly, and what Prometheus asks of names and values: what `promtool check
//! metrics` looks at, and more. Written from Prometheus' documents, not from how the server writes.

use std::collections::{BTreeMap, BTreeSet};

/// The most values that one label may have in one family.
const MAX_VALUES: usize = 32;
/// The most lines with values.
const MAX_SERIES: usize = 1_000;

pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

#[derive(Debug)]
pub(crate) struct Family {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) kind: String,
    pub(crate) samples: Vec<Sample>,
}

/// What a server told.
#[derive(Debug)]
pub(crate) struct Exposition(pub(crate) Vec<Family>);

impl Exposition {
    /// Each family is its HELP, its TYPE and its values, with nothing between them.
    pub(crate) fn parse(text: &str) -> Result<Exposition, String> {
        if !text.ends_with('\n') {
            return Err("the last line has no end".into());
        }
        let mut families: Vec<Family> = Vec::new();
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').ok_or(format!("no help: {line}"))?;
                families.push(Family {
                    name: name.to_owned(),
                    help: help.to_owned(),
                    kind: String::new(),
                    samples: Vec::new(),
                });
                continue;
            }
            let family = families.last_mut().ok_or(format!("no HELP before {line}"))?;
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').ok_or(format!("no type: {line}"))?;
                if name != family.name || !family.kind.is_empty() || !family.samples.is_empty() {
                    return Err(format!("not in its place: {line}"));
                }
                family.kind = kind.to_owned();
                continue;
            }
            let sample = sample(line).ok_or(format!("cannot be read: {line}"))?;
            let suffixes: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            let is_its = suffixes.iter().any(|suffix| sample.name.strip_suffix(suffix) == Some(&family.name));
            if !is_its {
                return Err(format!("not a value of {}: {line}", family.name));
            }
            family.samples.push(sample);
        }
        Ok(Exposition(families))
    }

    /// What is wrong with it.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut names = BTreeSet::new();
        let mut series = BTreeSet::new();
        for family in &self.0 {
            let mut wrong = |what: &str| problems.push(format!("{}: {what}", family.name));
            if !names.insert(&family.name) {
                wrong("told twice");
            }
            if family.samples.is_empty() {
                wrong("has no value");
            }
            of_names(family, &mut wrong);
            of_labels(family, &mut wrong);
            for sample in &family.samples {
                if !series.insert((&sample.name, &sample.labels)) {
                    wrong(&format!("the same series twice: {:?}", sample.labels));
                }
                if !sample.value.is_finite() || sample.value < 0.0 {
                    wrong(&format!("{} cannot be", sample.value));
                }
            }
            if family.kind == "histogram" {
                of_histogram(family, &mut wrong);
            }
        }
        if series.len() > MAX_SERIES {
            problems.push(format!("{} series are too many", series.len()));
        }
        problems
    }

    /// The value with just these labels.
    pub(crate) fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let samples = self.0.iter().flat_map(|family| &family.samples);
        samples.into_iter().find(|sample| sample.name == name && sample.labels == labels).map(|sample| sample.value)
    }

    /// The same, 0 where there is none.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or(0.0)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (series, value) = line.rsplit_once(' ')?;
    let value = if value == "+Inf" { f64::INFINITY } else { value.parse().ok()? };
    let Some((name, mut rest)) = series.split_once('{') else {
        return Some(Sample { name: series.to_owned(), labels: BTreeMap::new(), value });
    };
    let mut labels = BTreeMap::new();
    while rest != "}" {
        let (label, after) = rest.split_once("=\"")?;
        let mut text = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => text.push(match chars.next()?.1 {
                    'n' => '\n',
                    other @ ('"' | '\\') => other,
                    _ => return None,
                }),
                (_, other) => text.push(other),
            }
        };
        if labels.insert(label.to_owned(), text).is_some() {
            return None;
        }
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some(Sample { name: name.to_owned(), labels, value })
}

/// Prefixes, suffixes and units.
fn of_names(family: &Family, wrong: &mut impl FnMut(&str)) {
    let (name, is_counter) = (family.name.as_str(), family.kind == "counter");
    if !name.starts_with("gossipd_") && !name.starts_with("process_") {
        wrong("is in no namespace of ours");
    }
    if name.contains(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '_') {
        wrong("is not in snake case");
    }
    if family.help.trim().is_empty() {
        wrong("has no help");
    }
    if !matches!(family.kind.as_str(), "counter" | "gauge" | "histogram") {
        wrong("has no type");
    }
    if is_counter != name.ends_with("_total") {
        wrong("counters end in _total, and nothing else does");
    }
    if ["_count", "_sum", "_bucket"].iter().any(|suffix| name.ends_with(suffix)) {
        wrong("has a suffix of histograms");
    }
    let not_base = [
        "ms",
        "milliseconds",
        "micros",
        "microseconds",
        "nanoseconds",
        "minutes",
        "hours",
        "days",
        "kib",
        "mib",
        "kb",
        "mb",
        "kilobytes",
        "megabytes",
        "bits",
        "percent",
        "millis",
        "time",
    ];
    let of_type = ["counter", "gauge", "histogram", "summary"];
    // The one exception is a name that all Prometheus clients have.
    let words = name.split('_').filter(|_| name != "process_start_time_seconds");
    for word in words {
        if not_base.contains(&word) {
            wrong("is not in a base unit");
        }
        if of_type.contains(&word) {
            wrong("has its type in its name");
        }
    }
    if name.contains("_duration") && !name.ends_with("_seconds") {
        wrong("a duration is in seconds, and says so at the end");
    }
    if name.ends_with("_info") && family.samples.iter().any(|sample| sample.value != 1.0) {
        wrong("what is a word is worth 1");
    }
}

fn of_labels(family: &Family, wrong: &mut impl FnMut(&str)) {
    let mut values: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for sample in &family.samples {
        for (label, value) in &sample.labels {
            values.entry(label).or_default().insert(value);
        }
        let names = sample.labels.keys().filter(|name| *name != "le");
        let first = family.samples[0].labels.keys().filter(|name| *name != "le");
        if !names.eq(first) {
            wrong("not all values have the same labels");
        }
    }
    for (label, values) in values {
        if label.contains(|c: char| !c.is_ascii_lowercase() && c != '_') || label.starts_with("__") {
            wrong(&format!("{label} is no name for a label"));
        }
        if label == "quantile" || (label == "le" && family.kind != "histogram") {
            wrong(&format!("{label} is not ours to use"));
        }
        if values.len() > MAX_VALUES {
            wrong(&format!("{label} has {} values", values.len()));
        }
        if values.contains("") {
            wrong(&format!("{label} is empty, which is as if it were not there"));
        }
    }
}

/// One histogram for each set of labels.
fn of_histogram(family: &Family, wrong: &mut impl FnMut(&str)) {
    let of = |suffix: &str| {
        let name = format!("{}{suffix}", family.name);
        let mut found: BTreeMap<Labels, Vec<(Option<String>, f64)>> = BTreeMap::new();
        for sample in family.samples.iter().filter(|sample| sample.name == name) {
            let mut labels = sample.labels.clone();
            let le = labels.remove("le");
            found.entry(labels).or_default().push((le, sample.value));
        }
        found
    };
    let (buckets, sums, counts) = (of("_bucket"), of("_sum"), of("_count"));
    if buckets.is_empty() || !buckets.keys().eq(sums.keys()) || !buckets.keys().eq(counts.keys()) {
        return wrong("buckets, sum and count do not belong together");
    }
    for (labels, buckets) in buckets {
        let bound = |le: &Option<String>| match le.as_deref() {
            Some("+Inf") => f64::INFINITY,
            le => le.and_then(|le| le.parse().ok()).unwrap_or(f64::NAN),
        };
        // Not a NaN among them, which compares with nothing.
        if !buckets.windows(2).all(|pair| bound(&pair[0].0) < bound(&pair[1].0) && pair[0].1 <= pair[1].1) {
            wrong(&format!("buckets do not rise: {labels:?}"));
        }
        let last = &buckets[buckets.len() - 1];
        if bound(&last.0) != f64::INFINITY || counts[&labels] != [(None, last.1)] || sums[&labels].len() != 1 {
            wrong(&format!("the bucket of all is not their count: {labels:?}"));
        }
        if family.name.ends_with("_seconds") {
            let bounds: Vec<f64> = buckets.iter().map(|(le, _)| bound(le)).collect();
            let is_fine = |pair: &[f64]| pair[1] == f64::INFINITY || pair[1] <= pair[0] * 2.5 + 1e-9;
            if bounds[0] > 0.001 || bounds[bounds.len() - 2] < 10.0 || !bounds.windows(2).all(is_fine) {
                wrong("the buckets do not resolve 1 ms to 10 s");
            }
        }
    }
}
