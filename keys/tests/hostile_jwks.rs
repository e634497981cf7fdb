//! Sets of public keys: registered ones are judged whole, published ones are sifted.
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

use common::keys::{ED, ec, okp, rsa, with};
use serde_json::{Value, json};
use stipend_keys::{Algorithm, JwkError, PublicJwk, PublicJwkSet, SigningKey};

fn set(keys: &[Value]) -> Vec<u8> {
    json!({"keys": keys}).to_string().into_bytes()
}

fn distinct(count: usize) -> Vec<Value> {
    let keys = (0..count).map(|_| SigningKey::generate(Algorithm::EdDsa).unwrap());
    keys.map(|key| serde_json::from_str(&key.public_jwk().to_public_json()).unwrap()).collect()
}

#[test]
fn a_registered_set_holds_one_to_sixteen_distinct_usable_keys() {
    assert_eq!(PublicJwkSet::from_json(&set(&distinct(16))).unwrap().keys().len(), 16);
    assert_eq!(PublicJwkSet::from_json(&set(&distinct(17))), Err(JwkError::SetSize));
    assert_eq!(PublicJwkSet::from_json(&set(&[])), Err(JwkError::SetSize));
    let named = |key, kid: &str| with(key, "kid", kid.into());
    let twice = [named(ec(), "a"), named(okp(), "a")];
    assert_eq!(PublicJwkSet::from_json(&set(&twice)), Err(JwkError::DuplicateKid));
    let renamed = [named(ec(), "a"), named(ec(), "b")];
    assert_eq!(PublicJwkSet::from_json(&set(&renamed)), Err(JwkError::DuplicateKid));
    let private = [ec(), with(okp(), "d", ED.into())];
    assert_eq!(PublicJwkSet::from_json(&set(&private)), Err(JwkError::PrivateMember));
    for text in ["{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(matches!(PublicJwkSet::from_json(text.as_bytes()), Err(JwkError::Json(_))), "{text}");
    }
}

#[test]
fn a_published_set_leaves_out_what_it_can_not_use() {
    let named = |key, kid: &str| with(key, "kid", kid.into());
    let keys = [
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
        json!("not a key"),
        with(ec(), "use", "enc".into()),
        named(ec(), "good"),
        named(okp(), "twice"),
        named(rsa(2048, &[1, 0, 1]), "twice"),
        rsa(1024, &[1, 0, 1]),
    ];
    let set = PublicJwkSet::from_published_json(&set(&keys)).unwrap();
    let kids: Vec<_> = set.keys().iter().map(PublicJwk::kid).collect();
    assert_eq!(kids, ["good"]);
}

#[test]
fn keys_are_found_by_kid_and_algorithm_and_nothing_else() {
    let named = |key, kid: &str| with(key, "kid", kid.into());
    let keys = [named(ec(), "a"), named(okp(), "b"), rsa(2048, &[1, 0, 1])];
    let set = PublicJwkSet::from_json(&set(&keys)).unwrap();
    let count = |alg, kid| set.candidates(alg, kid).count();
    assert_eq!(count(Algorithm::Es256, Some("a")), 1);
    assert_eq!(count(Algorithm::Es256, None), 1);
    assert_eq!(count(Algorithm::EdDsa, Some("a")), 0, "the kid's key has another algorithm");
    assert_eq!(count(Algorithm::Es256, Some("A")), 0);
    assert_eq!(count(Algorithm::Es256, Some("")), 0);
    assert_eq!(count(Algorithm::Ps256, None), 0, "an RSA key without alg is RS256");
    let thumbprint = set.keys()[2].thumbprint();
    assert_eq!(count(Algorithm::Rs256, Some(thumbprint)), 1);
    let reread = PublicJwkSet::from_json(set.to_public_json().as_bytes()).unwrap();
    assert_eq!(reread.keys()[0], set.keys()[0]);
    assert_eq!(reread.keys()[2].kid(), thumbprint);
}
