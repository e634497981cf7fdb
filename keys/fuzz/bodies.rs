//! What each fuzz target does with its input. The targets and the smoke test in
//! `tests/fuzz_smoke.rs` share these, so what CI runs is what the fuzzer runs.

use stipend_keys::dpop::{MAX_PROOF_JTI_BYTES, TargetUri, UnverifiedProof};
use stipend_keys::{PublicJwk, PublicJwkSet, TokenKind, Unverified};
use stipend_token::details::parse_and_split;
use stipend_token::id_jag::{Asserted, MAX_GRANT_RESOURCES};
use stipend_token::json::{self, Limits};
use stipend_token::status_list::StatusList;

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

/// A DPoP proof: reading it ends, its key is public alone, and what is verified has a bounded
/// `jti`. An address that was read is in its one spelling.
pub fn dpop_proof(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(proof) = UnverifiedProof::parse(text) {
        assert!(text.len() <= stipend_keys::MAX_JWT_BYTES);
        assert_eq!(proof.key_digest(), proof.clone().key_digest());
        if let Ok(key) = proof.verifier() {
            assert!(!key.jwk().to_public_json().contains("\"d\":"));
            if let Ok(proof) = proof.verify(&key) {
                assert_eq!(proof.jkt(), key.jwk().thumbprint());
                assert!(proof.nonce().is_none_or(|nonce| nonce.len() <= MAX_PROOF_JTI_BYTES));
            }
        }
    }
    if let Some(uri) = TargetUri::parse(text) {
        assert_eq!(TargetUri::parse(uri.as_str()), Some(uri.clone()), "{uri:?}");
        assert!(!uri.as_str().contains(['?', '#']));
    }
}

/// What an assertion of another server says: what was read has one audience and bounded lists.
pub fn assertion(data: &[u8]) {
    let limits = Limits { max_bytes: 8192, max_depth: 16 };
    let Ok(claims) = json::parse_object(data, limits) else {
        return;
    };
    if let Ok(asserted) = Asserted::from_claims(&claims) {
        assert!(asserted.resources.len() <= MAX_GRANT_RESOURCES);
        let aud = claims.get("aud");
        let alone = aud.and_then(|aud| aud.as_str().or_else(|| aud.as_array()?.first()?.as_str()));
        assert_eq!(alone, Some(asserted.aud.as_str()));
    }
    if let Some(details) = claims.get("authorization_details") {
        let _ = parse_and_split(&details.to_string());
    }
}

/// A status list: what is inflated is bounded, every place is there and none beyond, and it can
/// be written and read again.
pub fn status_list(data: &[u8]) {
    const MAX_BYTES: usize = 4096;
    let limits = Limits { max_bytes: 8192, max_depth: 4 };
    let Ok(map) = json::parse_object(data, limits) else {
        return;
    };
    if let Ok(list) = StatusList::from_json(&map, MAX_BYTES) {
        assert!(list.bytes().len() <= MAX_BYTES);
        let places = i64::try_from(list.places()).unwrap_or(i64::MAX);
        for idx in [0, places / 2, places - 1] {
            assert_eq!(list.find(idx).is_some(), (0..places).contains(&idx), "{idx} of {places}");
        }
        for beyond in [-1, places, i64::MAX, i64::MIN] {
            assert!(list.find(beyond).is_none());
        }
        let written = list.to_json().unwrap_or_else(|error| panic!("{error}"));
        let again = written.as_object().map(|written| StatusList::from_json(written, MAX_BYTES));
        assert_eq!(again, Some(Ok(list)));
    }
}
