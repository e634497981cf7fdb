//! Secrets encrypted to an agent's key: opened by others' code, and refused keys.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "tests"
)]

#[path = "jwe/keys.rs"]
mod private_keys;

use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use private_keys::{PrivateKey, decode, encode, header, p256, rsa, with, x25519};
use rstest::rstest;
use serde_json::{Value, json};
use stipend_keys::jwe::{MAX_CONTENT_BYTES, MAX_PARAMETER_BYTES, Parameters, RELEASE_TYP};
use stipend_keys::{EncryptionJwk, JweError, JwkError, Secret};

const CONTENT: &[u8] = b"canary-sk-live";

fn read(jwk: &Value) -> Result<EncryptionJwk, JweError> {
    EncryptionJwk::from_json(jwk.to_string().as_bytes())
}

fn content() -> Secret<Vec<u8>> {
    Secret::new(CONTENT.to_vec())
}

fn full() -> Parameters<'static> {
    Parameters {
        cty: Some("text/plain"),
        iss: Some("https://as.example"),
        aud: Some("agent-1"),
        exp: Some(1_900_000_000),
    }
}

#[rstest]
#[case::p256(p256(), "ECDH-ES+A256KW")]
#[case::x25519(x25519(), "ECDH-ES+A256KW")]
#[case::rsa(rsa(2048), "RSA-OAEP-256")]
fn a_message_opens_with_the_private_key_only(#[case] key: PrivateKey, #[case] alg: &str) {
    let recipient = read(&key.public).unwrap();
    assert_eq!(recipient.alg(), alg);
    let message = recipient.encrypt(&full(), &content()).unwrap();
    assert_eq!(key.decrypt(&message).unwrap(), CONTENT);
    let header = header(&message);
    let mut expected = json!({
        "alg": alg, "enc": "A256GCM", "kid": recipient.thumbprint(), "typ": RELEASE_TYP, "cty": "text/plain",
        "iss": "https://as.example", "aud": "agent-1", "exp": 1_900_000_000,
    });
    if alg.starts_with("ECDH") {
        expected["epk"] = header["epk"].clone();
        assert!(header["epk"].get("d").is_none());
    }
    assert_eq!(header, expected, "and nothing else");

    let bare = recipient.encrypt(&Parameters::default(), &content()).unwrap();
    assert_eq!(key.decrypt(&bare).unwrap(), CONTENT);
    for name in ["cty", "iss", "aud", "exp"] {
        assert!(private_keys::header(&bare).get(name).is_none());
    }
    assert!(!message.contains(&encode(CONTENT)[..12]));

    // Every part is authenticated.
    let parts: Vec<&str> = message.split('.').collect();
    assert_eq!(parts.len(), 5);
    for part in [1, 2, 3, 4] {
        let mut bytes = decode(parts[part]);
        bytes[0] ^= 1;
        let mut altered: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        altered[part] = encode(&bytes);
        assert!(key.decrypt(&altered.join(".")).is_none(), "part {part}");
    }
    let later = String::from_utf8(decode(parts[0])).unwrap().replace("1900000000", "1900000001");
    assert!(key.decrypt(&[&encode(later.as_bytes())[..], parts[1], parts[2], parts[3], parts[4]].join(".")).is_none());
}

#[rstest]
#[case::p256(p256())]
#[case::x25519(x25519())]
#[case::rsa(rsa(2048))]
fn clients_that_nobody_here_wrote_open_it(#[case] key: PrivateKey) {
    let recipient = read(&key.public).unwrap();
    for bytes in [CONTENT.to_vec(), vec![], (0..=255).collect(), vec![7; MAX_CONTENT_BYTES]] {
        let message = recipient.encrypt(&full(), &Secret::new(bytes.clone())).unwrap();
        for opened in [python(&key.private, &message), node(&key.private, &message)] {
            assert_eq!(opened["header"], header(&message));
            assert_eq!(STANDARD.decode(opened["content"].as_str().unwrap()).unwrap(), bytes);
        }
    }
}

fn python(key: &Value, message: &str) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jwe/decrypt.py");
    ask(Command::new(variable("STIPEND_INTEROP_PYTHON")).arg(script), key, message)
}

fn node(key: &Value, message: &str) -> Value {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jwe/decrypt.mjs");
    ask(Command::new("node").arg(script).arg(variable("STIPEND_INTEROP_NODE")), key, message)
}

fn ask(command: &mut Command, key: &Value, message: &str) -> Value {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let asked = json!({ "key": key, "message": message }).to_string();
    child.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "how scripts/test tells a test where the clients are")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("set {name} or run scripts/test"))
}

#[rstest]
#[case::p256(p256(), 300)]
#[case::x25519(x25519(), 300)]
#[case::rsa(rsa(2048), 100)]
fn whatever_is_random_differs_in_each_message(#[case] key: PrivateKey, #[case] messages: usize) {
    let recipient = read(&key.public).unwrap();
    let mut seen: [HashSet<String>; 6] = Default::default();
    for _ in 0..messages {
        let message = recipient.encrypt(&full(), &content()).unwrap();
        assert_eq!(key.decrypt(&message).unwrap(), CONTENT);
        let epk = header(&message)["epk"].clone();
        for name in ["x", "y"] {
            // RFC 7518 section 6.2.1.2: coordinates keep their leading zeros.
            assert!(epk.get(name).is_none_or(|value| decode(value.as_str().unwrap()).len() == 32));
        }
        for (seen, part) in seen.iter_mut().zip(message.split('.').skip(1)) {
            assert!(seen.insert(part.to_owned()), "repeated");
        }
        assert!(epk.is_null() || seen[5].insert(epk["x"].to_string()), "an ephemeral key was used twice");
    }
    assert_eq!(seen[..4].iter().map(HashSet::len).collect::<Vec<_>>(), vec![messages; 4]);
}

#[test]
fn keys_for_other_purposes_are_refused() {
    let (ec, okp, rsa) = (p256().public, x25519().public, rsa(2048).public);
    for jwk in [&ec, &okp, &rsa] {
        assert!(read(&with(jwk, &[("use", "enc".into())])).is_ok());
        assert_eq!(read(&with(jwk, &[("use", "sig".into())])).unwrap_err(), JweError::WrongUse);
        for alg in ["ES256", "RS256", "RSA1_5", "RSA-OAEP", "ECDH-ES", "ECDH-ES+A128KW", "dir", "A256GCMKW", "none", ""]
        {
            assert_eq!(read(&with(jwk, &[("alg", alg.into())])).unwrap_err(), JweError::WrongAlgorithm, "{alg}");
        }
        for operations in [json!([]), json!(["verify"]), json!(["sign", "decrypt"]), json!(["unwrapKey"])] {
            let mut jwk = jwk.clone();
            jwk["key_ops"] = operations.clone();
            assert_eq!(read(&jwk).unwrap_err(), JweError::WrongUse, "{operations}");
        }
        let mut jwk = jwk.clone();
        jwk["key_ops"] = json!([7]);
        assert_eq!(read(&jwk).unwrap_err(), JweError::Key(JwkError::Member("key_ops")));
    }
    for (jwk, operations) in
        [(&ec, ["deriveKey", "deriveBits"]), (&okp, ["deriveKey", "deriveBits"]), (&rsa, ["wrapKey", "encrypt"])]
    {
        for operation in operations {
            let mut jwk = jwk.clone();
            jwk["key_ops"] = json!([operation]);
            assert!(read(&jwk).is_ok(), "{operation}");
        }
    }
    assert!(read(&with(&ec, &[("alg", "ECDH-ES+A256KW".into())])).is_ok());
    assert!(read(&with(&rsa, &[("alg", "RSA-OAEP-256".into())])).is_ok());
    assert_eq!(read(&with(&rsa, &[("alg", "ECDH-ES+A256KW".into())])).unwrap_err(), JweError::WrongAlgorithm);
}

#[test]
fn private_and_symmetric_keys_are_refused_and_not_shown() {
    for key in [p256(), x25519(), rsa(2048)] {
        let error = read(&key.private).unwrap_err();
        assert_eq!(error, JweError::Key(JwkError::PrivateMember));
        let shown = format!("{error} {error:?} {:?}", read(&key.public).unwrap());
        for member in ["d", "x", "n", "p"] {
            assert!(key.private[member].as_str().is_none_or(|value| !shown.contains(value)), "{member}");
        }
    }
    assert_eq!(read(&json!({ "kty": "oct", "k": "AAAA" })).unwrap_err(), JweError::Key(JwkError::PrivateMember));
    assert_eq!(read(&json!({ "kty": "oct" })).unwrap_err(), JweError::UnsupportedKeyType);
    assert_eq!(read(&json!({})).unwrap_err(), JweError::Key(JwkError::Member("kty")));
}

#[test]
fn weak_and_invalid_keys_are_refused() {
    assert_eq!(read(&rsa(1024).public).unwrap_err(), JweError::Key(JwkError::RsaModulus));
    let weak = with(&rsa(2048).public, &[("e", "Aw".into())]);
    assert_eq!(read(&weak).unwrap_err(), JweError::Key(JwkError::RsaExponent));
    let ec = p256().public;
    let y = decode(ec["y"].as_str().unwrap());
    let mut off = y.clone();
    off[31] ^= 1;
    assert_eq!(read(&with(&ec, &[("y", encode(&off))])).unwrap_err(), JweError::Key(JwkError::InvalidPoint));
    assert_eq!(read(&with(&ec, &[("y", encode(&y[1..]))])).unwrap_err(), JweError::Key(JwkError::Member("y")));
    assert_eq!(read(&with(&ec, &[("crv", "P-384".into())])).unwrap_err(), JweError::UnsupportedCurve);
    assert_eq!(read(&with(&ec, &[("crv", "secp256k1".into())])).unwrap_err(), JweError::UnsupportedCurve);
    let okp = x25519().public;
    assert_eq!(read(&with(&okp, &[("crv", "Ed25519".into())])).unwrap_err(), JweError::UnsupportedCurve);
    assert_eq!(read(&with(&okp, &[("kty", "EC".into())])).unwrap_err(), JweError::UnsupportedCurve);
}

/// RFC 7748 section 7: with these the agreed secret is zero, and anybody could open
/// the message.
#[rstest]
#[case("0000000000000000000000000000000000000000000000000000000000000000")]
#[case("0100000000000000000000000000000000000000000000000000000000000000")]
#[case("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")]
#[case("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157")]
#[case("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]
#[case("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]
#[case("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")]
#[case("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff")]
fn x25519_keys_of_small_order_are_refused(#[case] hex: &str) {
    let bytes: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
    let jwk = json!({ "kty": "OKP", "crv": "X25519", "x": encode(&bytes) });
    assert_eq!(read(&jwk).unwrap_err(), JweError::Key(JwkError::InvalidPoint));
}

#[test]
fn a_key_is_stored_and_read_again() {
    for key in [p256(), x25519(), rsa(2048)] {
        let one = read(&with(&key.public, &[("kid", "agent \"1\"".into())])).unwrap();
        assert_eq!(one.kid(), "agent \"1\"");
        let again = EncryptionJwk::from_json(one.to_public_json().as_bytes()).unwrap();
        assert_eq!((again.kid(), again.alg(), again.thumbprint()), (one.kid(), one.alg(), one.thumbprint()));
        let message = again.encrypt(&Parameters::default(), &content()).unwrap();
        assert_eq!(header(&message)["kid"], "agent \"1\"");
        assert_eq!(key.decrypt(&message).unwrap(), CONTENT);
        assert_eq!(
            read(&with(&key.public, &[("kid", String::new())])).unwrap_err(),
            JweError::Key(JwkError::Member("kid"))
        );
    }
    let twice = br#"{"kty":"EC","kty":"EC"}"#;
    assert!(matches!(EncryptionJwk::from_json(twice).unwrap_err(), JweError::Key(JwkError::Json(_))));
}

#[test]
fn the_thumbprint_is_that_of_rfc_7638() {
    let jwk = json!({
        "kty": "RSA", "e": "AQAB", "kid": "2011-04-29",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
    });
    assert_eq!(read(&jwk).unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn what_is_too_long_is_refused() {
    let recipient = read(&x25519().public).unwrap();
    let long = Secret::new(vec![7; MAX_CONTENT_BYTES + 1]);
    assert_eq!(recipient.encrypt(&full(), &long).unwrap_err(), JweError::TooLong);
    let text = "a".repeat(MAX_PARAMETER_BYTES + 1);
    for parameters in [
        Parameters { cty: Some(&text), ..full() },
        Parameters { iss: Some(&text), ..full() },
        Parameters { aud: Some(&text), ..full() },
    ] {
        assert_eq!(recipient.encrypt(&parameters, &content()).unwrap_err(), JweError::TooLong);
    }
    let quoted = Parameters { aud: Some("a\"},\"alg\":\"none\n"), ..full() };
    let message = recipient.encrypt(&quoted, &content()).unwrap();
    assert_eq!(header(&message)["aud"], "a\"},\"alg\":\"none\n");
    assert_eq!(header(&message)["alg"], "ECDH-ES+A256KW");
}
