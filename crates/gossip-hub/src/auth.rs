//! Tokens (contract §1): JWTs verified with the one algorithm that the configured key stands for, whatever a token's
//! header says. What they allow is gossip-core's business.

use std::sync::Arc;

use gossip_core::access::{Identity, Role, RoomsClaim};
use gossip_proto::id::{RoomId, UserId};
use gossip_proto::refusal::{Code, Refusal};
use gossip_proto::request::Token;
use gossip_proto::timestamp::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;

/// A key that verifies tokens, and signs them if it is a shared secret.
pub struct Key {
    algorithm: Algorithm,
    verifying: DecodingKey,
    signing: Option<EncodingKey>,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({:?}, …)", self.algorithm)
    }
}

impl Key {
    /// A shared secret: HS256.
    #[must_use]
    pub fn secret(secret: &str) -> Key {
        Key {
            algorithm: Algorithm::HS256,
            verifying: DecodingKey::from_secret(secret.as_bytes()),
            signing: Some(EncodingKey::from_secret(secret.as_bytes())),
        }
    }

    /// A public key in PEM: RS256, ES256 or EdDSA, as the key is.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn public_pem(pem: &[u8]) -> Result<Key, Error> {
        /// An uncompressed point of P-256 (SEC 1 §2.3.3); that of another curve has another length.
        const P256_POINT: usize = 65;
        let of = |algorithm, verifying| Key { algorithm, verifying, signing: None };
        let is_p256 = |key: &DecodingKey| key.try_get_as_bytes().is_ok_and(|point| point.len() == P256_POINT);
        let unusable = || Error::Key {
            kind: "public key",
            reason: "it must be the PEM of an RSA, P-256 or Ed25519 public key".into(),
        };
        if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            Ok(of(Algorithm::RS256, key))
        } else if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            if is_p256(&key) { Ok(of(Algorithm::ES256, key)) } else { Err(unusable()) }
        } else {
            DecodingKey::from_ed_pem(pem).map(|key| of(Algorithm::EdDSA, key)).map_err(|_| unusable())
        }
    }

    /// Signs a token.
    ///
    /// # Errors
    /// When this key only verifies.
    pub fn sign(&self, claims: &Claims) -> Result<String, Error> {
        let signing = self.signing.as_ref().ok_or(Error::CannotSign)?;
        jsonwebtoken::encode(&Header::new(self.algorithm), claims, signing).map_err(|_| Error::CannotSign)
    }
}

/// The claims of a token that we make.
#[derive(Debug, Clone, Serialize)]
pub struct Claims {
    /// Who.
    pub sub: UserId,
    /// Until when, seconds since the epoch.
    pub exp: i64,
    /// `user`, `admin` or `service`.
    pub role: &'static str,
    /// `"*"` or a list of rooms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rooms: Option<Value>,
    /// The issuer, where one is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// The audience, where one is required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aud: Option<String>,
}

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
    key: Key,
    validation: Validation,
    leeway: std::time::Duration,
}

#[derive(Deserialize)]
struct Payload {
    sub: String,
    exp: f64,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<f64>,
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    rooms: Option<Value>,
}

/// A `null` is a wrong type, not an absence.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    f64::deserialize(deserializer).map(Some)
}

impl Verifier {
    /// Verifies with `key`.
    #[must_use]
    pub fn new(key: Key, config: VerifierConfig) -> Verifier {
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
        Verifier { key, validation, leeway: config.leeway }
    }

    /// Who the token speaks for. `user_id` is what the client claims beside it.
    ///
    /// # Errors
    /// `token_expired`, or `invalid_token` with what is wrong with it.
    pub fn verify(&self, token: &Token, user_id: Option<UserId>, now: Timestamp) -> Result<Identity, Refusal> {
        let invalid = |why: &'static str| Refusal::new(Code::InvalidToken, why);
        let data =
            jsonwebtoken::decode::<Payload>(&token.0, &self.key.verifying, &self.validation).map_err(|error| {
                invalid(match error.kind() {
                    ErrorKind::InvalidSignature => "the token's signature is wrong",
                    ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => {
                        "the token's algorithm is not accepted"
                    }
                    ErrorKind::InvalidIssuer => "the token is from another issuer",
                    ErrorKind::InvalidAudience => "the token is for another audience",
                    ErrorKind::MissingRequiredClaim(_) => "the token lacks iss or aud",
                    ErrorKind::Json(_) => "the token's claims are wrong: sub and a numeric exp are required",
                    _ => "the token is not a JWT",
                })
            })?;
        let claims = data.claims;
        let user: UserId = claims.sub.parse().map_err(|_| invalid("the token's sub is not a UUID"))?;
        let expires_at = seconds(claims.exp).ok_or_else(|| invalid("the token's exp is not a time"))?;
        if expires_at <= now {
            return Err(Refusal::new(Code::TokenExpired, "the token has expired"));
        }
        if let Some(nbf) = claims.nbf {
            let not_before = seconds(nbf).ok_or_else(|| invalid("the token's nbf is not a time"))?;
            if now.plus(self.leeway) < not_before {
                return Err(invalid("the token is not valid yet"));
            }
        }
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
        Ok(Identity { user, role, rooms, expires_at })
    }
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
mod tests {
    use super::*;
    use serde_json::json;

    const SECRET: &str = "a secret of at least thirty-two bytes";
    const USER: &str = "018f2a3e-0000-7000-8000-000000000001";
    const NOW: i64 = 1_700_000_000;

    fn sign(algorithm: Algorithm, claims: &Value) -> Token {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        Token(jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap())
    }

    fn verify_with(config: VerifierConfig, token: &Token) -> Result<Identity, Code> {
        let now = Timestamp::from_millis(NOW * 1000);
        Verifier::new(Key::secret(SECRET), config).verify(token, None, now).map_err(|refusal| refusal.code)
    }

    fn verify(claims: Value) -> Result<Identity, Code> {
        verify_with(VerifierConfig::default(), &sign(Algorithm::HS256, &claims))
    }

    #[test]
    fn good_tokens() {
        let room = "018f2a3e-0000-7000-8000-000000000002";
        let identity = verify(json!({"sub": USER, "exp": NOW + 1, "role": "admin", "rooms": [room]})).unwrap();
        assert_eq!(identity.user.to_string(), USER);
        assert_eq!(identity.role, Role::Admin);
        assert_eq!(identity.rooms, RoomsClaim::Listed(Arc::from([room.parse().unwrap()])));
        assert_eq!(identity.expires_at, Timestamp::from_millis((NOW + 1) * 1000));
        assert_eq!(verify(json!({"sub": USER, "exp": NOW + 1, "rooms": "*"})).unwrap().rooms, RoomsClaim::All);
        assert!(verify(json!({"sub": USER, "exp": NOW + 1, "nbf": NOW + 5})).is_ok());
    }

    #[test]
    fn expiry_is_exact() {
        assert_eq!(verify(json!({"sub": USER, "exp": NOW})), Err(Code::TokenExpired));
        assert!(verify(json!({"sub": USER, "exp": NOW as f64 + 0.5})).is_ok());
    }

    #[test]
    fn bad_tokens() {
        for claims in [
            json!({"sub": USER}),
            json!({"exp": NOW + 1}),
            json!({"sub": USER, "exp": (NOW + 1).to_string()}),
            json!({"sub": USER, "exp": null}),
            json!({"sub": USER, "exp": -1}),
            json!({"sub": "somebody", "exp": NOW + 1}),
            json!({"sub": 5, "exp": NOW + 1}),
            json!({"sub": USER, "exp": NOW + 1, "nbf": NOW + 6}),
            json!({"sub": USER, "exp": NOW + 1, "nbf": "now"}),
            json!({"sub": USER, "exp": NOW + 1, "nbf": null}),
            json!({"sub": USER, "exp": NOW + 1, "role": "root"}),
            json!({"sub": USER, "exp": NOW + 1, "rooms": "all"}),
            json!({"sub": USER, "exp": NOW + 1, "rooms": ["room-123"]}),
            json!([]),
        ] {
            assert_eq!(verify(claims.clone()), Err(Code::InvalidToken), "{claims}");
        }
    }

    #[test]
    fn the_algorithm_is_the_keys() {
        let claims = json!({"sub": USER, "exp": NOW + 1});
        let hs512 = sign(Algorithm::HS512, &claims);
        assert_eq!(verify_with(VerifierConfig::default(), &hs512), Err(Code::InvalidToken));
        let good = sign(Algorithm::HS256, &claims).0;
        let (head, rest) = good.split_once('.').unwrap();
        // {"alg":"none"}
        for bad in [format!("eyJhbGciOiJub25lIn0.{rest}"), format!("{head}.{rest}x"), String::new(), "a.b.c".into()] {
            assert_eq!(verify_with(VerifierConfig::default(), &Token(bad.clone())), Err(Code::InvalidToken), "{bad}");
        }
    }

    #[test]
    fn issuer_and_audience_where_configured() {
        let config = || VerifierConfig {
            issuer: Some("us".into()),
            audience: Some("gossip".into()),
            ..VerifierConfig::default()
        };
        let with = |claims: Value| verify_with(config(), &sign(Algorithm::HS256, &claims));
        assert!(with(json!({"sub": USER, "exp": NOW + 1, "iss": "us", "aud": "gossip"})).is_ok());
        for claims in [
            json!({"sub": USER, "exp": NOW + 1}),
            json!({"sub": USER, "exp": NOW + 1, "iss": "us"}),
            json!({"sub": USER, "exp": NOW + 1, "iss": "them", "aud": "gossip"}),
            json!({"sub": USER, "exp": NOW + 1, "iss": "us", "aud": ["other"]}),
        ] {
            assert_eq!(with(claims.clone()), Err(Code::InvalidToken), "{claims}");
        }
    }

    #[test]
    fn a_claimed_user_must_be_the_tokens() {
        let token = sign(Algorithm::HS256, &json!({"sub": USER, "exp": NOW + 1}));
        let verifier = Verifier::new(Key::secret(SECRET), VerifierConfig::default());
        let now = Timestamp::from_millis(NOW * 1000);
        assert!(verifier.verify(&token, Some(USER.parse().unwrap()), now).is_ok());
        assert_eq!(verifier.verify(&token, Some(UserId::NIL), now).unwrap_err().code, Code::InvalidToken);
    }

    #[test]
    fn a_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", Key::secret(SECRET)), "Key(HS256, …)");
    }
}
