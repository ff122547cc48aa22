//! The plain WebSocket protocol: any frame gets an answer, a request reads the same when it is written again, and what the
//! server writes is JSON with what it was given.
#![no_main]

use gossip_proto::plain::{decode, encode_event, encode_reply};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    match decode(&text) {
        Err(error) => {
            assert!(["event", "id", "data"].contains(&error.field));
        }
        Ok(request) => {
            let data = request.data.as_deref().map_or("null", |data| data.get());
            let id = request.id.map_or(String::new(), |id| format!(r#","id":{id}"#));
            let event = json!(request.event);
            let again = decode(&format!(r#"{{"data":{data},"event":{event}{id}}}"#)).expect("it was read before");
            assert_eq!((again.event, again.id), (request.event.clone(), request.id));
            assert_eq!(again.data.as_deref().map_or("null", |data| data.get()), data);
            // Of numbers and depths that the tree cannot hold, the text tells nothing more.
            if serde_json::from_str::<Value>(data).is_ok() {
                let sent: Value = serde_json::from_str(&encode_event(&request.event, data)).expect("an event is JSON");
                assert_eq!(sent["event"], event);
                let sent: Value = serde_json::from_str(&encode_reply(7, data)).expect("a reply is JSON");
                assert_eq!(sent["id"], 7);
            }
        }
    }
    let sent: Value = serde_json::from_str(&encode_event(&text, "[]")).expect("any name will do");
    assert_eq!(sent, json!({"event": text, "data": []}));
});
