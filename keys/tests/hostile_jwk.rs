//! Attacks on the reading of public keys.
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

use common::b64;
use common::keys::{X, Y, ec, okp, rsa, with};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_keys::jwk::MAX_JWK_BYTES;
use stipend_keys::{Algorithm, JwkError, PublicJwk};
use stipend_token::json::JsonError;

fn without(mut key: Value, member: &str) -> Value {
    key.as_object_mut().unwrap().remove(member);
    key
}

fn refusal(key: &Value) -> JwkError {
    PublicJwk::parse_value(key).expect_err("the key was accepted")
}

#[test]
fn the_keys_the_attacks_start_from_are_good() {
    for (key, alg) in [
        (ec(), Algorithm::Es256),
        (okp(), Algorithm::EdDsa),
        (rsa(2048, &[1, 0, 1]), Algorithm::Rs256),
        (with(rsa(4096, &[1, 0, 1]), "alg", "PS256".into()), Algorithm::Ps256),
        (with(okp(), "alg", "Ed25519".into()), Algorithm::EdDsa),
        (with(ec(), "key_ops", json!(["verify"])), Algorithm::Es256),
        (with(ec(), "use", "sig".into()), Algorithm::Es256),
        (with(ec(), "x5t", json!({"unknown": "member"})), Algorithm::Es256),
    ] {
        let parsed = PublicJwk::parse_value(&key).unwrap();
        assert_eq!(parsed.alg(), alg);
        assert!(parsed.verifier().is_ok());
    }
}

#[rstest]
fn private_and_symmetric_members_are_refused_whatever_they_hold(
    #[values("d", "p", "q", "dp", "dq", "qi", "oth", "k")] member: &str,
    #[values(json!("AQAB"), json!(""), Value::Null, json!([]))] value: Value,
) {
    for key in [ec(), okp(), rsa(2048, &[1, 0, 1])] {
        assert_eq!(refusal(&with(key, member, value.clone())), JwkError::PrivateMember);
    }
}

#[test]
fn symmetric_and_unknown_key_types_are_refused() {
    assert_eq!(refusal(&json!({"kty": "oct", "k": "c2VjcmV0"})), JwkError::PrivateMember);
    for kty in ["oct", "ec", "rsa", "", "AKP", "EC "] {
        let error = refusal(&with(ec(), "kty", kty.into()));
        assert_eq!(error, JwkError::UnsupportedKeyType, "{kty}");
    }
    assert_eq!(refusal(&without(ec(), "kty")), JwkError::Member("kty"));
    assert!(matches!(refusal(&with(ec(), "kty", json!(1))), JwkError::Json(_)));
}

#[test]
fn other_curves_are_refused() {
    for crv in ["P-384", "P-521", "secp256k1", "p-256", "Ed25519", ""] {
        assert_eq!(refusal(&with(ec(), "crv", crv.into())), JwkError::UnsupportedCurve, "{crv}");
    }
    for crv in ["Ed448", "X25519", "X448", "P-256", "ed25519"] {
        assert_eq!(refusal(&with(okp(), "crv", crv.into())), JwkError::UnsupportedCurve, "{crv}");
    }
    assert_eq!(refusal(&without(ec(), "crv")), JwkError::UnsupportedCurve);
}

#[test]
fn points_off_the_curve_are_refused() {
    assert_eq!(refusal(&with(ec(), "y", X.into())), JwkError::InvalidPoint);
    assert_eq!(refusal(&with(ec(), "x", Y.into())), JwkError::InvalidPoint);
    for value in [[0; 32], [0xff; 32]] {
        let key = with(with(ec(), "x", b64(value).into()), "y", b64(value).into());
        assert_eq!(refusal(&key), JwkError::InvalidPoint);
    }
}

#[test]
fn ed25519_points_of_small_order_are_refused() {
    let mut p = [0xff; 32];
    p[31] = 0x7f;
    let around_p = [0xec, 0xed, 0xee].map(|low| {
        let mut point = p;
        point[0] = low;
        point
    });
    let mut one = [0; 32];
    one[0] = 1;
    let order_eight = ["JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU", "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o"];
    let order_eight = order_eight.map(|text| common::unb64(text).try_into().unwrap());
    for point in around_p.into_iter().chain([[0; 32], one]).chain(order_eight) {
        for sign in [0, 0x80] {
            let mut point: [u8; 32] = point;
            point[31] |= sign;
            let key = with(okp(), "x", b64(point).into());
            assert_eq!(refusal(&key), JwkError::InvalidPoint, "{point:?}");
        }
    }
}

#[rstest]
fn coordinates_have_exactly_their_length(#[values(0, 1, 31, 33, 64, 10_000)] length: usize) {
    let text = b64(vec![1; length]);
    assert_eq!(refusal(&with(ec(), "x", text.clone().into())), JwkError::Member("x"));
    assert_eq!(refusal(&with(ec(), "y", text.clone().into())), JwkError::Member("y"));
    assert_eq!(refusal(&with(okp(), "x", text.into())), JwkError::Member("x"));
}

#[test]
fn coordinates_have_one_spelling() {
    // The last character of 32 bytes has two spare bits.
    let spare = format!("{}V", &X[..42]);
    for text in [format!("{X}="), format!(" {X}"), format!("{X}\n"), X.replace('-', "+"), spare] {
        if text != X {
            assert_eq!(refusal(&with(ec(), "x", text.into())), JwkError::Member("x"));
        }
    }
    for value in [Value::Null, json!(1), json!([X]), json!({})] {
        assert!(matches!(refusal(&with(ec(), "x", value)), JwkError::Json(JsonError::Member { name: "x", .. })));
    }
    assert_eq!(refusal(&without(ec(), "y")), JwkError::Member("y"));
}

#[test]
fn rsa_moduli_have_2048_to_8192_bits_and_are_odd() {
    for bits in [2048, 2049, 3072, 8191, 8192] {
        assert!(PublicJwk::parse_value(&rsa(bits, &[1, 0, 1])).is_ok(), "{bits}");
    }
    for bits in [8, 512, 1024, 2040, 2041, 2047] {
        assert_eq!(refusal(&rsa(bits, &[1, 0, 1])), JwkError::RsaModulus, "{bits}");
    }
    for bits in [8193, 16_384] {
        assert_eq!(refusal(&rsa(bits, &[1, 0, 1])), JwkError::Member("n"), "{bits}");
    }
    let mut even = vec![0xff; 256];
    even[255] = 0xfe;
    assert_eq!(refusal(&with(rsa(2048, &[1, 0, 1]), "n", b64(even).into())), JwkError::RsaModulus);
    let padded = [vec![0], vec![0xff; 256]].concat();
    assert_eq!(refusal(&with(rsa(2048, &[1, 0, 1]), "n", b64(padded).into())), JwkError::Member("n"));
    assert_eq!(refusal(&with(rsa(2048, &[1, 0, 1]), "n", "".into())), JwkError::Member("n"));
}

#[test]
fn rsa_exponents_are_odd_and_neither_small_nor_huge() {
    for e in [&[1, 0, 1][..], &[1, 0, 3], &[0xff, 0xff, 0xff, 0xff]] {
        assert!(PublicJwk::parse_value(&rsa(2048, e)).is_ok(), "{e:?}");
    }
    for e in [&[1][..], &[2], &[3], &[17], &[0xff, 0xff], &[1, 0, 0], &[1, 0, 2], &[1, 0, 0, 0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(refusal(&rsa(2048, e)), JwkError::RsaExponent, "{e:?}");
    }
    for e in [&[][..], &[0, 1, 0, 1], &[1, 0, 0, 0, 0, 1], &[0xff; 300]] {
        assert_eq!(refusal(&rsa(2048, e)), JwkError::Member("e"), "{e:?}");
    }
}

#[test]
fn the_algorithm_fits_the_key_type() {
    for (key, good) in
        [(ec(), &["ES256"][..]), (okp(), &["EdDSA", "Ed25519"]), (rsa(2048, &[1, 0, 1]), &["RS256", "PS256"])]
    {
        for alg in ["ES256", "EdDSA", "Ed25519", "RS256", "PS256", "none", "HS256", "RS512", "ES384", ""] {
            let parsed = PublicJwk::parse_value(&with(key.clone(), "alg", alg.into()));
            match good.contains(&alg) {
                true => assert!(parsed.is_ok(), "{alg}"),
                false => assert_eq!(parsed.unwrap_err(), JwkError::WrongAlgorithm, "{alg}"),
            }
        }
    }
}

#[test]
fn keys_for_anything_but_verifying_are_refused() {
    for value in ["enc", "SIG", "", "sign"] {
        assert_eq!(refusal(&with(ec(), "use", value.into())), JwkError::WrongUse);
    }
    for ops in [json!([]), json!(["sign"]), json!(["encrypt", "wrapKey"])] {
        assert_eq!(refusal(&with(ec(), "key_ops", ops)), JwkError::WrongUse);
    }
    for ops in [json!(["verify", 1]), json!(vec!["verify"; 9])] {
        assert_eq!(refusal(&with(ec(), "key_ops", ops)), JwkError::Member("key_ops"));
    }
    assert!(matches!(refusal(&with(ec(), "key_ops", "verify".into())), JwkError::Json(_)));
    assert!(matches!(refusal(&with(ec(), "use", json!(["sig"]))), JwkError::Json(_)));
}

#[test]
fn a_kid_is_short_and_its_text_is_escaped_on_the_way_out() {
    for kid in [String::new(), "k".repeat(257)] {
        assert_eq!(refusal(&with(ec(), "kid", kid.into())), JwkError::Member("kid"));
    }
    let hostile = "\"},{\"kty\":\"oct\",\"k\":\"AA\\";
    let key = PublicJwk::parse_value(&with(ec(), "kid", hostile.into())).unwrap();
    let json = key.to_public_json();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["kid"], hostile);
    assert_eq!(PublicJwk::from_json(json.as_bytes()).unwrap(), key);
}

#[test]
fn json_text_is_read_strictly() {
    let text = format!(r#"{{"kty":"EC","crv":"P-256","x":"{X}","y":"{Y}","x":"{X}"}}"#);
    let error = PublicJwk::from_json(text.as_bytes()).unwrap_err();
    assert_eq!(error, JwkError::Json(JsonError::DuplicateMember));
    let padding = " ".repeat(MAX_JWK_BYTES);
    let error = PublicJwk::from_json(format!("{}{padding}", ec()).as_bytes()).unwrap_err();
    assert_eq!(error, JwkError::Json(JsonError::TooLarge));
    for text in ["", "null", "[]", "\"EC\"", "{"] {
        assert!(matches!(PublicJwk::from_json(text.as_bytes()), Err(JwkError::Json(_))), "{text}");
    }
}
