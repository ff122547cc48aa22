//! The log: standard error, as text or JSON. What goes into it is decided where it is written; user text and tokens
//! never do.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// Starts logging for the process; a second call changes nothing.
pub fn start(settings: &Settings) {
    let by_level = || EnvFilter::new(settings.log_level.as_str().to_ascii_lowercase());
    // Empty is not set, as for every variable.
    let by_module = std::env::var(EnvFilter::DEFAULT_ENV).ok().filter(|directives| !directives.trim().is_empty());
    let parsed = by_module.map(|directives| directives.parse::<EnvFilter>());
    let wrong = parsed.as_ref().and_then(|parsed| parsed.as_ref().err().map(ToString::to_string));
    let filter = parsed.and_then(Result::ok).unwrap_or_else(by_level);
    let is_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal);
    let started = match settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(error, "logging was started before");
    }
    if let Some(wrong) = wrong {
        tracing::warn!(wrong, "RUST_LOG cannot be read; LOG_LEVEL is used");
    }
}
