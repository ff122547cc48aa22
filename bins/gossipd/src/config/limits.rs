//! How much one client may do: its settings, as a part of [`Settings`](super::Settings).

use clap::Args;
use gossip_hub::{LimitMode, LimitsConfig, Rate};
use gossip_ws::http::TrustedProxies;

use super::values::{at_least_one, limit_mode, rate, trusted_proxies};

/// The limits of contract §7 that are about one client.
#[derive(Debug, Clone, Args)]
pub struct LimitSettings {
    /// enforce, or observe: rates and the caps on sockets are lifted, and what would be refused is counted.
    #[arg(long, env, hide_env_values = true, value_name = "RATE_LIMIT_MODE", default_value = "enforce", value_parser = limit_mode)]
    pub rate_limit_mode: LimitMode,
    /// How fast an address may open connections.
    #[arg(long, env, hide_env_values = true, value_name = "RATE_CONNECT", default_value = "200/1s", value_parser = rate)]
    pub rate_connect: Rate,
    /// How many bad tokens may come from an address.
    #[arg(long, env, hide_env_values = true, value_name = "RATE_AUTH_FAILURES", default_value = "10/60s", value_parser = rate)]
    pub rate_auth_failures: Rate,
    /// How fast a user may post.
    #[arg(long, env, hide_env_values = true, value_name = "RATE_NEW_GOSSIP", default_value = "30/60s", value_parser = rate)]
    pub rate_new_gossip: Rate,
    /// How fast a user may vote.
    #[arg(long, env, hide_env_values = true, value_name = "RATE_VOTE_GOSSIP", default_value = "300/60s", value_parser = rate)]
    pub rate_vote_gossip: Rate,
    /// How fast a user may comment.
    #[arg(long, env, hide_env_values = true, value_name = "RATE_COMMENT_GOSSIP", default_value = "60/60s", value_parser = rate)]
    pub rate_comment_gossip: Rate,
    /// How fast a user may do anything else.
    #[arg(long, env, hide_env_values = true, value_name = "RATE_OTHER", default_value = "600/60s", value_parser = rate)]
    pub rate_other: Rate,
    /// The most sockets of one user.
    #[arg(long, env, hide_env_values = true, value_name = "MAX_SOCKETS_PER_USER", default_value = "20", value_parser = at_least_one)]
    pub max_sockets_per_user: usize,
    /// The most sockets of one address.
    #[arg(long, env, hide_env_values = true, value_name = "MAX_SOCKETS_PER_ADDRESS", default_value = "2000", value_parser = at_least_one)]
    pub max_sockets_per_address: usize,
    /// Addresses and networks of proxies, separated by commas: what they say of where a client is, is believed.
    #[arg(long, env, hide_env_values = true, value_name = "TRUSTED_PROXIES", default_value = "", value_parser = trusted_proxies)]
    pub trusted_proxies: TrustedProxies,
}

impl LimitSettings {
    /// For the gateway.
    #[must_use]
    pub fn config(&self) -> LimitsConfig {
        LimitsConfig {
            mode: self.rate_limit_mode,
            connect: self.rate_connect,
            auth_failures: self.rate_auth_failures,
            new_gossip: self.rate_new_gossip,
            vote_gossip: self.rate_vote_gossip,
            comment_gossip: self.rate_comment_gossip,
            other: self.rate_other,
            max_sockets_per_user: self.max_sockets_per_user,
            max_sockets_per_address: self.max_sockets_per_address,
            ..LimitsConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::config::Cli;

    fn read(args: &[&str]) -> LimitSettings {
        Cli::read(std::iter::once("gossipd").chain(args.iter().copied()).map(OsString::from)).unwrap().settings.limits
    }

    #[test]
    fn what_is_not_set_is_the_contracts() {
        let (settings, theirs) = (read(&[]), LimitsConfig::default());
        assert_eq!(format!("{:?}", settings.config()), format!("{theirs:?}"));
        assert_eq!(settings.trusted_proxies, TrustedProxies::default());
    }

    #[test]
    fn each_variable_is_its_own() {
        let (mut args, mut rates) = (Vec::new(), Vec::new());
        for (n, name) in
            ["connect", "auth-failures", "new-gossip", "vote-gossip", "comment-gossip", "other"].iter().enumerate()
        {
            args.extend([format!("--rate-{name}"), format!("{}/1s", n + 1)]);
            rates.push(rate(&format!("{}/1s", n + 1)).unwrap());
        }
        args.extend(["--max-sockets-per-user", "7", "--max-sockets-per-address", "8"].map(str::to_owned));
        args.extend(["--rate-limit-mode", "observe"].map(str::to_owned));
        let read = read(&args.iter().map(String::as_str).collect::<Vec<_>>()).config();
        let read_rates =
            [read.connect, read.auth_failures, read.new_gossip, read.vote_gossip, read.comment_gossip, read.other];
        assert_eq!(read_rates, rates[..]);
        assert_eq!((read.max_sockets_per_user, read.max_sockets_per_address), (7, 8));
        assert_eq!(read.mode, LimitMode::Observe);
    }
}
