//! The peers of the load test are a workspace of their own, which no other step builds or lints: here is checked what
//! takes no building. They have nothing of the product in them and it nothing of them, and they are built as it is, so
//! that a comparison is one of servers and not of settings.

use std::{fs, path::Path};

use serde_json::Value;

use super::{Problem, manifests};
use crate::{
    error::Error,
    exec::{self, Workspace},
    peers::FOLDER,
};

/// Tables of a root manifest that must say the same in both workspaces.
const SAME_TABLES: [&str; 3] = ["[profile.release]", "[workspace.lints.rust]", "[workspace.lints.clippy]"];
/// The same for keys: what they are compiled by, and what they allocate with.
const SAME_KEYS: [(&str, &str); 3] = [
    ("[workspace.package]", "edition"),
    ("[workspace.package]", "rust-version"),
    ("[workspace.dependencies]", "tikv-jemallocator"),
];

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>, Error> {
    let folder = workspace.root.join(FOLDER);
    let manifest = folder.join("Cargo.toml");
    let read = |path: &Path| fs::read_to_string(path).map_err(Error::file(path));
    let metadata = exec::metadata(Some(&manifest))?;
    let mut problems = manifests::check(&workspace.root, &metadata)?;
    problems.extend(apart(&folder, &workspace.metadata, &metadata));
    problems.extend(differences(&read(&workspace.root.join("Cargo.toml"))?, &read(&manifest)?));
    Ok(problems)
}

/// Dependencies by path across the border of the peers' folder, in either direction.
fn apart(folder: &Path, ours: &Value, peers: &Value) -> Vec<Problem> {
    let crossing = |metadata: &Value, inside: bool, why: &str| {
        let mut problems = Vec::new();
        for package in metadata["packages"].as_array().into_iter().flatten() {
            for dependency in package["dependencies"].as_array().into_iter().flatten() {
                let path = dependency["path"].as_str().map(Path::new);
                if path.is_some_and(|path| path.starts_with(folder) != inside) {
                    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
                    problems.push(Problem::new(format!("{} -> {}", name(package), name(dependency)), why));
                }
            }
        }
        problems
    };
    let mut problems = crossing(ours, false, "refused: a peer is there to be measured, and is no part of the product");
    problems.extend(crossing(peers, true, "refused: a peer that has a part of the product in it is no measure of it"));
    problems
}

/// What the two root manifests must have in common and have not.
fn differences(ours: &str, peers: &str) -> Vec<Problem> {
    let differ = |what: &str| Problem::new(format!("{FOLDER}/Cargo.toml"), format!("`{what}` is another than ours"));
    let tables = SAME_TABLES.into_iter().filter(|name| table(ours, name) != table(peers, name)).map(differ);
    let value = |manifest: &str, name: &str, key: &str| {
        let pairs = table(manifest, name);
        pairs.into_iter().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
    };
    let keys = SAME_KEYS.into_iter().filter(|(name, key)| value(ours, name, key) != value(peers, name, key));
    tables.chain(keys.map(|(_, key)| differ(key))).collect()
}

/// The lines of a table, sorted, without blanks and comments.
fn table(manifest: &str, name: &str) -> Vec<String> {
    let lines = manifest.lines().map(|line| line.split('#').next().unwrap_or_default());
    let lines = lines.map(|line| line.split_whitespace().collect::<String>()).filter(|line| !line.is_empty());
    let mut lines: Vec<String> =
        lines.skip_while(|line| line != name).skip(1).take_while(|line| !line.starts_with('[')).collect();
    lines.sort();
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_crosses_the_border() {
        let package = |name: &str, dependencies: Value| json!({"name": name, "dependencies": dependencies});
        let ours = json!({"packages": [
            package("gossipd", json!([{"name": "gossip-hub", "path": "/r/crates/gossip-hub"}, {"name": "tokio"}])),
            package("gossip-benches", json!([{"name": "peer-loop", "path": "/r/benches/peers/loop"}])),
        ]});
        let peers = json!({"packages": [
            package("peer-a", json!([{"name": "peer-b", "path": "/r/benches/peers/b"}, {"name": "axum", "path": null}])),
            package("peer-c", json!([{"name": "gossip-proto", "path": "/r/crates/gossip-proto"}])),
        ]});
        let problems = apart(Path::new("/r/benches/peers"), &ours, &peers);
        let places: Vec<_> = problems.into_iter().map(|problem| problem.place).collect();
        assert_eq!(places, ["gossip-benches -> peer-loop", "peer-c -> gossip-proto"]);
    }

    #[test]
    fn they_are_built_alike() {
        let manifest = "[workspace.package]\nedition = \"2024\"\nversion = \"1\"\n[workspace.dependencies]\n\
                        tikv-jemallocator = { version = \"0.7\" } # ours\ntokio = \"1\"\n\n\
                        [profile.release]\nlto = \"thin\"\npanic = \"unwind\"\n";
        let differing = |from: &str, to: &str| -> Vec<String> {
            differences(manifest, &manifest.replace(from, to)).into_iter().map(|problem| problem.message).collect()
        };
        assert_eq!(differing("version = \"1\"", "version = \"2\""), [""; 0]);
        assert_eq!(differing("tokio = \"1\"", "axum = \"1\""), [""; 0]);
        assert_eq!(
            differing("lto = \"thin\"\npanic = \"unwind\"", "# Alike.\npanic=\"unwind\"\nlto=\"thin\""),
            [""; 0]
        );
        assert_eq!(differing("lto = \"thin\"\n", ""), ["`[profile.release]` is another than ours"]);
        assert_eq!(differing("0.7", "0.6"), ["`tikv-jemallocator` is another than ours"]);
        assert_eq!(differing("2024", "2021"), ["`edition` is another than ours"]);
    }
}
