//! What each fuzz target does with its input. The targets and the smoke test in
//! `tests/fuzz_smoke.rs` share these, so what CI runs is what the fuzzer runs.

use stipend_keys::{PublicJwk, PublicJwkSet, TokenKind, Unverified};
use stipend_token::json::{self, Limits};

/// A token's text: reading it ends, and a token that was read has sane parts.
pub fn jws_parse(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(token) = Unverified::parse(text) {
        assert!(text.len() <= stipend_keys::MAX_JWT_BYTES);
        assert_eq!(text.bytes().filter(|byte| *byte == b'.').count(), 2);
        assert!(token.kid().is_none_or(|kid| !kid.is_empty()));
        for kind in TokenKind::ALL {
            let _ = kind.permits(token.typ());
        }
    }
}

/// A key's text: a key that was read can be written and read again, unchanged.
pub fn jwk_parse(data: &[u8]) {
    if let Ok(key) = PublicJwk::from_json(data) {
        let written = key.to_public_json();
        let again = PublicJwk::from_json(written.as_bytes());
        let again = again.unwrap_or_else(|error| panic!("{error}: {written}"));
        assert_eq!(again.to_public_json(), written);
        assert_eq!(again.thumbprint(), key.thumbprint());
    }
    if let Ok(set) = PublicJwkSet::from_json(data) {
        assert!(set.keys().len() <= stipend_keys::jwks::MAX_REGISTERED_KEYS);
    }
    let _ = PublicJwkSet::from_published_json(data);
}

/// JSON text: what the strict reader takes, the lenient one reads the same way.
pub fn json_parse(data: &[u8]) {
    let limits = Limits { max_bytes: 4096, max_depth: 16 };
    if let Ok(value) = json::parse_value(data, limits) {
        let lenient: serde_json::Value =
            serde_json::from_slice(data).unwrap_or_else(|error| panic!("accepted what serde_json refuses: {error}"));
        assert_eq!(value, lenient);
    }
    if let Ok(map) = json::parse_object(data, limits) {
        let _ = json::date_member(&map, "exp");
        let _ = json::str_member(&map, "sub");
        let _ = json::string_or_array_member(&map, "aud", 8);
    }
}
