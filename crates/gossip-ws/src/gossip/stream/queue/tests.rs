//! What is queued comes out in order and is bounded, and who waits learns of it.

use std::future::poll_fn;

use super::*;

const BOUNDS: Bounds = Bounds { max_bytes: 64 * 1024, patience: Duration::from_secs(45) };

fn stream(since: Option<u64>) -> (StreamOutbox, Arc<Queue>) {
    let queue = Arc::new(Queue::new(BOUNDS, since.map(Seq)));
    (StreamOutbox(Arc::clone(&queue)), queue)
}

fn joined(seq: u64, recovered: Option<bool>) -> Result<Reply, Refusal> {
    let room_id = "018f2a3e-0000-7000-8000-000000000001".parse().unwrap();
    Ok(Reply::Joined { room_id, seq: Seq(seq), recovered, intents: None })
}

fn event(name: &str, len: usize) -> Arc<Event> {
    Arc::new(Event::new(name, format!(r#""{}""#, "x".repeat(len))))
}

const ASKED: ReplyTo = ReplyTo { event: None, ack: Some(0) };

async fn next(queue: &Queue) -> Option<String> {
    let piece = poll_fn(|cx| queue.poll_next(cx)).await?;
    Some(String::from_utf8(piece.into()).unwrap())
}

/// Everything, to the end.
async fn all(queue: &Queue) -> String {
    let mut all = String::new();
    while let Some(piece) = next(queue).await {
        all.push_str(&piece);
    }
    all
}

/// The id of the event that says from where on the stream is.
async fn first_id(since: Option<u64>, seq: u64, recovered: Option<bool>) -> String {
    let (outbox, queue) = stream(since);
    outbox.reply(&ASKED, &joined(seq, recovered));
    assert_eq!(poll_fn(|cx| queue.poll_answer(cx)).await, Ok(()));
    assert!(next(&queue).await.unwrap().starts_with("retry: 1"));
    let text = next(&queue).await.unwrap();
    let (id, rest) = text.split_once('\n').unwrap();
    assert!(rest.starts_with("event: joined\ndata: {\"status\":\"joined\","), "{text}");
    id.to_owned()
}

#[tokio::test]
async fn the_first_id_is_what_the_client_has_before_any_event() {
    assert_eq!(first_id(None, 7, None).await, "id: 7");
    assert_eq!(first_id(Some(3), 7, Some(true)).await, "id: 3");
    assert_eq!(first_id(Some(3), 7, Some(false)).await, "id: 7");
    assert_eq!(first_id(Some(9), 7, Some(false)).await, "id: 7");
}

#[tokio::test]
async fn who_is_refused_is_told_why() {
    let (outbox, queue) = stream(None);
    let refusal = Refusal::new(Code::Forbidden, "no");
    outbox.reply(&ASKED, &Err(refusal.clone()));
    assert_eq!(poll_fn(|cx| queue.poll_answer(cx)).await, Err(refusal));
    for (end, code) in [
        (End::Closed(Close::TokenExpired), Code::TokenExpired),
        (End::Closed(Close::Draining), Code::Unavailable),
        (End::RoomClosed, Code::Forbidden),
        (End::Shutdown, Code::Unavailable),
    ] {
        let (_outbox, queue) = stream(None);
        queue.end(end);
        assert_eq!(poll_fn(|cx| queue.poll_answer(cx)).await.unwrap_err().code, code);
    }
}

#[tokio::test]
async fn what_is_queued_comes_before_the_end_and_nothing_after() {
    let (outbox, queue) = stream(None);
    outbox.event(&event("a", 1));
    outbox.run(&Run::new([event("b", 1), event("c", 1)]));
    outbox.reply(&ReplyTo::NOBODY, &Err(Refusal::new(Code::TokenExpired, "over")));
    outbox.close(Close::TokenExpired);
    outbox.event(&event("d", 1));
    outbox.close(Close::SlowReader);
    assert!(outbox.is_closed());
    let told = r#"{"status":"error","code":"token_expired","message":"over"}"#;
    let expected = format!(
        "event: a\ndata: \"x\"\n\nevent: b\ndata: \"x\"\n\nevent: c\ndata: \"x\"\n\nevent: exception\ndata: {told}\n\n"
    );
    assert_eq!(all(&queue).await, expected);
    assert_eq!(queue.ended(), Some(End::Closed(Close::TokenExpired)));
}

#[tokio::test]
async fn who_comes_back_to_a_server_that_ends_waits_longer() {
    let (outbox, queue) = stream(None);
    outbox.close(Close::Draining);
    let text = all(&queue).await;
    let millis: u64 = text.strip_prefix("retry: ").unwrap().trim_end().parse().unwrap();
    assert!((4_000..6_000).contains(&millis), "{text}");
}

#[tokio::test]
async fn a_broadcast_closes_no_room() {
    let (outbox, queue) = stream(None);
    outbox.event(&event("room_closed", 1));
    assert_eq!(queue.ended(), None);
    assert_eq!(next(&queue).await.unwrap(), "event: room_closed\ndata: \"x\"\n\n");
}

#[tokio::test]
async fn who_takes_waits_and_is_woken() {
    let (outbox, queue) = stream(None);
    let taking = tokio::spawn({
        let queue = Arc::clone(&queue);
        async move { (next(&queue).await, next(&queue).await) }
    });
    tokio::task::yield_now().await;
    outbox.event(&event("a", 1));
    outbox.flush();
    tokio::task::yield_now().await;
    outbox.close(Close::TokenExpired);
    assert_eq!(taking.await.unwrap(), (Some("event: a\ndata: \"x\"\n\n".to_owned()), None));
}

#[tokio::test]
async fn behind_and_drained() {
    let (outbox, queue) = stream(None);
    outbox.event(&event("e", 3_000));
    assert!(!outbox.is_behind());
    outbox.event(&event("e", 1_000));
    assert!(outbox.is_behind());
    let mut drained = Box::pin(outbox.drained());
    let waits = poll_fn(|cx| Poll::Ready(drained.as_mut().poll(cx).is_pending())).await;
    assert!(waits);
    next(&queue).await.unwrap();
    drained.await;
    assert!(!outbox.is_behind() && !outbox.is_closed());
}

#[tokio::test]
async fn who_takes_nothing_does_not_stay() {
    let bounds = Bounds { patience: Duration::from_millis(1), ..BOUNDS };
    let queue = Arc::new(Queue::new(bounds, None));
    let outbox = StreamOutbox(Arc::clone(&queue));
    outbox.event(&event("e", 5_000));
    outbox.drained().await;
    assert_eq!(queue.ended(), Some(End::Closed(Close::SlowReader)));
    assert_eq!(all(&queue).await, "");
}

#[tokio::test]
async fn one_piece_may_be_large_and_more_than_the_bound_ends_it() {
    let (outbox, queue) = stream(None);
    outbox.event(&event("e", 100_000));
    assert!(!outbox.is_closed());
    outbox.event(&event("e", 1));
    assert_eq!(queue.ended(), Some(End::Closed(Close::SlowReader)));
    assert!(!outbox.is_behind());
    assert_eq!(next(&queue).await, None);
}
