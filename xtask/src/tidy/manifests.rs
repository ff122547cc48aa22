//! Every member takes the workspace's lints: a crate that forgets them is checked by none.
//! Which lints there are is the root manifest's business.

use std::{fs, path::Path};

use serde_json::Value;

use super::Problem;
use crate::error::Error;

/// Every package in the answer of `cargo metadata --no-deps`, format version 1; places are told from `root`.
pub(super) fn check(root: &Path, metadata: &Value) -> Result<Vec<Problem>, Error> {
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let Some(path) = package["manifest_path"].as_str().map(Path::new) else {
            continue;
        };
        let manifest = fs::read_to_string(path).map_err(Error::file(path))?;
        if !takes_lints(&manifest) {
            let place = path.strip_prefix(root).unwrap_or(path).display().to_string();
            problems.push(Problem::new(place, "lacks `workspace = true` under `[lints]`"));
        }
    }
    Ok(problems)
}

/// Whether a manifest says `workspace = true` in `[lints]`, or `lints.workspace = true` before any table.
fn takes_lints(manifest: &str) -> bool {
    let mut table = String::new();
    for line in manifest.lines() {
        let line: String = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        if line.starts_with('[') {
            table = line;
        } else if matches!(
            (table.as_str(), line.as_str()),
            ("[lints]", "workspace=true") | ("", "lints.workspace=true")
        ) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lints_are_taken_or_not() {
        assert!(takes_lints("[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"));
        assert!(takes_lints("[lints] # ours\nworkspace=true # all of them\n"));
        assert!(takes_lints("lints.workspace = true\n[package]\n"));
        assert!(!takes_lints("[package]\nname = \"a\"\n"));
        assert!(!takes_lints("[lints]\n[dependencies.x]\nworkspace = true\n"));
        assert!(!takes_lints("[lints]\n# workspace = true\n"));
    }
}
