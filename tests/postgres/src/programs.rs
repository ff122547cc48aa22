//! Where Postgres' programs are. Debian keeps those of a server off PATH, in a folder for each version.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::Error;

const NEEDED: [&str; 3] = ["initdb", "pg_ctl", "postgres"];
const DEBIAN: &str = "/usr/lib/postgresql";

/// The folder that has `initdb`, `pg_ctl` and `postgres`: the first such on PATH, else the one `pg_config` names, else
/// that of Debian's newest version. [`Error::NotFound`] if there is none.
pub fn find() -> Result<PathBuf, Error> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        // Links may be for some of the programs alone; where they lead, all are.
        .filter_map(|folder| Some(folder.join("pg_ctl").canonicalize().ok()?.parent()?.to_owned()))
        .find(|folder| has_all(folder))
        .or_else(|| configured().filter(|folder| has_all(folder)))
        .or_else(|| newest(Path::new(DEBIAN)))
        .ok_or(Error::NotFound)
}

/// Programs of different versions do not fit together, so they come from one folder.
fn has_all(folder: &Path) -> bool {
    folder.is_absolute() && NEEDED.iter().all(|program| folder.join(program).is_file())
}

/// Debian's `pg_config` comes without a server too.
fn configured() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok().filter(|output| output.status.success())?;
    Some(PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()))
}

fn newest(versions: &Path) -> Option<PathBuf> {
    let number = |folder: &Path| -> Option<Vec<u32>> {
        folder.file_name()?.to_str()?.split('.').map(|part| part.parse().ok()).collect()
    };
    fs::read_dir(versions)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|folder| has_all(&folder.join("bin")))
        .max_by_key(|folder| number(folder))
        .map(|folder| folder.join("bin"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_that_has_a_server() {
        let root = tempfile::tempdir().unwrap();
        let install = |version: &str, programs: &[&str]| {
            let bin = root.path().join(version).join("bin");
            fs::create_dir_all(&bin).unwrap();
            programs.iter().for_each(|program| fs::write(bin.join(program), "").unwrap());
        };
        assert_eq!(newest(root.path()), None);
        install("9.6", &NEEDED);
        install("15", &NEEDED);
        install("17", &["psql"]);
        install("old", &NEEDED);
        assert_eq!(newest(root.path()), Some(root.path().join("15/bin")));
        assert_eq!(newest(&root.path().join("none")), None);
    }
}
