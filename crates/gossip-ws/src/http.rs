//! What all HTTP answers of the crate share: the bodies' types, small responses, [`cors`], and [`client_address`]. It routes nothing.

pub mod client_address;
pub mod cors;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

pub use client_address::TrustedProxies;
pub use cors::Cors;

/// The body of a request, whoever serves HTTP: hyper's `Incoming`, axum's `Body`, or a whole one in a test.
pub trait RequestBody: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static {}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + 'static> RequestBody for B {}

/// What went wrong with somebody else's body.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer: nearly always whole, in memory.
#[derive(Debug)]
pub struct Body(Kind);

enum Kind {
    Whole(Full<Bytes>),
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = Infallible> + Send>>),
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Whole(body) => body.fmt(f),
            Kind::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Body {
    /// A whole one.
    #[must_use]
    pub fn new(body: Bytes) -> Body {
        Body(Kind::Whole(Full::new(body)))
    }

    /// One that is made while it is sent.
    #[must_use]
    pub fn stream(body: impl HttpBody<Data = Bytes, Error = Infallible> + Send + 'static) -> Body {
        Body(Kind::Stream(Box::pin(body)))
    }
}

impl Default for Body {
    fn default() -> Body {
        Body::new(Bytes::new())
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(body: T) -> Body {
        Body::new(body.into())
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Kind::Whole(body) => Pin::new(body).poll_frame(context),
            Kind::Stream(body) => body.as_mut().poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(body) => body.is_end_stream(),
            Kind::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(body) => body.size_hint(),
            Kind::Stream(body) => body.size_hint(),
        }
    }
}

/// An answer without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::default());
    *response.status_mut() = status;
    response
}

/// An answer with a body of the given type, not to be cached.
#[must_use]
pub fn content(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Body::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An answer of JSON text.
#[must_use]
pub fn json(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    content(status, "application/json", body)
}
