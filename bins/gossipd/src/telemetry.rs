//! The log: standard error, as text or JSON. What goes into it is decided where it is written; user text and tokens
//! never do.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};
use crate::daemon::Error;

/// Starts logging for the process; a second call changes nothing.
///
/// # Errors
/// When `RUST_LOG` cannot be read.
pub fn start(settings: &Settings) -> Result<(), Error> {
    // Empty is not set, as for every variable.
    let by_module = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.trim().is_empty());
    let filter = match by_module {
        Some(directives) => directives.parse().map_err(|error| Error::Usage(format!("RUST_LOG: {error}")))?,
        None => EnvFilter::new(settings.log_level.as_str().to_ascii_lowercase()),
    };
    let is_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal);
    let started = match settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(error, "logging was started before");
    }
    Ok(())
}
