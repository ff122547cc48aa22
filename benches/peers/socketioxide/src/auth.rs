//! The token of the handshake: HS256, `sub` and `exp` required. What rooms it names is not looked at.
//! Whoever passes gets the handlers of the feed at once.

use std::{fmt, sync::Arc};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use socketioxide::extract::{SocketRef, State, TryData};
use uuid::Uuid;

use crate::handlers;

pub(crate) struct Verifier {
    key: DecodingKey,
    validation: Validation,
}

impl Verifier {
    pub(crate) fn new(secret: &str) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "sub"]);
        validation.leeway = 0;
        Self { key: DecodingKey::from_secret(secret.as_bytes()), validation }
    }
}

/// Whom a socket's token names, kept with the socket.
#[derive(Clone, Copy)]
pub(crate) struct User(pub(crate) Uuid);

#[derive(Deserialize)]
pub(crate) struct Auth {
    token: String,
}

#[derive(Deserialize)]
struct Claims {
    sub: Uuid,
}

/// What the `connect_error` says. Its `data` is not socketioxide's to give.
pub(crate) struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid_token")
    }
}

pub(crate) async fn authenticate(
    socket: SocketRef,
    TryData(auth): TryData<Auth>,
    State(verifier): State<Arc<Verifier>>,
) -> Result<(), Refused> {
    let token = auth.map_err(|_| Refused)?.token;
    let token = decode::<Claims>(token, &verifier.key, &verifier.validation).map_err(|_| Refused)?;
    socket.extensions.insert(User(token.claims.sub));
    handlers::register(&socket);
    Ok(())
}
