//! Server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), encoded: what goes over the
//! wire, and nothing of connections or of when something is sent.

use std::fmt::Write;

use crate::id::Seq;

/// A comment: nothing to a client, a sign of life to whatever is between.
pub const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// One event, whatever is in its name and data. `data` must be valid JSON; with `id` a client that comes back tells that it
/// has it.
#[must_use]
pub fn encode_event(id: Option<Seq>, name: &str, data: &str) -> String {
    let mut out = String::with_capacity(48 + name.len() + data.len());
    if let Some(Seq(id)) = id {
        // Writing to a String does not fail.
        let _ = writeln!(out, "id: {id}");
    }
    out.push_str("event: ");
    push_name(&mut out, name);
    // JSON has line ends between its tokens only, where one is as good as another: the client puts `\n` there.
    for line in data.split(['\r', '\n']).filter(|line| !line.is_empty()) {
        out.push_str("\ndata: ");
        out.push_str(line);
    }
    out.push_str("\n\n");
    out
}

/// How long a client whose stream ends is to wait before it comes back, in milliseconds.
#[must_use]
pub fn encode_retry(millis: u64) -> String {
    format!("retry: {millis}\n\n")
}

/// A name is one line: what would end it is written as in JSON.
fn push_name(out: &mut String, name: &str) {
    for char in name.chars() {
        match char {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            char => out.push(char),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events() {
        let rows = [
            (Some(7), "gossip_update", r#"{"a":1}"#, "id: 7\nevent: gossip_update\ndata: {\"a\":1}\n\n"),
            (None, "note", "[]", "event: note\ndata: []\n\n"),
            // What an attacker would like to have read as fields of their own.
            (None, "a\nid: 9\r\ndata: x\n\nb", "1", "event: a\\nid: 9\\r\\ndata: x\\n\\nb\ndata: 1\n\n"),
            (None, " e: ", r#""\r\n\u2028""#, "event:  e: \ndata: \"\\r\\n\\u2028\"\n\n"),
            (
                None,
                "e",
                "{\n  \"a\": 1,\r\n\r\"b\": 2\n}\n",
                "event: e\ndata: {\ndata:   \"a\": 1,\ndata: \"b\": 2\ndata: }\n\n",
            ),
            (Some(u64::MAX), "🦀", r#""🦀""#, "id: 18446744073709551615\nevent: 🦀\ndata: \"🦀\"\n\n"),
        ];
        for (id, name, data, wire) in rows {
            assert_eq!(encode_event(id.map(Seq), name, data), wire);
        }
        assert_eq!(encode_retry(1500), "retry: 1500\n\n");
    }
}
