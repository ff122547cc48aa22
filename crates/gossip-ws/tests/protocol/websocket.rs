//! Sessions on a WebSocket: what breaks RFC 6455 or Engine.IO, and what does not.

use gossip_ws::engine::{CloseReason, Config};

use crate::support::{Echo, Got, Harness, Ws, config, masked};

fn long(head: u8, len: usize) -> Vec<u8> {
    masked(head, &vec![b'4'; len])
}

#[tokio::test]
async fn violations_and_their_close_codes() {
    let mut harness = Harness::start(config()).await;
    let unbounded: Vec<u8> = [long(0x01, 900), (0..5).flat_map(|_| long(0x00, 900)).collect()].concat();
    for (what, bytes, code, reason) in [
        ("unmasked", b"\x81\x024a".to_vec(), 1002, CloseReason::Protocol),
        ("reserved bit", masked(0xc1, b"4a"), 1002, CloseReason::Protocol),
        ("unknown opcode", masked(0x83, b"4a"), 1002, CloseReason::Protocol),
        ("fragmented ping", masked(0x09, b""), 1002, CloseReason::Protocol),
        ("long ping", long(0x89, 126), 1002, CloseReason::Protocol),
        ("long pong", long(0x8a, 126), 1002, CloseReason::Protocol),
        ("long close", long(0x88, 126), 1002, CloseReason::Protocol),
        ("close of one byte", masked(0x88, b"\x03"), 1002, CloseReason::Protocol),
        ("reserved close code", masked(0x88, b"\x03\xed"), 1002, CloseReason::Protocol),
        ("close reason not UTF-8", masked(0x88, b"\x03\xe8\xff"), 1007, CloseReason::InvalidUtf8),
        ("continuation of nothing", masked(0x80, b"4a"), 1002, CloseReason::Protocol),
        ("message in a message", [masked(0x01, b"4a"), masked(0x81, b"4b")].concat(), 1002, CloseReason::Protocol),
        ("not UTF-8", masked(0x81, b"4\xff"), 1007, CloseReason::InvalidUtf8),
        (
            "not UTF-8 in the end",
            [masked(0x01, b"4\xe2\x82"), masked(0x80, b"a")].concat(),
            1007,
            CloseReason::InvalidUtf8,
        ),
        // The rest of the frame, which there is none of, is not waited for.
        ("not UTF-8 so far", b"\x81\xfe\x03\xe8\0\0\0\x004\xed\xa0".to_vec(), 1007, CloseReason::InvalidUtf8),
        ("long ping announced", b"\x89\xfe".to_vec(), 1002, CloseReason::Protocol),
        ("long frame announced", b"\x82\xfe\x0f\xa1\0\0\0\0".to_vec(), 1009, CloseReason::TooLarge),
        ("length of two bytes for one", b"\x81\xfe\0\x02\0\0\0\x004a".to_vec(), 1002, CloseReason::Protocol),
        ("length of 64 bits", b"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0".to_vec(), 1002, CloseReason::Protocol),
        ("over the limit", long(0x81, 1001), 1009, CloseReason::TooLarge),
        ("far over the limit", long(0x82, 4001), 1009, CloseReason::TooLarge),
        ("a length only", b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0".to_vec(), 1009, CloseReason::TooLarge),
        // As fastwebsockets#100, which bounds frames alone.
        ("fragments without end", unbounded, 1009, CloseReason::TooLarge),
        ("no packet", masked(0x81, b""), 1002, CloseReason::Protocol),
        ("unknown packet", masked(0x81, b"abc"), 1002, CloseReason::Protocol),
        ("ping of a client", masked(0x81, b"2"), 1002, CloseReason::Protocol),
        ("close packet", masked(0x81, b"1"), 1000, CloseReason::ClientPacket),
        ("close frame", masked(0x88, b"\x03\xe9bye"), 1001, CloseReason::ClientClose),
        ("close frame, no code", masked(0x88, b""), 1000, CloseReason::ClientClose),
        ("panic of the handler", masked(0x81, b"4panic"), 1011, CloseReason::Internal),
    ] {
        let mut ws = harness.websocket().await;
        ws.raw(&bytes).await;
        assert_eq!(harness.closed().await, reason, "{what}");
        let rest = ws.rest().await;
        // A panic takes the socket with it.
        if reason != CloseReason::Internal {
            assert_eq!(rest, [Got::Close(code)], "{what}");
        }
    }
    harness.is_empty().await;
}

#[tokio::test]
async fn what_is_allowed() {
    let mut harness = Harness::start(config()).await;
    let mut ws = harness.websocket().await;
    // Fragments, with control frames between them and a character cut in two.
    ws.raw(&masked(0x01, b"4hel\xc3")).await;
    ws.raw(&masked(0x89, b"are you there")).await;
    ws.raw(&masked(0x00, b"")).await;
    ws.raw(&masked(0x8a, b"")).await;
    ws.raw(&masked(0x80, b"\xa9o")).await;
    assert_eq!(ws.next().await, Got::Pong(b"are you there".to_vec()));
    assert_eq!(ws.next().await, Got::Text("4helé".to_owned() + "o"));
    // Exactly at the limit, in one piece and in two.
    ws.raw(&long(0x81, 1000)).await;
    assert_eq!(ws.next().await, Got::Text("4".repeat(1000)));
    ws.raw(&[long(0x01, 500), long(0x80, 500)].concat()).await;
    assert_eq!(ws.next().await, Got::Text("4".repeat(1000)));
    // A frame a byte at a time.
    for byte in masked(0x82, &[1, 2, 3]) {
        ws.raw(&[byte]).await;
    }
    assert_eq!(ws.next().await, Got::Binary(vec![1, 2, 3]));
    // Packets without a meaning here.
    for packet in ["6", "5", "0", "3", "4done"] {
        ws.text(packet).await;
    }
    assert_eq!(ws.next().await, Got::Text("4done".to_owned()));
    ws.text("4bye").await;
    assert_eq!(ws.rest().await, [Got::Text("4bye".to_owned()), Got::Close(1000)]);
    assert_eq!(harness.closed().await, CloseReason::Disconnected);
    harness.is_empty().await;
}

#[tokio::test]
async fn an_application_may_live_with_oversized_messages() {
    let app = Echo { tolerate_oversized: true, ..Echo::default() };
    let mut harness = Harness::with(config(), app).await;
    let mut ws = harness.websocket().await;
    for (bytes, answer) in [
        (long(0x81, 1001), "4oversized 1001"),
        (long(0x82, 4000), "4oversized 4000"),
        ([long(0x01, 900), long(0x00, 900), long(0x80, 900)].concat(), "4oversized 2700"),
        (masked(0x81, b"4still here"), "4still here"),
    ] {
        ws.raw(&bytes).await;
        assert_eq!(ws.next().await, Got::Text(answer.to_owned()));
    }
    // What cannot be read past is told all the same, before the end.
    ws.raw(&long(0x81, 4001)).await;
    assert_eq!(ws.rest().await, [Got::Text("4oversized 4001".to_owned()), Got::Close(1009)]);
    assert_eq!(harness.closed().await, CloseReason::TooLarge);
    harness.is_empty().await;
}

#[tokio::test]
async fn the_upgrade_request_is_checked() {
    let harness = Harness::start(config()).await;
    let addr = harness.addr;
    let query = "EIO=4&transport=websocket";
    let upgrade = "Upgrade: websocket\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    // `request` sends `Connection: close`.
    let connection = "Connection: Upgrade\r\n";
    for (headers, status) in [
        (format!("{upgrade}{key}{version}"), 400),
        (format!("{connection}{upgrade}{version}"), 400),
        (format!("{connection}{upgrade}Sec-WebSocket-Key: short\r\n{version}"), 400),
        (format!("{connection}{upgrade}{key}"), 426),
        (format!("{connection}{upgrade}{key}Sec-WebSocket-Version: 8\r\n"), 426),
    ] {
        let (got, _) = crate::support::request(addr, "GET", query, &headers, b"").await;
        assert_eq!(got, status, "{headers}");
    }
}

#[tokio::test]
async fn plain_websockets_are_sessions_too() {
    let ping_interval = std::time::Duration::from_millis(50);
    let mut harness = Harness::start(Config { ping_interval, ..config() }).await;
    let mut ws = Ws::connect(harness.addr, "/plain", "").await.unwrap();
    for _ in 0..3 {
        assert_eq!(ws.next().await, Got::Ping);
        ws.raw(&masked(0x8a, b"")).await;
    }
    // The frame is the message, whatever its first character.
    ws.text("{}").await;
    loop {
        match ws.next().await {
            Got::Ping => ws.raw(&masked(0x8a, b"")).await,
            got => break assert_eq!(got, Got::Text("4{}".to_owned())),
        }
    }
    ws.raw(&masked(0x88, b"\x03\xe8")).await;
    assert_eq!(harness.closed().await, CloseReason::ClientClose);
    harness.is_empty().await;
}
