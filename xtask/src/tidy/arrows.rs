//! The one direction between our crates, and which of them may name a database, a socket or a runtime.
//! Dev-dependencies are free: a test may use what the crate itself may not.

use serde_json::Value;

use super::Problem;

/// Each crate of ours with those of ours it may depend on. A crate without a row is refused until it has one.
const ARROWS: [(&str, &[&str]); 10] = [
    ("gossip-proto", &[]),
    ("gossip-core", &["gossip-proto"]),
    ("gossip-store", &["gossip-proto", "gossip-core"]),
    ("gossip-hub", &["gossip-proto", "gossip-core", "gossip-store"]),
    ("gossip-ws", &["gossip-proto", "gossip-core", "gossip-hub"]),
    ("gossipd", &["gossip-proto", "gossip-core", "gossip-store", "gossip-hub", "gossip-ws"]),
    ("gossip-benches", &["gossip-proto", "gossip-core", "gossip-store", "gossip-hub", "gossip-ws", "gossipd"]),
    ("gossip-loadtest", &["gossip-proto", "gossip-core", "gossip-hub", "gossip-ws"]),
    ("gossip-test-postgres", &[]),
    ("xtask", &["gossip-test-postgres"]),
];

/// Crates of others that one of ours keeps to itself, and why.
const KEPT: [(&str, &str, &str); 4] = [
    ("sqlx", "gossip-store", "the database is behind the store's trait"),
    ("jsonwebtoken", "gossip-hub", "who a token speaks for is decided in one place"),
    ("hyper", "gossip-ws", "HTTP stops at the transport"),
    ("fastwebsockets", "gossip-ws", "WebSocket stops at the transport"),
];

/// Tools that measure make databases of their own and look into them, and the load test has a server to compare with.
const FREE: [&str; 2] = ["gossip-benches", "gossip-loadtest"];

/// Crates of ours that do no I/O and so name no runtime.
const PURE: [&str; 2] = ["gossip-proto", "gossip-core"];

/// Every arrow in the answer of `cargo metadata --no-deps`, format version 1.
pub(super) fn check(metadata: &Value) -> Vec<Problem> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = list(&metadata["packages"]);
    let name = |value: &Value| value["name"].as_str().unwrap_or_default().to_owned();
    let ours: Vec<String> = packages.iter().map(name).collect();
    let mut problems = Vec::new();
    for package in &packages {
        let from = name(package);
        if !ARROWS.iter().any(|(known, _)| *known == from) {
            let message = "no rule says what this crate may depend on: give it a row in xtask/src/tidy/arrows.rs";
            problems.push(Problem::new(from, message));
            continue;
        }
        // `kind` is null for a normal dependency, else "dev" or "build".
        for dependency in list(&package["dependencies"]).iter().filter(|d| d["kind"] != "dev") {
            let to = name(dependency);
            let refused = if ours.contains(&to) { refuse_ours(&from, &to) } else { refuse_others(&from, &to) };
            problems.extend(refused.map(|why| Problem::new(format!("{from} -> {to}"), why)));
        }
    }
    problems
}

/// Why one crate of ours may not depend on another.
fn refuse_ours(from: &str, to: &str) -> Option<String> {
    let (_, allowed) = ARROWS.iter().find(|(name, _)| *name == from)?;
    if allowed.contains(&to) {
        return None;
    }
    Some(match (from, to) {
        ("xtask", _) => "refused: xtask checks the crates and must build when they do not".into(),
        (_, "gossipd") => "refused: gossipd is the end of the line, it only wires the libraries together".into(),
        ("gossip-ws", "gossip-store") => "refused: the transport reaches the database through gossip-hub only".into(),
        (_, "gossip-test-postgres") => format!("refused: {to} is for tests, a dev-dependency"),
        (_, "xtask" | "gossip-benches" | "gossip-loadtest") => {
            format!("refused: {to} is a tool of this workspace, not a library")
        }
        (_, _) if allowed.is_empty() => format!("refused: {from} depends on none of our crates"),
        _ => format!("refused: of our crates {from} may depend on {} only", allowed.join(", ")),
    })
}

/// Why a crate of ours may not name a crate of others.
fn refuse_others(from: &str, to: &str) -> Option<String> {
    if to == "tokio" && PURE.contains(&from) {
        return Some(format!("refused: {from} does no I/O and has no clock, so it needs no runtime"));
    }
    let (_, owner, why) =
        KEPT.iter().find(|(name, owner, _)| *name == to && *owner != from && !FREE.contains(&from))?;
    Some(format!("refused: only {owner} may name {to} ({why})"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arrows_between_ours() {
        let allowed = [
            ("gossip-core", "gossip-proto"),
            ("gossip-store", "gossip-core"),
            ("gossip-hub", "gossip-store"),
            ("gossip-ws", "gossip-hub"),
            ("gossipd", "gossip-ws"),
            ("gossip-benches", "gossip-core"),
            ("xtask", "gossip-test-postgres"),
        ];
        for (from, to) in allowed {
            assert_eq!(refuse_ours(from, to), None, "{from} -> {to}");
        }
        let refused = [
            ("gossip-proto", "gossip-core", "none of our crates"),
            ("gossip-core", "gossip-store", "gossip-proto only"),
            ("gossip-ws", "gossip-store", "through gossip-hub"),
            ("gossip-hub", "gossip-ws", "gossip-store only"),
            ("gossip-ws", "gossipd", "end of the line"),
            ("xtask", "gossip-proto", "must build when they do not"),
            ("gossipd", "xtask", "a tool"),
            ("gossip-store", "gossip-test-postgres", "a dev-dependency"),
            ("gossip-test-postgres", "gossip-proto", "none of our crates"),
        ];
        for (from, to, why) in refused {
            let message = refuse_ours(from, to).unwrap();
            assert!(message.contains(why), "{from} -> {to}: {message}");
        }
    }

    #[test]
    fn crates_of_others() {
        let rows = [
            ("gossip-store", "sqlx", false),
            ("gossipd", "sqlx", true),
            ("gossip-loadtest", "sqlx", false),
            ("gossip-hub", "jsonwebtoken", false),
            ("gossipd", "jsonwebtoken", true),
            ("gossip-ws", "hyper", false),
            ("gossip-hub", "hyper", true),
            ("gossip-hub", "fastwebsockets", true),
            ("gossip-core", "tokio", true),
            ("gossip-proto", "tokio", true),
            ("gossip-store", "tokio", false),
            ("gossip-core", "serde_json", false),
        ];
        for (from, to, refused) in rows {
            assert_eq!(refuse_others(from, to).is_some(), refused, "{from} -> {to}");
        }
    }

    #[test]
    fn metadata_is_read_and_dev_dependencies_are_free() {
        let metadata = json!({"packages": [
            {"name": "gossip-proto", "dependencies": [
                {"name": "tokio", "kind": "dev"},
                {"name": "gossip-core", "kind": null},
            ]},
            {"name": "gossip-core", "dependencies": [
                {"name": "gossip-proto", "kind": null},
                {"name": "gossip-store", "kind": "dev"},
                {"name": "sqlx", "kind": "build"},
            ]},
            {"name": "gossip-new", "dependencies": []},
        ]});
        let places: Vec<_> = check(&metadata).into_iter().map(|problem| problem.place).collect();
        assert_eq!(places, ["gossip-proto -> gossip-core", "gossip-core -> sqlx", "gossip-new"]);
    }
}
