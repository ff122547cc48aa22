//! The console (contract §8): the files of `console/`, inside the binary, and the headers they go out with. What the page
//! does it does through the plain WebSocket and `/v1/stats`, like anyone else; nothing here knows a room or a user.

use std::io::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, HeaderMap, HeaderName,
    HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Method, Response, StatusCode};

use crate::http::{self, Body};

/// Scripts and styles are files of this server and nothing else, no text becomes markup whatever the page does, and it
/// connects to this server alone (`'self'` takes in its WebSockets: <https://www.w3.org/TR/CSP3/#match-url-to-source-expression>).
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
);
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";
const JSON: &str = "application/json";

struct Asset {
    path: &'static str,
    content_type: &'static str,
    body: &'static str,
    /// Weak: it stands for the compressed form too.
    etag: String,
    gzip: Bytes,
}

impl Asset {
    fn new(path: &'static str, content_type: &'static str, body: &'static str) -> Asset {
        let gzip = gzip(body.as_bytes()).unwrap_or_default();
        Asset { path, content_type, body, etag: format!("W/\"{:016x}\"", fingerprint(body.as_bytes())), gzip }
    }
}

macro_rules! assets {
    ($($path:literal => $file:literal, $content_type:ident;)*) => {
        vec![$(Asset::new($path, $content_type, include_str!(concat!("../../console/", $file)))),*]
    };
}

/// What the page asks before it offers a token: whether there is a `/dev/token`.
const SETTINGS: &str = "/console/settings.json";

/// Compressed once, for the first who comes.
static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    assets! {
        "/" => "index.html", HTML;
        "/console/app.css" => "app.css", CSS;
        "/console/card.js" => "card.js", JAVASCRIPT;
        "/console/chart.js" => "chart.js", JAVASCRIPT;
        "/console/connection.js" => "connection.js", JAVASCRIPT;
        "/console/dom.js" => "dom.js", JAVASCRIPT;
        "/console/feed.js" => "feed.js", JAVASCRIPT;
        "/console/figures.css" => "figures.css", CSS;
        "/console/figures.js" => "figures.js", JAVASCRIPT;
        "/console/forms.js" => "forms.js", JAVASCRIPT;
        "/console/icon.svg" => "icon.svg", SVG;
        "/console/main.js" => "main.js", JAVASCRIPT;
        "/console/room-panel.js" => "room-panel.js", JAVASCRIPT;
        "/console/rooms.js" => "rooms.js", JAVASCRIPT;
        "/console/sign-in.js" => "sign-in.js", JAVASCRIPT;
        "/console/thread.js" => "thread.js", JAVASCRIPT;
    }
});

/// FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>): another binary's file must look different, no more than that.
pub(super) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn gzip(bytes: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish().map(Bytes::from)
}

/// Whether a path is the console's.
pub(super) fn serves(path: &str) -> bool {
    path == "/" || path.starts_with("/console/")
}

/// The file at a path for which [`serves`] holds; 404 where there is none. With `is_dev` the page offers a token.
pub(super) fn answer(method: &Method, path: &str, headers: &HeaderMap, is_dev: bool) -> Response<Body> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = http::empty(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    if path == SETTINGS {
        let body = if is_dev { r#"{"dev":true}"# } else { r#"{"dev":false}"# };
        return guarded(http::content(StatusCode::OK, JSON, body));
    }
    let Some(asset) = ASSETS.iter().find(|asset| asset.path == path) else {
        return guarded(http::empty(StatusCode::NOT_FOUND));
    };
    let mut response = if is_known(headers, &asset.etag) {
        http::empty(StatusCode::NOT_MODIFIED)
    } else if takes_gzip(headers) && !asset.gzip.is_empty() {
        let mut response = http::content(StatusCode::OK, asset.content_type, asset.gzip.clone());
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response
    } else {
        http::content(StatusCode::OK, asset.content_type, asset.body)
    };
    let headers = response.headers_mut();
    // Kept, but asked about each time: after an upgrade of the server its modules must not meet old ones.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Ok(etag) = HeaderValue::from_str(&asset.etag) {
        headers.insert(ETAG, etag);
    }
    guarded(response)
}

fn guarded(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

/// Whether the client has the file as it is (RFC 9110 §13.1.2, by the weak comparison).
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    values(headers, &IF_NONE_MATCH).any(|tag| tag == "*" || opaque(tag) == opaque(etag))
}

/// Whether the client names gzip and does not refuse it with a weight of zero (RFC 9110 §12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    values(headers, &ACCEPT_ENCODING).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_zero = weight.trim().strip_prefix("q=").is_some_and(|q| q.parse().is_ok_and(|q: f32| q <= 0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !is_zero
    })
}

/// The members of a header that is a list, over all its lines.
fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use hyper::header::CONTENT_TYPE;

    use super::*;

    fn get(path: &str, pairs: &[(HeaderName, &'static str)]) -> Response<Body> {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        answer(&Method::GET, path, &headers, false)
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_small() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/console");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| format!("/console/{}", entry.unwrap().file_name().to_str().unwrap()))
            .map(|path| if path == "/console/index.html" { "/".to_owned() } else { path })
            .collect();
        files.sort();
        assert_eq!(ASSETS.iter().map(|asset| asset.path.to_owned()).collect::<Vec<_>>(), files);
        let sent: usize = ASSETS.iter().map(|asset| asset.gzip.len()).sum();
        assert!(sent < 60_000, "{sent} bytes on the wire");
    }

    /// What the files are held to: no text becomes markup, nothing comes from elsewhere, each says what it is.
    #[test]
    fn the_files_keep_to_the_rules() {
        let markup = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "createContextualFragment",
            "setHTML",
            "DOMParser",
            "srcdoc",
            "eval(",
            "new Function",
        ];
        for Asset { path, content_type, body, .. } in ASSETS.iter() {
            for word in markup {
                assert!(!body.contains(word), "{path} has {word}");
            }
            let begins = match *content_type {
                JAVASCRIPT => "// ",
                CSS => "/* ",
                SVG => "<!-- ",
                _ => "<!doctype html>\n<!-- ",
            };
            assert!(body.starts_with(begins), "{path} does not begin with what it is");
            assert!(body.lines().count() <= 400, "{path} is too long");
            let elsewhere = body.replace("http://www.w3.org/2000/svg", "");
            assert!(!elsewhere.contains("http://") && !elsewhere.contains("https://"), "{path} names another host");
        }
        let page = ASSETS[0].body;
        for inline in [" style=", "<style", "onclick", "onload", "<script>"] {
            assert!(!page.contains(inline), "the page has {inline}");
        }
    }

    #[test]
    fn each_answer_is_guarded() {
        for (path, content_type) in [("/", HTML), ("/console/main.js", JAVASCRIPT), (SETTINGS, JSON)] {
            let response = get(path, &[]);
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[CONTENT_TYPE], content_type);
            assert_eq!(response.headers()[CONTENT_SECURITY_POLICY], POLICY);
            assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(response.headers()[REFERRER_POLICY], "no-referrer");
        }
        assert_eq!(get("/console/../Cargo.toml", &[]).status(), StatusCode::NOT_FOUND);
        assert_eq!(answer(&Method::POST, "/", &HeaderMap::new(), false).status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer(&Method::HEAD, "/", &HeaderMap::new(), false).status(), StatusCode::OK);
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let etag = get("/", &[]).headers()[ETAG].to_str().unwrap().to_owned();
        assert_ne!(get("/console/main.js", &[]).headers()[ETAG], etag);
        let strong = etag.trim_start_matches("W/");
        for (tags, status) in [
            (etag.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", {strong}"), StatusCode::NOT_MODIFIED),
            ("*".to_owned(), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(&tags).unwrap())]);
            let response = answer(&Method::GET, "/", &headers, false);
            assert_eq!(response.status(), status, "{tags}");
            assert_eq!(response.headers()[CACHE_CONTROL], "no-cache");
        }
    }

    #[test]
    fn it_is_compressed_for_who_asks() {
        for (accepted, coding) in [
            ("gzip, deflate, br", Some("gzip")),
            ("br;q=1, GZIP;q=0.5", Some("gzip")),
            ("gzip;q=0", None),
            ("br", None),
            ("", None),
        ] {
            let response = get("/", &[(ACCEPT_ENCODING, accepted)]);
            assert_eq!(response.headers().get(CONTENT_ENCODING).map(HeaderValue::as_bytes), coding.map(str::as_bytes));
            assert_eq!(response.headers()[VARY], "Accept-Encoding");
        }
    }
}
