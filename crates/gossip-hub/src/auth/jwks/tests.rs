//! Sets of keys: which of them are taken, which tokens they accept, and how another set takes the place of one.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gossip_proto::refusal::Code;
use gossip_proto::request::Token;
use gossip_proto::timestamp::Timestamp;
use jsonwebtoken::{EncodingKey, Header};

use super::*;
use crate::auth::VerifierConfig;

const NOW: i64 = 1_700_000_000;

/// A private key and its JWK, without a kid.
struct Pair {
    algorithm: Algorithm,
    signing: EncodingKey,
    jwk: Value,
}

impl Pair {
    fn new(algorithm: Algorithm, signing: EncodingKey) -> Pair {
        let mut jwk = serde_json::to_value(Jwk::from_encoding_key(&signing, algorithm).unwrap()).unwrap();
        jwk.as_object_mut().unwrap().remove("alg");
        Pair { algorithm, signing, jwk }
    }

    fn secret(byte: u8) -> Pair {
        Pair::new(Algorithm::HS256, EncodingKey::from_secret(&[byte; 32]))
    }

    fn rsa(size: KeySize) -> Pair {
        let key = RsaKeyPair::generate(size).unwrap();
        let der = STANDARD.encode(AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap().as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        Pair::new(Algorithm::RS256, EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap())
    }

    fn p256() -> Pair {
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        Pair::new(Algorithm::ES256, EncodingKey::from_ec_der(der.as_ref()))
    }

    fn ed25519() -> Pair {
        let key = Ed25519KeyPair::generate().unwrap();
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&key).unwrap();
        Pair::new(Algorithm::EdDSA, EncodingKey::from_ed_der(der.as_ref()))
    }

    fn with(&self, more: &[(&str, Value)]) -> Value {
        let mut jwk = self.jwk.clone();
        for (name, value) in more {
            jwk[*name] = value.clone();
        }
        jwk
    }

    fn named(&self, kid: &str) -> Value {
        self.with(&[("kid", kid.into())])
    }

    fn token(&self, kid: Option<&str>) -> Token {
        let header = Header { kid: kid.map(Into::into), ..Header::new(self.algorithm) };
        let claims = json!({"sub": "018f2a3e-0000-7000-8000-000000000001", "exp": NOW + 1});
        Token(jsonwebtoken::encode(&header, &claims, &self.signing).unwrap())
    }
}

fn set(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

/// A verifier of these keys, and the folder with its file.
fn verifier(keys: &[Value]) -> (Verifier, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, set(keys)).unwrap();
    (Verifier::from_jwks_file(&path, VerifierConfig::default()).unwrap(), folder)
}

fn accepts(verifier: &Verifier, token: &Token) -> bool {
    let verified = verifier.verify(token, None, Timestamp::from_millis(NOW * 1000));
    assert!(verified.as_ref().is_ok() || verified.as_ref().unwrap_err().code == Code::InvalidToken);
    verified.is_ok()
}

#[test]
fn each_kind_of_key_accepts_its_own_tokens_by_kid_and_without() {
    let pairs = [Pair::rsa(KeySize::Rsa2048), Pair::p256(), Pair::ed25519(), Pair::secret(1)];
    let kids = ["r", "e", "o", "s"];
    let keys: Vec<_> = pairs.iter().zip(kids).map(|(pair, kid)| pair.named(kid)).collect();
    let (all, _folder) = verifier(&keys);
    for (at, (pair, kid)) in pairs.iter().zip(kids).enumerate() {
        assert!(accepts(&all, &pair.token(Some(kid))) && accepts(&all, &pair.token(None)), "{kid}");
        for other in kids.iter().filter(|other| **other != kid).chain(&["none"]) {
            assert!(!accepts(&all, &pair.token(Some(other))), "{kid} as {other}");
        }
        let (others, _folder) = verifier(&[&keys[..at], &keys[at + 1..]].concat());
        assert!(!accepts(&others, &pair.token(None)) && !accepts(&others, &pair.token(Some(kid))), "{kid}");
    }
}

#[test]
fn without_a_kid_all_keys_of_the_algorithm_are_tried() {
    let (one, two, three) = (Pair::secret(1), Pair::secret(2), Pair::secret(3));
    let (both, _folder) = verifier(&[Pair::p256().named("p"), one.named("1"), two.jwk.clone()]);
    assert!(accepts(&both, &one.token(None)) && accepts(&both, &two.token(None)));
    // A key without a name may be meant by any.
    assert!(accepts(&both, &two.token(Some("2"))) && !accepts(&both, &one.token(Some("2"))));
    assert!(!accepts(&both, &three.token(None)));
    // Keys of the same name: one comes, one goes.
    let (same, _folder) = verifier(&[one.named("k"), two.named("k")]);
    assert!(accepts(&same, &one.token(Some("k"))) && accepts(&same, &two.token(Some("k"))));
}

#[test]
fn a_public_key_is_no_secret() {
    let rsa = Pair::rsa(KeySize::Rsa2048);
    let (verifier, _folder) = verifier(&[rsa.named("k")]);
    let n = rsa.jwk["n"].as_str().unwrap();
    for secret in [n.as_bytes().to_vec(), rsa.jwk.to_string().into_bytes()] {
        let forged = Pair::new(Algorithm::HS256, EncodingKey::from_secret(&secret));
        assert!(!accepts(&verifier, &forged.token(Some("k"))) && !accepts(&verifier, &forged.token(None)));
    }
}

#[test]
fn what_a_key_says_of_itself_is_respected() {
    let (rsa, p256, secret) = (Pair::rsa(KeySize::Rsa2048), Pair::p256(), Pair::secret(1));
    for good in [
        rsa.with(&[("alg", "RS256".into()), ("use", "sig".into()), ("key_ops", json!(["verify"]))]),
        p256.with(&[("alg", "ES256".into()), ("key_ops", json!(["sign", "verify"]))]),
        Pair::ed25519().with(&[("alg", "EdDSA".into())]),
        Pair::ed25519().with(&[("alg", "Ed25519".into()), ("x5t", "what we do not know".into())]),
        secret.with(&[("alg", "HS256".into())]),
    ] {
        assert_eq!(parse(&set(std::slice::from_ref(&good))).map(|keys| keys.len()).ok(), Some(1), "{good}");
    }
    for bad in [
        rsa.with(&[("use", "enc".into())]),
        rsa.with(&[("key_ops", json!(["encrypt"]))]),
        rsa.with(&[("key_ops", json!([]))]),
        rsa.with(&[("key_ops", "verify".into())]),
        rsa.with(&[("alg", "PS256".into())]),
        rsa.with(&[("alg", "HS256".into())]),
        rsa.with(&[("n", "AQAB".into())]),
        rsa.with(&[("n", "é".repeat(200).into())]),
        rsa.with(&[("e", Value::Null)]),
        rsa.with(&[("kid", 5.into())]),
        p256.with(&[("crv", "P-384".into())]),
        p256.with(&[("crv", Value::Null)]),
        p256.with(&[("alg", "ES384".into())]),
        p256.with(&[("x", "AQAB".into())]),
        Pair::ed25519().with(&[("x", "AQAB".into())]),
        Pair::ed25519().with(&[("crv", "X25519".into())]),
        secret.with(&[("alg", "HS512".into())]),
        secret.with(&[("k", "".into())]),
        secret.with(&[("k", "c2hvcnQ".into())]),
        secret.with(&[("kty", "OCT".into())]),
        json!({}),
        json!(5),
        json!({"kty": "RSA"}),
    ] {
        assert!(parse(&set(std::slice::from_ref(&bad))).is_err(), "{bad}");
        // It takes no other with it.
        let keys = parse(&set(&[bad.clone(), Pair::secret(2).named("good")])).unwrap();
        assert_eq!(keys.iter().map(|key| key.kid.as_deref()).collect::<Vec<_>>(), [Some("good")], "{bad}");
    }
}

#[test]
fn what_is_no_set_is_refused() {
    let many: Vec<_> = (0..=MAX_KEYS as u8).map(|byte| Pair::secret(byte).jwk).collect();
    assert!(parse(&set(&many[1..])).is_ok());
    for bad in [set(&many), set(&[]), vec![], b"{}".to_vec(), b"[]".to_vec(), b"{\"keys\":{}}".to_vec(), vec![0xff; 9]]
    {
        assert!(parse(&bad).is_err(), "{:?}", String::from_utf8_lossy(&bad));
    }
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("long.json");
    std::fs::write(&long, vec![b' '; MAX_BYTES as usize + 1]).unwrap();
    for path in [folder.path(), &folder.path().join("missing.json"), &long] {
        let error = Verifier::from_jwks_file(path, VerifierConfig::default()).unwrap_err();
        assert!(matches!(error, Error::Key { kind: "JWK set", .. }), "{error}");
    }
}

#[test]
fn another_set_takes_the_place_of_one_and_a_broken_one_does_not() {
    let (old, new) = (Pair::secret(1), Pair::secret(2));
    let (verifier, _folder) = verifier(&[old.named("old")]);
    let accepted = || (accepts(&verifier, &old.token(Some("old"))), accepts(&verifier, &new.token(Some("new"))));
    let missing = || Err(io::ErrorKind::NotFound.into());
    let both = set(&[old.named("old"), new.named("new")]);
    for (content, look, expected) in [
        (Ok(set(&[old.named("old")])), Look::Same, (true, false)),
        (Ok(both.clone()), Look::Replaced, (true, true)),
        (Ok(both.clone()), Look::Same, (true, true)),
        (missing(), Look::Kept, (true, true)),
        (missing(), Look::Same, (true, true)),
        // It is there again, as it was.
        (Ok(both.clone()), Look::Same, (true, true)),
        (missing(), Look::Kept, (true, true)),
        (Ok(both[..both.len() / 2].to_vec()), Look::Kept, (true, true)),
        (Ok(both[..both.len() / 2].to_vec()), Look::Same, (true, true)),
        (Ok(Vec::new()), Look::Kept, (true, true)),
        (Ok(set(&[])), Look::Kept, (true, true)),
        (Ok(set(&[new.named("new")])), Look::Replaced, (false, true)),
    ] {
        assert_eq!(verifier.reread(content), look);
        assert_eq!(accepted(), expected);
    }
}
