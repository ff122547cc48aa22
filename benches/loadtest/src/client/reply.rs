//! What the text of a frame answers. A success is told by its first bytes, since there are tens of thousands of them a
//! second and all that matters is which one it is; everything else is read as JSON.

use serde::Deserialize;
use serde_json::Value;

/// What a text frame is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// The request with this id was done.
    Done(u64),
    /// The request with this id was refused, and how.
    Refused(u64, String),
    /// No answer to a request: an event, or what cannot be read.
    Other(String),
}

#[derive(Deserialize)]
struct Whole {
    id: Option<u64>,
    data: Option<Value>,
}

/// Reads a text frame of the plain protocol.
pub(crate) fn read(text: &[u8]) -> Reply {
    if let Some(id) = done(text) {
        return Reply::Done(id);
    }
    let shown = || String::from_utf8_lossy(&text[..text.len().min(300)]).into_owned();
    match serde_json::from_slice(text) {
        Ok(Whole { id: Some(id), data: Some(data) }) if data["status"] == "success" => Reply::Done(id),
        Ok(Whole { id: Some(id), data: Some(data) }) => Reply::Refused(id, data.to_string()),
        Ok(Whole { id: Some(id), data: None }) => Reply::Refused(id, shown()),
        _ => Reply::Other(shown()),
    }
}

/// The id of a success, if the text begins as the server writes them.
fn done(text: &[u8]) -> Option<u64> {
    let rest = text.strip_prefix(br#"{"id":"#)?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(digits);
    rest.strip_prefix(br#","data":{"status":"success","#)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_told_apart() {
        let refused = r#"{"status":"error","code":"closed","message":"too late"}"#;
        let rows = [
            (r#"{"id":7,"data":{"status":"success","intent":{},"seq":1}}"#.to_owned(), Reply::Done(7)),
            (r#"{"data":{"seq":1,"status":"success"},"id":18446744073709551615}"#.into(), Reply::Done(u64::MAX)),
            (
                format!(r#"{{"id":12,"data":{refused}}}"#),
                Reply::Refused(12, r#"{"code":"closed","message":"too late","status":"error"}"#.into()),
            ),
            (r#"{"id":12}"#.into(), Reply::Refused(12, r#"{"id":12}"#.into())),
            (r#"{"event":"x","data":{"id":3}}"#.into(), Reply::Other(r#"{"event":"x","data":{"id":3}}"#.into())),
            (
                r#"{"id":,"data":{"status":"success","#.into(),
                Reply::Other(r#"{"id":,"data":{"status":"success","#.into()),
            ),
            ("".into(), Reply::Other(String::new())),
        ];
        for (text, expected) in rows {
            let got = read(text.as_bytes());
            match (&got, &expected) {
                // The order of keys is the parser's.
                (Reply::Refused(a, left), Reply::Refused(b, right)) => {
                    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
                    assert_eq!((a, value(left)), (b, value(right)));
                }
                _ => assert_eq!(got, expected, "{text}"),
            }
        }
    }
}
