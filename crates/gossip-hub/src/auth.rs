//! Tokens (contract §1): JWTs, each verified with a key that stands for one algorithm, whatever the token's header says.
//! Keys and the claims of tokens of our own are in [`keys`], a file of several keys in [`jwks`], what is looked at in a
//! token in [`verifier`]. What a token allows is gossip-core's business; whether it was revoked, that of
//! [`crate::access`].

mod jwks;
mod keys;
mod verifier;

pub(crate) use jwks::follow;
pub use keys::{Claims, Key};
pub use verifier::{Verifier, VerifierConfig};
