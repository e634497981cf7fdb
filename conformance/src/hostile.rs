//! Hostile copies of a genuine token: its signature, its algorithm, its
//! encoding.
//!
//! Owns the vectors that need no key of the issuer. Everything is made from a
//! token that is valid, so that the one change is what must be noticed.

use serde_json::{Value, json};

use crate::check::Miss;
use crate::encode::{b64, b64url, b64url_decode};
use crate::issuer::Issuer;
use crate::jwk;
use crate::jws::{Signer, as_der_signature, claims_of, header_of, hs256, parts, point_as_secrets, set};

pub(crate) type Vectors = Vec<(String, String)>;

/// JV1: the header names another algorithm than the key has.
pub(crate) fn other_algorithms(token: &str) -> Vectors {
    let Some((header, (_, body, signature))) = header_of(token).zip(parts(token)) else {
        return Vec::new();
    };
    let algorithms = ["ES256", "ES384", "ES512", "RS256", "PS256", "EdDSA", "HS256", "HS512"];
    let others = algorithms.iter().filter(|alg| **alg != jwk::member(&header, "alg"));
    let relabel = |alg: &&str| {
        let mut header = header.clone();
        set(&mut header, "alg", json!(alg));
        (format!("relabelled {alg}"), format!("{}.{body}.{signature}", b64url(header.to_string().as_bytes())))
    };
    others.map(relabel).collect()
}

/// JV2: unsigned, half signed, or signed with what everybody knows.
pub(crate) fn forged_signatures(issuer: &Issuer, token: &str) -> Result<Vectors, Miss> {
    let Some((header, (head, body, signature))) = header_of(token).zip(parts(token)) else {
        return Ok(Vec::new());
    };
    let claims = claims_of(token).unwrap_or_default();
    let mut all = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let mut header = header.clone();
        set(&mut header, "alg", json!(alg));
        let head = b64url(header.to_string().as_bytes());
        all.push((format!("alg {alg}, no signature"), format!("{head}.{body}.")));
        all.push((format!("alg {alg}, old signature"), format!("{head}.{body}.{signature}")));
    }
    all.push(("empty signature".into(), format!("{head}.{body}.")));
    all.push(("no third part".into(), format!("{head}.{body}")));
    all.push(("truncated signature".into(), token.get(..token.len() - 6).unwrap_or_default().into()));
    all.push(("zero signature".into(), format!("{head}.{body}.{}", b64url(&[0; 64]))));
    all.push(("signature flipped".into(), flipped(token).unwrap_or_default()));
    if jwk::member(&header, "alg") == "ES256" {
        all.push(("ASN.1 signature".into(), as_der_signature(token).unwrap_or_default()));
    }
    all.extend(public_key_as_secret(issuer, token, &header, &claims));
    let stranger = Signer::stranger(None).map_err(Miss::Fail)?;
    all.push(("stranger's key, same kid".into(), stranger.sign(&header, &claims)));
    let mut with_key = header.clone();
    set(&mut with_key, "jwk", stranger.public_jwk().unwrap_or_default());
    all.push(("stranger's key in jwk".into(), stranger.sign(&with_key, &claims)));
    for (name, value) in
        [("scope", json!("admin:all everything")), ("exp", json!(4_102_444_800_i64)), ("sub", json!("root"))]
    {
        let mut claims = claims.clone();
        set(&mut claims, name, value);
        all.push((format!("{name} changed"), format!("{head}.{}.{signature}", b64url(claims.to_string().as_bytes()))));
    }
    Ok(all)
}

fn public_key_as_secret(issuer: &Issuer, token: &str, header: &Value, claims: &Value) -> Vectors {
    let Some(key) = jwk::signing_key(&issuer.jwks, token) else {
        return Vec::new();
    };
    let mut secrets = vec![("jwk", key.to_string().into_bytes()), ("empty", Vec::new())];
    secrets.extend(jwk::point(key).map(|point| point_as_secrets(&point)).unwrap_or_default());
    if let Some(modulus) = b64url_decode(jwk::member(key, "n")).filter(|n| !n.is_empty()) {
        secrets.push(("modulus", modulus));
    }
    let mut header = header.clone();
    set(&mut header, "alg", json!("HS256"));
    let body = claims.to_string();
    let sign = |(what, secret): (&str, Vec<u8>)| {
        (format!("HS256 with the public key ({what})"), hs256(&secret, &header, body.as_bytes()))
    };
    secrets.into_iter().map(sign).collect()
}

fn flipped(token: &str) -> Option<String> {
    let (head, body, signature) = parts(token)?;
    let mut bytes = b64url_decode(signature)?;
    if let Some(byte) = bytes.get_mut(7) {
        *byte ^= 1;
    }
    Some(format!("{head}.{body}.{}", b64url(&bytes)))
}

/// JV4 and JV12: the same bytes, written as no JWS is written.
pub(crate) fn odd_encodings(token: &str) -> Vectors {
    let Some((head, body, signature)) = parts(token) else {
        return Vec::new();
    };
    let half = signature.len() / 2;
    let (left, right) = signature.split_at_checked(half).unwrap_or((signature, ""));
    let mut all: Vec<(&str, String)> = vec![
        ("padding", format!("{head}.{body}.{signature}==")),
        ("padded parts", format!("{head}=.{body}=.{signature}=")),
        ("trailing newline", format!("{token}\n")),
        ("trailing space", format!("{token} ")),
        ("leading space", format!(" {token}")),
        ("inner space", format!("{head}.{body}.{left} {right}")),
        ("inner newline", format!("{head}.{body}.{left}\r\n{right}")),
        ("NUL at the end", format!("{token}\0")),
        ("a fourth part", format!("{token}.{signature}")),
        ("an empty fourth part", format!("{token}.")),
        ("a leading dot", format!(".{token}")),
        ("five parts", format!("{head}.{body}.{signature}.{body}.{signature}")),
        ("Bearer in front", format!("Bearer {token}")),
        ("a comma behind", format!("{token},{token}")),
        ("JSON serialization", json!({"protected": head, "payload": body, "signature": signature}).to_string()),
    ];
    if let Some(other) = other_trailing_bits(signature) {
        all.push(("other trailing bits", format!("{head}.{body}.{other}")));
    }
    if let Some(bytes) = b64url_decode(signature) {
        let standard = b64(&bytes);
        let standard = standard.trim_end_matches('=');
        if standard != signature {
            all.push(("standard alphabet", format!("{head}.{body}.{standard}")));
        }
    }
    all.into_iter().map(|(what, token)| (what.to_owned(), token)).collect()
}

/// The same bytes with the unused bits of the last character set.
fn other_trailing_bits(part: &str) -> Option<String> {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if part.len().is_multiple_of(4) {
        return None;
    }
    let last = part.chars().last()?;
    let other = ALPHABET.chars().nth(ALPHABET.find(last)? ^ 1)?;
    Some(format!("{}{other}", part.strip_suffix(last)?))
}

/// JV12: a JWE and what pretends to be one.
pub(crate) fn encrypted() -> Vectors {
    let header = |json: Value| b64url(json.to_string().as_bytes());
    let jwe = |head: String| {
        format!("{head}.{}.{}.{}.{}", b64url(&[1; 40]), b64url(&[2; 12]), b64url(&[3; 32]), b64url(&[4; 16]))
    };
    vec![
        ("RSA-OAEP JWE".into(), jwe(header(json!({"alg": "RSA-OAEP-256", "enc": "A256GCM", "zip": "DEF"})))),
        (
            "dir JWE".into(),
            format!(
                "{}..{}.{}.{}",
                header(json!({"alg": "dir", "enc": "A128GCM"})),
                b64url(&[2; 12]),
                b64url(&[3; 32]),
                b64url(&[4; 16])
            ),
        ),
        (
            "PBES2 JWE with a huge count".into(),
            jwe(header(json!({"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2_147_483_647, "p2s": "AAAA"}))),
        ),
        (
            "ECDH-ES JWE".into(),
            jwe(header(
                json!({"alg": "ECDH-ES", "enc": "A128GCM", "epk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}),
            )),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_trailing_bits_decode_to_the_same_bytes_in_a_lax_decoder() {
        use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
        use base64::{Engine, alphabet};
        let lax = GeneralPurpose::new(
            &alphabet::URL_SAFE,
            GeneralPurposeConfig::new()
                .with_decode_allow_trailing_bits(true)
                .with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let part = b64url(&[9; 64]);
        let other = other_trailing_bits(&part).unwrap();
        assert_ne!(part, other);
        assert_eq!(lax.decode(&part).unwrap(), lax.decode(&other).unwrap());
        assert_eq!(b64url_decode(&other), None);
    }

    #[test]
    fn every_odd_encoding_differs_from_the_token() {
        let signer = Signer::stranger(None).unwrap();
        let token = signer.sign(&signer.header(), &json!({"a": 1}));
        let vectors = odd_encodings(&token);
        assert!(vectors.len() >= 16);
        assert!(vectors.iter().all(|(_, vector)| *vector != token));
    }
}
