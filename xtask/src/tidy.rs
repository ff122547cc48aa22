//! `cargo xtask tidy`: what lints cannot check. Gathers the files and puts them through the checks.
//! The checks are functions over strings, in `tidy/`; nothing is ever changed, only told.

mod arrows;
mod docs;
mod manifests;
mod peers;
mod text;

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    command_names,
    error::Error,
    exec::{self, Workspace},
    fuzz,
};

/// Something to mend: where, and what is wrong with it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Problem {
    /// A path from the root, perhaps with `:line`.
    place: String,
    message: String,
}

impl Problem {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }

    /// `line` counts from 1.
    fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self::new(format!("{path}:{line}"), message)
    }
}

/// Documents whose names of files and commands must be true.
const DOCUMENTS: [&str; 9] = [
    "ARCHITECTURE.md",
    "README.md",
    "benches/peers/README.md",
    "docs/embedding.md",
    "docs/operating.md",
    "docs/performance.md",
    "docs/protocol.md",
    "docs/scaling.md",
    "docs/security.md",
];

pub(crate) fn run(workspace: &Workspace) -> Result<(), Error> {
    let mut problems = arrows::check(&workspace.metadata);
    problems.extend(manifests::check(&workspace.root, &workspace.metadata)?);
    problems.extend(peers::check(workspace)?);
    let fuzz = workspace.root.join(fuzz::FOLDER).join("Cargo.toml");
    problems.extend(manifests::check(&workspace.root, &exec::metadata(Some(&fuzz))?)?);
    let files = files(workspace)?;
    let mut notes = Vec::new();
    for path in &files {
        // What is no text (or is gone from the folder but not yet from the index) has nothing to check.
        let Ok(content) = fs::read_to_string(workspace.root.join(path)) else {
            continue;
        };
        problems.extend(text::check(path, &content));
        notes.extend(text::note(path, &content));
    }
    let commands = command_names();
    for document in DOCUMENTS {
        match fs::read_to_string(workspace.root.join(document)) {
            Ok(content) => {
                let exists = |path: &str| workspace.root.join(path).exists();
                let has = |path: &str, name: &str| {
                    fs::read_to_string(workspace.root.join(path)).is_ok_and(|source| source.contains(name))
                };
                problems.extend(docs::check(document, &content, exists, has, &commands));
            }
            Err(_) => problems.push(Problem::new(document, "is missing")),
        }
    }
    for note in notes {
        println!("note: {note}");
    }
    problems.sort();
    for Problem { place, message } in &problems {
        println!("{place}: {message}");
    }
    if !problems.is_empty() {
        return Err(Error::Untidy(problems.len()));
    }
    println!("tidy: {} files, nothing to mend", files.len());
    Ok(())
}

/// Paths from the root of the files git tracks or would track; of all files but built ones where git cannot tell.
fn files(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let mut git = workspace.program("git");
    // A clone made by another user is still ours to read.
    git.arg("-c").arg(format!("safe.directory={}", workspace.root.display()));
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let mut files = match git.output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_terminator('\0').map(str::to_owned).collect()
        }
        _ => {
            println!("note: `{}` gave no answer, so every file is read", exec::line(&git));
            let mut found = Vec::new();
            walk(&workspace.root, &workspace.root, &workspace.target, &mut found)?;
            found
        }
    };
    files.retain(|path| !path.split('/').any(|part| BUILT.contains(&part)));
    files.sort();
    Ok(files)
}

/// Folders that tools fill.
const BUILT: [&str; 5] = [".git", "target", "node_modules", "__pycache__", ".venv"];

fn walk(root: &Path, folder: &Path, target: &Path, found: &mut Vec<String>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::file(folder))? {
        let path: PathBuf = entry.map_err(Error::file(folder))?.path();
        let built = path.file_name().and_then(|name| name.to_str()).is_some_and(|name| BUILT.contains(&name));
        if path.is_symlink() || built || path == target {
            continue;
        } else if path.is_dir() {
            walk(root, &path, target, found)?;
        } else if let Ok(path) = path.strip_prefix(root) {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}
