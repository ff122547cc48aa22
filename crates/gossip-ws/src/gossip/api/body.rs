//! Bodies of requests: read whole within a bound and a time, or let go.

use std::time::Duration;

use bytes::Bytes;
use gossip_proto::refusal::{Code, Refusal};
use http_body_util::{BodyExt, Limited};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::time::timeout;

use super::super::service::refusal;
use crate::http::{self, Body, RequestBody};

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body, also one that means nothing: so the connection can go on.
pub(super) async fn read<B: RequestBody>(body: B, max: usize) -> Result<Bytes, Box<Response<Body>>> {
    let too_large = || {
        let refused = Refusal::new(Code::TooLarge, format!("a body may have at most {max} bytes"));
        let mut response = refusal(&refused);
        // The rest of it is not read.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Err(Box::new(response))
    };
    if body.size_hint().lower() > max as u64 {
        return too_large();
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) => too_large(),
        Err(_) => Err(Box::new(http::empty(StatusCode::REQUEST_TIMEOUT))),
    }
}
