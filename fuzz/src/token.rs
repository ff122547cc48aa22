//! Tokens that any header and any claims make, signed as a token should be. What is in them is the caller's business.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Signs header and claims, whatever they are, with HMAC.
#[must_use]
pub fn signed(secret: &str, header: &str, claims: &str, algorithm: hmac::Algorithm) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(algorithm, secret.as_bytes()), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}
