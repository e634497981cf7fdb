//! Laws of the readers: no input makes them panic, no altered token verifies, and
//! what they accept means one thing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::too_many_lines,
    reason = "tests"
)]

mod common;

use std::sync::LazyLock;

use common::{b64, forge};
use proptest::prelude::*;
use stipend_keys::{Algorithm, PublicJwk, Signer, SigningKey, TokenKind, Unverified, Verifier};

static KEYS: LazyLock<Vec<SigningKey>> =
    LazyLock::new(|| Algorithm::ALL.map(|alg| SigningKey::generate(alg).unwrap()).into());
static PAIRS: LazyLock<Vec<(Signer, Verifier)>> = LazyLock::new(|| {
    let pair = |key: &SigningKey| (key.signer().unwrap(), key.public_jwk().verifier().unwrap());
    KEYS.iter().map(pair).collect()
});

fn kind() -> impl Strategy<Value = TokenKind> {
    prop::sample::select(TokenKind::ALL.as_slice())
}

/// A change to the text of a token.
#[derive(Debug, Clone)]
enum Edit {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, u8),
    Remove(prop::sample::Index),
    Truncate(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let index = any::<prop::sample::Index>;
    // Characters that survive the first look are the interesting ones.
    let byte = prop_oneof![
        9 => prop::sample::select(
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.".as_slice()
        ),
        1 => 0_u8..128,
    ];
    prop_oneof![
        (index(), byte.clone()).prop_map(|(at, byte)| Edit::Replace(at, byte)),
        (index(), byte).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        index().prop_map(Edit::Remove),
        index().prop_map(Edit::Truncate),
        (index(), index()).prop_map(|(one, other)| Edit::Swap(one, other)),
    ]
}

fn apply(text: &str, edits: &[Edit]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for edit in edits {
        let length = bytes.len().max(1);
        match edit {
            _ if bytes.is_empty() => {}
            Edit::Replace(at, byte) => bytes[at.index(length)] = *byte,
            Edit::Insert(at, byte) => bytes.insert(at.index(length), *byte),
            Edit::Remove(at) => drop(bytes.remove(at.index(length))),
            Edit::Truncate(at) => bytes.truncate(at.index(length)),
            Edit::Swap(one, other) => bytes.swap(one.index(length), other.index(length)),
        }
    }
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #[test]
    fn reading_a_token_never_panics(text in any::<String>()) {
        let _ = Unverified::parse(&text);
    }

    #[test]
    fn reading_something_shaped_like_a_token_never_panics(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..6),
    ) {
        let parts: Vec<_> = parts.iter().map(b64).collect();
        let _ = Unverified::parse(&parts.join("."));
    }

    #[test]
    fn reading_a_key_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(PublicJwk::from_json(&bytes).is_err());
    }

    #[test]
    fn a_random_point_is_a_key_only_on_the_curve(x: [u8; 32], y: [u8; 32]) {
        let ec = format!(r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#, b64(x), b64(y));
        prop_assert!(PublicJwk::from_json(ec.as_bytes()).is_err());
    }

    #[test]
    fn whatever_is_signed_verifies_and_says_the_same(
        pair in 0_usize..4,
        kind in kind(),
        sub in "\\PC{0,40}",
        iat in 0_i64..4_000_000_000,
    ) {
        let (signer, verifier) = &PAIRS[pair];
        let claims = serde_json::json!({"sub": sub, "iat": iat});
        let token = signer.sign(kind, claims.to_string().as_bytes()).unwrap();
        let verified = verifier.verify(Unverified::parse(&token).unwrap(), kind).unwrap();
        prop_assert_eq!(serde_json::Value::Object(verified.claims().clone()), claims);
        for (index, (_, other)) in PAIRS.iter().enumerate() {
            let verified = other.verify(Unverified::parse(&token).unwrap(), kind);
            prop_assert_eq!(verified.is_ok(), index == pair);
        }
    }

    #[test]
    fn an_altered_token_never_verifies(
        pair in 0_usize..4,
        kind in kind(),
        edits in prop::collection::vec(edit(), 1..4),
    ) {
        let (signer, verifier) = &PAIRS[pair];
        let token = signer.sign(kind, common::CLAIMS.as_bytes()).unwrap();
        let altered = apply(&token, &edits);
        prop_assume!(altered != token);
        for kind in TokenKind::ALL {
            let verified = Unverified::parse(&altered).and_then(|t| verifier.verify(t, kind));
            prop_assert!(verified.is_err(), "{}", altered);
        }
    }

    #[test]
    fn parts_of_two_good_tokens_do_not_mix(pair in 0_usize..4, one in 0_u32..9, other in 10_u32..99) {
        let (signer, verifier) = &PAIRS[pair];
        let sign = |n| signer.sign(TokenKind::AccessToken, format!(r#"{{"n":{n}}}"#).as_bytes());
        let (one, other) = (sign(one).unwrap(), sign(other).unwrap());
        let one: Vec<_> = one.split('.').collect();
        let other: Vec<_> = other.split('.').collect();
        let mixed = [one[0], other[1], one[2]].join(".");
        let mixed = Unverified::parse(&mixed).unwrap();
        prop_assert!(verifier.verify(mixed, TokenKind::AccessToken).is_err());
    }

    #[test]
    fn a_kid_never_selects_or_unlocks_anything(kid in "\\PC{1,60}") {
        let key = &KEYS[0];
        prop_assume!(kid != key.kid());
        let header = serde_json::json!({"alg": key.alg(), "typ": "at+jwt", "kid": kid});
        let token = forge(key, header.to_string(), common::CLAIMS);
        let token = Unverified::parse(&token).unwrap();
        prop_assert_eq!(token.kid(), Some(kid.as_str()));
        prop_assert!(PAIRS[0].1.verify(token, TokenKind::AccessToken).is_err());
    }
}
