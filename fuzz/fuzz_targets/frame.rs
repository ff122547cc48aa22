//! WebSocket frames as the server writes them, read by the letter of RFC 6455 §5.2: one whole unmasked frame whose head is
//! as short as it can be, and whose payload is what was given, or its beginning where the protocol allows no more.
#![no_main]

use gossip_proto::frame::{MAX_CONTROL_LEN, Opcode, encode_close, encode_frame};
use libfuzzer_sys::fuzz_target;

/// The opcode and the payload of a frame that must be all of `bytes`.
fn read(bytes: &[u8]) -> (u8, usize, &[u8]) {
    assert_eq!(bytes[0] & 0xf0, 0x80, "final, and no reserved bits");
    assert_eq!(bytes[1] & 0x80, 0, "a server masks nothing");
    let (head, len) = match bytes[1] {
        126 => (4, u64::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
        127 => (10, bytes[2..10].iter().fold(0, |len, byte| len << 8 | u64::from(*byte))),
        short => (2, u64::from(short)),
    };
    let shortest = match len {
        0..=125 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    assert_eq!(head, shortest);
    assert_eq!(bytes.len() as u64, head as u64 + len);
    (bytes[0] & 0x0f, head, &bytes[head..])
}

fuzz_target!(|data: &[u8]| {
    let (times, data) = data.split_first().map_or((1, data), |(times, rest)| (usize::from(*times) + 1, rest));
    let long = data.repeat(times);
    for (opcode, bits, most) in [
        (Opcode::Text, 0x1, usize::MAX),
        (Opcode::Binary, 0x2, usize::MAX),
        (Opcode::Close, 0x8, MAX_CONTROL_LEN),
        (Opcode::Ping, 0x9, MAX_CONTROL_LEN),
        (Opcode::Pong, 0xa, MAX_CONTROL_LEN),
    ] {
        let (frame, told) = encode_frame(opcode, &long);
        let (read_bits, head, payload) = read(&frame);
        assert_eq!((read_bits, head), (bits, told));
        assert_eq!(payload, &long[..long.len().min(most)]);
    }

    let reason = String::from_utf8_lossy(data);
    let code = 1000 + u16::from(data.first().copied().unwrap_or(0));
    let frame = encode_close(code, &reason);
    let (bits, _, payload) = read(&frame);
    assert_eq!((bits, &payload[..2]), (0x8, &code.to_be_bytes()[..]));
    let told = std::str::from_utf8(&payload[2..]).expect("the reason is cut between characters");
    assert!(reason.starts_with(told) && payload.len() <= MAX_CONTROL_LEN);
    assert!(told.len() == reason.len() || told.len() + 4 > MAX_CONTROL_LEN - 2, "no more is cut than must be");
});
