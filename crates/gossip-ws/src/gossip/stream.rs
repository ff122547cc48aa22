//! A room's events as server-sent events over HTTP (contract §6). A stream is one more connection of the gateway, which
//! joins its room as a socket does, so that order, access, lag and limits are what they are there; it only has nothing
//! to say. What waits for its client is in [`queue`]; who may ask is decided before.

mod queue;

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use gossip_core::access::Identity;
use gossip_hub::{Close, Connection, Gateway};
use gossip_proto::event_stream::KEEP_ALIVE;
use gossip_proto::id::{RoomId, Seq};
use gossip_proto::refusal::Refusal;
use hyper::body::{Body as HttpBody, Frame};
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;
use serde_json::value::to_raw_value;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep, timeout};

use self::queue::{Bounds, End, Queue, StreamOutbox};
use super::service::{self, ServiceConfig, refusal};
use crate::engine::Pass;
use crate::http::Body;

const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: &str = "last-event-id";
/// The ack of the join: any number, nobody sees it.
const JOIN: u64 = 0;
/// How long a client may take to fetch what was sent before its stream ended, when all end: who takes nothing is not to
/// hold up the end of the server.
const FAREWELL: Duration = Duration::from_secs(2);

/// Whether an event stream is asked for, rather than JSON.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let types = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    let mut names = types.map(|media| media.split(';').next().unwrap_or_default().trim());
    names.any(|name| name.eq_ignore_ascii_case(EVENT_STREAM))
}

/// The last event that a client has which comes back; none if it says nothing.
///
/// # Errors
/// `invalid_input` where it is no id that a stream has given.
pub(super) fn last_event_id(headers: &HeaderMap) -> Result<Option<Seq>, Refusal> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let wrong = || Refusal::invalid("Last-Event-ID", "must be the id of an event of the room");
    match value.to_str().map_err(|_| wrong())?.trim() {
        "" => Ok(None),
        text => text.parse().map(|seq| Some(Seq(seq))).map_err(|_| wrong()),
    }
}

/// The event streams of a gateway.
pub(super) struct Streams {
    gateway: Gateway,
    bounds: Bounds,
    keep_alive: Duration,
    registry: Arc<Registry>,
}

impl Streams {
    pub(super) fn new(gateway: Gateway, config: &ServiceConfig) -> Streams {
        let patience = config.ping_interval + config.ping_timeout;
        let bounds = Bounds { max_bytes: config.max_queue_bytes, patience };
        Streams { gateway, bounds, keep_alive: config.ping_interval, registry: Arc::default() }
    }

    /// The stream of a room, for who was verified: with `since` from the event after that one on, else from now on. It is
    /// answered when the client is let in.
    ///
    /// # Errors
    /// The answer to who is not: as to `join_room`, to a handshake of a socket over a limit, or of one while draining.
    pub(super) async fn open(
        &self,
        room: RoomId,
        since: Option<Seq>,
        identity: Identity,
        peer: SocketAddr,
    ) -> Result<Response<Body>, Box<Response<Body>>> {
        let refused = |refused: Refusal| Box::new(refusal(&refused));
        let place = service::admit(&self.gateway, peer)?;
        let seated = self.gateway.seat(identity, None, Some(peer.ip())).map_err(refused)?;
        let join = json!({ "roomId": room, "since": since });
        let join = to_raw_value(&join).map_err(|error| refused(Refusal::invalid("data", error.to_string())))?;
        let queue = Arc::new(Queue::new(self.bounds, since));
        let connection = self.gateway.connect(Box::new(StreamOutbox(Arc::clone(&queue))), Some(peer.ip()));
        let connection = Arc::new(connection);
        connection.authenticate(seated);
        let joins = Arc::clone(&connection);
        let mut stream = Stream {
            joining: Some(Box::pin(async move { joins.receive("join_room", Some(&join), Some(JOIN)).await })),
            _entry: self.registry.enter(&queue),
            queue,
            connection,
            next_comment: Box::pin(sleep(self.keep_alive)),
            keep_alive: self.keep_alive,
            _place: place,
        };
        poll_fn(|cx| stream.poll_joined(cx)).await.map_err(refused)?;
        let mut response = Response::new(Body::stream(stream));
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Else nginx keeps events back until it has many.
        headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
        Ok(response)
    }

    /// Ends every stream, and those that are opened from now on.
    pub(super) fn close_all(&self) {
        let mut books = self.registry.lock();
        books.ended = true;
        let open: Vec<_> = books.open.values().cloned().collect();
        drop(books);
        open.iter().for_each(|queue| queue.end(End::Shutdown));
    }

    /// Resolves when every stream is gone with all that was sent on it, but for those whose clients take nothing.
    pub(super) async fn settled(&self) {
        // Who is left is cut off with the listener.
        let _ = timeout(FAREWELL, self.registry.emptied()).await;
    }
}

/// The body of the answer. With it, all that the gateway holds of the client is dropped.
struct Stream {
    /// The join, with what is replayed: it goes on as the client takes what there is.
    joining: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    queue: Arc<Queue>,
    connection: Arc<Connection>,
    next_comment: Pin<Box<Sleep>>,
    keep_alive: Duration,
    _entry: Entry,
    _place: Pass,
}

impl Stream {
    fn go_on_joining(&mut self, cx: &mut Context<'_>) {
        if let Some(joining) = &mut self.joining
            && joining.as_mut().poll(cx).is_ready()
        {
            self.joining = None;
        }
    }

    fn poll_joined(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        self.go_on_joining(cx);
        match self.queue.poll_answer(cx) {
            // Only a gateway that is gone does not answer.
            Poll::Pending if self.joining.is_none() => Poll::Ready(Err(Refusal::unavailable())),
            answer => answer,
        }
    }
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.go_on_joining(cx);
        if let Poll::Ready(piece) = self.queue.poll_next(cx) {
            return Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))));
        }
        ready!(self.next_comment.as_mut().poll(cx));
        let next = Instant::now() + self.keep_alive;
        self.next_comment.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(KEEP_ALIVE.as_bytes())))))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.queue.end(End::ClientGone);
        let end = self.queue.ended();
        self.connection.log_end("sse", end.unwrap_or(End::ClientGone));
        if end == Some(End::Closed(Close::SlowReader)) {
            self.connection.was_slow();
        }
    }
}

/// The open streams.
#[derive(Default)]
struct Registry {
    books: Mutex<Books>,
    emptied: Notify,
}

#[derive(Default)]
struct Books {
    open: HashMap<u64, Arc<Queue>>,
    next: u64,
    /// Nothing is to be opened any more.
    ended: bool,
}

/// A stream's place in the [`Registry`], for as long as it is kept.
struct Entry {
    registry: Arc<Registry>,
    number: u64,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, queue: &Arc<Queue>) -> Entry {
        let mut books = self.lock();
        let number = books.next;
        books.next += 1;
        books.open.insert(number, Arc::clone(queue));
        let ended = books.ended;
        drop(books);
        if ended {
            queue.end(End::Shutdown);
        }
        Entry { registry: Arc::clone(self), number }
    }

    async fn emptied(&self) {
        loop {
            let mut emptied = pin!(self.emptied.notified());
            // Before it looks: a change after that must wake it.
            emptied.as_mut().enable();
            if self.lock().open.is_empty() {
                return;
            }
            emptied.await;
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut books = self.registry.lock();
        books.open.remove(&self.number);
        if books.open.is_empty() {
            self.registry.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn who_asks_for_a_stream() {
        for wants in ["text/event-stream", "application/json, Text/Event-Stream;q=0.9", "a, text/event-stream ,b"] {
            assert!(is_wanted(&headers("accept", wants)), "{wants}");
        }
        for not in ["", "*/*", "text/*", "text/event-streams", "application/json"] {
            assert!(!is_wanted(&headers("accept", not)), "{not}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn the_last_event() {
        let of = |value| last_event_id(&headers(LAST_EVENT_ID, value)).map_err(|refused| refused.field);
        assert_eq!(last_event_id(&HeaderMap::new()).unwrap(), None);
        assert_eq!(of(""), Ok(None));
        assert_eq!(of("0"), Ok(Some(Seq(0))));
        assert_eq!(of(" 42 "), Ok(Some(Seq(42))));
        for wrong in ["-1", "x", "1.5", "99999999999999999999", "1,2"] {
            assert_eq!(of(wrong), Err(Some("Last-Event-ID")), "{wrong}");
        }
    }
}
