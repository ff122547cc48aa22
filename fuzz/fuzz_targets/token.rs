//! Tokens: no text is one by chance, nor is a key. With a header and claims on a line each the token is signed with the
//! right secret, whatever they say: then it is taken only with the one algorithm, and only for what its claims say.
#![no_main]

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use gossip_core::access::Identity;
use gossip_fuzz::signed;
use gossip_hub::{Key, Verifier, VerifierConfig};
use gossip_proto::refusal::Code;
use gossip_proto::request::Token;
use gossip_proto::timestamp::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const SECRET: &str = "a secret of at least thirty-two bytes";
/// Seconds since the epoch.
const NOW: i64 = 1_800_000_000;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| Verifier::new(Key::secret(SECRET), VerifierConfig::default()));

/// Where a set of keys is put to be read.
static KEYS: LazyLock<std::path::PathBuf> = LazyLock::new(|| std::env::temp_dir().join("gossip-fuzz-keys.json"));

fn verify(token: &str) -> Option<Identity> {
    match VERIFIER.verify(&Token(token.to_owned()), None, Timestamp::from_millis(NOW * 1000)) {
        Ok(identity) => Some(identity),
        Err(refusal) => {
            assert!(matches!(refusal.code, Code::InvalidToken | Code::TokenExpired), "{refusal:?}");
            None
        }
    }
}

/// What was taken must be what the claims say.
fn check(identity: &Identity, header: &str, claims: &str) {
    let header: Value = serde_json::from_str(header).expect("a header that was read");
    assert_eq!(header["alg"], "HS256", "the algorithm is the key's");
    let claims: Value = serde_json::from_str(claims).expect("claims that were read");
    let exp = claims["exp"].as_f64().expect("an expiry, as a number");
    assert!(exp > NOW as f64 && identity.expires_at > Timestamp::from_millis(NOW * 1000));
    assert!(identity.expires_at.as_millis() as f64 <= exp * 1000.0);
    assert!(claims.get("nbf").is_none_or(|nbf| nbf.as_f64().is_some_and(|nbf| nbf <= (NOW + 5) as f64)));
    assert_eq!(claims["sub"].as_str().map(str::to_ascii_lowercase), Some(identity.user.to_string()));
}

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    assert_eq!(verify(&text), None);
    let _ = Key::public_pem(data);
    if data.first() == Some(&b'{') {
        // A set of keys that anybody could have written: tokens of others are as bad with it.
        std::fs::write(&*KEYS, data).expect("a file");
        if let Ok(verifier) = Verifier::from_jwks_file(&KEYS, VerifierConfig::default()) {
            let now = Timestamp::from_millis(NOW * 1000);
            assert!(verifier.verify(&Token(text.clone().into_owned()), None, now).is_err());
        }
    }
    if let Some((header, claims)) = text.split_once('\n') {
        if let Some(identity) = verify(&signed(SECRET, header, claims, hmac::HMAC_SHA256)) {
            check(&identity, header, claims);
        }
        assert_eq!(verify(&signed(SECRET, header, claims, hmac::HMAC_SHA512)), None);
        if let Some(identity) = verify(&signed(SECRET, r#"{"alg":"HS256"}"#, claims, hmac::HMAC_SHA256)) {
            check(&identity, r#"{"alg":"HS256"}"#, claims);
        }
    }
});
