//! Reading the issuer's JWKS: which key signed a token, and whether it did.
//!
//! Owns verification of access tokens. It follows RFC 7517 and 7638 with ring
//! alone.

use ring::digest;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::Value;

use crate::encode::{b64url, b64url_decode};
use crate::jws::{header_of, parts};

pub(crate) fn member<'a>(key: &'a Value, name: &str) -> &'a str {
    key.get(name).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn keys(jwks: &Value) -> &[Value] {
    jwks.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The key that the token's header names.
pub(crate) fn signing_key<'a>(jwks: &'a Value, token: &str) -> Option<&'a Value> {
    let header = header_of(token)?;
    let kid = header.get("kid").and_then(Value::as_str);
    keys(jwks).iter().find(|key| match kid {
        Some(kid) => member(key, "kid") == kid,
        None => member(key, "alg") == member(&header, "alg"),
    })
}

/// RFC 7638: the SHA-256 thumbprint.
pub(crate) fn thumbprint(key: &Value) -> Option<String> {
    let required: &[&str] = match member(key, "kty") {
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "RSA" => &["e", "kty", "n"],
        _ => return None,
    };
    let members: Vec<String> = required.iter().map(|name| format!("\"{name}\":\"{}\"", member(key, name))).collect();
    let json = format!("{{{}}}", members.join(","));
    Some(b64url(digest::digest(&digest::SHA256, json.as_bytes()).as_ref()))
}

/// The uncompressed point of an EC key.
pub(crate) fn point(key: &Value) -> Option<Vec<u8>> {
    let mut point = vec![4];
    point.extend(b64url_decode(member(key, "x"))?);
    point.extend(b64url_decode(member(key, "y"))?);
    (member(key, "kty") == "EC").then_some(point)
}

pub(crate) fn verifies(key: &Value, alg: &str, token: &str) -> bool {
    checked(key, alg, token).is_some()
}

fn checked(key: &Value, alg: &str, token: &str) -> Option<()> {
    let (_, _, signature) = parts(token)?;
    let input = token.strip_suffix(signature)?.strip_suffix('.')?;
    let signature = b64url_decode(signature)?;
    let public = |algorithm: &'static dyn VerificationAlgorithm, bytes: Vec<u8>| {
        UnparsedPublicKey::new(algorithm, bytes).verify(input.as_bytes(), &signature).ok()
    };
    let rsa = |parameters| {
        let n = b64url_decode(member(key, "n"))?;
        let e = b64url_decode(member(key, "e"))?;
        RsaPublicKeyComponents { n, e }.verify(parameters, input.as_bytes(), &signature).ok()
    };
    match (alg, member(key, "kty"), member(key, "crv")) {
        ("ES256", "EC", "P-256") => public(&ECDSA_P256_SHA256_FIXED, point(key)?),
        ("ES384", "EC", "P-384") => public(&ECDSA_P384_SHA384_FIXED, point(key)?),
        ("EdDSA" | "Ed25519", "OKP", "Ed25519") => public(&ED25519, b64url_decode(member(key, "x"))?),
        ("RS256", "RSA", _) => rsa(&RSA_PKCS1_2048_8192_SHA256),
        ("PS256", "RSA", _) => rsa(&RSA_PSS_2048_8192_SHA256),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_thumbprint_is_the_one_of_rfc_7638_section_3_1() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let key = json!({"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
        assert_eq!(thumbprint(&key).unwrap(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }
}
