//! The HTTP requests of long-polling clients: GETs that wait for packets, POSTs that bring some. The answers are the
//! reference server's, to the letter where clients and the protocol suites look.

use std::time::Duration;

use gossip_proto::engineio::{MAX_PACKETS, Packet, SEPARATOR, decode_payload};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::driver::{Inbound, Posted};
use super::server::{BAD_REQUEST, UNKNOWN_SID};
use super::session::Polled;
use super::{CloseReason, Config, Session};
use crate::http::{Body, RequestBody, content, empty};
use crate::transport::OVERSIZE_FACTOR;

/// How long a poll waits during an upgrade. Not at all would do; a moment lets the end of the upgrade overtake a poll
/// sent after it. The reference server takes up to 100 ms.
const UPGRADING_WAIT: Duration = Duration::from_millis(25);

pub(super) fn packets(body: impl Into<bytes::Bytes>) -> Response<Body> {
    content(StatusCode::OK, "text/plain; charset=UTF-8", body)
}

/// Answers a GET.
pub(super) async fn get(session: &Session) -> Response<Body> {
    let (mut answer, briefly) = match session.poll() {
        Polled::Now(body) => return packets(body),
        Polled::Later { answer, briefly } => (answer, briefly),
        Polled::Unknown => return UNKNOWN_SID.response(),
        Polled::Refused => return BAD_REQUEST.response(),
    };
    let mut waiting = Waiting { session, answered: false };
    let answered = if briefly {
        match timeout(UPGRADING_WAIT, &mut answer).await {
            Ok(answered) => answered.ok(),
            Err(_) => session.unpark().or_else(|| answer.try_recv().ok()),
        }
    } else {
        answer.await.ok()
    };
    waiting.answered = true;
    answered.map_or_else(|| BAD_REQUEST.response(), packets)
}

/// A poll whose client goes away takes the session with it: what would have been its answer has nowhere to go.
struct Waiting<'a> {
    session: &'a Session,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.session.close(CloseReason::TransportClosed);
        }
    }
}

/// Answers a POST, when all its packets are handled or that needs the client to go on.
pub(super) async fn post<B: RequestBody>(session: &Session, req: Request<B>) -> Response<Body> {
    let inbox = match session.begin_post() {
        Ok(inbox) => inbox,
        Err(Polled::Unknown) if session.has_farewell() => return posted(),
        Err(Polled::Unknown) => return UNKNOWN_SID.response(),
        Err(_) => return BAD_REQUEST.response(),
    };
    let mut posting = Posting { session, received: false };
    let received = match receive(req, session.config()).await {
        Ok(body) => decode(&body, session.config().max_payload).ok_or(Refused::Bad(CloseReason::Protocol)),
        Err(refused) => Err(refused),
    };
    posting.received = true;
    let (packets, too_large) = match received {
        Ok(packets) => (packets, false),
        Err(Refused::TooLarge(len)) => (vec![Posted::Refused(len)], true),
        Err(Refused::Bad(reason)) => {
            session.close(reason);
            return BAD_REQUEST.response();
        }
    };
    let (done, handled) = oneshot::channel();
    let sent = inbox.send(Inbound::Post { posted: packets, done }).await.is_ok();
    let handled = sent
        && tokio::select! {
            handled = handled => handled.is_ok(),
            Ok(()) = session.awaits_client() => true,
        };
    if too_large {
        return empty(StatusCode::PAYLOAD_TOO_LARGE);
    }
    if handled || session.has_farewell() { posted() } else { BAD_REQUEST.response() }
}

/// Also for packets that come too late: a client whose POST fails does not fetch what the closed session still has for
/// it, such as the acks of what it sent before.
fn posted() -> Response<Body> {
    // The type is the reference's: some browsers offered other answers as downloads.
    content(StatusCode::OK, "text/html", "ok")
}

/// A POST under way. One that breaks off closes the session: its packets are lost.
struct Posting<'a> {
    session: &'a Session,
    received: bool,
}

impl Drop for Posting<'_> {
    fn drop(&mut self) {
        self.session.end_post();
        if !self.received {
            self.session.close(CloseReason::TransportError);
        }
    }
}

enum Refused {
    /// A body of this length, at least.
    TooLarge(usize),
    Bad(CloseReason),
}

async fn receive<B: RequestBody>(req: Request<B>, config: &Config) -> Result<String, Refused> {
    // Version 4 of the protocol has binary as base64 only.
    let is_binary = |value: &hyper::header::HeaderValue| value.as_bytes().starts_with(b"application/octet-stream");
    if req.headers().get(CONTENT_TYPE).is_some_and(is_binary) {
        return Err(Refused::Bad(CloseReason::Protocol));
    }
    let body = req.into_body();
    let limit = config.max_payload.saturating_mul(OVERSIZE_FACTOR);
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Refused::TooLarge(announced));
    }
    match timeout(config.body_timeout, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => String::from_utf8(body.to_bytes().into()).map_err(|_| Refused::Bad(CloseReason::InvalidUtf8)),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refused::TooLarge(limit.saturating_add(1))),
        Ok(Err(_)) | Err(_) => Err(Refused::Bad(CloseReason::TransportError)),
    }
}

/// The packets of a body, if they are good. Those whose message is longer than `max` are passed over, as they are on a
/// WebSocket.
fn decode(body: &str, max: usize) -> Option<Vec<Posted>> {
    if body.len() <= max {
        return Some(decode_payload(body).ok()?.into_iter().map(Posted::Packet).collect());
    }
    if body.split(SEPARATOR).count() > MAX_PACKETS {
        return None;
    }
    let posted = |element: &str| match message_len(element) {
        len if len > max => Some(Posted::Oversized(len)),
        _ => Packet::decode_text(element.to_owned()).ok().map(Posted::Packet),
    };
    body.split(SEPARATOR).map(posted).collect()
}

/// How long a packet's message would be on a WebSocket: base64 makes three bytes of four characters.
fn message_len(element: &str) -> usize {
    element.strip_prefix('b').map_or(element.len(), |base64| base64.trim_end_matches('=').len() * 3 / 4)
}
