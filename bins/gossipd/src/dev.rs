//! What `--dev` makes up for itself: a secret, kept beside the database so that tokens outlive a restart.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use uuid::Uuid;

/// Where the secret is kept.
pub(crate) const SECRET_FILE: &str = "gossip-dev.secret";

/// The secret in `path`, made if there is none; readable by this user only.
pub(crate) fn secret(path: &Path) -> std::io::Result<String> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(mut file) => {
            let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
            file.write_all(secret.as_bytes())?;
            Ok(secret)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => std::fs::read_to_string(path),
        Err(error) => Err(error),
    }
}
