//! Keys that sign, and what leaves them.
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

use common::{CLAIMS, unb64};
use rstest::rstest;
use stipend_keys::{Algorithm, KeyError, MAX_JWT_BYTES, Secret, SigningKey, TokenKind, Unverified};
use stipend_token::claims::MAX_CLAIMS_BYTES;

#[rstest]
#[case(Algorithm::Es256)]
#[case(Algorithm::EdDsa)]
#[case(Algorithm::Rs256)]
#[case(Algorithm::Ps256)]
fn what_a_key_signs_verifies_after_a_round_trip_through_der(#[case] alg: Algorithm) {
    let key = SigningKey::generate(alg).unwrap();
    let loaded = SigningKey::from_private_der(alg, &key.to_private_der()).unwrap();
    assert_eq!(loaded.kid(), key.kid());
    assert_eq!(loaded.public_jwk(), key.public_jwk());

    let token = loaded.signer().unwrap().sign(TokenKind::AccessToken, CLAIMS.as_bytes()).unwrap();
    let header = format!(r#"{{"alg":"{alg}","typ":"at+jwt","kid":"{}"}}"#, key.kid());
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(unb64(parts[0]), header.as_bytes());
    assert_eq!(unb64(parts[1]), CLAIMS.as_bytes(), "the payload is signed as it stands");

    let verifier = key.public_jwk().verifier().unwrap();
    let verified = verifier.verify(Unverified::parse(&token).unwrap(), TokenKind::AccessToken);
    assert_eq!(verified.unwrap().kid(), key.kid());
}

#[rstest]
#[case(Algorithm::Es256, 200)]
#[case(Algorithm::EdDsa, 50)]
fn every_signature_of_many_has_the_full_length(#[case] alg: Algorithm, #[case] count: usize) {
    // r or s begins with a zero byte in one of 128 ECDSA signatures.
    let signer = SigningKey::generate(alg).unwrap().signer().unwrap();
    let verifier = signer.public_jwk().verifier().unwrap();
    for n in 0..count {
        let token = signer.sign(TokenKind::TxnToken, format!(r#"{{"n":{n}}}"#).as_bytes()).unwrap();
        assert_eq!(unb64(token.rsplit('.').next().unwrap()).len(), 64);
        verifier.verify(Unverified::parse(&token).unwrap(), TokenKind::TxnToken).unwrap();
    }
}

#[test]
fn every_kind_verifies_as_itself_and_as_no_other() {
    let signer = SigningKey::generate(Algorithm::Es256).unwrap().signer().unwrap();
    let verifier = signer.public_jwk().verifier().unwrap();
    for made in TokenKind::ALL {
        let token = signer.sign(made, CLAIMS.as_bytes()).unwrap();
        for wanted in TokenKind::ALL {
            // The one pair that claims must tell apart; see the `kind` module.
            let alike = made == TokenKind::IdToken && wanted == TokenKind::ClientAssertion;
            let verified = verifier.verify(Unverified::parse(&token).unwrap(), wanted);
            assert_eq!(verified.is_ok(), made == wanted || alike, "{made:?} as {wanted:?}");
        }
    }
}

#[test]
fn a_token_that_nobody_would_read_is_not_made() {
    let signer = SigningKey::generate(Algorithm::Es256).unwrap().signer().unwrap();
    let payload = |length| format!(r#"{{"a":"{}"}}"#, "x".repeat(length));
    let longest =
        (0..MAX_JWT_BYTES).rev().find(|n| signer.sign(TokenKind::AccessToken, payload(*n).as_bytes()).is_ok()).unwrap();
    let token = signer.sign(TokenKind::AccessToken, payload(longest).as_bytes()).unwrap();
    assert!(token.len() <= MAX_JWT_BYTES && token.len() > MAX_JWT_BYTES - 4);
    assert!(Unverified::parse(&token).is_ok());
    assert_eq!(signer.sign(TokenKind::AccessToken, payload(longest + 1).as_bytes()), Err(KeyError::TooLarge));
}

#[test]
fn a_token_with_the_longest_claims_is_under_4_kib_with_every_algorithm() {
    let claims = format!("{{\"x\":\"{}\"}}", "x".repeat(MAX_CLAIMS_BYTES - 8));
    assert_eq!(claims.len(), MAX_CLAIMS_BYTES);
    for alg in Algorithm::ALL {
        let signer = SigningKey::generate(alg).unwrap().signer().unwrap();
        let token = signer.sign(TokenKind::AccessToken, claims.as_bytes()).unwrap();
        assert!(token.len() < 4096, "{alg}: {} bytes", token.len());
    }
}

#[test]
fn a_private_key_loads_only_for_its_own_algorithm() {
    for alg in Algorithm::ALL {
        let der = SigningKey::generate(alg).unwrap().to_private_der();
        for other in Algorithm::ALL {
            let rsa = |a| matches!(a, Algorithm::Rs256 | Algorithm::Ps256);
            // One plain RSA key can serve PKCS #1 or PSS; the record says which.
            if other != alg && !(rsa(alg) && rsa(other)) {
                assert!(SigningKey::from_private_der(other, &der).is_err(), "{alg} as {other}");
            }
        }
    }
}

#[test]
fn broken_private_keys_are_refused() {
    let good = SigningKey::generate(Algorithm::Es256).unwrap().to_private_der();
    let good = good.expose().clone();
    let ed448 = josekit::jws::EdDSA.generate_key_pair(josekit::jwk::alg::ed::EdCurve::Ed448).unwrap();
    let ed448 = josekit::jwk::KeyPair::to_der_private_key(&ed448);
    let es384 = josekit::jws::ES384.generate_key_pair().unwrap();
    let es384 = josekit::jwk::KeyPair::to_der_private_key(&es384);
    for alg in Algorithm::ALL {
        for der in [vec![], vec![0x30], b"garbage".to_vec(), good[..good.len() / 2].to_vec()] {
            assert!(SigningKey::from_private_der(alg, &Secret::new(der)).is_err());
        }
        for der in [&ed448, &es384] {
            assert!(SigningKey::from_private_der(alg, &Secret::new(der.clone())).is_err(), "{alg}");
        }
    }
}

#[test]
fn nothing_that_holds_a_private_key_prints_it() {
    for alg in Algorithm::ALL {
        let key = SigningKey::generate(alg).unwrap();
        let signer = key.signer().unwrap();
        let printed = format!("{key:?} {key:#?} {signer:?} {signer:#?} {:?}", key.to_private_der());
        assert!(printed.contains(key.kid()));
        // Any run of bytes in Rust's notation would be a leak.
        let bytes = key.to_private_der();
        let run = format!("{:?}", &bytes.expose()[40..44]);
        assert!(!printed.contains(run.trim_matches(['[', ']'])));
        let public = key.public_jwk().to_public_json();
        for member in ["\"d\"", "\"p\"", "\"q\"", "\"dp\"", "\"dq\"", "\"qi\"", "\"k\""] {
            assert!(!public.contains(member), "{alg}");
        }
    }
}

#[test]
fn the_public_json_has_a_fixed_order_and_reads_back() {
    for (alg, start) in [
        (Algorithm::Es256, r#"{"kty":"EC","use":"sig","alg":"ES256","kid":""#),
        (Algorithm::EdDsa, r#"{"kty":"OKP","use":"sig","alg":"EdDSA","kid":""#),
        (Algorithm::Rs256, r#"{"kty":"RSA","use":"sig","alg":"RS256","kid":""#),
        (Algorithm::Ps256, r#"{"kty":"RSA","use":"sig","alg":"PS256","kid":""#),
    ] {
        let key = SigningKey::generate(alg).unwrap();
        let json = key.public_jwk().to_public_json();
        assert!(json.starts_with(start), "{json}");
        let back = stipend_keys::PublicJwk::from_json(json.as_bytes()).unwrap();
        assert_eq!(&back, key.public_jwk());
        assert_eq!(back.kid(), back.thumbprint());
    }
}
