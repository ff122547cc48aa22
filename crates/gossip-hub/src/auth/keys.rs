//! A key, which knows its one algorithm, and the claims of the tokens that we sign ourselves.

use gossip_proto::id::UserId;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;
use serde_json::Value;

use crate::error::Error;

/// A key that verifies tokens, and signs them if it is a shared secret.
pub struct Key {
    /// Its name in a set of keys, by which a token may ask for it.
    pub(super) kid: Option<Box<str>>,
    pub(super) algorithm: Algorithm,
    pub(super) verifying: DecodingKey,
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
            signing: Some(EncodingKey::from_secret(secret.as_bytes())),
            ..Key::verifying(None, Algorithm::HS256, DecodingKey::from_secret(secret.as_bytes()))
        }
    }

    /// A public key in PEM: RS256, ES256 or EdDSA, as the key is.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn public_pem(pem: &[u8]) -> Result<Key, Error> {
        /// An uncompressed point of P-256 (SEC 1 §2.3.3); that of another curve has another length.
        const P256_POINT: usize = 65;
        let of = |algorithm, verifying| Key::verifying(None, algorithm, verifying);
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

    pub(super) fn verifying(kid: Option<Box<str>>, algorithm: Algorithm, verifying: DecodingKey) -> Key {
        Key { kid, algorithm, verifying, signing: None }
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
    /// Since when, seconds since the epoch: a revocation goes by it, and takes tokens without it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iat: Option<i64>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", Key::secret("a secret of at least thirty-two bytes")), "Key(HS256, …)");
    }
}
