//! What the attacks on tokens are aimed at: one key, its verifier, and a good token.

use super::{CLAIMS, forge};
use std::sync::LazyLock;
use stipend_keys::{Algorithm, JwsError, SigningKey, TokenKind, Unverified, Verified, Verifier};

pub static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate(Algorithm::Es256).unwrap());
pub static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| KEY.public_jwk().verifier().unwrap());

pub const HEADER: &str = r#"{"alg":"ES256","typ":"at+jwt"}"#;

pub fn good() -> String {
    forge(&KEY, HEADER, CLAIMS)
}

pub fn accept(token: &str) -> Result<Verified, JwsError> {
    VERIFIER.verify(Unverified::parse(token)?, TokenKind::AccessToken)
}

pub fn refusal(token: &str) -> JwsError {
    accept(token).expect_err("the token was accepted")
}
