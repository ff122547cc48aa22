//! WebSocket frames as clients send them, past the guard. Any bytes are judged the same, in whatever pieces they come, and
//! what passes is by the letter of RFC 6455 §5; what a good client sends all passes, in whatever fragments and masks and
//! with pings in between.
#![no_main]

use arbitrary::{Arbitrary, Result, Unstructured};
use gossip_proto::frame::{FrameError, Guard, MAX_CONTROL_LEN};
use libfuzzer_sys::fuzz_target;

const MAX_MESSAGE: usize = 1000;

/// How many bytes pass, so many at a time, and why no more.
fn watch(guard: &mut Guard, bytes: &[u8], at_once: usize) -> (usize, Option<FrameError>) {
    let mut passed = 0;
    for piece in bytes.chunks(at_once) {
        match guard.watch(piece) {
            Ok(len) if len == piece.len() => passed += len,
            Ok(len) => {
                assert!((1..piece.len()).contains(&len));
                let why = guard.watch(&piece[len..]).expect_err("what was held back is refused");
                return (passed + len, Some(why));
            }
            Err(error) => {
                assert_eq!(guard.watch(b""), Err(error), "and stays refused");
                return (passed, Some(error));
            }
        }
    }
    (passed, None)
}

/// Reads the frames that are whole, and demands of each what the protocol does.
fn check(mut bytes: &[u8]) -> usize {
    let mut frames = 0;
    // The payload of a message so far, and whether it is a text.
    let mut message: Option<(Vec<u8>, bool)> = None;
    while let Some((fin, opcode, payload, rest)) = whole_frame(bytes) {
        bytes = rest;
        frames += 1;
        if opcode & 0x8 != 0 {
            assert!(fin && payload.len() <= MAX_CONTROL_LEN && (0x8..=0xa).contains(&opcode));
            if let (0x8, [high, low, reason @ ..]) = (opcode, &payload[..]) {
                let code = u16::from_be_bytes([*high, *low]);
                assert!((1000..5000).contains(&code) && ![1004, 1005, 1006, 1015].contains(&code), "{code}");
                std::str::from_utf8(reason).expect("a reason is UTF-8");
            }
            assert!(opcode != 0x8 || payload.len() != 1);
            continue;
        }
        assert_eq!(message.is_some(), opcode == 0, "a message begins once, and goes on while it is not at its end");
        assert!(opcode <= 2);
        let (data, _) = message.get_or_insert((Vec::new(), opcode == 1));
        data.extend(payload);
        assert!(data.len() <= MAX_MESSAGE);
        if let Some((data, is_text)) = message.take_if(|_| fin) {
            assert!(!is_text || std::str::from_utf8(&data).is_ok(), "a text is UTF-8");
        }
    }
    frames
}

type Frame<'a> = (bool, u8, Vec<u8>, &'a [u8]);

/// Final or not, opcode, payload, and what follows.
fn whole_frame(bytes: &[u8]) -> Option<Frame<'_>> {
    let [first, second, rest @ ..] = bytes else { return None };
    let longer = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let (longer, rest) = rest.split_at_checked(longer)?;
    let (mask, rest) = rest.split_at_checked(4)?;
    let (len, least) = match longer {
        [] => (u64::from(second & 0x7f), 0),
        longer => (
            longer.iter().fold(0, |len, byte| len << 8 | u64::from(*byte)),
            if longer.len() == 2 { 126 } else { 65_536 },
        ),
    };
    let (payload, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    assert!(first & 0x70 == 0 && second & 0x80 != 0, "no reserved bits, and masked");
    assert!(len >= least, "in its shortest form");
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some((first & 0x80 != 0, first & 0x0f, payload, rest))
}

/// A message of a good client.
#[derive(Debug)]
struct Sent {
    text: String,
    is_text: bool,
    mask: [u8; 4],
    /// Where it is cut into fragments.
    at_once: usize,
    is_pinged: bool,
}

impl<'a> Arbitrary<'a> for Sent {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let len = usize::from(u8::arbitrary(bytes)?).min(bytes.len());
        let text = String::from_utf8_lossy(bytes.bytes(len)?).repeat(1 + usize::from(u8::arbitrary(bytes)? % 8));
        Ok(Sent {
            text,
            is_text: bool::arbitrary(bytes)?,
            mask: <[u8; 4]>::arbitrary(bytes)?,
            at_once: usize::from(u8::arbitrary(bytes)?) + 1,
            is_pinged: bool::arbitrary(bytes)?,
        })
    }
}

impl Sent {
    /// Its frames, and how many they are.
    fn write(&self, out: &mut Vec<u8>) -> usize {
        let mut fragments = self.text.as_bytes().chunks(self.at_once).peekable();
        let mut opcode = if self.is_text { 0x1 } else { 0x2 };
        let mut frames = 0;
        loop {
            let fragment = fragments.next().unwrap_or_default();
            let is_last = fragments.peek().is_none();
            write_frame(out, u8::from(is_last) << 7 | opcode, fragment, self.mask);
            frames += 1;
            opcode = 0;
            if is_last {
                return frames;
            }
            if self.is_pinged {
                write_frame(out, 0x89, &self.mask, self.mask);
                frames += 1;
            }
        }
    }
}

fn write_frame(out: &mut Vec<u8>, first: u8, payload: &[u8], mask: [u8; 4]) {
    out.push(first);
    if payload.len() < 126 {
        out.push(0x80 | payload.len() as u8);
    } else {
        // A fragment has at most 256 bytes.
        out.push(0x80 | 126);
        out.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

// Good clients' messages in one half of the cases, any bytes in the other.
fuzz_target!(|data: &[u8]| {
    let [kind, at_once, rest @ ..] = data else { return };
    let at_once = usize::from(*at_once) + 1;
    let new = || Guard::new(MAX_MESSAGE);
    if kind % 2 == 0 {
        let (passed, error) = watch(&mut new(), rest, usize::MAX);
        let (passed_in_pieces, error_in_pieces) = watch(&mut new(), rest, at_once);
        let (passed_in_bytes, error_in_bytes) = watch(&mut new(), rest, 1);
        assert_eq!((error_in_pieces, error_in_bytes), (error, error));
        assert!(passed <= passed_in_pieces && passed_in_pieces <= passed_in_bytes, "as much as could be judged");
        check(&rest[..passed_in_bytes]);
        return;
    }
    let (mut out, mut frames) = (Vec::new(), 0);
    let mut bytes = Unstructured::new(rest);
    while let Ok(sent) = Sent::arbitrary(&mut bytes) {
        if sent.text.len() > MAX_MESSAGE {
            break;
        }
        frames += sent.write(&mut out);
        if bytes.is_empty() {
            break;
        }
    }
    let mut guard = new();
    assert_eq!(watch(&mut guard, &out, at_once), (out.len(), None));
    assert_eq!(check(&out), frames);
    for taken in 1..=frames {
        assert_eq!(guard.taken(), taken == frames, "nothing is left when the last is taken");
    }
});
