//! Prints the document that is asked for, `openapi` or `asyncapi`, as the server has it at `/v1/openapi.json` and
//! `/v1/asyncapi.json`. What is generated from it elsewhere needs no running server.

use std::env;
use std::io::{self, Write};

use gossip_ws::gossip::spec;

fn main() -> io::Result<()> {
    let document = match env::args().nth(1).as_deref() {
        Some("openapi") => spec::openapi(),
        Some("asyncapi") => spec::asyncapi(),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "say which: openapi or asyncapi")),
    };
    io::stdout().write_all(document)
}
