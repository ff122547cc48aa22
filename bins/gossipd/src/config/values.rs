//! How the values of settings are written: durations, rates, numbers, words. What they are for is not known here.

use std::time::Duration;

use gossip_core::access::RoomAccess;
use gossip_hub::{LimitMode, Rate};
use gossip_ws::http::{Cors, TrustedProxies};

/// `500ms`, `10s`, `5m`, `24h`, `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let millis_each: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("a duration looks like 500ms, 10s, 5m, 24h or 7d".into()),
    };
    let number: u64 = number.parse().map_err(|_| "a duration looks like 500ms, 10s, 5m, 24h or 7d")?;
    match number.checked_mul(millis_each) {
        Some(millis @ 1..=31_536_000_000) => Ok(Duration::from_millis(millis)),
        _ => Err("a duration is more than nothing and at most a year".into()),
    }
}

/// As [`duration`], or none.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    match text {
        "0" | "0ms" | "0s" => Ok(Duration::ZERO),
        _ => duration(text).and_then(|delay| {
            let is_short = delay <= Duration::from_secs(1);
            is_short.then_some(delay).ok_or_else(|| "must be from 0ms to 1s".into())
        }),
    }
}

pub(super) fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1_073_741_824) => Ok(number),
        _ => Err("must be a whole number from 1 to 1073741824".into()),
    }
}

pub(super) fn lanes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=4) => Ok(number),
        _ => Err("must be a whole number from 1 to 4".into()),
    }
}

pub(super) fn shards(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=256) => Ok(number),
        _ => Err("must be a whole number from 1 to 256".into()),
    }
}

pub(super) fn room_access(text: &str) -> Result<RoomAccess, String> {
    match text {
        "claims" => Ok(RoomAccess::Claims),
        "members" => Ok(RoomAccess::Members),
        "open" => Ok(RoomAccess::Open),
        _ => Err("must be claims, members or open".into()),
    }
}

pub(super) fn log_level(text: &str) -> Result<tracing::Level, String> {
    match text {
        // The word that NestJS has for it.
        "log" => Ok(tracing::Level::INFO),
        _ => text.parse().map_err(|_| "must be error, warn, info, debug or trace".into()),
    }
}

pub(super) fn cors(text: &str) -> Result<Cors, String> {
    let cors = Cors::parse(text);
    match &cors {
        Cors::List(origins) if origins.is_empty() => Err("must be * or a list of origins".into()),
        _ => Ok(cors),
    }
}

/// `30/60s`: so many in so long.
pub(super) fn rate(text: &str) -> Result<Rate, String> {
    let read = |text: &str| {
        let (count, per) = text.split_once('/')?;
        let count = count.bytes().all(|byte| byte.is_ascii_digit()).then(|| count.parse().ok())??;
        Rate::new(count, duration(per).ok()?)
    };
    read(text).ok_or_else(|| "a rate looks like 30/60s: 1 to 1000000 in 1ms to 24h".into())
}

pub(super) fn limit_mode(text: &str) -> Result<LimitMode, String> {
    match text {
        "enforce" => Ok(LimitMode::Enforce),
        "observe" => Ok(LimitMode::Observe),
        _ => Err("must be enforce or observe".into()),
    }
}

pub(super) fn trusted_proxies(text: &str) -> Result<TrustedProxies, String> {
    TrustedProxies::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(604_800)));
        for bad in ["", "s", "10", "-1s", "1.5s", "0s", "10 s", "99999999999999999999s", "9999999d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates() {
        assert_eq!(rate("30/60s").ok(), Rate::new(30, Duration::from_secs(60)));
        assert_eq!(rate("1/500ms").ok(), Rate::new(1, Duration::from_millis(500)));
        for bad in
            ["", "30", "30/", "/60s", "0/60s", "30/0s", "-1/1s", "+1/1s", "1.5/1s", "30/60", "1000001/1s", "1/2d"]
        {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
