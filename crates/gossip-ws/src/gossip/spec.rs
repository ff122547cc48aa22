//! What can be asked over HTTP and over sockets, for programs to read: the OpenAPI and the AsyncAPI document of contract
//! §6, with the schemas of the types that are sent and read. What is answered is not decided here; a route or an event
//! that is not described fails a test.

mod asyncapi;
mod openapi;
mod schemas;

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, ETAG, HeaderMap, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

use super::console::{fingerprint, is_known};
use crate::http::{self, Body};

/// Where the OpenAPI document is served.
pub const OPENAPI_PATH: &str = "/v1/openapi.json";
/// Where the AsyncAPI document is served.
pub const ASYNCAPI_PATH: &str = "/v1/asyncapi.json";

struct Document {
    body: Bytes,
    etag: HeaderValue,
}

impl Document {
    fn new(document: &Value) -> Document {
        let body = Bytes::from(document.to_string());
        let etag = HeaderValue::from_str(&format!("\"{:016x}\"", fingerprint(&body)));
        Document { body, etag: etag.unwrap_or(HeaderValue::from_static("\"\"")) }
    }
}

static OPENAPI: LazyLock<Document> = LazyLock::new(|| Document::new(&openapi::document()));
static ASYNCAPI: LazyLock<Document> = LazyLock::new(|| Document::new(&asyncapi::document()));

/// The OpenAPI 3.1 document, JSON: the HTTP of contract §6.
#[must_use]
pub fn openapi() -> &'static [u8] {
    &OPENAPI.body
}

/// The AsyncAPI 3.0 document, JSON: the events of contract §2 and §3.
#[must_use]
pub fn asyncapi() -> &'static [u8] {
    &ASYNCAPI.body
}

/// The document of a path, to whoever asks.
pub(super) fn answer(path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
    let document = match path {
        OPENAPI_PATH => &*OPENAPI,
        ASYNCAPI_PATH => &*ASYNCAPI,
        _ => return None,
    };
    let mut response = if is_known(headers, document.etag.to_str().unwrap_or_default()) {
        http::empty(StatusCode::NOT_MODIFIED)
    } else {
        http::json(StatusCode::OK, document.body.clone())
    };
    let headers = response.headers_mut();
    // Kept, but asked about each time: another version of the server has another.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(ETAG, document.etag.clone());
    Some(response)
}

#[cfg(test)]
mod tests {
    use hyper::header::IF_NONE_MATCH;

    use super::*;

    /// Every `$ref` there is.
    fn references(value: &Value) -> Vec<&str> {
        match value {
            Value::Object(members) => {
                let own = members.get("$ref").and_then(Value::as_str);
                own.into_iter().chain(members.values().flat_map(references)).collect()
            }
            Value::Array(items) => items.iter().flat_map(references).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
        }
    }

    #[test]
    fn what_is_referred_to_is_there_and_used() {
        for body in [openapi(), asyncapi()] {
            let document: Value = serde_json::from_slice(body).unwrap();
            let found = references(&document);
            for reference in &found {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            for name in document["components"]["schemas"].as_object().unwrap().keys() {
                let reference = format!("#/components/schemas/{name}");
                assert!(found.contains(&&*reference), "{name} is not used");
            }
            let text = String::from_utf8_lossy(body);
            assert!(!text.contains("contract") && !text.contains("[`"), "written for those who have the sources");
        }
    }

    #[test]
    fn documents_are_kept_until_they_change() {
        for path in [OPENAPI_PATH, ASYNCAPI_PATH] {
            let first = answer(path, &HeaderMap::new()).unwrap();
            assert_eq!(first.status(), StatusCode::OK);
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, first.headers()[ETAG].clone())]);
            assert_eq!(answer(path, &headers).unwrap().status(), StatusCode::NOT_MODIFIED);
        }
        assert!(answer("/v1/other.json", &HeaderMap::new()).is_none());
    }
}
