//! Configuration (contract §7): every setting is an environment variable and, for a try, a flag of the same name.
//! Reading and checking only; what the settings lead to is in [`crate::daemon`].

mod limits;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use gossip_core::access::RoomAccess;
use gossip_proto::id::UserId;
use gossip_ws::http::Cors;

use self::limits::LimitSettings;
use self::values::{at_least_one, cors, delay, duration, lanes, log_level, room_access, shards};

/// A server for real-time feeds: rooms, gossip, votes, comments, over Socket.IO and plain WebSocket.
#[derive(Debug, Parser)]
#[command(name = "gossipd", version, args_conflicts_with_subcommands = false)]
pub struct Cli {
    /// Run without any configuration: SQLite in gossip-dev.db, a secret of its own, every room open to everybody,
    /// reachable from this machine only. What is configured is taken all the same.
    #[arg(long)]
    pub dev: bool,
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The environment.
    #[command(flatten)]
    pub settings: Settings,
}

/// What else there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the database's tables up to date, and exit.
    Migrate,
    /// Print a token signed with JWT_SECRET.
    Token(TokenArgs),
}

/// Whom a token is for.
#[derive(Debug, Args)]
pub struct TokenArgs {
    /// The user's UUID.
    #[arg(long)]
    pub user: UserId,
    /// What they may do.
    #[arg(long, value_enum, default_value_t = TokenRole::User)]
    pub role: TokenRole,
    /// The rooms they have access to: '*' or UUIDs separated by commas.
    #[arg(long)]
    pub rooms: Option<String>,
    /// How long it is good for [default: JWT_EXPIRES_IN].
    #[arg(long, value_parser = duration)]
    pub expires: Option<Duration>,
}

/// The `role` of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TokenRole {
    /// People.
    User,
    /// May set statuses.
    Admin,
    /// Another service.
    Service,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

/// The variables of contract §7 that this version knows.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// The address to listen on [default: 0.0.0.0, with --dev 127.0.0.1].
    #[arg(long, env, hide_env_values = true, value_name = "WS_HOST")]
    pub ws_host: Option<String>,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, env, hide_env_values = true, value_name = "WS_PORT", default_value = "3000")]
    pub ws_port: u16,
    /// The origins whose pages may connect, separated by commas, or *.
    #[arg(long, env, hide_env_values = true, value_name = "WS_CORS_ORIGIN", default_value = "*", value_parser = cors)]
    pub ws_cors_origin: Cors,

    /// postgres://user:password@host:port/name or sqlite://path [default: sqlite://gossip.db, with --dev
    /// sqlite://gossip-dev.db].
    #[arg(long, env, hide_env_values = true, value_name = "DATABASE_URL")]
    pub database_url: Option<String>,
    /// Without DATABASE_URL: the host of a Postgres database.
    #[arg(long, env, hide_env_values = true, value_name = "DB_HOST")]
    pub db_host: Option<String>,
    /// With DB_HOST: its port.
    #[arg(long, env, hide_env_values = true, value_name = "DB_PORT", default_value = "5432")]
    pub db_port: u16,
    /// With DB_HOST: the role.
    #[arg(long, env, hide_env_values = true, value_name = "DB_USER", default_value = "postgres")]
    pub db_user: String,
    /// With DB_HOST: the role's password, if it has one.
    #[arg(long, env, hide_env_values = true, value_name = "DB_PASSWORD")]
    pub db_password: Option<String>,
    /// With DB_HOST: the database's name.
    #[arg(long, env, hide_env_values = true, value_name = "DB_NAME")]
    pub db_name: Option<String>,

    /// The secret that signs tokens (HS256), at least 32 bytes.
    #[arg(long, env, hide_env_values = true, value_name = "JWT_SECRET")]
    pub jwt_secret: Option<String>,
    /// A file with the PEM of the public key that tokens are signed for (RS256, ES256 or EdDSA, as the key is).
    #[arg(long, env, hide_env_values = true, value_name = "JWT_PUBLIC_KEY_FILE")]
    pub jwt_public_key_file: Option<PathBuf>,
    /// A file with a JWK set of the keys that tokens are signed for; read again when it changes.
    #[arg(long, env, hide_env_values = true, value_name = "JWT_JWKS_FILE")]
    pub jwt_jwks_file: Option<PathBuf>,
    /// The `iss` that tokens must have.
    #[arg(long, env, hide_env_values = true, value_name = "JWT_ISSUER")]
    pub jwt_issuer: Option<String>,
    /// The `aud` that tokens must have.
    #[arg(long, env, hide_env_values = true, value_name = "JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// How long the tokens of `gossipd token` are good for.
    #[arg(long, env, hide_env_values = true, value_name = "JWT_EXPIRES_IN", default_value = "24h", value_parser = duration)]
    pub jwt_expires_in: Duration,
    /// How far ahead a token's `nbf` may lie; `exp` is exact.
    #[arg(long, env, hide_env_values = true, value_name = "JWT_LEEWAY", default_value = "5s", value_parser = duration)]
    pub jwt_leeway: Duration,

    /// Who may touch a room: claims (the token's rooms), members (the table) or open [default: claims, with --dev open].
    #[arg(long, env, hide_env_values = true, value_name = "ROOM_ACCESS", value_parser = room_access)]
    pub room_access: Option<RoomAccess>,

    /// error, warn, info, debug or trace; RUST_LOG says it by module.
    #[arg(long, env, hide_env_values = true, value_name = "LOG_LEVEL", default_value = "info", value_parser = log_level)]
    pub log_level: tracing::Level,
    /// How the log is written.
    #[arg(long, env, hide_env_values = true, value_name = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// How long a socket may take to authenticate.
    #[arg(long, env, hide_env_values = true, value_name = "AUTH_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub auth_timeout: Duration,
    /// How long the head of a request may take.
    #[arg(long, env, hide_env_values = true, value_name = "HEADER_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub header_timeout: Duration,
    /// How often a socket is asked whether it is still there.
    #[arg(long, env, hide_env_values = true, value_name = "PING_INTERVAL", default_value = "25s", value_parser = duration)]
    pub ping_interval: Duration,
    /// How long it may take to answer.
    #[arg(long, env, hide_env_values = true, value_name = "PING_TIMEOUT", default_value = "20s", value_parser = duration)]
    pub ping_timeout: Duration,
    /// How long an upgrade from polling to websocket may take.
    #[arg(long, env, hide_env_values = true, value_name = "UPGRADE_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub upgrade_timeout: Duration,
    /// How long the database may take.
    #[arg(long, env, hide_env_values = true, value_name = "STORE_TIMEOUT", default_value = "2s", value_parser = duration)]
    pub store_timeout: Duration,
    /// Transactions that may be under way at once: more than one may pay on Postgres with many cores.
    #[arg(long, env, hide_env_values = true, value_name = "COMMIT_LANES", default_value = "1", value_parser = lanes)]
    pub commit_lanes: usize,
    /// Under load, the least time from one transaction to the next; 0ms for none.
    #[arg(long, env, hide_env_values = true, value_name = "COMMIT_DELAY", default_value = "14ms", value_parser = delay)]
    pub commit_delay: Duration,
    /// How many tasks share the connections and write to them [default: one a core].
    #[arg(long, env, hide_env_values = true, value_name = "SHARDS", value_parser = shards)]
    pub shards: Option<usize>,
    /// How long ending in good order may take.
    #[arg(long, env, hide_env_values = true, value_name = "DRAIN_TIMEOUT", default_value = "10s", value_parser = duration)]
    pub drain_timeout: Duration,
    /// How long events can be replayed and a requestId is remembered.
    #[arg(long, env, hide_env_values = true, value_name = "LOG_RETENTION", default_value = "24h", value_parser = duration)]
    pub log_retention: Duration,
    /// The most bytes of one message.
    #[arg(long, env, hide_env_values = true, value_name = "MAX_PAYLOAD", default_value = "65536", value_parser = at_least_one)]
    pub max_payload: usize,
    /// The most rooms a socket may be in.
    #[arg(long, env, hide_env_values = true, value_name = "MAX_ROOMS_PER_SOCKET", default_value = "100", value_parser = at_least_one)]
    pub max_rooms_per_socket: usize,
    /// The most characters of a gossip's content.
    #[arg(long, env, hide_env_values = true, value_name = "MAX_CONTENT", default_value = "2000", value_parser = at_least_one)]
    pub max_content: usize,
    /// The longest expiresInMinutes.
    #[arg(long, env, hide_env_values = true, value_name = "EXPIRY_MAX_MINUTES", default_value = "1440", value_parser = at_least_one)]
    pub expiry_max_minutes: usize,
    /// expiresInMinutes where a client does not say.
    #[arg(long, env, hide_env_values = true, value_name = "EXPIRY_DEFAULT_MINUTES", default_value = "1440", value_parser = at_least_one)]
    pub expiry_default_minutes: usize,
    /// How much one client may do.
    #[command(flatten)]
    pub limits: LimitSettings,
}

impl Settings {
    /// Whether tokens are verified with keys that only verify.
    #[must_use]
    pub fn has_public_keys(&self) -> bool {
        self.jwt_public_key_file.is_some() || self.jwt_jwks_file.is_some()
    }
}

/// Why the arguments or variables cannot be used, ready to print, and the exit code.
#[derive(Debug)]
pub struct Unusable {
    /// For standard error, or standard output where help was asked for.
    pub text: String,
    /// 0 for help, 2 otherwise.
    pub exit_code: u8,
}

impl Cli {
    /// Reads arguments and the environment.
    ///
    /// # Errors
    /// With one line that names the variable, or the help that was asked for.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Cli, Unusable> {
        // An empty variable is one that is not set, as compose files write it.
        let command = Cli::command().mut_args(|arg| match arg.get_env().map(std::env::var_os) {
            Some(Some(value)) if value.is_empty() => arg.env(Resettable::Reset),
            _ => arg,
        });
        unreadable(&command)?;
        let read = command.try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches));
        read.map_err(|error| {
            let text = error.render().to_string();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Unusable { text, exit_code: 0 },
                ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
                    let line = text.lines().next().unwrap_or("error: a value is wrong").to_owned();
                    Unusable { text: line + "\n", exit_code: 2 }
                }
                _ => Unusable { text, exit_code: 2 },
            }
        })
    }
}

/// Refuses what the parser could not name the variable of: bytes that are no text, and control characters, which would
/// break the one line.
fn unreadable(command: &clap::Command) -> Result<(), Unusable> {
    let values = command.get_arguments().filter_map(|arg| Some((arg.get_env()?, std::env::var_os(arg.get_env()?)?)));
    for (name, value) in values {
        if value.to_str().is_none_or(|text| text.contains(char::is_control)) {
            let text = format!("error: {}: must be text without control characters\n", name.to_string_lossy());
            return Err(Unusable { text, exit_code: 2 });
        }
    }
    Ok(())
}

/// Variables of the contract that this version does not know: those whose being ignored would do harm.
pub const HARMFUL_TO_IGNORE: [(&str, &str); 1] = [("NATS_URL", "this version runs as one node")];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Cli, Unusable> {
        Cli::read(std::iter::once("gossipd").chain(args.iter().copied()).map(OsString::from))
    }

    #[test]
    fn defaults_are_the_contracts() {
        let settings = read(&[]).unwrap().settings;
        assert_eq!(settings.ws_port, 3000);
        assert_eq!(settings.ping_interval, Duration::from_secs(25));
        assert_eq!(settings.log_retention, Duration::from_secs(86_400));
        assert_eq!(settings.max_payload, 65_536);
        assert_eq!(settings.room_access, None);
    }

    #[test]
    fn a_bad_value_is_one_line_that_names_the_variable() {
        for (args, name) in [
            (["--ws-port", "eighty"], "WS_PORT"),
            (["--auth-timeout", "10"], "AUTH_TIMEOUT"),
            (["--ping-timeout", "0s"], "PING_TIMEOUT"),
            (["--room-access", "all"], "ROOM_ACCESS"),
            (["--max-payload", "0"], "MAX_PAYLOAD"),
            (["--rate-new-gossip", "0/60s"], "RATE_NEW_GOSSIP"),
            (["--rate-connect", "200"], "RATE_CONNECT"),
            (["--rate-limit-mode", "off"], "RATE_LIMIT_MODE"),
            (["--max-sockets-per-user", "0"], "MAX_SOCKETS_PER_USER"),
            (["--trusted-proxies", "proxy.example"], "TRUSTED_PROXIES"),
            (["--log-level", "loud"], "LOG_LEVEL"),
            (["--log-format", "xml"], "LOG_FORMAT"),
        ] {
            let unusable = read(&args).unwrap_err();
            assert_eq!((unusable.exit_code, unusable.text.lines().count()), (2, 1), "{}", unusable.text);
            assert!(unusable.text.contains(name), "{}", unusable.text);
        }
    }

    #[test]
    fn help_names_every_variable_and_no_value_of_it() {
        let help = read(&["--help"]).unwrap_err();
        assert_eq!(help.exit_code, 0);
        for name in ["WS_PORT", "DATABASE_URL", "DB_PASSWORD", "JWT_SECRET", "ROOM_ACCESS", "LOG_FORMAT", "MAX_PAYLOAD"]
        {
            assert!(help.text.contains(&format!("[env: {name}]")), "{name} in {}", help.text);
        }
    }

    #[test]
    fn the_operators_page_has_every_variable_with_its_default() {
        let page = include_str!("../../../docs/operating.md");
        let (_, rows) = page.split_once("\n## Variables\n").unwrap();
        let (rows, _) = rows.split_once("\n## ").unwrap();
        let code = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        let rows: Vec<_> = rows
            .lines()
            .filter_map(|row| {
                let mut cells = row.strip_prefix("| `").map(|_| row)?.split('|').skip(1);
                Some((code(cells.next()?), code(cells.next()?)))
            })
            .collect();
        let mut known: Vec<_> = HARMFUL_TO_IGNORE.iter().map(|(name, _)| (*name).to_owned()).collect();
        for arg in Cli::command().get_arguments() {
            let Some(name) = arg.get_env().and_then(|name| name.to_str()) else { continue };
            let (_, defaults) = rows.iter().find(|(names, _)| names.iter().any(|found| found == name)).expect(name);
            for default in arg.get_default_values().iter().filter_map(|value| value.to_str()) {
                let is_told = default.is_empty() || defaults.iter().any(|found| found == default);
                assert!(is_told, "{name}: {default} in {defaults:?}");
            }
            known.push(name.to_owned());
        }
        for name in rows.iter().flat_map(|(names, _)| names) {
            assert!(known.contains(name), "there is no {name}");
        }
    }
}
