//! Instants as the contract shows them: UTC, whole milliseconds, RFC 3339 with `Z`. Not a clock: nothing here asks
//! what time it is.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The latest instant that four digits of year can show: later ones are cut to it, so that text always sorts.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999);

    /// From milliseconds since the epoch; values outside years 0001…9999 are cut to 1970 and [`Timestamp::MAX`].
    #[must_use]
    pub fn from_millis(millis: i64) -> Self {
        Timestamp(millis.clamp(0, Self::MAX.0))
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant, later by `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_add(millis))
    }

    /// This instant, earlier by `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self::from_millis(self.0.saturating_sub(millis))
    }

    /// How long from `earlier` until this; zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339, any offset, and what SQLite's own functions write (`2024-01-01 00:00:00`, UTC); `None` for
    /// what is neither.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let instant = OffsetDateTime::parse(text, &Rfc3339)
            .or_else(|_| OffsetDateTime::parse(&format!("{}Z", text.replacen(' ', "T", 1)), &Rfc3339))
            .ok()?;
        i64::try_from(instant.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Self::from_millis)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = OffsetDateTime::from_unix_timestamp(self.0.div_euclid(1000)).map_err(|_| fmt::Error)?;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            t.year(),
            u8::from(t.month()),
            t.day(),
            t.hour(),
            t.minute(),
            t.second(),
            self.0.rem_euclid(1000)
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "date-time",
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$",
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse(&text).ok_or_else(|| serde::de::Error::custom("not an RFC 3339 time"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_milliseconds_and_z_always() {
        assert_eq!(Timestamp::from_millis(1_704_067_200_000).to_string(), "2024-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::from_millis(1_704_067_200_007).to_string(), "2024-01-01T00:00:00.007Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn reads_what_it_shows_and_other_offsets() {
        for millis in [0, 1, 999, 1_704_067_200_007, Timestamp::MAX.as_millis()] {
            let t = Timestamp::from_millis(millis);
            assert_eq!(Timestamp::parse(&t.to_string()), Some(t));
        }
        assert_eq!(Timestamp::parse("2024-01-01T02:00:00+02:00"), Some(Timestamp::from_millis(1_704_067_200_000)));
        assert_eq!(Timestamp::parse("2024-01-01 00:00:00"), Some(Timestamp::from_millis(1_704_067_200_000)));
        assert_eq!(Timestamp::parse("9999-12-31T23:59:59-05:00"), Some(Timestamp::MAX));
        for bad in ["", "yesterday", "2024-01-01", "2024-01-01 00:00:00+"] {
            assert_eq!(Timestamp::parse(bad), None, "{bad}");
        }
    }
}
