//! Long-polling, and every request that is refused.

use gossip_ws::engine::{CloseReason, Config};
use gossip_ws::http::Cors;
use tokio::io::AsyncWriteExt;

use crate::support::{Echo, Got, Harness, Ws, config, request, send_request};

#[tokio::test]
async fn refusals() {
    let mut harness = Harness::start(config()).await;
    let polling = harness.polling().await;
    let live = polling.rsplit('=').next().unwrap();
    let unknown = "0".repeat(32);
    for (method, query, code) in [
        ("GET", "transport=polling", 5),
        ("GET", "EIO=3&transport=polling", 5),
        ("GET", "EIO=44&transport=polling", 5),
        ("GET", "EIO=4", 0),
        ("GET", "EIO=4&transport=webtransport", 0),
        ("GET", "EIO=4&transport=__proto__", 0),
        ("GET", "", 0),
        ("POST", "EIO=4&transport=polling", 2),
        ("PUT", "EIO=4&transport=polling", 2),
        ("GET", "EIO=4&transport=websocket", 3),
        ("GET", "EIO=4&EIO=3&transport=polling", 3),
        ("GET", "EIO=4&transport=polling&sid=", 1),
        // CVE-2026-59724, CVE-2026-102600: an id is no name of a property.
        ("GET", "EIO=4&transport=polling&sid=__proto__", 1),
        ("POST", "EIO=4&transport=polling&sid=constructor", 1),
        ("GET", &format!("EIO=4&transport=polling&sid={unknown}"), 1),
        // The same id, written otherwise.
        ("GET", &format!("EIO=4&transport=polling&sid=%7B{live}%7D"), 1),
        ("GET", &format!("EIO=4&transport=websocket&sid={live}"), 3),
        ("GET", &format!("EIO=3&transport=polling&sid={live}"), 5),
        ("DELETE", &polling, 3),
    ] {
        let (status, body) = request(harness.addr, method, query, "", b"").await;
        assert_eq!(status, 400, "{method} {query}");
        assert!(body.starts_with(&format!("{{\"code\":{code},")), "{method} {query}: {body}");
    }
    for (target, status) in [
        ("/e/?EIO=3&transport=websocket".to_owned(), 400),
        ("/e/?transport=websocket".to_owned(), 400),
        ("/e/?EIO=4&transport=polling".to_owned(), 400),
        // CVE-2026-102599: the version of an upgrade counts too.
        (format!("/e/?EIO=3&transport=websocket&sid={live}"), 400),
        (format!("/e/?transport=websocket&sid={live}"), 400),
        (format!("/e/?EIO=4&transport=websocket&sid={unknown}"), 400),
    ] {
        assert_eq!(Ws::connect(harness.addr, &target, "").await.unwrap_err(), status, "{target}");
    }
    // None of which did the session any harm.
    assert_eq!(harness.post(&polling, b"4hi").await, (200, "ok".to_owned()));
    assert_eq!(harness.get(&polling).await, (200, "4hi".to_owned()));
    assert_eq!(harness.server.session_count(), 1);
    harness.server.close_all(CloseReason::Shutdown);
    assert_eq!(harness.closed().await, CloseReason::Shutdown);
    harness.is_empty().await;
}

#[tokio::test]
async fn bodies_of_posts() {
    let mut harness = Harness::start(config()).await;
    let long = format!("4{}", "x".repeat(1000));
    let far_too_long = format!("4{}", "x".repeat(4000));
    for (headers, body, status, reason) in [
        ("", &b"abc"[..], 400, Some(CloseReason::Protocol)),
        ("", b"4ok\x1e", 400, Some(CloseReason::Protocol)),
        ("", b"b!!!", 400, Some(CloseReason::Protocol)),
        ("", b"2", 400, Some(CloseReason::Protocol)),
        ("", b"4\xff", 400, Some(CloseReason::InvalidUtf8)),
        ("Content-Type: application/octet-stream\r\n", b"4hi", 400, Some(CloseReason::Protocol)),
        ("", b"4panic", 400, Some(CloseReason::Internal)),
        ("", b"1", 200, Some(CloseReason::ClientPacket)),
        ("", long.as_bytes(), 400, Some(CloseReason::TooLarge)),
        ("", far_too_long.as_bytes(), 413, None),
        ("Transfer-Encoding: chunked\r\n", b"2\r\n4a\r\n4\r\nbcde\r\n0\r\n\r\n", 200, None),
    ] {
        let polling = harness.polling().await;
        let mut stream = if headers.starts_with("Transfer") {
            let mut stream = send_request(harness.addr, "POST", &polling, headers, b"").await;
            stream.write_all(body).await.unwrap();
            stream
        } else {
            send_request(harness.addr, "POST", &polling, headers, body).await
        };
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{body:?}: {answer}");
        match reason {
            Some(reason) => assert_eq!(harness.closed().await, reason, "{body:?}"),
            None => {
                // The session is as it was.
                assert_eq!(harness.post(&polling, b"1").await.0, 200);
                assert_eq!(harness.closed().await, CloseReason::ClientPacket);
            }
        }
    }
    harness.is_empty().await;
}

#[tokio::test]
async fn an_application_may_live_with_oversized_packets() {
    let app = Echo { tolerate_oversized: true, ..Echo::default() };
    let mut harness = Harness::with(config(), app).await;
    let polling = harness.polling().await;
    let text = |len: usize| format!("4{}", "x".repeat(len - 1));
    let (in_size, over_size) = (format!("b{}==", "A".repeat(1334)), format!("b{}=", "A".repeat(1335)));
    let chunked = format!("fa1\r\n{}\r\n0\r\n\r\n", text(4001));
    let ok = (200, "ok".to_owned());
    for (body, answer, packets) in [
        (text(1000), &ok, text(1000)),
        (text(1001), &ok, "4oversized 1001".to_owned()),
        // The packets beside it are handled, in order.
        (format!("4one\x1e{}\x1e4two", text(1001)), &ok, "4one\x1e4oversized 1001\x1e4two".to_owned()),
        // None of which is too long.
        (format!("{0}\x1e{0}\x1e{0}", text(1000)), &ok, format!("{0}\x1e{0}\x1e{0}", text(1000))),
        // What counts is the message, as on a WebSocket, not its base64.
        (in_size.clone(), &ok, in_size),
        (over_size, &ok, "4oversized 1001".to_owned()),
        (text(4000), &ok, "4oversized 4000".to_owned()),
        (text(4001), &(413, String::new()), "4oversized 4001".to_owned()),
    ] {
        assert_eq!(&harness.post(&polling, body.as_bytes()).await, answer);
        assert_eq!(harness.get(&polling).await, (200, packets));
    }
    // Where the length is not announced, it is known to be that at least.
    let headers = "Transfer-Encoding: chunked\r\n";
    let mut stream = send_request(harness.addr, "POST", &polling, headers, b"").await;
    stream.write_all(chunked.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(harness.get(&polling).await, (200, "4oversized 4001".to_owned()));
    // Beside a packet too long the others must be good all the same.
    let body = format!("{}\x1eabc", text(1001));
    assert_eq!(harness.post(&polling, body.as_bytes()).await.0, 400);
    assert_eq!(harness.closed().await, CloseReason::Protocol);
    harness.is_empty().await;
}

#[tokio::test]
async fn one_poll_and_one_post_at_a_time() {
    let mut harness = Harness::start(config()).await;

    let polling = harness.polling().await;
    let (one, other) = tokio::join!(harness.get(&polling), harness.get(&polling));
    let (first, second) = if one.0 == 200 { (one, other) } else { (other, one) };
    assert_eq!(first, (200, "1".to_owned()));
    assert_eq!(second.0, 400);
    assert_eq!(harness.closed().await, CloseReason::Overlap);
    assert_eq!(harness.get(&polling).await.0, 400);

    let polling = harness.polling().await;
    let begun = send_request(harness.addr, "POST", &polling, "Content-Length: 10\r\n", b"").await;
    // Until the server has seen the one that never ends, others pass.
    while harness.post(&polling, b"4hi").await.0 == 200 {}
    assert_eq!(harness.closed().await, CloseReason::Overlap);
    assert_eq!(harness.get(&polling).await.0, 400);
    drop(begun);
    harness.is_empty().await;
}

#[tokio::test]
async fn requests_that_break_off_end_the_session() {
    let mut harness = Harness::start(config()).await;

    let polling = harness.polling().await;
    drop(send_request(harness.addr, "GET", &polling, "", b"").await);
    assert_eq!(harness.closed().await, CloseReason::TransportClosed);
    assert_eq!(harness.get(&polling).await.0, 400);

    let polling = harness.polling().await;
    drop(send_request(harness.addr, "POST", &polling, "Content-Length: 10\r\n", b"").await);
    assert_eq!(harness.closed().await, CloseReason::TransportError);
    assert_eq!(harness.get(&polling).await.0, 400);
    harness.is_empty().await;
}

#[tokio::test]
async fn a_slow_body_is_not_waited_for() {
    let body_timeout = std::time::Duration::from_millis(50);
    let mut harness = Harness::start(Config { body_timeout, ..config() }).await;
    let polling = harness.polling().await;
    let slow = send_request(harness.addr, "POST", &polling, "Content-Length: 10\r\n", b"").await;
    assert_eq!(harness.closed().await, CloseReason::TransportError);
    drop(slow);
    harness.is_empty().await;
}

#[tokio::test]
async fn the_last_packets_are_fetched_after_the_close() {
    let mut harness = Harness::start(config()).await;

    // The server closes between two polls.
    let polling = harness.polling().await;
    assert_eq!(harness.post(&polling, b"4bye").await, (200, "ok".to_owned()));
    assert_eq!(harness.closed().await, CloseReason::Disconnected);
    harness.is_empty().await;
    for last in ["4bye", "1"] {
        assert_eq!(harness.get(&polling).await, (200, last.to_owned()));
    }
    assert_eq!(harness.get(&polling).await.0, 400);

    // The server closes while a poll waits, or is about to.
    let polling = harness.polling().await;
    let (polled, posted) = tokio::join!(harness.get(&polling), harness.post(&polling, b"4bye"));
    assert_eq!((polled.1.as_str(), posted.0), ("4bye", 200));
    assert_eq!(harness.get(&polling).await, (200, "1".to_owned()));
    assert_eq!(harness.closed().await, CloseReason::Disconnected);

    // The client closes: its poll, wherever it was, ends with a noop.
    let polling = harness.polling().await;
    assert_eq!(harness.post(&polling, b"1").await, (200, "ok".to_owned()));
    assert_eq!(harness.get(&polling).await, (200, "6".to_owned()));
    assert_eq!(harness.get(&polling).await.0, 400);
    assert_eq!(harness.closed().await, CloseReason::ClientPacket);
    harness.is_empty().await;
}

#[tokio::test]
async fn origins() {
    let cors = Cors::parse("https://good.example");
    let harness = Harness::start(Config { cors, ..config() }).await;
    for (origin, status) in
        [("", 200), ("Origin: https://good.example\r\n", 200), ("Origin: https://bad.example\r\n", 403)]
    {
        let (polled, _) = request(harness.addr, "GET", "EIO=4&transport=polling", origin, b"").await;
        assert_eq!(polled, status, "{origin}");
        for target in ["/e/?EIO=4&transport=websocket", "/plain"] {
            let upgraded = Ws::connect(harness.addr, target, origin).await;
            assert_eq!(upgraded.err(), (status != 200).then_some(status), "{origin} {target}");
        }
    }
    let (status, _) = request(
        harness.addr,
        "OPTIONS",
        "",
        "Origin: https://good.example\r\nAccess-Control-Request-Method: POST\r\n",
        b"",
    )
    .await;
    assert_eq!(status, 204);
}

#[tokio::test]
async fn a_draining_server_refuses_new_sessions_only() {
    let mut harness = Harness::start(config()).await;
    let polling = harness.polling().await;
    let mut ws = harness.websocket().await;
    let refusing = &harness.server.app().refusing;
    refusing.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(harness.get("EIO=4&transport=polling").await.0, 503);
    let refused = Ws::connect(harness.addr, "/e/?EIO=4&transport=websocket", "").await;
    assert_eq!(refused.unwrap_err(), 503);
    assert_eq!(harness.post(&polling, b"4hi").await.0, 200);
    assert_eq!(harness.get(&polling).await.1, "4hi");
    ws.text("4hi").await;
    assert_eq!(ws.next().await, Got::Text("4hi".to_owned()));
    harness.server.close_all(CloseReason::Shutdown);
    assert_eq!(ws.next().await, Got::Close(1012));
    assert_eq!(harness.get(&polling).await, (200, "1".to_owned()));
    assert_eq!(harness.closed().await, CloseReason::Shutdown);
    assert_eq!(harness.closed().await, CloseReason::Shutdown);
    harness.is_empty().await;
}
