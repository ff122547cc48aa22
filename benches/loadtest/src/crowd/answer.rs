//! What an ack says, read once for each command.

use serde::Deserialize;

/// A success.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer<'a> {
    /// Of the command's event.
    pub(crate) seq: u64,
    /// The id of the intent, where the ack has one.
    pub(crate) intent: Option<&'a str>,
}

#[derive(Deserialize)]
struct Ack<'a> {
    #[serde(borrow)]
    status: &'a str,
    seq: Option<u64>,
    #[serde(borrow)]
    intent: Option<Intent<'a>>,
}

#[derive(Deserialize)]
struct Intent<'a> {
    #[serde(borrow)]
    id: &'a str,
}

impl<'a> Answer<'a> {
    /// Reads the JSON array of an ack.
    ///
    /// # Errors
    /// The ack itself, if it is no success.
    pub(crate) fn read(array: &'a [u8]) -> Result<Answer<'a>, String> {
        match serde_json::from_slice(array) {
            Ok((Ack { status: "success", seq: Some(seq), intent },)) => {
                Ok(Answer { seq, intent: intent.map(|intent| intent.id) })
            }
            _ => Err(shown(array)),
        }
    }
}

/// The room's seq of a successful `join_room`.
///
/// # Errors
/// The ack itself, if it is no success.
pub(crate) fn joined_at(array: &[u8]) -> Result<u64, String> {
    match serde_json::from_slice(array) {
        Ok((Ack { status: "joined", seq: Some(seq), .. },)) => Ok(seq),
        _ => Err(shown(array)),
    }
}

fn shown(array: &[u8]) -> String {
    String::from_utf8_lossy(&array[..array.len().min(300)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successes_and_the_rest() {
        let posted = br#"[{"status":"success","intent":{"id":"i","content":"a \"b\""},"seq":4}]"#;
        assert_eq!(Answer::read(posted), Ok(Answer { seq: 4, intent: Some("i") }));
        let commented = br#"[{"status":"success","update":{"id":"u"},"seq":5}]"#;
        assert_eq!(Answer::read(commented), Ok(Answer { seq: 5, intent: None }));
        let refused = r#"[{"status":"error","code":"closed","message":"too late"}]"#;
        assert_eq!(Answer::read(refused.as_bytes()), Err(refused.to_owned()));
        assert!(Answer::read(b"[]").is_err() && Answer::read(br#"[{"status":"success"}]"#).is_err());
        assert_eq!(joined_at(br#"[{"status":"joined","roomId":"r","seq":7}]"#), Ok(7));
        assert!(joined_at(posted).is_err());
    }
}
