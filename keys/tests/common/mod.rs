//! What the hostile tests share: signing any header over any payload.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "shared by test binaries that use different parts"
)]

pub mod keys;
pub mod target;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use josekit::jws::{ES256, EdDSA, JwsSigner, PS256, RS256};
use stipend_keys::{Algorithm, SigningKey};

pub const CLAIMS: &str = r#"{"iss":"https://as.example","sub":"agent:payments.refunds"}"#;

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// A token with exactly this header and payload, correctly signed.
pub fn forge(key: &SigningKey, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let input = format!("{}.{}", b64(header), b64(payload));
    let signature = raw_signer(key).sign(input.as_bytes()).unwrap();
    format!("{input}.{}", b64(signature))
}

pub fn raw_signer(key: &SigningKey) -> Box<dyn JwsSigner> {
    let der = key.to_private_der();
    let der = der.expose();
    match key.alg() {
        Algorithm::Es256 => Box::new(ES256.signer_from_der(der).unwrap()),
        Algorithm::EdDsa => Box::new(EdDSA.signer_from_der(der).unwrap()),
        Algorithm::Rs256 => Box::new(RS256.signer_from_der(der).unwrap()),
        Algorithm::Ps256 => Box::new(PS256.signer_from_der(der).unwrap()),
    }
}
