//! The bytes of a post: its event for the room and its ack, key for key as gossipd writes them.
//! Each is made once a post, whatever the number of members.

use std::io::Write as _;

use time::{Duration, OffsetDateTime};

use crate::frame;

/// Buffers that one post after another is written in.
#[derive(Default)]
pub(crate) struct Writer {
    intent: Vec<u8>,
    text: Vec<u8>,
    posts: u64,
}

/// What was posted, by whom and where; each between quotes as it stands.
pub(crate) struct Post<'a> {
    pub(crate) room: &'a str,
    pub(crate) user: &'a str,
    pub(crate) content: &'a [u8],
    pub(crate) seq: u64,
}

impl Writer {
    /// Appends the event's frame to `out`.
    pub(crate) fn event(&mut self, post: &Post<'_>, now: OffsetDateTime, out: &mut Vec<u8>) {
        self.posts += 1;
        let (created, expires) = (timestamp(now), timestamp(now + Duration::HOUR * 24));
        let Post { room, user, content, seq } = post;
        let id = id(now, self.posts);
        self.intent.clear();
        let intent = &mut self.intent;
        // A `Vec` takes every write.
        let _ = write!(intent, r#"{{"id":"{id}","roomId":"{room}","userId":"{user}","content":""#);
        intent.extend_from_slice(content);
        let _ = write!(
            intent,
            r#"","status":"pending","metadata":null,"upvotes":0,"downvotes":0,"expiresAt":"{expires}","#
        );
        let _ = write!(intent, r#""createdAt":"{created}","updatedAt":"{created}"}}"#);
        self.text.clear();
        let _ = write!(self.text, r#","timestamp":"{created}","roomId":"{room}","seq":{seq}}}]"#);
        let opening = br#"42/gossip,["gossip_update",{"type":"new_intent","intent":"#;
        frame::text(out, &[opening, &self.intent, &self.text]);
    }

    /// Appends the frame of the ack to the post written last.
    pub(crate) fn ack(&mut self, ack: &[u8], seq: u64, out: &mut Vec<u8>) {
        self.text.clear();
        let _ = write!(self.text, r#","seq":{seq}}}]"#);
        let pieces = [b"43/gossip,", ack, br#"[{"status":"success","intent":"#, &self.intent, &self.text];
        frame::text(out, &pieces);
    }
}

/// RFC 3339 in UTC with milliseconds.
fn timestamp(at: OffsetDateTime) -> String {
    let (date, time) = (at.date(), at.time());
    let (hour, minute, second, milli) = time.as_hms_milli();
    let (year, month, day) = date.to_calendar_date();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// A UUID of version 7 that counts where others are random.
fn id(now: OffsetDateTime, count: u64) -> String {
    let millis = u64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or(0) & 0xffff_ffff_ffff;
    let (high, low) = (millis >> 16, millis & 0xffff);
    format!("{high:08x}-{low:04x}-7{:03x}-8000-{:012x}", count >> 48 & 0xfff, count & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_gossipd() {
        let mut writer = Writer::default();
        let (mut event, mut ack) = (Vec::new(), Vec::new());
        let now = OffsetDateTime::UNIX_EPOCH + Duration::milliseconds(1_700_000_000_123);
        let post = Post { room: "R", user: "U", content: b"hi", seq: 7 };
        writer.event(&post, now, &mut event);
        writer.ack(b"3", 7, &mut ack);
        let intent = r#"{"id":"018bcfe5-687b-7000-8000-000000000001","roomId":"R","userId":"U","content":"hi","status":"pending","metadata":null,"upvotes":0,"downvotes":0,"expiresAt":"2023-11-15T22:13:20.123Z","createdAt":"2023-11-14T22:13:20.123Z","updatedAt":"2023-11-14T22:13:20.123Z"}"#;
        let text = format!(
            r#"42/gossip,["gossip_update",{{"type":"new_intent","intent":{intent},"timestamp":"2023-11-14T22:13:20.123Z","roomId":"R","seq":7}}]"#
        );
        assert_eq!(str::from_utf8(&event[4..]).unwrap(), text);
        let text = format!(r#"43/gossip,3[{{"status":"success","intent":{intent},"seq":7}}]"#);
        assert_eq!(str::from_utf8(&ack[4..]).unwrap(), text);
    }
}
