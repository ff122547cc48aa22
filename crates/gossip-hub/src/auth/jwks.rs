//! A file of several keys: a JWK Set (RFC 7517), of which the keys that sign tokens are taken. It is read again while the
//! server runs, so that keys can be changed without a restart; what cannot be used is not taken over.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use super::{Key, Verifier};
use crate::error::Error;

/// How often the file is looked at: a change is to hold within 10 s (contract §7).
const LOOK: Duration = Duration::from_secs(2);
/// A file may be so long.
const MAX_BYTES: u64 = 256 * 1024;
/// And have so many keys: a token without `kid` is tried with each of its algorithm.
const MAX_KEYS: usize = 32;
/// The least of an HS256 key (RFC 7518 §3.2).
const MIN_SECRET: usize = 32;
/// The least and the most of an RSA modulus, in bytes.
const RSA_MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// The file, and what was seen of it.
#[derive(Debug)]
pub(super) struct JwksFile {
    pub(super) path: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    content: Vec<u8>,
    /// It could not be read, which was said.
    is_missing: bool,
}

/// What became of another look at the file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing is new.
    Same,
    /// There are other keys now.
    Replaced,
    /// What is there now cannot be used, which was said: the keys stay.
    Kept,
}

impl JwksFile {
    /// With its keys.
    pub(super) fn open(path: &Path) -> Result<(JwksFile, Vec<Key>), Error> {
        let content = read(path).map_err(|error| unusable(error.to_string()))?;
        let keys = parse(&content)?;
        let seen = Mutex::new(Seen { content, is_missing: false });
        Ok((JwksFile { path: path.to_owned(), seen }, keys))
    }

    /// Takes what was read; each fault is said once.
    pub(super) fn look(&self, read: io::Result<Vec<u8>>, replace: impl FnOnce(Vec<Key>)) -> Look {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let content = match read {
            Ok(content) => content,
            Err(_) if seen.is_missing => return Look::Same,
            Err(error) => {
                seen.is_missing = true;
                tracing::warn!(file = %self.path.display(), %error, "the JWK set cannot be read; the keys stay as they are");
                return Look::Kept;
            }
        };
        seen.is_missing = false;
        if content == seen.content {
            return Look::Same;
        }
        let parsed = parse(&content);
        seen.content = content;
        match parsed {
            Ok(keys) => {
                tracing::info!(file = %self.path.display(), keys = keys.len(), "the keys that verify tokens have changed");
                replace(keys);
                Look::Replaced
            }
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "the keys stay as they are");
                Look::Kept
            }
        }
    }
}

/// Looks at the verifier's file again and again, for ever; returns at once where it has none.
pub(crate) async fn follow(verifier: Arc<Verifier>) {
    let Some(path) = verifier.file().map(|file| file.path.clone()) else { return };
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let path = path.clone();
        // A read that panics is one that failed.
        let content = tokio::task::spawn_blocking(move || read(&path)).await;
        verifier.reread(content.unwrap_or_else(|error| Err(io::Error::other(error))));
    }
}

/// The whole file, unless it is far too long, or none that ends.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut content = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        return Err(io::Error::other("it is too long"));
    }
    Ok(content)
}

fn unusable(reason: String) -> Error {
    Error::Key { kind: "JWK set", reason }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

/// What is looked at in a JWK (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).
#[derive(Deserialize)]
struct Member {
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// The keys of a JWK set that verify tokens. Others are skipped, with a warning each.
pub(super) fn parse(content: &[u8]) -> Result<Vec<Key>, Error> {
    let set: Set = serde_json::from_slice(content).map_err(|_| unusable(r#"it must be {"keys": […]}"#.into()))?;
    if set.keys.len() > MAX_KEYS {
        return Err(unusable(format!("it may have at most {MAX_KEYS} keys")));
    }
    let mut keys = Vec::with_capacity(set.keys.len());
    for value in set.keys {
        let kid = value.get("kid").and_then(Value::as_str).map(Box::<str>::from);
        match verifying(value) {
            Ok((algorithm, key)) => keys.push(Key::verifying(kid, algorithm, key)),
            Err(why) => tracing::warn!(?kid, "a key of the JWK set is skipped: {why}"),
        }
    }
    if keys.is_empty() {
        return Err(unusable("it has no key that could be used".into()));
    }
    Ok(keys)
}

fn verifying(value: Value) -> Result<(Algorithm, DecodingKey), &'static str> {
    if value.get("kid").is_some_and(|kid| !kid.is_string()) {
        return Err("its kid is not a text");
    }
    let jwk: Member = serde_json::from_value(value).map_err(|_| "it is not a JWK")?;
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return Err("its use is not sig");
    }
    if jwk.key_ops.as_ref().is_some_and(|ops| !ops.iter().any(|op| op == "verify")) {
        return Err("its key_ops do not have verify");
    }
    let (algorithm, names, key): (_, &[&str], _) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => (Algorithm::RS256, &["RS256"], rsa(&jwk)?),
        ("EC", Some("P-256")) => (Algorithm::ES256, &["ES256"], p256(&jwk)?),
        ("OKP", Some("Ed25519")) => (Algorithm::EdDSA, &["EdDSA", "Ed25519"], ed25519(&jwk)?),
        ("oct", _) => (Algorithm::HS256, &["HS256"], secret(&jwk)?),
        _ => return Err("it is not an RSA, P-256, Ed25519 or oct key"),
    };
    if jwk.alg.as_deref().is_some_and(|alg| !names.contains(&alg)) {
        return Err("its alg is none that is accepted with such a key");
    }
    Ok((algorithm, key))
}

fn rsa(jwk: &Member) -> Result<DecodingKey, &'static str> {
    let (Some(n), Some(e)) = (&jwk.n, &jwk.e) else { return Err("it lacks n or e") };
    if !RSA_MODULUS.contains(&(n.len() * 3 / 4)) {
        return Err("its modulus must have from 2048 to 8192 bits");
    }
    DecodingKey::from_rsa_components(n, e).map_err(|_| "its n or e is not base64url")
}

fn p256(jwk: &Member) -> Result<DecodingKey, &'static str> {
    let (Some(x), Some(y)) = (&jwk.x, &jwk.y) else { return Err("it lacks x or y") };
    // 32 bytes each: together they would say nothing of where one ends.
    if [x, y].iter().any(|coordinate| coordinate.len() != 43) {
        return Err("its x and y must have 32 bytes");
    }
    DecodingKey::from_ec_components(x, y).map_err(|_| "its x or y is not base64url")
}

fn ed25519(jwk: &Member) -> Result<DecodingKey, &'static str> {
    let x = jwk.x.as_ref().ok_or("it lacks x")?;
    let key = DecodingKey::from_ed_components(x).map_err(|_| "its x is not base64url")?;
    if key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() == 32) { Ok(key) } else { Err("its x must have 32 bytes") }
}

fn secret(jwk: &Member) -> Result<DecodingKey, &'static str> {
    let k = jwk.k.as_ref().ok_or("it lacks k")?;
    let jwk: Jwk = serde_json::from_value(json!({ "kty": "oct", "k": k })).map_err(|_| "it is not a JWK")?;
    let key = DecodingKey::from_jwk(&jwk).map_err(|_| "its k is not base64url")?;
    let is_long = key.try_get_as_bytes().is_ok_and(|bytes| bytes.len() >= MIN_SECRET);
    if is_long { Ok(key) } else { Err("its k has fewer than 32 bytes") }
}

#[cfg(test)]
mod tests;
