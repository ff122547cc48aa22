//! The log: standard error, as text or JSON. What goes into it is decided where it is written; user text and tokens
//! never do.

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, Settings};

/// Starts logging for the process; a second call changes nothing.
pub fn start(settings: &Settings) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(settings.log_level.as_str().to_ascii_lowercase()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(error, "logging was started before");
    }
}
