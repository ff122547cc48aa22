//! Which web pages may talk to the server (<https://fetch.spec.whatwg.org/#http-cors-protocol>). Browsers apply the
//! answer's headers to HTTP only; [`Cors::allows`] is for WebSockets, which they do not guard. It is not authentication.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, HeaderMap, HeaderValue,
    ORIGIN, VARY,
};
use hyper::{Response, StatusCode};

use super::{Body, empty};

/// Seconds a browser may remember the answer to a preflight; browsers cap it at about two hours themselves.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins that may use the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cors {
    /// Every origin, without cookies: `Access-Control-Allow-Origin: *`.
    Any,
    /// These origins (`https://example.org`, no path), with credentials; all others are refused.
    List(Vec<String>),
}

impl Cors {
    /// Reads a comma-separated list of origins; a `*` among them means [`Cors::Any`].
    #[must_use]
    pub fn parse(list: &str) -> Cors {
        let origins: Vec<String> = list
            .split(',')
            .map(|origin| origin.trim().trim_end_matches('/'))
            .filter(|origin| !origin.is_empty())
            .map(str::to_owned)
            .collect();
        if origins.iter().any(|origin| origin == "*") { Cors::Any } else { Cors::List(origins) }
    }

    /// Whether a request with these headers may be served. One without `Origin` does not come from a web page, and may.
    #[must_use]
    pub fn allows(&self, request: &HeaderMap) -> bool {
        request.get(ORIGIN).is_none_or(|origin| self.lists(origin))
    }

    /// The answer to `OPTIONS`: 204, allowing `methods` (`"GET,POST"`) and whatever headers were asked for.
    #[must_use]
    pub fn preflight(&self, request: &HeaderMap, methods: &'static str) -> Response<Body> {
        let mut response = empty(StatusCode::NO_CONTENT);
        if self.allows(request) {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
            if let Some(asked) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
                headers.append(VARY, HeaderValue::from_static("Access-Control-Request-Headers"));
            }
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        self.apply(request.get(ORIGIN), response.headers_mut());
        response
    }

    /// Adds the headers that let a page of `origin`, as the request had it, read the answer.
    pub fn apply(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        match self {
            Cors::Any => {
                response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Cors::List(_) => {
                response.append(VARY, HeaderValue::from_static("Origin"));
                if let Some(origin) = origin.filter(|origin| self.lists(origin)) {
                    response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
                    response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
                }
            }
        }
    }

    fn lists(&self, origin: &HeaderValue) -> bool {
        match self {
            Cors::Any => true,
            Cors::List(list) => list.iter().any(|listed| origin.as_bytes().eq_ignore_ascii_case(listed.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|&(name, value)| (hyper::header::HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn who_may_and_what_is_answered() {
        // list, origin, allowed, Access-Control-Allow-Origin
        for (list, origin, allowed, answer) in [
            ("*", Some("https://a.example"), true, Some("*")),
            ("*", None, true, Some("*")),
            ("https://a.example", None, true, None),
            ("https://a.example/, https://b.example", Some("https://b.example"), true, Some("https://b.example")),
            ("https://a.example", Some("HTTPS://A.example"), true, Some("HTTPS://A.example")),
            ("https://a.example", Some("https://a.example.evil"), false, None),
            ("https://a.example", Some("null"), false, None),
            ("", Some("https://a.example"), false, None),
        ] {
            let cors = Cors::parse(list);
            let request = headers(&origin.map(|origin| ("origin", origin)).into_iter().collect::<Vec<_>>());
            assert_eq!(cors.allows(&request), allowed, "{list} {origin:?}");
            let mut response = HeaderMap::new();
            cors.apply(request.get(ORIGIN), &mut response);
            let allow = response.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(HeaderValue::as_bytes);
            assert_eq!(allow, answer.map(str::as_bytes), "{list} {origin:?}");
            assert_eq!(response.contains_key(VARY), cors != Cors::Any);
        }
    }

    #[test]
    fn a_preflight_reflects_the_headers_asked_for() {
        let request = headers(&[("origin", "https://a.example"), ("access-control-request-headers", "x-one,x-two")]);
        let response = Cors::parse("https://a.example").preflight(&request, "GET,POST");
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET,POST");
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_HEADERS], "x-one,x-two");
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        let refused = Cors::parse("https://b.example").preflight(&request, "GET,POST");
        assert!(!refused.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS));
    }
}
