//! The opaque texts that clients hand back, and the times and ids of the contract: whatever they send is read or refused,
//! and what was read shows itself in a form that reads the same.
#![no_main]

use gossip_hub::Offset;
use gossip_proto::id::{Pid, RoomId};
use gossip_proto::timestamp::Timestamp;
use gossip_store::Cursor;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    if let Ok(offset) = text.parse::<Offset>() {
        assert!(offset.behind.len() <= data.len() / 32, "it names no more rooms than it has");
        assert_eq!(offset.to_string().parse(), Ok(offset));
    }
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    if let Some(time) = Timestamp::parse(&text) {
        assert!((0..=Timestamp::MAX.as_millis()).contains(&time.as_millis()));
        assert_eq!(Timestamp::parse(&time.to_string()), Some(time));
        assert_eq!(time.to_string().len(), "2024-01-01T00:00:00.000Z".len());
    }
    if let Ok(room) = text.parse::<RoomId>() {
        assert_eq!(room.to_string(), text.to_ascii_lowercase());
        assert_eq!(text.parse(), Ok(Pid(room.0)));
    }
});
