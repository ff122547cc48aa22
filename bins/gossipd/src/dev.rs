//! What `--dev` makes up for itself: a secret, kept beside the database so that tokens outlive a restart.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use uuid::Uuid;

/// Where the secret is kept.
pub(crate) const SECRET_FILE: &str = "gossip-dev.secret";

/// Characters of a secret.
const LENGTH: usize = 64;

/// The secret in `path`, made if there is none, or only a part of one; readable by this user only.
pub(crate) fn secret(path: &Path) -> std::io::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(secret) if secret.len() == LENGTH => return Ok(secret),
        Ok(_) => std::fs::remove_file(path)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    options.open(path)?.write_all(secret.as_bytes())?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_made_once_and_never_a_short_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        let first = secret(&path).unwrap();
        assert_eq!((first.len(), secret(&path).unwrap()), (LENGTH, first.clone()));
        std::fs::write(&path, "").unwrap();
        let second = secret(&path).unwrap();
        assert_eq!(second.len(), LENGTH);
        assert_ne!(second, first);
    }
}
