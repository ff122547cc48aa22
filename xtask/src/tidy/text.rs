//! Checks upon one file's text: its header, its length, leftovers, sleeps in tests, paths of one machine.
//! Each pattern is put together from pieces so that this file passes its own checks.

use super::Problem;

/// A Rust file longer than this fails.
const LINES_MAX: usize = 500;
/// A Rust file longer than this is noted.
const LINES_NOTE: usize = 400;

/// Words and marks that say something is unfinished or switched off.
const LEFTOVERS: [&str; 5] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("dbg", "!"), concat!("#[", "ignore")];

const SLEEP: &str = concat!("sleep", "(");
const SLEEP_REASON: &str = "tidy: sleep because ";

/// Folders whose next part is a person's name.
const HOMES: [&str; 2] = [concat!("/", "home/"), concat!("/", "Users/")];
const ROOT_HOME: &str = concat!("/", "root/");
const REGISTRIES: [&str; 3] =
    [concat!("registry.", "npmjs.org"), concat!("index.", "crates.io"), concat!("static.", "crates.io")];

/// Everything to mend in the file at `path`, a path from the root with `/`.
pub(super) fn check(path: &str, content: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if path.ends_with(".rs") {
        if !has_header(content) {
            problems.push(Problem::at(path, 1, "does not begin with a `//!` paragraph saying what it is"));
        }
        let lines = content.lines().count();
        if lines > LINES_MAX {
            problems.push(Problem::new(path, format!("has {lines} lines, over {LINES_MAX}: split it by idea")));
        }
    }
    let in_tests = path.split('/').rev().skip(1).any(|folder| folder == "tests")
        && [".rs", ".mjs", ".py"].iter().any(|end| path.ends_with(end));
    let mut above = "";
    for (index, line) in content.lines().enumerate() {
        let number = index + 1;
        if path.ends_with(".rs")
            && let Some(leftover) = leftover(line)
        {
            problems.push(Problem::at(path, number, format!("`{leftover}` is left over: finish it, or open an issue")));
        }
        if in_tests && line.contains(SLEEP) && !gives_reason(above) {
            let message = format!("sleeps: await an event, or say why on the line above (`{SLEEP_REASON}…`)");
            problems.push(Problem::at(path, number, message));
        }
        if let Some(found) = machine_path(line) {
            problems.push(Problem::at(path, number, format!("`{found}` is a path of one machine")));
        }
        if !path.ends_with("Cargo.lock")
            && let Some(host) = REGISTRIES.iter().find(|host| line.contains(**host))
        {
            problems.push(Problem::at(path, number, format!("`{host}` is the business of whoever installs")));
        }
        above = line;
    }
    problems
}

/// What is worth saying of a file without refusing it.
pub(super) fn note(path: &str, content: &str) -> Option<String> {
    let lines = content.lines().count();
    let long = path.ends_with(".rs") && (LINES_NOTE + 1..=LINES_MAX).contains(&lines);
    long.then(|| format!("{path}: has {lines} lines, over {LINES_NOTE}: does it hold two ideas?"))
}

fn has_header(content: &str) -> bool {
    content.lines().next().and_then(|line| line.strip_prefix("//!")).is_some_and(|text| !text.trim().is_empty())
}

/// The first leftover in a line: a word of its own, not a part of one.
fn leftover(line: &str) -> Option<&'static str> {
    LEFTOVERS.into_iter().find(|pattern| {
        line.match_indices(pattern).any(|(start, found)| {
            let before = line[..start].chars().next_back();
            let after = line[start + found.len()..].chars().next();
            let word = |c: Option<char>| c.is_some_and(is_word);
            // A pattern that ends in `!` ends there whatever follows.
            !word(before) && (pattern.ends_with('!') || !word(after))
        })
    })
}

fn gives_reason(line: &str) -> bool {
    line.split_once(SLEEP_REASON).is_some_and(|(_, reason)| !reason.trim().is_empty())
}

/// The first path in a line that exists for one person only.
fn machine_path(line: &str) -> Option<String> {
    // After a letter it is the middle of some other path: a URL, or a folder of the repository.
    let whole = |start: usize| !line[..start].chars().next_back().is_some_and(is_word);
    if line.match_indices(ROOT_HOME).any(|(start, _)| whole(start)) {
        return Some(ROOT_HOME.to_owned());
    }
    for home in HOMES {
        for (start, _) in line.match_indices(home).filter(|(start, _)| whole(*start)) {
            let rest = &line[start + home.len()..];
            let name = rest.split(|c: char| !is_word(c) && c != '-' && c != '.').next().unwrap_or_default();
            if !name.is_empty() && rest[name.len()..].starts_with('/') {
                return Some(format!("{home}{name}/"));
            }
        }
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(path: &str, content: &str) -> Vec<String> {
        check(path, content).into_iter().map(|p| format!("{}: {}", p.place, p.message)).collect()
    }

    #[test]
    fn a_header_comes_first_and_says_something() {
        assert!(has_header("//! What it is.\nfn main() {}\n"));
        for bad in ["", "\n//! Late.\n", "//!\n", "// Not it.\n", "#![no_std]\n//! Late.\n"] {
            assert!(!has_header(bad), "{bad:?}");
        }
        assert_eq!(messages("a/b.py", "print()\n"), [""; 0]);
    }

    #[test]
    fn length_is_noted_then_refused() {
        let file = |lines: usize| format!("//! Long.\n{}", "\n".repeat(lines - 1));
        assert_eq!((messages("a.rs", &file(400)).len(), note("a.rs", &file(400))), (0, None));
        assert!(messages("a.rs", &file(500)).is_empty());
        assert!(note("a.rs", &file(500)).unwrap().contains("500 lines"));
        assert!(messages("a.rs", &file(501))[0].contains("split it by idea"));
        assert_eq!(note("a.rs", &file(501)), None);
        assert_eq!(note("a.py", &file(450)), None);
    }

    #[test]
    fn leftovers_are_words_of_their_own() {
        for (index, pattern) in LEFTOVERS.into_iter().enumerate() {
            assert_eq!(leftover(&format!("    // {pattern}: later")), Some(LEFTOVERS[index]));
        }
        assert!(leftover(&format!("    {}(x);", LEFTOVERS[3])).is_some());
        assert!(leftover(&format!("{}x)", LEFTOVERS[3])).is_some());
        assert!(leftover(&format!("{} = \"slow\"]", LEFTOVERS[4])).is_some());
        assert_eq!(leftover(&format!("\"XX{}XX\"", LEFTOVERS[2])), None);
        assert_eq!(leftover("a todo list, fixme not"), None);
    }

    #[test]
    fn a_sleep_in_tests_needs_a_reason() {
        let sleep = format!("    time.{SLEEP}1)\n");
        let excused = format!("    # {SLEEP_REASON}the clock is the subject\n{sleep}");
        let unexplained = format!("    # {SLEEP_REASON}\n{sleep}");
        assert_eq!(messages("tests/python/a.py", &sleep).len(), 1);
        assert_eq!(messages("tests/python/a.py", &excused).len(), 0);
        assert_eq!(messages("tests/python/a.py", &unexplained).len(), 1);
        assert_eq!(messages("crates/x/tests/a.rs", &format!("//! A test.\n{sleep}")).len(), 1);
        assert_eq!(messages("crates/x/src/a.rs", &format!("//! No test.\n{sleep}")).len(), 0);
        assert_eq!(messages("tests/js/a.mjs", &sleep).len(), 1);
        assert_eq!(messages("tests/js/a.md", &sleep).len(), 0);
    }

    #[test]
    fn a_path_of_one_machine() {
        let [home, users] = HOMES;
        assert_eq!(machine_path(&format!("see {home}ann/x")), Some(format!("{home}ann/")));
        assert_eq!(machine_path(&format!("\"{users}a.b-c/x\"")), Some(format!("{users}a.b-c/")));
        assert_eq!(machine_path(&format!("file://{ROOT_HOME}.cargo")), Some(ROOT_HOME.to_owned()));
        assert_eq!(machine_path(&format!("{home}<you>/x")), None);
        assert_eq!(machine_path(&format!("a{ROOT_HOME}b")), None);
        assert_eq!(machine_path(&format!("{home}ann")), None);
    }

    #[test]
    fn registries_are_named_in_the_lock_only() {
        for host in REGISTRIES {
            assert_eq!(messages("tests/js/package-lock.json", host).len(), 1);
            assert_eq!(messages("Cargo.lock", host).len(), 0);
        }
    }
}
