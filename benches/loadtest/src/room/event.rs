//! Reading an event, once for a whole room. An ack is read in the same way.

use serde::Deserialize;

#[derive(Deserialize)]
struct Update<'a> {
    #[serde(rename = "roomId", borrow)]
    room_id: &'a str,
    seq: u64,
}

/// The seq of a `gossip_update` of this room, of the event's JSON array.
pub(super) fn read(array: &[u8], room: &str) -> Option<u64> {
    let (name, update): (&str, Update<'_>) = serde_json::from_slice(array).ok()?;
    (name == "gossip_update" && update.room_id == room).then_some(update.seq)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_updates_of_the_room_count() {
        let event = |name: &str, room: &str| {
            let update = format!(r#"{{"type":"vote","intent":{{"id":"i","seq":9}},"roomId":"{room}","seq":12}}"#);
            read(format!(r#"["{name}",{update}]"#).as_bytes(), "r")
        };
        assert_eq!(event("gossip_update", "r"), Some(12));
        assert_eq!(event("gossip_update", "s"), None);
        assert_eq!(event("exception", "r"), None);
        assert_eq!(read(b"[", "r"), None);
    }
}
