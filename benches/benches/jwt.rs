//! Verifying a token with each algorithm that a key can stand for, which every connection pays once and every HTTP request
//! too. The keys are made when the bench starts. Not measured: signing, which is somebody else's work, refused tokens,
//! and access to rooms.

#![expect(clippy::unwrap_used, reason = "a bench")]

use std::hint::black_box;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gossip_benches::now;
use gossip_hub::{Key, Verifier, VerifierConfig};
use gossip_proto::request::Token;
use serde_json::{Value, json};
use uuid::Uuid;

const SECRET: &str = "a secret of at least thirty-two bytes";

/// A JWS of these claims (RFC 7515 §3.1).
fn token(algorithm: &str, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Token {
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(&json!({"alg": algorithm, "typ": "JWT"})), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    Token(format!("{signed}.{signature}"))
}

fn public(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Key {
    let der = STANDARD.encode(key.as_der().unwrap().as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    Key::public_pem(pem.as_bytes()).unwrap()
}

fn hs256(claims: &Value) -> (Key, Token) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    (Key::secret(SECRET), token("HS256", claims, |message| hmac::sign(&key, message).as_ref().to_vec()))
}

fn rs256(claims: &Value) -> (Key, Token) {
    let key = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let sign = |message: &[u8]| {
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    };
    (public(key.public_key()), token("RS256", claims, sign))
}

fn es256(claims: &Value) -> (Key, Token) {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let sign = |message: &[u8]| key.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec();
    (public(key.public_key()), token("ES256", claims, sign))
}

fn eddsa(claims: &Value) -> (Key, Token) {
    let key = Ed25519KeyPair::generate().unwrap();
    (public(key.public_key()), token("EdDSA", claims, |message| key.sign(message).as_ref().to_vec()))
}

fn verify(c: &mut Criterion) {
    let room = |number| Uuid::from_u128(number).to_string();
    let exp = now().as_millis() / 1000 + 3600;
    let claims = |rooms: u128| {
        let rooms: Vec<_> = (0..rooms).map(room).collect();
        json!({"sub": room(1), "exp": exp, "role": "user", "rooms": rooms})
    };
    let mut group = c.benchmark_group("verify");
    group.throughput(Throughput::Elements(1));
    let tokens = [
        ("HS256", 1, hs256(&claims(1))),
        ("HS256", 100, hs256(&claims(100))),
        ("RS256, 2048 bits", 1, rs256(&claims(1))),
        ("ES256", 1, es256(&claims(1))),
        ("EdDSA", 1, eddsa(&claims(1))),
    ];
    for (name, rooms, (key, token)) in tokens {
        let verifier = Verifier::new(key, VerifierConfig::default());
        group.bench_function(BenchmarkId::new(name, format_args!("rooms {rooms}")), |b| {
            b.iter(|| verifier.verify(black_box(&token), None, now()).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, verify);
criterion_main!(benches);
