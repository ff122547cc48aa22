//! The HTTP requests of long-polling clients: GETs that wait for packets, POSTs that bring some. The answers are the
//! reference server's, to the letter where clients and the protocol suites look.

use std::time::Duration;

use gossip_proto::engineio::decode_payload;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::driver::Inbound;
use super::server::{BAD_REQUEST, UNKNOWN_SID};
use super::session::Polled;
use super::{CloseReason, Config, Session};
use crate::http::{Body, content, empty};

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

/// Answers a POST, when all its packets are handled.
pub(super) async fn post(session: &Session, req: Request<Incoming>) -> Response<Body> {
    let inbox = match session.begin_post() {
        Ok(inbox) => inbox,
        Err(Polled::Unknown) => return UNKNOWN_SID.response(),
        Err(_) => return BAD_REQUEST.response(),
    };
    let mut posting = Posting { session, received: false };
    let body = match receive(req, session.config()).await {
        Ok(body) => body,
        Err(Refused::TooLarge) => {
            posting.received = true;
            return empty(StatusCode::PAYLOAD_TOO_LARGE);
        }
        Err(Refused::Bad(reason)) => {
            session.close(reason);
            return BAD_REQUEST.response();
        }
    };
    posting.received = true;
    let Ok(packets) = decode_payload(&body) else {
        session.close(CloseReason::Protocol);
        return BAD_REQUEST.response();
    };
    drop(body);
    let (done, handled) = oneshot::channel();
    if inbox.send(Inbound::Post { packets, done }).await.is_err() || handled.await.is_err() {
        return BAD_REQUEST.response();
    }
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
    TooLarge,
    Bad(CloseReason),
}

async fn receive(req: Request<Incoming>, config: &Config) -> Result<String, Refused> {
    // Version 4 of the protocol has binary as base64 only.
    let is_binary = |value: &hyper::header::HeaderValue| value.as_bytes().starts_with(b"application/octet-stream");
    if req.headers().get(CONTENT_TYPE).is_some_and(is_binary) {
        return Err(Refused::Bad(CloseReason::Protocol));
    }
    let body = req.into_body();
    if body.size_hint().lower() > config.max_payload as u64 {
        return Err(Refused::TooLarge);
    }
    match timeout(config.body_timeout, Limited::new(body, config.max_payload).collect()).await {
        Ok(Ok(body)) => String::from_utf8(body.to_bytes().into()).map_err(|_| Refused::Bad(CloseReason::InvalidUtf8)),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refused::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Refused::Bad(CloseReason::TransportError)),
    }
}
