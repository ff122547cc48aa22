//! The query of a URL: parameters by name, decoded. What they mean is the routes' business.

use gossip_proto::refusal::Refusal;

/// A parameter of the query, decoded; the first where there are several.
pub(super) fn parameter(query: Option<&str>, name: &'static str) -> Result<Option<String>, Refusal> {
    let mut pairs = query.unwrap_or_default().split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let value = pairs.find(|(key, _)| *key == name).map(|(_, value)| value);
    value.map(|value| decoded(value).ok_or_else(|| Refusal::invalid(name, "is not percent-encoded text"))).transpose()
}

/// What stands behind `%` and two digits (RFC 3986 §2.1). A `+` is a plus, as in a time's offset.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digit = |at: usize| char::from(digits[at]).to_digit(16);
        bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_and_decoded() {
        let query = Some("a=1&b=x%20y&b=2&empty&c=%ff&d=%4&e=2026-01-31T14:00:00+02:00");
        let found = |name| parameter(query, name).map_err(|refused| refused.field);
        assert_eq!(found("a"), Ok(Some("1".into())));
        assert_eq!(found("b"), Ok(Some("x y".into())));
        assert_eq!(found("empty"), Ok(Some(String::new())));
        assert_eq!(found("A"), Ok(None));
        assert_eq!(found("c"), Err(Some("c")));
        assert_eq!(found("d"), Err(Some("d")));
        assert_eq!(found("e"), Ok(Some("2026-01-31T14:00:00+02:00".into())));
        assert_eq!(parameter(None, "a").unwrap(), None);
    }
}
