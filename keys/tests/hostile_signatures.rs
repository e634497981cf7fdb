//! Attacks on algorithms and signatures: RFC 8725 section 2, the classes of Project
//! Wycheproof's JWS and ECDSA vectors.
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

use common::target::{HEADER, KEY, accept, good, refusal};
use common::{CLAIMS, b64, forge, unb64};
use josekit::jwk::KeyPair;
use rstest::rstest;
use stipend_keys::{Algorithm, JwsError, SigningKey, TokenKind, Unverified};

#[test]
fn the_token_the_attacks_start_from_is_good() {
    assert_eq!(accept(&good()).unwrap().claims()["sub"], "agent:payments.refunds");
}

#[rstest]
fn unsigned_and_symmetric_algorithms_are_refused_before_any_key_is_used(
    #[values("none", "None", "nOnE", "NONE", "", "HS256", "HS384", "HS512", "ES384", "ES256K", "RS1")] alg: &str,
    #[values(true, false)] signed: bool,
) {
    let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
    let mut token = forge(&KEY, header, CLAIMS);
    if !signed {
        token.truncate(token.rfind('.').unwrap() + 1);
    }
    assert_eq!(refusal(&token), JwsError::Algorithm);
}

#[rstest]
#[case(r#"{"typ":"at+jwt"}"#)]
#[case(r#"{"alg":null,"typ":"at+jwt"}"#)]
#[case(r#"{"alg":["ES256"],"typ":"at+jwt"}"#)]
#[case(r#"{"alg":1,"typ":"at+jwt"}"#)]
#[case(r#"{"ALG":"ES256","typ":"at+jwt"}"#)]
fn a_header_without_a_proper_algorithm_is_refused(#[case] header: &str) {
    assert_eq!(refusal(&forge(&KEY, header, CLAIMS)), JwsError::Algorithm);
}

#[test]
fn hmac_keyed_with_the_public_key_is_refused() {
    let rsa = SigningKey::generate(Algorithm::Rs256).unwrap();
    let der = rsa.to_private_der();
    let rsa_pair = josekit::jws::RS256.key_pair_from_der(der.expose()).unwrap();
    let ec_pair = josekit::jws::ES256.key_pair_from_der(KEY.to_private_der().expose()).unwrap();
    let secrets = [
        rsa_pair.to_pem_public_key(),
        rsa_pair.to_der_public_key(),
        ec_pair.to_pem_public_key(),
        ec_pair.to_der_public_key(),
        KEY.public_jwk().to_public_json().into_bytes(),
    ];
    for secret in secrets {
        for alg in ["HS256", "ES256", "RS256"] {
            let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
            let input = format!("{}.{}", b64(header), b64(CLAIMS));
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
            let tag = ring::hmac::sign(&key, input.as_bytes());
            let token = format!("{input}.{}", b64(tag.as_ref()));
            for key in [&*KEY, &rsa] {
                let verifier = key.public_jwk().verifier().unwrap();
                let verified =
                    Unverified::parse(&token).and_then(|token| verifier.verify(token, TokenKind::AccessToken));
                assert!(verified.is_err(), "{alg}");
            }
        }
    }
}

#[test]
fn a_key_verifies_its_own_algorithm_only() {
    // The same RSA key material, bound once to each algorithm.
    let rs = SigningKey::generate(Algorithm::Rs256).unwrap();
    let ps = SigningKey::from_private_der(Algorithm::Ps256, &rs.to_private_der()).unwrap();
    assert_eq!(ps.kid(), rs.kid());
    let typed = |alg| format!(r#"{{"alg":"{alg}","typ":"at+jwt"}}"#);
    for (signer, header, verifier, expected) in [
        (&ps, "PS256", &rs, JwsError::WrongKeyAlgorithm),
        (&rs, "RS256", &ps, JwsError::WrongKeyAlgorithm),
        // The header lies about how it was signed.
        (&ps, "RS256", &rs, JwsError::Signature),
        (&rs, "PS256", &ps, JwsError::Signature),
        (&*KEY, "EdDSA", &*KEY, JwsError::WrongKeyAlgorithm),
    ] {
        let token = Unverified::parse(&forge(signer, typed(header), CLAIMS)).unwrap();
        let verifier = verifier.public_jwk().verifier().unwrap();
        let refused = verifier.verify(token, TokenKind::AccessToken);
        assert_eq!(refused.unwrap_err(), expected, "{header}");
    }
}

#[test]
fn another_keys_signature_is_refused() {
    let other = SigningKey::generate(Algorithm::Es256).unwrap();
    assert_eq!(refusal(&forge(&other, HEADER, CLAIMS)), JwsError::Signature);
}

#[test]
fn signatures_of_the_wrong_length_are_refused() {
    let token = good();
    let (input, signature) = token.rsplit_once('.').unwrap();
    assert_eq!(refusal(&format!("{input}.")), JwsError::Unsigned);
    let signature = unb64(signature);
    for length in (0..64).chain(65..130) {
        let mut wrong = signature.clone();
        wrong.resize(length, 0);
        let expected = if length == 0 { JwsError::Unsigned } else { JwsError::Signature };
        assert_eq!(refusal(&format!("{input}.{}", b64(wrong))), expected, "{length}");
    }
}

#[test]
fn a_der_encoded_ecdsa_signature_is_refused() {
    let token = good();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = unb64(signature);
    let integer = |half: &[u8]| {
        let mut out = vec![0];
        out.extend_from_slice(half);
        let start = out.iter().take(32).take_while(|b| **b == 0).count();
        let start = if out[start] >= 0x80 { start - 1 } else { start };
        let body = out.split_off(start);
        [vec![2, body.len() as u8], body].concat()
    };
    let body = [integer(&signature[..32]), integer(&signature[32..])].concat();
    let der = [vec![0x30, body.len() as u8], body].concat();
    assert_eq!(refusal(&format!("{input}.{}", b64(der))), JwsError::Signature);
}

#[test]
fn degenerate_ecdsa_signatures_are_refused() {
    // The order of P-256.
    let n = unb64("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE");
    let mut n_less = n.clone();
    n_less[31] -= 1;
    let one = [vec![0; 31], vec![1]].concat();
    let values = [vec![0; 32], one, n, n_less, vec![0xff; 32]];
    let token = good();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let signature = unb64(signature);
    for value in &values {
        for other in &values {
            let token = format!("{input}.{}", b64([value.as_slice(), other].concat()));
            assert_eq!(refusal(&token), JwsError::Signature);
        }
        for half in [[&signature[..32], value].concat(), [value, &signature[32..]].concat()] {
            assert_eq!(refusal(&format!("{input}.{}", b64(half))), JwsError::Signature);
        }
    }
    let swapped = [&signature[32..], &signature[..32]].concat();
    assert_eq!(refusal(&format!("{input}.{}", b64(swapped))), JwsError::Signature);
}

#[test]
fn the_malleable_twin_of_a_signature_has_the_same_digest() {
    // (r, n - s) is as valid as (r, s): a token's text can't be its identity.
    let token = good();
    let (input, signature) = token.rsplit_once('.').unwrap();
    let mut twin = unb64(signature);
    let n = unb64("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE");
    let mut borrow = 0;
    for i in (0..32).rev() {
        let difference = i32::from(n[i]) - i32::from(twin[32 + i]) - borrow;
        borrow = i32::from(difference < 0);
        twin[32 + i] = difference.rem_euclid(256) as u8;
    }
    let twin = format!("{input}.{}", b64(twin));
    assert_ne!(twin, token);
    assert_eq!(accept(&twin).unwrap().digest(), accept(&token).unwrap().digest());
    assert_ne!(accept(&forge(&KEY, HEADER, "{}")).unwrap().digest(), accept(&token).unwrap().digest());
}

#[test]
fn a_flipped_bit_anywhere_is_refused() {
    let token = good();
    for index in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[index] ^= 1 << bit;
            let flipped = String::from_utf8(bytes).unwrap();
            assert!(accept(&flipped).is_err(), "byte {index} bit {bit}: {flipped}");
        }
    }
}
