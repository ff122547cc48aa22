//! The servers in benches/peers that the load test can measure beside ours: which of them its arguments name, and
//! building those. They are a workspace of their own, and what they are is told there.

use std::{ffi::OsString, process::Command};

use crate::{
    error::Error,
    exec::{self, Workspace},
    needs, test,
};

/// Their workspace.
pub(crate) const FOLDER: &str = "benches/peers";

/// The peers that some arguments name.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    /// `loop` and `loop-joined` are one program.
    bare_loop: bool,
    socketioxide: bool,
    socketio: bool,
}

/// Looks into the values of `--server` and `--compare`, in either spelling, for names between commas.
fn named(arguments: &[OsString]) -> Named {
    const OPTIONS: [&str; 2] = ["--server", "--compare"];
    let mut named = Named::default();
    let mut value_follows = false;
    for argument in arguments.iter().map(|argument| argument.to_string_lossy()) {
        let value = match argument.split_once('=') {
            Some((option, value)) if OPTIONS.contains(&option) => value,
            _ if value_follows => &argument,
            _ => "",
        };
        value_follows = OPTIONS.contains(&&*argument);
        for name in value.split(',') {
            match name.trim() {
                "loop" | "loop-joined" => named.bare_loop = true,
                "socketioxide" => named.socketioxide = true,
                "socketio" => named.socketio = true,
                _ => {}
            }
        }
    }
    named
}

/// Builds or installs the peers that `arguments` name, and tells `command`, the load test, where they are.
pub(crate) fn provide(workspace: &Workspace, arguments: &[OsString], command: &mut Command) -> Result<(), Error> {
    let named = named(arguments);
    let folder = workspace.root.join(FOLDER);
    let programs = [("peer-loop", named.bare_loop), ("peer-socketioxide", named.socketioxide)];
    let programs: Vec<&str> = programs.iter().filter(|(_, named)| *named).map(|(name, _)| *name).collect();
    if !programs.is_empty() {
        // Not in our target folder, wherever that is: two workspaces with one lock each would undo each other's work.
        let target = folder.join("target");
        let mut build = workspace.cargo(&["build", "-q", "--release", "--manifest-path"]);
        build.arg(folder.join("Cargo.toml")).arg("--target-dir").arg(&target);
        build.args(programs.iter().flat_map(|program| ["-p", program]));
        exec::run(&mut build)?;
        command.env("PEERS_DIR", target.join("release"));
    }
    if named.socketio {
        needs::NODE.require(workspace, false)?;
        needs::NPM.require(workspace, false)?;
        let folder = folder.join("node");
        if test::is_older(&folder.join("node_modules/.package-lock.json"), &folder.join("package-lock.json"))? {
            exec::run_online(workspace.program("npm").args(["ci", "--omit=dev"]).current_dir(&folder))?;
        }
        command.env("PEERS_NODE", folder.join("server.mjs"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Named {
        named(&line.split(' ').map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn names_are_found_in_either_spelling() {
        let both = Named { bare_loop: true, socketioxide: true, socketio: false };
        assert_eq!(of("fanout --compare gossipd,loop-joined,socketioxide --rounds 3"), both);
        assert_eq!(of("fanout --server=loop --server socketioxide"), both);
        assert_eq!(of("idle --server socketio"), Named { socketio: true, ..Named::default() });
    }

    #[test]
    fn what_is_no_value_of_theirs_names_none() {
        for line in ["votes --compare --json loop", "fanout --server gossipd --json socketio", "fanout loop"] {
            assert_eq!(of(line), Named::default(), "{line}");
        }
    }
}
