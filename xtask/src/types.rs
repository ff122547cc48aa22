//! `cargo xtask types`: the TypeScript types of the events, from the server's own AsyncAPI document, in `clients/types`.
//! They are kept in the repository for those who write clients; `--check` tells whether they are as they should be.

mod render;

use std::fs;

use crate::{
    error::Error,
    exec::{self, Workspace},
};

/// What is generated.
const FILE: &str = "clients/types/index.d.ts";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Write nothing, and fail if something would be written
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<(), Error> {
    if args.check { check(workspace) } else { write(workspace) }
}

/// Whether what is in the repository is what would be generated.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Error> {
    let found = fs::read_to_string(workspace.root.join(FILE)).unwrap_or_default();
    if found == generated(workspace)? { Ok(()) } else { Err(Error::Stale { file: FILE, command: "cargo xtask types" }) }
}

fn write(workspace: &Workspace) -> Result<(), Error> {
    let file = workspace.root.join(FILE);
    fs::write(&file, generated(workspace)?).map_err(Error::file(&file))
}

fn generated(workspace: &Workspace) -> Result<String, Error> {
    let mut command = workspace.cargo(&["run", "-q", "-p", "gossip-ws", "--example", "documents", "--", "asyncapi"]);
    let printed = exec::output(&mut command)?;
    let document = serde_json::from_slice(&printed).map_err(|error| Error::Document(error.to_string()))?;
    Ok(render::types(&document))
}
