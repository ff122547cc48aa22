//! Writing a little JSON into a `String`. It is not a serializer: that is serde_json, which does the work here too.

use serde::Serialize;

/// Appends `value` as JSON. Only for values whose serialisation cannot fail: strings, numbers, structs of them.
pub(crate) fn push<T: Serialize + ?Sized>(out: &mut String, value: &T) {
    match serde_json::to_string(value) {
        Ok(text) => out.push_str(&text),
        // Not reached, by the condition above; `null` keeps what surrounds it valid.
        Err(_) => out.push_str("null"),
    }
}

/// Appends `text` as a JSON string.
pub(crate) fn push_str(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        push(out, text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_string_is_written_as_serde_json_would(text in any::<String>()) {
            let mut out = String::new();
            super::push_str(&mut out, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }
}
