//! Tokens, each with one thing wrong.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::*;

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
    assert_eq!(identity.issued_at, None);
    let issued = verify(json!({"sub": USER, "exp": NOW + 1, "iat": NOW as f64 - 0.5})).unwrap();
    assert_eq!(issued.issued_at, Some(Timestamp::from_millis(NOW * 1000 - 500)));
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
        json!({"sub": USER, "exp": NOW + 1, "iat": "now"}),
        json!({"sub": USER, "exp": NOW + 1, "iat": null}),
        json!({"sub": USER, "exp": NOW + 1, "iat": -1}),
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
    let config =
        || VerifierConfig { issuer: Some("us".into()), audience: Some("gossip".into()), ..VerifierConfig::default() };
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
fn a_header_that_must_be_understood_is_not() {
    let claims = json!({"sub": USER, "exp": NOW + 1});
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let header = Header { crit: Some(vec!["b64".into()]), ..Header::new(Algorithm::HS256) };
    let token = Token(jsonwebtoken::encode(&header, &claims, &key).unwrap());
    let refusal = Verifier::new(Key::secret(SECRET), VerifierConfig::default())
        .verify(&token, None, Timestamp::from_millis(NOW * 1000))
        .unwrap_err();
    assert_eq!((refusal.code, refusal.message.as_ref()), (Code::InvalidToken, "the token's header has crit"));
}

#[test]
fn a_token_that_is_too_long_is_not_looked_at() {
    let with = |padding: usize| {
        let claims = json!({"sub": USER, "exp": NOW + 1, "padding": "x".repeat(padding)});
        sign(Algorithm::HS256, &claims)
    };
    let (good, bad) = (with(10_000), with(13_000));
    assert!(good.0.len() < MAX_TOKEN && bad.0.len() > MAX_TOKEN);
    assert!(verify_with(VerifierConfig::default(), &good).is_ok());
    assert_eq!(verify_with(VerifierConfig::default(), &bad), Err(Code::InvalidToken));
}

#[test]
fn one_key_takes_tokens_of_any_kid() {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let header = Header { kid: Some("any".into()), ..Header::new(Algorithm::HS256) };
    let token = Token(jsonwebtoken::encode(&header, &json!({"sub": USER, "exp": NOW + 1}), &key).unwrap());
    assert!(verify_with(VerifierConfig::default(), &token).is_ok());
}
