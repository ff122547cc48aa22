//! The opening handshake (RFC 6455 §4.2): checks the request, makes the 101, and turns hyper's connection into a reader
//! and a writer. It does not look at `Origin`; that is [`Cors::allows`](crate::http::Cors::allows).

use std::sync::Arc;

use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Version};

use super::reader::ReadSocket;
use super::{HttpStream, WsReader, WsWriter};
use crate::Error;
use crate::http::{Body, empty};

/// How much one WebSocket may hold, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The largest message that is delivered. Larger ones up to four times this are reported as
    /// [`Incoming::Oversized`](super::Incoming::Oversized), beyond that the connection ends.
    pub max_message: usize,
    /// How much may wait to be sent.
    pub max_queue: usize,
}

/// A WebSocket whose 101 has yet to be sent.
#[derive(Debug)]
pub struct Upgrading {
    on_upgrade: OnUpgrade,
    limits: Limits,
}

/// Whether a request wants to become a WebSocket.
#[must_use]
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    lists(headers, UPGRADE, "websocket")
}

/// Answers a request that wants to become a WebSocket. The answer must be returned to hyper before
/// [`Upgrading::connected`] can resolve.
///
/// # Errors
/// The answer for a request that does not fulfil RFC 6455 §4.2.1: 400, or 426 where only the version is wrong.
pub fn accept<B>(req: &mut Request<B>, limits: Limits) -> Result<(Response<Body>, Upgrading), Box<Response<Body>>> {
    let headers = req.headers();
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| is_key(key.as_bytes()));
    let valid = req.method() == Method::GET
        && req.version() == Version::HTTP_11
        && is_upgrade(headers)
        && lists(headers, CONNECTION, "upgrade");
    let Some(key) = key.filter(|_| valid) else {
        return Err(Box::new(empty(StatusCode::BAD_REQUEST)));
    };
    if headers.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        let mut response = empty(StatusCode::UPGRADE_REQUIRED);
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return Err(Box::new(response));
    }
    let response = switching_protocols(key).ok_or_else(|| Box::new(empty(StatusCode::BAD_REQUEST)))?;
    let on_upgrade = hyper::upgrade::on(req);
    Ok((response, Upgrading { on_upgrade, limits }))
}

impl Upgrading {
    /// Waits for the 101 to be sent, then takes the socket over.
    ///
    /// # Errors
    /// [`Error::Upgrade`] where the connection ended before; [`Error::Protocol`] where it is not a plain TCP connection
    /// served by [`listener`](crate::listener).
    pub async fn connected(self) -> Result<(WsReader, WsWriter), Error> {
        let upgraded = self.on_upgrade.await?;
        let parts =
            upgraded.downcast::<HttpStream>().map_err(|_| Error::Protocol("not a connection of the listener"))?;
        let (read, write) = parts.io.into_tcp().into_split();
        let read = Arc::new(ReadSocket::new(read, parts.read_buf, self.limits.max_message));
        let reader = WsReader::new(Arc::clone(&read), self.limits.max_message);
        Ok((reader, WsWriter::new(write, read, self.limits.max_queue)))
    }
}

/// The 101. fastwebsockets knows how to compute its `Sec-WebSocket-Accept`, but only tells it for a whole request.
fn switching_protocols(key: &HeaderValue) -> Option<Response<Body>> {
    let mut stub = Request::new(());
    stub.headers_mut().insert(SEC_WEBSOCKET_KEY, key.clone());
    stub.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    let (response, _) = fastwebsockets::upgrade::upgrade(stub).ok()?;
    Some(response.map(|_| Body::default()))
}

/// The base64 of 16 bytes.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22].iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|item| item.trim().eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_header_of_rfc_6455_1_3() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert!(is_key(key.as_bytes()));
        let response = switching_protocols(&key).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
