//! `cargo xtask fuzz`: builds the targets of fuzz/ and runs them, each for a while. What a target feeds and demands is told
//! there; here is how it is built, and where what it finds is kept.
//!
//! No cargo-fuzz and no nightly is needed: what tells the fuzzer where the code has been are options of any rustc. Sanitizers
//! are not, and are left out: our crates have no unsafe code for them to look at. The folder is laid out as cargo-fuzz
//! wants it, for whoever has both.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use crate::{
    error::Error,
    exec::{self, Workspace},
    needs, test,
};

pub(crate) const FOLDER: &str = "fuzz";

/// Those of cargo-fuzz: counters at every edge of the code, and what is compared with what.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
                     -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
                     -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// So many files of chance are the begin of a target that has no seeds: its input is no text that a person could write.
const NOISE: u64 = 32;
/// Bytes of each.
const NOISE_LEN: usize = 512;

/// So much of what a target says is shown when it found something: the rest is in a file.
const TOLD: usize = 40;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// This one alone: a file of fuzz/fuzz_targets, without its ending
    target: Option<String>,
    /// How long each runs
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Run the target once, with this file for its input: one that a run before wrote down
    #[arg(long, value_name = "FILE", requires = "target")]
    input: Option<PathBuf>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<(), Error> {
    let known = targets(workspace)?;
    let chosen = match &args.target {
        None => known,
        Some(name) if known.contains(name) => vec![name.clone()],
        Some(name) => return Err(Error::NoTarget { name: name.clone(), known }),
    };
    let built = build(workspace, &chosen, false)?;
    if let Some(input) = &args.input {
        return chosen.iter().try_for_each(|target| exec::run(Command::new(built.join(target)).arg(input)));
    }
    chosen.iter().try_for_each(|target| fuzz(workspace, &built, target, args.seconds, &[]))
}

/// Every target for a moment, each time with the same dice: whether it finds something is not to depend on luck.
pub(crate) fn briefly(workspace: &Workspace, seconds: u64) -> Result<(), Error> {
    let targets = targets(workspace)?;
    let built = build(workspace, &targets, true)?;
    targets.iter().try_for_each(|target| fuzz(workspace, &built, target, seconds, &["-seed=1"]))
}

fn manifest(workspace: &Workspace) -> PathBuf {
    workspace.root.join(FOLDER).join("Cargo.toml")
}

/// Their names, as the manifest has them.
fn targets(workspace: &Workspace) -> Result<Vec<String>, Error> {
    let metadata = exec::metadata(Some(&manifest(workspace)))?;
    let targets =
        metadata["packages"].as_array().into_iter().flatten().filter_map(|package| package["targets"].as_array());
    let programs = targets.flatten().filter(|target| target["kind"][0] == "bin");
    let mut names: Vec<String> = programs.filter_map(|target| target["name"].as_str().map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}

/// Builds these and answers the folder they are in.
fn build(workspace: &Workspace, targets: &[String], install: bool) -> Result<PathBuf, Error> {
    needs::CXX.require(workspace, install)?;
    let (ours, theirs) = (workspace.root.join("Cargo.lock"), workspace.root.join(FOLDER).join("Cargo.lock"));
    if test::is_older(&theirs, &ours)? {
        fs::copy(&ours, &theirs).map_err(Error::file(&theirs))?;
    }
    let host = host()?;
    let target = folder(workspace);
    let mut build = workspace.cargo(&["build", "--release", "--target", &host, "--manifest-path"]);
    build.arg(manifest(workspace)).arg("--target-dir").arg(&target);
    build.args(targets.iter().flat_map(|target| ["--bin", target]));
    // With a `--target` build scripts and macros are compiled without them.
    exec::run(build.env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS"))?;
    Ok(target.join(host).join("release"))
}

/// What is built, found and kept.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("fuzz")
}

/// This machine as rustc calls it.
fn host() -> Result<String, Error> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let output = rustc.arg("-vV").output().map_err(exec::start(&rustc))?;
    let told = String::from_utf8_lossy(&output.stdout);
    let host = told.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| Error::Failed { line: exec::line(&rustc), status: "no word of the host".into() })
}

fn fuzz(workspace: &Workspace, built: &Path, target: &str, seconds: u64, more: &[&str]) -> Result<(), Error> {
    let kept = |what: &str| {
        let path = folder(workspace).join(what).join(target);
        fs::create_dir_all(&path).map_err(Error::file(&path)).map(|()| path)
    };
    let (corpus, artifacts) = (kept("corpus")?, kept("artifacts")?);
    let seeds = workspace.root.join(FOLDER).join("seeds").join(target);
    if !seeds.is_dir() {
        noise(&corpus)?;
    }
    let scratch = Scratch::new(&folder(workspace))?;
    let log_path = kept("log")?.with_extension("log");
    let log = fs::File::create(&log_path).map_err(Error::file(&log_path))?;
    let mut command = Command::new(built.join(target));
    command.arg(&corpus).args(seeds.is_dir().then_some(&seeds));
    command.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", artifacts.display()));
    command.args(["-max_len=4096", "-timeout=60", "-rss_limit_mb=4096", "-print_final_stats=1"]).args(more);
    let status = command.env("TMPDIR", &scratch.0).stdout(Stdio::null()).stderr(log).status();
    let status = status.map_err(exec::start(&command))?;
    let log = String::from_utf8_lossy(&fs::read(&log_path).map_err(Error::file(&log_path))?).into_owned();
    let runs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).map_or("?", str::trim);
    if status.success() {
        println!("{target}: {runs} runs in {seconds} s, and nothing found");
        return Ok(());
    }
    let lines: Vec<&str> = log.lines().collect();
    println!("{}", lines[lines.len().saturating_sub(TOLD)..].join("\n"));
    println!(
        "{target}: to see it again: cargo xtask fuzz {target} --input FILE, with a file of {}",
        artifacts.display()
    );
    Err(Error::Failed { line: exec::line(&command), status: status.to_string() })
}

/// The same bytes of chance each time.
fn noise(corpus: &Path) -> Result<(), Error> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for nth in 0..NOISE {
        let mut bytes = Vec::with_capacity(NOISE_LEN);
        while bytes.len() < NOISE_LEN {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        let path = corpus.join(format!("noise-{nth}"));
        fs::write(&path, &bytes).map_err(Error::file(&path))?;
    }
    Ok(())
}

/// A folder for databases, in memory where there is one to be had; a target that ends does not clean up.
struct Scratch(PathBuf);

impl Scratch {
    fn new(otherwise: &Path) -> Result<Scratch, Error> {
        let memory = Path::new("/dev/shm");
        let name = format!("gossip-fuzz-{}", process::id());
        let path = memory.join(&name);
        if memory.is_dir() && fs::create_dir_all(&path).is_ok() {
            return Ok(Scratch(path));
        }
        let path = otherwise.join(name);
        fs::create_dir_all(&path).map_err(Error::file(&path))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_a_target_and_every_folder_of_seeds_has_one() {
        let workspace = Workspace::load().unwrap();
        let names = targets(&workspace).unwrap();
        let listed = |folder: &str| {
            let entries = fs::read_dir(workspace.root.join(FOLDER).join(folder)).unwrap();
            let mut names: Vec<String> =
                entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(listed("fuzz_targets"), names);
        assert!(listed("seeds").iter().all(|seeds| names.contains(seeds)));
    }
}
