//! `cargo xtask postgres`, and the Postgres that the steps of `cargo xtask test` share.
//! How a temporary one is made, and that nothing of it is left behind, is the business of gossip-test-postgres.

use std::{
    cell::OnceCell,
    env,
    ffi::OsString,
    io,
    process::{Command, ExitCode},
};

use gossip_test_postgres::{Cluster, URL_VARIABLE};

use crate::{
    error::Error,
    exec::{self, Workspace},
    needs,
};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to run, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Answers the command's own exit code; 1 if a signal ended it.
///
/// Ctrl-C ends this process like others: the cluster goes with it by itself.
pub(crate) fn run(args: &Args) -> Result<ExitCode, Error> {
    let cluster = start()?;
    let Some((program, rest)) = args.command.split_first() else {
        println!("{}", cluster.url());
        eprintln!("A temporary Postgres, until Ctrl-C or the end of input.");
        io::copy(&mut io::stdin(), &mut io::sink()).map_err(Error::file("standard input"))?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut command = Command::new(program);
    offer(&cluster.url(), command.args(rest));
    command.status().map_err(exec::start(&command)).map(exec::exit_code)
}

/// The server for those steps that ask for one: the caller's if there is one, else a temporary one from the first
/// such step until this is dropped.
pub(crate) struct Shared {
    given: Option<String>,
    cluster: OnceCell<Cluster>,
}

impl Shared {
    /// Takes `DATABASE_URL` if that is a Postgres.
    pub(crate) fn from_env() -> Self {
        Self::given(env::var("DATABASE_URL").ok())
    }

    fn given(url: Option<String>) -> Self {
        let is_postgres = |url: &String| ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
        Self { given: url.filter(is_postgres), cluster: OnceCell::new() }
    }

    /// Tells a step's command of the server. Where there is none yet it is started, and its programs installed if they
    /// are missing and `install` is set.
    pub(crate) fn lend<'c>(
        &self,
        workspace: &Workspace,
        install: bool,
        command: &'c mut Command,
    ) -> Result<&'c mut Command, Error> {
        let url = match (&self.given, self.cluster.get()) {
            (Some(url), _) => url.clone(),
            (None, Some(cluster)) => cluster.url(),
            (None, None) => {
                needs::POSTGRES.require(workspace, install)?;
                let cluster = start()?;
                println!("a temporary Postgres: {}", cluster.url());
                self.cluster.get_or_init(|| cluster).url()
            }
        };
        offer(&url, command);
        Ok(command)
    }
}

pub(crate) fn start() -> Result<Cluster, Error> {
    Cluster::start().map_err(|error| match error {
        gossip_test_postgres::Error::NotFound => needs::POSTGRES.missing(),
        other => Error::Postgres(other),
    })
}

/// Names the server in the command's environment, and hides what a daemon would take for its own database: one under
/// test has only what its test gives it.
fn offer(url: &str, command: &mut Command) {
    for (name, _) in env::vars_os().filter(|(name, _)| names_a_database(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.env(URL_VARIABLE, url);
}

fn names_a_database(variable: &str) -> bool {
    variable == "DATABASE_URL" || variable.starts_with("DB_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_postgres_is_taken_for_the_server() {
        let rows = [
            ("postgres://u@h/d", true),
            ("postgresql://u@h/d?sslmode=disable", true),
            ("sqlite://gossip.db", false),
            ("postgres", false),
            ("", false),
        ];
        for (url, taken) in rows {
            assert_eq!(Shared::given(Some(url.into())).given.is_some(), taken, "{url}");
        }
        assert!(Shared::given(None).given.is_none());
    }

    #[test]
    fn a_command_is_told_of_the_server_and_of_no_other() {
        let mut command = Command::new("true");
        offer("postgres://here", &mut command);
        assert!(
            command.get_envs().any(|(name, value)| name == URL_VARIABLE && value == Some("postgres://here".as_ref()))
        );
        assert!(names_a_database("DATABASE_URL") && names_a_database("DB_HOST") && names_a_database("DB_PASSWORD"));
        assert!(!names_a_database(URL_VARIABLE) && !names_a_database("HOME") && !names_a_database("DBUS_SESSION"));
    }
}
