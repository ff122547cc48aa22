//! What may be said: a text that passes is within its bounds, without control characters, and passes again as it is; a
//! text that must pass does. Metadata that passes is as small and as flat as is promised.
#![no_main]

use gossip_core::text::Limits;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Within the bounds, and at rest.
fn check(text: &str, most: usize, again: Option<&str>) {
    assert!((1..=most).contains(&text.chars().count()));
    assert!(!text.chars().any(|c| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
    assert_eq!(text.trim(), text);
    assert_eq!(again, Some(text));
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fuzz_target!(|data: &[u8]| {
    let limits = Limits::default();
    // The first byte makes it long: the bounds are in the thousands.
    let (times, data) = data.split_first().map_or((1, data), |(times, rest)| (usize::from(*times % 64) + 1, rest));
    let text = String::from_utf8_lossy(data).repeat(times);

    let gossip = limits.gossip(&text);
    if let Ok(gossip) = &gossip {
        check(gossip.as_str(), limits.content, limits.gossip(gossip.as_str()).ok().as_ref().map(|text| text.as_str()));
    }
    // No character becomes more than three by composing.
    let must_pass = text.len() * 3 <= limits.content && text.chars().any(|c| c.is_ascii_alphanumeric());
    assert!(gossip.is_ok() || !must_pass, "{text:?}");
    if let Ok(comment) = limits.comment(&text) {
        check(comment.as_str(), limits.comment, gossip.as_ref().ok().map(|text| text.as_str()));
    }
    if let Ok(Some(reason)) = limits.reason(Some(&text)) {
        check(reason.as_str(), limits.reason, gossip.as_ref().ok().map(|text| text.as_str()));
    }
    if let Ok(value) = serde_json::from_slice::<Value>(data)
        && let Ok(Some(metadata)) = limits.metadata(Some(value.clone()))
    {
        assert_eq!(metadata.as_value(), &value);
        assert!(value.is_object() && depth(&value) <= limits.metadata_depth);
        assert!(value.to_string().len() <= limits.metadata_bytes);
    }
    let minutes = data.iter().take(8).fold(0, |minutes, byte| minutes << 8 | u64::from(*byte));
    if let Ok(lives) = limits.expiry(Some(minutes)) {
        assert!(lives.as_secs() == minutes * 60 && (1..=limits.expiry_max_minutes).contains(&minutes));
    }
});
