//! The report as one page that needs nothing else: no script, no other host. Every text goes through [`escape`].

use std::fmt::Write as _;

use super::compare::names;
use super::table::judged;
use super::{Report, Run, Standing, Unit, layout, number, plots};

/// With `{{names}}` where the parts go.
const PAGE: &str = include_str!("page.html");

/// Text as it stands in markup and in attributes.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

impl Report {
    /// The whole page.
    pub(crate) fn html(&self) -> String {
        let (word, class) = if self.verdict.passed { ("PASS", "pass") } else { ("FAIL", "fail") };
        fill(
            PAGE,
            &[
                ("scenario", escape(self.scenario)),
                ("machine", escape(&self.machine.text())),
                ("started", escape(&self.started_at)),
                ("verdict", word.to_owned()),
                ("class", class.to_owned()),
                ("reasons", self.reasons()),
                ("settings", settings(&self.runs)),
                ("ratios", self.ratios()),
                ("figures", figures(&self.runs)),
                ("latencies", latencies(&self.runs)),
                ("plots", plots::all(&self.runs)),
                ("command", escape(&self.command)),
            ],
        )
    }

    fn reasons(&self) -> String {
        let mut html = String::new();
        for reason in &self.verdict.reasons {
            let (class, word) = match reason.standing {
                Standing::Met => ("met", "met"),
                Standing::Missed => ("missed", "missed"),
                Standing::Noted => ("noted", "note"),
            };
            let text = escape(&reason.text);
            // Writing to a String does not fail.
            let _ = writeln!(html, r#"<li class="{class}"><span>{word}</span><div>{text}</div></li>"#);
        }
        html
    }

    fn ratios(&self) -> String {
        if self.comparison.is_empty() {
            return String::new();
        }
        let mut rows = String::new();
        for ratio in &self.comparison {
            let class = judged(ratio);
            let _ = writeln!(
                rows,
                r#"<tr><th scope="row">{}</th><td>{} / {}</td><td class="{class}">{}</td><td>{}</td><td>{}</td><td>{class}</td></tr>"#,
                escape(&ratio.label),
                escape(&ratio.server),
                escape(&ratio.other),
                escape(&number::text(ratio.ratio, Unit::Times)),
                escape(&number::text(ratio.value, ratio.unit)),
                escape(&number::text(ratio.other_value, ratio.unit)),
            );
        }
        let head = ["", "servers", "ratio", "the first", "the other", "that is"];
        table("Compared", &head.map(str::to_owned), &rows)
    }
}

fn settings(runs: &[Run]) -> String {
    let items = layout::shared(runs);
    let items = items.iter().map(|(name, value)| format!("<li>{} <b>{}</b></li>", escape(name), escape(value)));
    items.collect()
}

fn figures(runs: &[Run]) -> String {
    let mut rows = String::new();
    for (label, values) in layout::rows(runs) {
        let _ = write!(rows, r#"<tr><th scope="row">{}</th>"#, escape(&label));
        for value in values {
            let _ = write!(rows, "<td>{}</td>", escape(value.as_deref().unwrap_or("–")));
        }
        rows.push_str("</tr>\n");
    }
    let head: Vec<_> = std::iter::once(String::new()).chain(names(runs)).collect();
    table("Figures", &head, &rows)
}

fn latencies(runs: &[Run]) -> String {
    let mut rows = String::new();
    for key in layout::in_order(runs.iter().map(|run| run.latencies.iter().map(|latency| latency.key))) {
        for (run, name) in runs.iter().zip(names(runs)) {
            let Some(latency) = run.latencies.iter().find(|latency| latency.key == key) else { continue };
            let (label, count) = (escape(&latency.label), number::plain(latency.count as f64));
            let _ = write!(rows, r#"<tr><th scope="row">{label}</th><td>{}</td><td>{count}</td>"#, escape(&name));
            let at = latency.millis;
            for millis in [at.p50, at.p90, at.p95, at.p99, at.p999, at.max] {
                let _ = write!(rows, "<td>{}</td>", number::plain(millis));
            }
            rows.push_str("</tr>\n");
        }
    }
    if rows.is_empty() {
        return rows;
    }
    let head = ["", "run", "count", "p50", "p90", "p95", "p99", "p99.9", "max"];
    table("Latency in milliseconds", &head.map(str::to_owned), &rows)
}

/// `rows` is markup already.
fn table(title: &str, head: &[String], rows: &str) -> String {
    let cells: String = head.iter().map(|cell| format!(r#"<th scope="col">{}</th>"#, escape(cell))).collect();
    format!(
        "<section><h2>{title}</h2><div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\"><table>\
         <thead><tr>{cells}</tr></thead>\n<tbody>\n{rows}</tbody></table></div></section>\n",
        title = escape(title)
    )
}

/// Puts the parts in their places. A part that looks like a place is left as it is.
fn fill(page: &str, parts: &[(&str, String)]) -> String {
    let mut html = String::with_capacity(page.len());
    let mut rest = page;
    while let Some((before, after)) = rest.split_once("{{") {
        html.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        html.extend(parts.iter().find(|(part, _)| *part == name).map(|(_, text)| text.as_str()));
        rest = after;
    }
    html.push_str(rest);
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Better, Report, Sample, Window, histogram};

    #[test]
    fn parts_are_filled_in_once() {
        let parts = [("a", "{{b}}".to_owned()), ("b", "x".to_owned())];
        assert_eq!(fill("1 {{a}} 2 {{b}} 3 {{c}} 4", &parts), "1 {{b}} 2 x 3  4");
    }

    #[test]
    fn nothing_in_the_page_is_markup_of_others() {
        const BAD: &str = "<script>alert('1')</script>\"&{{command}}";
        let mut run = Run::new(BAD);
        run.set(BAD, BAD);
        run.compared("rate", BAD, 1.0, Unit::PerSecond, Better::More);
        run.latency("ack", BAD, {
            let mut latency = histogram();
            latency.saturating_record(5);
            latency
        });
        run.check(true, BAD);
        run.timeline = vec![Sample { at_s: 1.0, cpu_cores: Some(1.0), p99_ms: Some(2.0), ..Sample::default() }];
        run.window = Some(Window { from_s: 0.0, to_s: 2.0 });
        let mut other = run.clone();
        (other.server, other.peer) = ("other".to_owned(), true);
        let mut report = Report::new("fanout", BAD.to_owned(), vec![run, other]);
        report.command = BAD.to_owned();
        report.machine.cpu = Some(BAD.to_owned());
        let page = report.html();
        assert!(!page.contains("<script") && page.matches("&lt;script").count() > 8, "{page}");
        // No part of the template is left, and nothing is loaded from anywhere.
        assert_eq!(page.matches("{{").count(), page.matches("&amp;{{command}}").count());
        assert!(!page.contains("src=") && !page.contains("href=") && !page.contains("url("), "{page}");
        assert!(page.contains("<svg") && page.contains("PASS"), "{page}");
    }
}
