//! Which servers are measured, and where the figures go: the same for all scenarios but `votes`.

use std::path::PathBuf;

use clap::Args;

use super::positive;
use crate::server::Kind;

/// Which servers, and how often.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Servers {
    /// A running server, http://host:port; without it one is started, and killed at the end
    #[arg(long, requires = "token_secret", conflicts_with_all = ["database_url", "server", "compare", "rounds"])]
    url: Option<String>,
    /// The JWT_SECRET of that server, which must run with ROOM_ACCESS claims or open, and RATE_LIMIT_MODE=observe
    #[arg(long, requires = "url")]
    token_secret: Option<String>,
    /// Where the server that is started keeps its data: postgres://… (in a database made for the run and dropped after
    /// it), sqlite://folder/file.db (in a temporary folder beside the file) [default: SQLite in the system's temporary
    /// folder]
    #[arg(long)]
    pub(crate) database_url: Option<String>,
    /// The server to start [default: gossipd]
    #[arg(long, value_enum)]
    server: Option<Kind>,
    /// Servers to measure beside it, each in turn
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SERVER,…")]
    compare: Vec<Kind>,
    /// How often each is measured [default: 2 with --compare, else 1]
    #[arg(long, value_parser = positive)]
    rounds: Option<usize>,
}

/// Files to write.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Output {
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Also write a page with plots to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
}

impl Servers {
    /// The url and the secret of a server that runs already.
    pub(crate) fn remote(&self) -> Option<(&str, &str)> {
        self.url.as_deref().zip(self.token_secret.as_deref())
    }

    /// What to start, in order, and whether it is only there to be compared with.
    pub(crate) fn in_turn(&self) -> Vec<(Kind, bool)> {
        let tested = self.server.unwrap_or(Kind::Gossipd);
        let mut kinds = vec![(tested, false)];
        for &peer in &self.compare {
            if !kinds.contains(&(peer, true)) && peer != tested {
                kinds.push((peer, true));
            }
        }
        kinds.repeat(self.rounds.unwrap_or(if kinds.len() > 1 { 2 } else { 1 }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn servers(args: &str) -> Result<Servers, clap::Error> {
        let all = ["gossip-loadtest"].into_iter().chain(args.split_whitespace());
        Cli::try_parse_from(all).map(|cli| cli.servers)
    }

    #[test]
    fn servers_take_turns() {
        let names = |args: &str| -> Vec<_> {
            let turns = servers(args).unwrap().in_turn();
            turns.into_iter().map(|(kind, peer)| format!("{}{}", kind.name(), if peer { "*" } else { "" })).collect()
        };
        assert_eq!(names(""), ["gossipd"]);
        assert_eq!(names("--server socketio --rounds 2"), ["socketio", "socketio"]);
        assert_eq!(
            names("--compare loop-joined,gossipd,loop-joined"),
            ["gossipd", "loop-joined*", "gossipd", "loop-joined*"]
        );
        assert_eq!(
            names("--server loop --compare gossipd,socketioxide --rounds 1"),
            ["loop", "gossipd*", "socketioxide*"]
        );
    }

    #[test]
    fn what_does_not_go_together() {
        for bad in [
            "--url http://localhost:3000",
            "--token-secret s",
            "--url http://localhost:3000 --token-secret s --compare loop",
            "--url http://localhost:3000 --token-secret s --database-url sqlite://a",
            "--server remote",
            "--server baseline",
            "--json a fanout",
        ] {
            assert!(servers(bad).is_err(), "{bad}");
        }
    }
}
