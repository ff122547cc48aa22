//! What a document names must exist: paths of the repository, tests in them (`path::name`), and commands of xtask.
//! Only code is read for it, spans in backticks and fenced blocks; prose may say what it likes.

use super::Problem;

/// What a path of the repository starts with.
const FOLDERS: [&str; 9] =
    ["crates/", "deploy/", "bins/", "migrations/", "benches/", "xtask/", "tests/", "docs/", "fuzz/"];

/// Everything named in `content` that is not so. `exists` is asked about paths from the root, `has` whether a file has
/// a test of this name.
pub(super) fn check(
    document: &str,
    content: &str,
    exists: impl Fn(&str) -> bool,
    has: impl Fn(&str, &str) -> bool,
    commands: &[String],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for Code { line, text, fenced } in code(content) {
        if !fenced
            && let Some(path) = repository_path(text)
            && !exists(path)
        {
            problems.push(Problem::at(document, line, format!("names `{path}`, which does not exist")));
        }
        if !fenced
            && let Some((path, name)) = test(text)
            && !has(path, name)
        {
            problems.push(Problem::at(
                document,
                line,
                format!("names the test `{name}`, which `{path}` does not have"),
            ));
        }
        for command in xtask_commands(text) {
            if !commands.iter().any(|known| known == command) {
                let known = commands.join(", ");
                let message = format!("names `cargo xtask {command}`, which is no command (there are {known})");
                problems.push(Problem::at(document, line, message));
            }
        }
    }
    problems
}

/// A piece of code in a document: a span, or one line of a fenced block.
struct Code<'a> {
    /// Counts from 1.
    line: usize,
    text: &'a str,
    fenced: bool,
}

fn code(content: &str) -> Vec<Code<'_>> {
    let mut pieces = Vec::new();
    let mut fenced = false;
    for (index, text) in content.lines().enumerate() {
        let line = index + 1;
        if text.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            pieces.push(Code { line, text, fenced });
        } else {
            // Between backticks is every second piece; after the last backtick, if they are odd, is no span.
            let parts: Vec<&str> = text.split('`').collect();
            let spans = parts.iter().take(parts.len().saturating_sub(1)).skip(1).step_by(2);
            pieces.extend(spans.map(|text| Code { line, text, fenced }));
        }
    }
    pieces
}

/// The path a span names, without `:line` or `#part`. A pattern or a placeholder names none.
fn repository_path(span: &str) -> Option<&str> {
    let path = span.split([':', '#']).next().unwrap_or(span);
    let named = FOLDERS.iter().any(|folder| path.starts_with(folder));
    (named && !path.contains(['*', '<', '{', '…', '$', ' '])).then_some(path)
}

/// The file and the name of a test that a span names.
fn test(span: &str) -> Option<(&str, &str)> {
    let (path, name) = span.split_once("::")?;
    FOLDERS.iter().any(|folder| path.starts_with(folder)).then_some((path, name))
}

fn xtask_commands(code: &str) -> impl Iterator<Item = &str> {
    code.split("cargo xtask ").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        let command = &rest[..end];
        (!command.is_empty() && !command.starts_with('-')).then_some(command)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(content: &str) -> Vec<String> {
        let commands = ["test".to_owned(), "ci".to_owned()];
        let exists = |path: &str| path == "crates/a/src/lib.rs" || path == "docs/";
        let has = |_: &str, name: &str| name == "a_test";
        let problems = check("README.md", content, exists, has, &commands);
        problems.into_iter().map(|problem| problem.place).collect()
    }

    #[test]
    fn paths_in_backticks_must_exist() {
        let content = "See `crates/a/src/lib.rs`, `docs/` and\n`crates/gone.rs:12` and `tests/js`.\n";
        assert_eq!(places(content), ["README.md:2", "README.md:2"]);
    }

    #[test]
    fn tests_must_be_in_their_files() {
        let content =
            "`crates/a/src/lib.rs::a_test`, `std::fmt`\n`crates/a/src/lib.rs::gone`\n`crates/gone.rs::a_test`\n";
        assert_eq!(places(content), ["README.md:2", "README.md:3"]);
    }

    #[test]
    fn patterns_other_code_and_prose_are_left_alone() {
        assert_eq!(places("`crates/*`, `crates/<name>`, `target/x`, `a / b`, crates/gone.rs, `crates\n"), [""; 0]);
        assert_eq!(places("```sh\ncat crates/gone.rs\n```\n"), [""; 0]);
    }

    #[test]
    fn commands_must_exist_in_spans_and_fences() {
        assert_eq!(places("`cargo xtask test --only fmt`, `cargo xtask <cmd>`, `cargo xtask --help`\n"), [""; 0]);
        assert_eq!(
            places("`cargo xtask lost`\n```sh\ncargo xtask ci && cargo xtask gone\n```\n"),
            ["README.md:1", "README.md:3"]
        );
        assert_eq!(places("With cargo xtask everything is easy.\n"), [""; 0]);
    }
}
