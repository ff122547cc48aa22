//! Where, when and by which command it was measured. A command is told without what must stay secret.

use std::fs;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Where it was measured.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    /// That this program may use.
    pub(crate) cores: usize,
    pub(crate) cpu: Option<String>,
    pub(crate) kernel: Option<String>,
}

impl Machine {
    /// This one.
    pub(crate) fn this() -> Machine {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        Machine {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: model(&info),
            kernel: kernel.map(|release| format!("Linux {}", release.trim())),
        }
    }

    /// In one line.
    pub(super) fn text(&self) -> String {
        let cores = if self.cores == 1 { "1 core".to_owned() } else { format!("{} cores", self.cores) };
        let known = [self.cpu.as_deref(), self.kernel.as_deref()];
        known.into_iter().flatten().fold(cores, |text, more| format!("{text}, {more}"))
    }
}

fn model(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The time, for `startedAt`.
pub(crate) fn started_now() -> String {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    now.format(&Rfc3339).unwrap_or_default()
}

/// What runs this again from the repository.
pub(super) fn command() -> String {
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    told(&args)
}

fn told(args: &[String]) -> String {
    let mut command = "cargo xtask loadtest".to_owned();
    let mut secret = false;
    for arg in args {
        let shown = if secret {
            "…".to_owned()
        } else if arg.starts_with("--token-secret=") {
            "--token-secret=…".to_owned()
        } else {
            without_password(arg)
        };
        secret = !secret && arg == "--token-secret";
        let plain = |c: char| c.is_alphanumeric() || "-_./:=,@%+…".contains(c);
        command.push(' ');
        if !shown.is_empty() && shown.chars().all(plain) {
            command += &shown;
        } else {
            command += &format!("'{}'", shown.replace('\'', r"'\''"));
        }
    }
    command
}

/// Of a url, also where it is part of an option.
fn without_password(arg: &str) -> String {
    let Some((scheme, rest)) = arg.split_once("://") else { return arg.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            let name = user.split(':').next().unwrap_or_default();
            format!("{scheme}://{name}:…@{host}{}", &rest[end..])
        }
        _ => arg.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_told() {
        let told = |args: &str| told(&args.split(' ').map(str::to_owned).collect::<Vec<_>>());
        let rows = [
            ("votes --in-flight 3", "votes --in-flight 3"),
            ("votes --token-secret abc --url http://h:1", "votes --token-secret … --url http://h:1"),
            ("votes --token-secret --token-secret --x", "votes --token-secret … --x"),
            ("votes --token-secret=abc", "votes --token-secret=…"),
            ("--database-url postgres://me:pw@h:5/db", "--database-url postgres://me:…@h:5/db"),
            ("--database-url=postgres://me:p@w@h/db", "--database-url=postgres://me:…@h/db"),
            ("--database-url postgres://me@h/db", "--database-url postgres://me@h/db"),
            ("--report it's;x", r"--report 'it'\''s;x'"),
        ];
        for (args, expected) in rows {
            assert_eq!(told(args), format!("cargo xtask loadtest {expected}"));
        }
    }

    #[test]
    fn machines_are_told_by_what_is_known() {
        let info = "processor\t: 0\nmodel name\t: Fast CPU @ 3 GHz\n";
        assert_eq!(model(info).as_deref(), Some("Fast CPU @ 3 GHz"));
        assert_eq!(model(""), None);
        assert_eq!(Machine { cores: 1, cpu: None, kernel: None }.text(), "1 core");
        let machine = Machine { cores: 2, cpu: model(info), kernel: Some("Linux 6.1".into()) };
        assert_eq!(machine.text(), "2 cores, Fast CPU @ 3 GHz, Linux 6.1");
    }
}
