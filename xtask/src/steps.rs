//! Runs named steps one after another and prints the closing table.
//! What a step does is in `test.rs` and `ci.rs`; here is only when to stop and what to say.

use std::time::{Duration, Instant};

use crate::error::Error;

/// A step: its name in the table, and what it does.
pub(crate) struct Step<'a> {
    pub(crate) name: &'static str,
    pub(crate) action: Box<dyn FnOnce() -> Result<(), Error> + 'a>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(name: &'static str, action: impl FnOnce() -> Result<(), Error> + 'a) -> Self {
        Self { name, action: Box::new(action) }
    }
}

enum Outcome {
    Passed,
    Failed,
    /// A tool is missing; the text names it.
    NotRun(String),
    /// An earlier step failed.
    NotReached,
}

struct Row {
    name: &'static str,
    outcome: Outcome,
    took: Duration,
}

/// Runs the steps in order until one fails, then prints the table.
///
/// A step that answers [`Error::Missing`] is `not run`, which is a failure only when `strict`.
pub(crate) fn run_all(steps: Vec<Step<'_>>, strict: bool) -> Result<(), Error> {
    let mut rows = Vec::with_capacity(steps.len());
    let mut result = Ok(());
    for Step { name, action } in steps {
        if result.is_err() {
            rows.push(Row { name, outcome: Outcome::NotReached, took: Duration::ZERO });
            continue;
        }
        println!("\n== {name}");
        let begun = Instant::now();
        let outcome = match action() {
            Ok(()) => Outcome::Passed,
            Err(missing @ Error::Missing { .. }) if !strict => {
                println!("{missing}");
                Outcome::NotRun(missing.to_string())
            }
            Err(error) => {
                // With `strict` a missing tool still reads as `not run` in the table.
                let outcome = match &error {
                    Error::Missing { .. } => Outcome::NotRun(error.to_string()),
                    _ => Outcome::Failed,
                };
                result = Err(Error::Step { name, source: Box::new(error) });
                outcome
            }
        };
        rows.push(Row { name, outcome, took: begun.elapsed() });
    }
    println!("\n{}", table(&rows));
    result
}

fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max("step".len());
    let mut text = format!("{:width$}  {:11}  {:>7}\n", "step", "result", "seconds");
    let mut reasons = String::new();
    for row in rows {
        let result = match &row.outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::NotRun(reason) => {
                reasons.push_str(&format!("{} was not run. {reason}\n", row.name));
                "not run"
            }
            Outcome::NotReached => "not reached",
        };
        text.push_str(&format!("{:width$}  {result:11}  {:7.1}\n", row.name, row.took.as_secs_f64()));
    }
    text + &reasons
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn missing() -> Result<(), Error> {
        Err(Error::Missing { what: "npm".into(), how: "get npm".into() })
    }

    #[test]
    fn a_failure_stops_and_is_named() {
        let reached = Cell::new(false);
        let steps = vec![
            Step::new("one", || Ok(())),
            Step::new("two", || Err(Error::Untidy(3))),
            Step::new("three", || {
                reached.set(true);
                Ok(())
            }),
        ];
        let error = run_all(steps, false).unwrap_err();
        assert_eq!(error.to_string(), "the step `two` failed");
        assert!(!reached.get());
    }

    #[test]
    fn a_missing_tool_fails_only_when_strict() {
        let reached = Cell::new(false);
        let steps = || {
            vec![
                Step::new("js", missing),
                Step::new("next", || {
                    reached.set(true);
                    Ok(())
                }),
            ]
        };
        run_all(steps(), false).unwrap();
        assert!(reached.replace(false));
        run_all(steps(), true).unwrap_err();
        assert!(!reached.get());
    }

    #[test]
    fn the_table_lines_up_and_gives_reasons() {
        let rows = [
            Row { name: "fmt", outcome: Outcome::Passed, took: Duration::from_millis(1250) },
            Row { name: "js", outcome: Outcome::NotRun("missing: npm".into()), took: Duration::ZERO },
        ];
        assert_eq!(
            table(&rows),
            "step  result       seconds\n\
             fmt   passed           1.2\n\
             js    not run          0.0\n\
             js was not run. missing: npm\n"
        );
    }
}
