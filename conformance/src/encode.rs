//! Encodings, random values and the clock the vectors are built from.
//!
//! Owns the only reading of the wall clock: dates in a forged token must be
//! relative to the issuer's present.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::{SecureRandom, SystemRandom};
use std::time::UNIX_EPOCH;

pub(crate) fn b64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn b64url_decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

pub(crate) fn b64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// RFC 6749 Appendix B.
pub(crate) fn form_encode(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Every byte percent-encoded: legal, and only a real decoder reads it.
pub(crate) fn percent_every_byte(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// 160 random bits, printable.
pub(crate) fn nonce() -> String {
    let mut bytes = [0_u8; 20];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => b64url(&bytes),
        // Without randomness there are no vectors: the duplicate makes rows fail.
        Err(_) => String::from("no-randomness"),
    }
}

/// Seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a runner against a foreign issuer has no other clock than the wall")]
pub(crate) fn now() -> i64 {
    std::time::SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or_default()
}

/// The body of the first PEM block, decoded.
pub(crate) fn pem_body(pem: &str) -> Option<Vec<u8>> {
    let body: String = pem
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----END"))
        .flat_map(|line| line.trim().chars())
        .collect();
    STANDARD.decode(body).ok().filter(|der| !der.is_empty())
}

pub(crate) fn pem_wrap(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", b64(der))
}
