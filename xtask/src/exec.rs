//! Where the workspace is and how programs are run in it.
//! Nothing here knows which programs: the commands say that.

use std::{
    env,
    ffi::OsStr,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use serde_json::Value;

use crate::error::Error;

/// The workspace as `cargo metadata --no-deps` describes it.
pub(crate) struct Workspace {
    /// The repository's root folder.
    pub(crate) root: PathBuf,
    /// Cargo's target folder, `CARGO_TARGET_DIR` and configuration respected.
    pub(crate) target: PathBuf,
    /// The whole answer, format version 1.
    pub(crate) metadata: Value,
}

impl Workspace {
    /// Asks cargo. Fails if it cannot run or the current folder is in no workspace.
    pub(crate) fn load() -> Result<Self, Error> {
        let metadata = metadata(None)?;
        let folder = |key: &str| {
            let path = metadata[key].as_str().ok_or_else(|| Error::Metadata(format!("no `{key}`")))?;
            Ok(PathBuf::from(path))
        };
        Ok(Self { root: folder("workspace_root")?, target: folder("target_directory")?, metadata })
    }

    /// `cargo` with these arguments, at the root.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        let mut command = cargo();
        command.args(args).current_dir(&self.root);
        command
    }

    /// Any program, at the root.
    pub(crate) fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The debug build of the daemon.
    pub(crate) fn gossipd(&self) -> PathBuf {
        self.target.join("debug").join(format!("gossipd{}", env::consts::EXE_SUFFIX))
    }
}

/// What `cargo metadata --no-deps` says of the workspace that this manifest is of; without one, of the current folder's.
pub(crate) fn metadata(manifest: Option<&Path>) -> Result<Value, Error> {
    let mut command = cargo();
    command.args(["metadata", "--no-deps", "--format-version", "1"]).stderr(Stdio::inherit());
    command.args(manifest.into_iter().flat_map(|path| [OsStr::new("--manifest-path"), path.as_os_str()]));
    let output = command.output().map_err(start(&command))?;
    if !output.status.success() {
        return Err(Error::Failed { line: line(&command), status: output.status.to_string() });
    }
    serde_json::from_slice(&output.stdout).map_err(|error| Error::Metadata(error.to_string()))
}

/// The cargo that started this one, else the one on the path.
pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Prints the command, runs it with this terminal, and fails unless it succeeds.
pub(crate) fn run(command: &mut Command) -> Result<(), Error> {
    println!("$ {}", line(command));
    let status = command.status().map_err(start(command))?;
    if status.success() { Ok(()) } else { Err(Error::Failed { line: line(command), status: status.to_string() }) }
}

/// Prints the command, runs it, and answers what it prints; fails unless it succeeds.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, Error> {
    println!("$ {}", line(command));
    let output = command.stderr(Stdio::inherit()).output().map_err(start(command))?;
    let status = output.status;
    if status.success() {
        Ok(output.stdout)
    } else {
        Err(Error::Failed { line: line(command), status: status.to_string() })
    }
}

/// Like [`run`], for what downloads: a failure for want of a network is [`Error::Missing`], not a failure of ours.
pub(crate) fn run_online(command: &mut Command) -> Result<(), Error> {
    println!("$ {}", line(command));
    let mut child = command.stderr(Stdio::piped()).spawn().map_err(start(command))?;
    let mut offline = false;
    if let Some(stderr) = child.stderr.take() {
        for text in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let text = String::from_utf8_lossy(&text);
            eprintln!("{text}");
            offline |= tells_of_no_network(&text);
        }
    }
    let status = child.wait().map_err(start(command))?;
    if status.success() {
        Ok(())
    } else if offline {
        Err(Error::Missing {
            what: format!("a network to the package registry, for `{}`", line(command)),
            how: "run again with one, or set the proxy or mirror that npm or pip should use".into(),
        })
    } else {
        Err(Error::Failed { line: line(command), status: status.to_string() })
    }
}

/// Whether a command succeeds, with nothing of it shown. One that cannot start does not.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// A command's own exit code, for xtask to end with; 1 if a signal ended it.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// The command as a person would type it: program without its folder, then its arguments.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = program.file_name().into_iter().chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

/// For `map_err` on starting `command`.
pub(crate) fn start(command: &Command) -> impl FnOnce(std::io::Error) -> Error + use<> {
    let program = command.get_program().to_string_lossy().into_owned();
    move |source| Error::Start { program, source }
}

/// How npm and pip word it that they could not reach a registry.
fn tells_of_no_network(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "code ENOTFOUND",
        "code EAI_AGAIN",
        "code ECONNREFUSED",
        "code ECONNRESET",
        "code ETIMEDOUT",
        "code ENETUNREACH",
        "NewConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ProxyError",
        "NameResolutionError",
        "Network is unreachable",
    ];
    WORDS.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_leaves_out_the_programs_folder() {
        let mut command = Command::new("/opt/tool/bin/cargo");
        command.args(["fmt", "--all"]);
        assert_eq!(line(&command), "cargo fmt --all");
    }

    #[test]
    fn only_a_network_error_excuses() {
        assert!(tells_of_no_network("npm error code EAI_AGAIN"));
        assert!(tells_of_no_network("WARNING: Retrying after NewConnectionError('Failed to establish')"));
        assert!(!tells_of_no_network("npm error `npm ci` can only install when package.json and the lock are in sync"));
        assert!(!tells_of_no_network("ERROR: No matching distribution found for nosuch==1"));
    }

    #[test]
    fn what_cannot_start_does_not_succeed() {
        assert!(!succeeds(&mut Command::new("no-such-program-at-all")));
    }
}
