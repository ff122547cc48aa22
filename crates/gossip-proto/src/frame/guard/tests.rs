//! What the guard lets pass and refuses, byte by byte.

use proptest::prelude::*;

use super::*;

const MAX: usize = 8000;

fn guard() -> Guard {
    Guard::new(MAX)
}

/// A client's frame, as short as it can be.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let extra = match payload.len() {
        0..=125 => 0,
        126..=0xffff => 2,
        _ => 8,
    };
    with_length(first, payload, payload.len() as u64, extra)
}

fn with_length(first: u8, payload: &[u8], len: u64, extra: usize) -> Vec<u8> {
    let second = match extra {
        0 => len as u8,
        2 => 126,
        _ => 127,
    };
    let mask = [0x11, 0xe2, 0x33, 0xd4];
    let payload: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    [&[first, 0x80 | second], &len.to_be_bytes()[8 - extra..], &mask, &payload].concat()
}

/// How many frames passed whole, and what was refused after them.
fn all<'a>(guard: &mut Guard, pieces: impl IntoIterator<Item = &'a [u8]>) -> (usize, Option<FrameError>) {
    for piece in pieces {
        match guard.watch(piece) {
            Ok(passed) if passed == piece.len() => {}
            Ok(passed) => {
                assert!(0 < passed && passed < piece.len());
                break;
            }
            Err(_) => break,
        }
    }
    (guard.untaken, guard.watch(b"").err())
}

fn refused(bytes: &[u8]) -> FrameError {
    all(&mut guard(), [bytes]).1.expect("it passed")
}

#[test]
fn frames_of_rfc_6455_5_7() {
    let masked = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(all(&mut guard(), [&masked[..], &pong[..]]), (2, None));
}

/// Nothing of a payload need come, nor the rest of a head once its first two bytes are wrong.
#[test]
fn a_head_alone_is_refused() {
    let start = frame(0x01, b"a");
    for (what, bytes) in [
        ("reserved bits", &b"\xc1\x80"[..]),
        ("reserved bits", b"\xa1\x80"),
        ("reserved bits", b"\x91\x80"),
        ("unknown opcode", b"\x83\x80"),
        ("unknown opcode", b"\x8b\x80"),
        ("unmasked frame", b"\x81\x00"),
        ("unmasked frame", b"\x89\x00"),
        ("continuation without a start", b"\x80\x80"),
        ("fragmented control frame", b"\x08\x80"),
        ("control frame too long", b"\x88\xfe"),
        ("control frame too long", b"\x89\xff"),
        ("control frame too long", b"\x8a\xfe"),
        ("close frame of one byte", b"\x88\x81"),
        ("new message inside a fragmented one", &[&start[..], b"\x81\x80"].concat()),
        ("new message inside a fragmented one", &[&start[..], b"\x02\x80"].concat()),
        ("length not in its shortest form", &with_length(0x81, b"", 125, 2)),
        ("length not in its shortest form", &with_length(0x81, b"", 0xffff, 8)),
        ("length of more than 63 bits", &with_length(0x82, b"", 1 << 63, 8)),
    ] {
        assert_eq!(refused(bytes), FrameError::Protocol(what), "{bytes:x?}");
    }
    assert_eq!(refused(&with_length(0x82, b"", i64::MAX as u64, 8)), FrameError::TooLarge);
    assert_eq!(refused(&with_length(0x82, b"", MAX as u64 + 1, 2)), FrameError::TooLarge);
}

/// What is whole before it is read first, even where both came at once.
#[test]
fn what_is_before_a_refused_frame_passes() {
    let good = [frame(0x81, b"a"), frame(0x01, b"b"), frame(0x89, b"")].concat();
    for bad in [&b"\xc1\x80"[..], &frame(0x80, b"abc\xff")] {
        let mut guard = guard();
        assert_eq!(guard.watch(&[&good[..], bad].concat()), Ok(good.len()), "{bad:x?}");
        let error = guard.watch(b"").unwrap_err();
        assert_eq!(guard.watch(&frame(0x81, b"a")), Err(error));
        // As long as there is something to say, there is a reader.
        assert!(!guard.taken() && !guard.taken() && !guard.taken());
    }
    // A frame of which a part passed before is not gone on with.
    let mut guard = guard();
    assert_eq!(guard.watch(&frame(0x81, b"abc\xff")[..9]), Ok(9));
    assert_eq!(guard.watch(&frame(0x81, b"abc\xff")[9..]), Err(FrameError::InvalidUtf8));
}

#[test]
fn the_reader_is_empty_between_frames_alone() {
    let bytes = [frame(0x01, b"ab"), frame(0x89, b""), frame(0x80, &[b'c'; 200])].concat();
    let mut guard = guard();
    let (first, rest) = bytes.split_at(17);
    assert_eq!(guard.watch(first), Ok(17));
    assert!(!guard.taken(), "a ping is there");
    assert!(!guard.taken(), "three bytes of a head are there");
    assert_eq!(guard.watch(&rest[..50]), Ok(50));
    assert_eq!(guard.watch(&rest[50..]), Ok(rest.len() - 50));
    assert!(guard.taken());
}

#[test]
fn close_frames() {
    for code in [1000, 1003, 1007, 1014, 3000, 4999_u16] {
        let bytes = frame(0x88, &[&code.to_be_bytes()[..], b"bye"].concat());
        assert_eq!(all(&mut guard(), [&bytes[..]]), (1, None));
    }
    assert_eq!(all(&mut guard(), [&frame(0x88, b"")[..]]), (1, None));
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535_u16] {
        let bytes = frame(0x88, &code.to_be_bytes());
        assert_eq!(refused(&bytes), FrameError::Protocol("close code"), "{code}");
        assert_eq!(all(&mut guard(), bytes.chunks(1)), (0, Some(FrameError::Protocol("close code"))), "{code}");
    }
    assert_eq!(refused(&frame(0x88, b"\x03\xe8\xce\xba\xff")), FrameError::InvalidUtf8);
    assert_eq!(refused(&frame(0x88, b"\x03\xe8\xce")), FrameError::InvalidUtf8);
}

#[test]
fn text_is_refused_as_soon_as_it_cannot_be_utf_8() {
    // Surrogates, beyond Unicode, overlong, and no beginning of a character.
    for bad in [&b"\xed\xa0"[..], b"\xf4\x90", b"\xc0", b"\xe0\x80", b"\xff", b"\x80"] {
        let text = [b"\xce\xba", bad, b"and more to come"].concat();
        let shown = 6 + 2 + bad.len();
        for bytes in [frame(0x81, &text), frame(0x01, &text)] {
            let mut guard = guard();
            assert_eq!(guard.watch(&bytes[..shown - 1]), Ok(shown - 1), "{bad:x?}");
            assert_eq!(guard.watch(&bytes[shown - 1..shown]), Err(FrameError::InvalidUtf8), "{bad:x?}");
        }
    }
    // The end within a character.
    assert_eq!(refused(&frame(0x81, b"\xce\xba\xce")), FrameError::InvalidUtf8);
    assert_eq!(refused(&[frame(0x01, b"\xce"), frame(0x80, b"")].concat()), FrameError::InvalidUtf8);
    // Binary, and what is between the fragments of a text, may be anything.
    let bytes = [frame(0x02, b"\xff"), frame(0x80, b"\xff"), frame(0x01, b"\xce"), frame(0x89, b"\xff")].concat();
    assert_eq!(all(&mut guard(), [&bytes[..], &frame(0x80, b"\xba")]), (5, None));
}

#[test]
fn fragments_are_bounded_together() {
    let bytes = [frame(0x02, &[1; 7500]), frame(0x00, &[1; 500])].concat();
    assert_eq!(all(&mut guard(), [&bytes[..], &frame(0x80, b"")]), (3, None));
    assert_eq!(all(&mut guard(), [&bytes[..], &with_length(0x80, b"", 1, 0)]), (2, Some(FrameError::TooLarge)));
}

/// CVE-2026-48779 (ws).
#[test]
fn small_fragments_are_counted() {
    let most = MIN_FRAGMENTS + MAX / BYTES_PER_FRAGMENT;
    for payload in [&b""[..], b"a"] {
        let mut guard = guard();
        let mut bytes = frame(0x01, payload);
        bytes.extend(frame(0x00, payload).repeat(most - 1));
        assert_eq!(all(&mut guard, [&bytes[..]]), (most, None));
        assert_eq!(all(&mut guard, [&frame(0x00, payload)[..]]), (most, Some(FrameError::TooLarge)));
    }
}

/// A frame of a message in fragments, and perhaps a control frame after it.
fn messages() -> impl Strategy<Value = Vec<(bool, Vec<String>, Option<Vec<u8>>)>> {
    let ping = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=125));
    let parts = proptest::collection::vec("\\PC{0,60}", 1..5);
    proptest::collection::vec((any::<bool>(), parts, ping), 0..6)
}

proptest! {
    #[test]
    fn messages_pass_in_any_fragments_and_pieces(messages in messages(), size in 1usize..40) {
        let mut bytes = Vec::new();
        let mut frames = 0;
        for (text, parts, ping) in messages {
            for (nth, part) in parts.iter().enumerate() {
                let fin = if nth + 1 == parts.len() { 0x80 } else { 0 };
                let opcode = match nth {
                    0 => if text { TEXT } else { BINARY },
                    _ => CONTINUATION,
                };
                bytes.extend(frame(fin | opcode, part.as_bytes()));
                frames += 1;
                if let Some(ping) = ping.as_ref().filter(|_| fin == 0) {
                    bytes.extend(frame(0x80 | PING, ping));
                    frames += 1;
                }
            }
        }
        prop_assert_eq!(all(&mut guard(), [&bytes[..]]), (frames, None));
        let mut guard = guard();
        prop_assert_eq!(all(&mut guard, bytes.chunks(size)), (frames, None));
        for left in (0..frames).rev() {
            prop_assert_eq!(guard.taken(), left == 0);
        }
    }

    #[test]
    fn any_bytes_are_judged_the_same_in_any_pieces(bytes: Vec<u8>, first in any::<u8>(), size in 1usize..20) {
        // Often a good beginning, so that more than a head is tried.
        let bytes = [frame(first & 0x83, &bytes), frame(0x80 | first, &bytes), bytes].concat();
        let whole = all(&mut guard(), [&bytes[..]]);
        prop_assert_eq!(all(&mut guard(), bytes.chunks(size)), whole);
    }

    #[test]
    fn text_is_utf_8_or_refused(mut text in "\\PC{0,1500}".prop_map(String::into_bytes), at: proptest::sample::Index,
        byte in proptest::option::of(any::<u8>()), cut: proptest::sample::Index)
    {
        if let Some(byte) = byte.filter(|_| !text.is_empty()) {
            let at = at.index(text.len());
            text[at] = byte;
        }
        let good = str::from_utf8(&text).is_ok();
        let (front, back) = text.split_at(cut.index(text.len() + 1));
        for bytes in [frame(0x81, &text), [frame(0x01, front), frame(0x80, back)].concat()] {
            let error = all(&mut guard(), [&bytes[..]]).1;
            prop_assert_eq!(error, (!good).then_some(FrameError::InvalidUtf8));
        }
    }
}
