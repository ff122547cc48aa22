//! What may be said: texts, metadata and times to live (contract §4, Content and Expiry). What passes is stored and
//! sent as it is and never interpreted; showing it safely is the reader's business.

use std::time::Duration;

use gossip_proto::refusal::Refusal;
use serde_json::Value;
use unicode_normalization::UnicodeNormalization;

/// The maxima of contract §4. All of them are configurable by an embedder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Code points of a gossip's `content`.
    pub content: usize,
    /// Code points of a comment's `content`.
    pub comment: usize,
    /// Code points of a `reason`.
    pub reason: usize,
    /// Bytes of `metadata` as compact JSON.
    pub metadata_bytes: usize,
    /// Depth of `metadata`; the object itself is 1.
    pub metadata_depth: usize,
    /// The longest `expiresInMinutes`.
    pub expiry_max_minutes: u64,
    /// `expiresInMinutes` when the client does not say.
    pub expiry_default_minutes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            content: 2000,
            comment: 1000,
            reason: 500,
            metadata_bytes: 4096,
            metadata_depth: 8,
            expiry_max_minutes: 1440,
            expiry_default_minutes: 1440,
        }
    }
}

/// A text that was normalised and found short enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// A JSON object that was found small and flat enough.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata(Value);

impl Metadata {
    /// The object.
    #[must_use]
    pub fn as_value(&self) -> &Value {
        &self.0
    }
}

impl Limits {
    /// The `content` of a new gossip.
    ///
    /// # Errors
    /// `invalid_input` of `content` when nothing is left of it or it is too long.
    pub fn gossip(&self, raw: &str) -> Result<Text, Refusal> {
        required("content", raw, self.content)
    }

    /// The `content` of a comment.
    ///
    /// # Errors
    /// As [`Limits::gossip`].
    pub fn comment(&self, raw: &str) -> Result<Text, Refusal> {
        required("content", raw, self.comment)
    }

    /// The `reason` of a change of status; one with nothing in it is none.
    ///
    /// # Errors
    /// `invalid_input` of `reason` when it is too long.
    pub fn reason(&self, raw: Option<&str>) -> Result<Option<Text>, Refusal> {
        let Some(text) = raw.map(normalise).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        short_enough("reason", text, self.reason).map(Some)
    }

    /// The `metadata` of a new gossip.
    ///
    /// # Errors
    /// `invalid_input` of `metadata` when it is no object, too large, too deep, or holds U+0000, which Postgres
    /// cannot store.
    pub fn metadata(&self, raw: Option<Value>) -> Result<Option<Metadata>, Refusal> {
        let Some(value) = raw else { return Ok(None) };
        let wrong = |why: String| Err(Refusal::invalid("metadata", why));
        if !value.is_object() {
            return wrong("must be an object".into());
        }
        if depth_over(&value, self.metadata_depth) {
            return wrong(format!("must be at most {} deep", self.metadata_depth));
        }
        let compact = value.to_string();
        // A database may write a number out: 1e308 takes 309 digits there.
        if compact.len() + digits(&value) > self.metadata_bytes {
            return wrong(format!("must be at most {} bytes as compact JSON", self.metadata_bytes));
        }
        if holds_nul(&value) {
            return wrong("must not hold U+0000".into());
        }
        Ok(Some(Metadata(value)))
    }

    /// How long a new gossip lives.
    ///
    /// # Errors
    /// `invalid_input` of `expiresInMinutes` outside 1…max.
    pub fn expiry(&self, minutes: Option<u64>) -> Result<Duration, Refusal> {
        let minutes = minutes.unwrap_or(self.expiry_default_minutes);
        if !(1..=self.expiry_max_minutes).contains(&minutes) {
            return Err(Refusal::invalid("expiresInMinutes", format!("must be 1 to {}", self.expiry_max_minutes)));
        }
        Ok(Duration::from_secs(minutes * 60))
    }
}

/// Digits that the numbers of a value take beyond what JSON needs for them.
fn digits(value: &Value) -> usize {
    match value {
        Value::Number(number) => number.as_f64().map_or(0, |number| {
            let exponent = if number == 0.0 { 0.0 } else { number.abs().log10().abs() };
            // Up to here JSON writes them out too.
            if exponent > 17.0 { exponent as usize } else { 0 }
        }),
        Value::Array(values) => values.iter().map(digits).sum(),
        Value::Object(members) => members.values().map(digits).sum(),
        Value::Null | Value::Bool(_) | Value::String(_) => 0,
    }
}

fn required(field: &'static str, raw: &str, max: usize) -> Result<Text, Refusal> {
    let text = normalise(raw);
    if text.is_empty() {
        return Err(Refusal::invalid(field, "must not be empty"));
    }
    short_enough(field, text, max)
}

fn short_enough(field: &'static str, text: String, max: usize) -> Result<Text, Refusal> {
    if text.chars().count() > max {
        return Err(Refusal::invalid(field, format!("must be at most {max} characters")));
    }
    Ok(Text(text))
}

/// Control characters go first: taking one out from between a letter and its accent leaves what NFC must join.
fn normalise(raw: &str) -> String {
    let visible = raw.chars().filter(|&c| !c.is_control() || c == '\n' || c == '\t');
    // ASCII is NFC as it is.
    let text: String = if raw.is_ascii() { visible.collect() } else { visible.nfc().collect() };
    let trimmed = text.trim();
    if trimmed.len() == text.len() { text } else { trimmed.to_owned() }
}

/// Recursion ends at `max`, whatever the depth.
fn depth_over(value: &Value, max: usize) -> bool {
    match value {
        Value::Array(items) => max == 0 || items.iter().any(|item| depth_over(item, max - 1)),
        Value::Object(members) => max == 0 || members.values().any(|item| depth_over(item, max - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => members.iter().any(|(key, item)| key.contains('\0') || holds_nul(item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn gossip(raw: &str) -> Result<String, &'static str> {
        Limits::default().gossip(raw).map(Text::into_string).map_err(|refusal| refusal.field.unwrap())
    }

    #[test]
    fn texts_are_normalised() {
        assert_eq!(gossip("  a\u{0}b\u{7f}\u{85}c\r\n\td  "), Ok("abc\n\td".into()));
        assert_eq!(gossip("e\u{301}"), Ok("é".into()));
        assert_eq!(gossip("e\u{1}\u{301}"), Ok("é".into()));
        assert_eq!(gossip(" \u{1} \n"), Err("content"));
        assert_eq!(gossip("<b>&amp;"), Ok("<b>&amp;".into()));
    }

    #[test]
    fn length_is_in_code_points() {
        assert!(gossip(&"😀".repeat(2000)).is_ok());
        assert_eq!(gossip(&"😀".repeat(2001)), Err("content"));
        let limits = Limits::default();
        assert!(limits.comment(&"x".repeat(1000)).is_ok());
        assert!(limits.comment(&"x".repeat(1001)).is_err());
        assert!(limits.reason(Some(&"x".repeat(500))).is_ok());
        assert_eq!(limits.reason(Some(&"x".repeat(501))).unwrap_err().field, Some("reason"));
        assert_eq!(limits.reason(Some("  ")), Ok(None));
    }

    #[test]
    fn metadata_is_a_small_flat_object() {
        let limits = Limits::default();
        let nested = |depth: usize| (1..depth).fold(json!({}), |inner, _| json!({ "a": inner }));
        assert!(limits.metadata(Some(nested(8))).is_ok());
        for bad in [
            json!([]),
            json!("x"),
            nested(9),
            json!({"a": [[[[[[[[]]]]]]]]}),
            json!({"a": "x".repeat(4090)}),
            json!({"a": vec![1e300; 14]}),
            json!({"a": vec![1e-300; 14]}),
            json!({"a": "\0"}),
            json!({"\0": 1}),
        ] {
            assert_eq!(limits.metadata(Some(bad.clone())).unwrap_err().field, Some("metadata"), "{bad}");
        }
        assert!(limits.metadata(Some(json!({"a": "x".repeat(4088)}))).is_ok());
        assert_eq!(limits.metadata(None), Ok(None));
    }

    #[test]
    fn expiry_has_bounds_and_a_default() {
        let limits = Limits::default();
        assert_eq!(limits.expiry(None), Ok(Duration::from_secs(86_400)));
        assert_eq!(limits.expiry(Some(1)), Ok(Duration::from_secs(60)));
        for bad in [0, 1441, u64::MAX] {
            assert_eq!(limits.expiry(Some(bad)).unwrap_err().field, Some("expiresInMinutes"));
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(raw in any::<String>()) {
            let once = normalise(&raw);
            prop_assert_eq!(normalise(&once), once);
        }
    }
}
