//! What is looked at in a token: its length, its header, its signature, its claims.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use gossip_core::access::{Identity, Role, RoomsClaim};
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::request::Token;
use gossip_proto::timestamp::Timestamp;
use jsonwebtoken::Validation;
use jsonwebtoken::errors::ErrorKind;
use serde::Deserialize;
use serde_json::Value;

use super::Key;
use super::jwks::{JwksFile, Look};
use crate::error::Error;

/// A token may have so many bytes: far more than one with a hundred rooms has.
const MAX_TOKEN: usize = 16 * 1024;

/// What a token must have beside a good signature.
#[derive(Debug, Clone)]
pub struct VerifierConfig {
    /// `JWT_ISSUER`
    pub issuer: Option<String>,
    /// `JWT_AUDIENCE`
    pub audience: Option<String>,
    /// `JWT_LEEWAY`: how far ahead `nbf` may lie. `exp` is exact.
    pub leeway: std::time::Duration,
}

impl Default for VerifierConfig {
    fn default() -> Self {
        VerifierConfig { issuer: None, audience: None, leeway: std::time::Duration::from_secs(5) }
    }
}

/// Tells good tokens from bad ones.
#[derive(Debug)]
pub struct Verifier {
    keys: RwLock<Arc<[Checked]>>,
    config: VerifierConfig,
    file: Option<JwksFile>,
}

/// A key with what is asked of tokens that it signed.
#[derive(Debug)]
struct Checked {
    key: Key,
    validation: Validation,
}

#[derive(Deserialize)]
struct Payload {
    sub: String,
    exp: f64,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<f64>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<f64>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    rooms: Option<Value>,
}

/// A `null` is a wrong type, not an absence.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    f64::deserialize(deserializer).map(Some)
}

impl Checked {
    fn new(key: Key, config: &VerifierConfig) -> Checked {
        let mut validation = Validation::new(key.algorithm);
        // Times are checked here: the library takes wrong types for absence, one leeway for both, and its own clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let mut required = Vec::new();
        if let Some(issuer) = &config.issuer {
            validation.set_issuer(&[issuer]);
            required.push("iss");
        }
        match &config.audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                required.push("aud");
            }
            None => validation.validate_aud = false,
        }
        validation.set_required_spec_claims(&required);
        Checked { key, validation }
    }

    /// Whether a token that names a key by this may be signed with it.
    fn is_named(&self, kid: Option<&str>) -> bool {
        match (&self.key.kid, kid) {
            (Some(own), Some(asked)) => **own == *asked,
            _ => true,
        }
    }
}

impl Verifier {
    /// Verifies with one key, whatever `kid` a token has.
    #[must_use]
    pub fn new(key: Key, config: VerifierConfig) -> Verifier {
        let keys = RwLock::new([Checked::new(key, &config)].into());
        Verifier { keys, config, file: None }
    }

    /// Verifies with the keys of a JWK set (`JWT_JWKS_FILE`): RSA keys are for RS256, P-256 for ES256, Ed25519 for EdDSA,
    /// oct for HS256. A gateway reads the file again within 10 s of a change; a file that cannot be used then changes
    /// nothing.
    ///
    /// # Errors
    /// When the file cannot be read, or has no key that can be used.
    pub fn from_jwks_file(path: &Path, config: VerifierConfig) -> Result<Verifier, Error> {
        let (file, keys) = JwksFile::open(path)?;
        let keys = RwLock::new(keys.into_iter().map(|key| Checked::new(key, &config)).collect());
        Ok(Verifier { keys, config, file: Some(file) })
    }

    pub(super) fn file(&self) -> Option<&JwksFile> {
        self.file.as_ref()
    }

    /// Takes the keys of the file's content, where it is new and good.
    pub(super) fn reread(&self, content: std::io::Result<Vec<u8>>) -> Look {
        let Some(file) = &self.file else { return Look::Same };
        file.look(content, |keys| {
            let keys = keys.into_iter().map(|key| Checked::new(key, &self.config)).collect();
            *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        })
    }

    /// Who the token speaks for. `user_id` is what the client claims beside it.
    ///
    /// # Errors
    /// `token_expired`, or `invalid_token` with what is wrong with it.
    pub fn verify(&self, token: &Token, user_id: Option<UserId>, now: Timestamp) -> Result<Identity, Refusal> {
        self.identity(self.payload(token)?, user_id, now)
    }

    /// What a token says, once its signature was found good.
    fn payload(&self, Token(token): &Token) -> Result<Payload, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err(invalid("the token is too long"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|error| refused(error.kind()))?;
        // RFC 7515 §4.1.11: what must be understood, and is not, makes a token invalid. We understand nothing of it.
        if header.crit.is_some() {
            return Err(invalid("the token's header has crit"));
        }
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let mut refusal = invalid("the token's kid names no key");
        for Checked { key, validation } in keys.iter().filter(|checked| checked.is_named(header.kid.as_deref())) {
            let decoded = if key.algorithm == header.alg {
                jsonwebtoken::decode::<Payload>(token, &key.verifying, validation)
            } else {
                Err(ErrorKind::InvalidAlgorithm.into())
            };
            match decoded {
                Ok(data) => return Ok(data.claims),
                Err(error) if is_of_another_key(error.kind()) => {
                    // That a key of its algorithm did not sign it says more than that another has another algorithm.
                    if !matches!(error.kind(), ErrorKind::InvalidAlgorithm) || keys.len() == 1 {
                        refusal = refused(error.kind());
                    } else if refusal.message == "the token's kid names no key" {
                        refusal = refused(&ErrorKind::InvalidAlgorithm);
                    }
                }
                Err(error) => return Err(refused(error.kind())),
            }
        }
        Err(refusal)
    }

    fn identity(&self, claims: Payload, user_id: Option<UserId>, now: Timestamp) -> Result<Identity, Refusal> {
        let user: UserId = claims.sub.parse().map_err(|_| invalid("the token's sub is not a UUID"))?;
        let expires_at = seconds(claims.exp).ok_or_else(|| invalid("the token's exp is not a time"))?;
        if expires_at <= now {
            return Err(Refusal::new(Code::TokenExpired, "the token has expired"));
        }
        if let Some(nbf) = claims.nbf {
            let not_before = seconds(nbf).ok_or_else(|| invalid("the token's nbf is not a time"))?;
            if now.plus(self.config.leeway) < not_before {
                return Err(invalid("the token is not valid yet"));
            }
        }
        let issued_at = claims.iat.map(|iat| seconds(iat).ok_or_else(|| invalid("the token's iat is not a time")));
        let issued_at = issued_at.transpose()?;
        if user_id.is_some_and(|claimed| claimed != user) {
            return Err(invalid("userId is not the token's sub"));
        }
        let role = match claims.role.as_deref() {
            None | Some("user") => Role::User,
            Some("admin") => Role::Admin,
            Some("service") => Role::Service,
            Some(_) => return Err(invalid("the token's role is not user, admin or service")),
        };
        let rooms = rooms(claims.rooms).ok_or_else(|| invalid("the token's rooms is not \"*\" or a list of UUIDs"))?;
        Ok(Identity { user, role, rooms, expires_at, issued_at })
    }
}

fn invalid(why: &'static str) -> Refusal {
    Refusal::new(Code::InvalidToken, why)
}

fn refused(kind: &ErrorKind) -> Refusal {
    invalid(match kind {
        ErrorKind::InvalidSignature => "the token's signature is wrong",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => "the token's algorithm is not accepted",
        ErrorKind::InvalidIssuer => "the token is from another issuer",
        ErrorKind::InvalidAudience => "the token is for another audience",
        ErrorKind::MissingRequiredClaim(_) => "the token lacks iss or aud",
        ErrorKind::Json(_) => "the token's claims are wrong: sub and a numeric exp are required",
        _ => "the token is not a JWT",
    })
}

/// Whether the token may be good with another key. What is wrong with its claims is found only once its signature was
/// found good.
fn is_of_another_key(kind: &ErrorKind) -> bool {
    !matches!(
        kind,
        ErrorKind::Json(_)
            | ErrorKind::Base64(_)
            | ErrorKind::Utf8(_)
            | ErrorKind::InvalidIssuer
            | ErrorKind::InvalidAudience
            | ErrorKind::MissingRequiredClaim(_)
    )
}

/// A NumericDate (RFC 7519 §2), which may have a fraction.
fn seconds(number: f64) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "a float too large becomes the largest, which is then cut")]
    (number.is_finite() && number >= 0.0).then(|| Timestamp::from_millis((number * 1000.0) as i64))
}

fn rooms(claim: Option<Value>) -> Option<RoomsClaim> {
    match claim {
        None | Some(Value::Null) => Some(RoomsClaim::Listed(Arc::from([]))),
        Some(Value::String(all)) if all == "*" => Some(RoomsClaim::All),
        Some(Value::Array(list)) => {
            let rooms: Option<Vec<RoomId>> = list.iter().map(|room| room.as_str()?.parse().ok()).collect();
            Some(RoomsClaim::Listed(rooms?.into()))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests;
