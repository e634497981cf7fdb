//! Making compact JWS: honest ones, and ones no honest signer would make.
//!
//! Owns the runner's private keys. Everything here is written from RFC 7515
//! and ring's primitives, so that no library of an issuer judges itself.

use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use serde_json::{Value, json};

use crate::encode::{b64url, b64url_decode, pem_body};

/// Order of the P-256 group, big endian.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];
/// SubjectPublicKeyInfo of an uncompressed P-256 point, up to the point.
const P256_SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

enum Key {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// A private key and the algorithm it signs with.
pub(crate) struct Signer {
    key: Key,
    pub(crate) alg: String,
    pub(crate) kid: Option<String>,
}

impl Signer {
    pub(crate) fn from_pem(pem: &str, alg: &str, kid: Option<&str>) -> Result<Self, String> {
        let der = pem_body(pem).ok_or("no PEM block")?;
        Self::from_pkcs8(&der, alg, kid)
    }

    fn from_pkcs8(der: &[u8], alg: &str, kid: Option<&str>) -> Result<Self, String> {
        let random = SystemRandom::new();
        let ecdsa = |algorithm| {
            EcdsaKeyPair::from_pkcs8(algorithm, der, &random).map(Key::Ec).map_err(|error| error.to_string())
        };
        let key = match alg {
            "ES256" => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING)?,
            "ES384" => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING)?,
            "EdDSA" | "Ed25519" => {
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(Key::Ed).map_err(|error| error.to_string())?
            }
            "RS256" | "PS256" => {
                RsaKeyPair::from_pkcs8(der).map(|key| Key::Rsa(Box::new(key))).map_err(|error| error.to_string())?
            }
            other => return Err(format!("the runner has no algorithm {other}")),
        };
        Ok(Self { key, alg: alg.to_owned(), kid: kid.map(str::to_owned) })
    }

    /// A fresh ES256 key that nobody registered.
    pub(crate) fn stranger(kid: Option<&str>) -> Result<Self, String> {
        let random = SystemRandom::new();
        let der = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|error| error.to_string())?;
        Self::from_pkcs8(der.as_ref(), "ES256", kid)
    }

    pub(crate) fn header(&self) -> Value {
        let mut header = json!({"alg": self.alg, "typ": "client-authentication+jwt"});
        if let Some(kid) = &self.kid {
            set(&mut header, "kid", json!(kid));
        }
        header
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_raw(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    /// Signs whatever bytes stand for header and payload.
    pub(crate) fn sign_raw(&self, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", b64url(header), b64url(payload));
        let signature = self.signature(input.as_bytes());
        format!("{input}.{}", b64url(&signature))
    }

    fn signature(&self, input: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Ec(key) => key.sign(&random, input).map(|s| s.as_ref().to_vec()).unwrap_or_default(),
            Key::Ed(key) => key.sign(input).as_ref().to_vec(),
            Key::Rsa(key) => {
                let padding: &'static dyn ring::signature::RsaEncoding =
                    if self.alg == "PS256" { &RSA_PSS_SHA256 } else { &RSA_PKCS1_SHA256 };
                let mut out = vec![0; key.public().modulus_len()];
                match key.sign(padding, &random, input, &mut out) {
                    Ok(()) => out,
                    Err(_) => Vec::new(),
                }
            }
        }
    }

    /// The encodings of the public key that a confused verifier may take for an
    /// HMAC secret.
    pub(crate) fn public_as_secrets(&self) -> Vec<(&'static str, Vec<u8>)> {
        match &self.key {
            Key::Ec(key) => point_as_secrets(key.public_key().as_ref()),
            Key::Ed(key) => vec![("raw", key.public_key().as_ref().to_vec())],
            Key::Rsa(key) => vec![("der", key.public().as_ref().to_vec())],
        }
    }

    /// The public key as a JWK, where it is P-256.
    pub(crate) fn public_jwk(&self) -> Option<Value> {
        let Key::Ec(key) = &self.key else { return None };
        let point = key.public_key().as_ref();
        let (x, y) = point.get(1..)?.split_at_checked(point.len().checked_sub(1)? / 2)?;
        let curve = if x.len() == 32 { "P-256" } else { "P-384" };
        Some(json!({"kty": "EC", "crv": curve, "x": b64url(x), "y": b64url(y)}))
    }
}

/// Encodings of an uncompressed P-256 point.
pub(crate) fn point_as_secrets(point: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut der = P256_SPKI_PREFIX.to_vec();
    der.extend_from_slice(point);
    let pem = crate::encode::pem_wrap("PUBLIC KEY", &der);
    vec![("pem", pem.into_bytes()), ("der", der), ("raw", point.to_vec())]
}

pub(crate) fn hs256(secret: &[u8], header: &Value, payload: &[u8]) -> String {
    let input = format!("{}.{}", b64url(header.to_string().as_bytes()), b64url(payload));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("{input}.{}", b64url(hmac::sign(&key, input.as_bytes()).as_ref()))
}

/// Sets a member of an object.
pub(crate) fn set(object: &mut Value, member: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(member.to_owned(), value);
    }
}

pub(crate) fn unset(object: &mut Value, member: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(member);
    }
}

/// The parts of a compact JWS, as text.
pub(crate) fn parts(token: &str) -> Option<(&str, &str, &str)> {
    let mut parts = token.split('.');
    let found = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().is_none().then_some(found)
}

pub(crate) fn header_of(token: &str) -> Option<Value> {
    serde_json::from_slice(&b64url_decode(parts(token)?.0)?).ok()
}

pub(crate) fn claims_of(token: &str) -> Option<Value> {
    serde_json::from_slice(&b64url_decode(parts(token)?.1)?).ok()
}

/// (r, s) to (r, n - s): another valid signature of the same P-256 key.
pub(crate) fn malleate(token: &str) -> Option<String> {
    let (header, payload, signature) = parts(token)?;
    let signature = b64url_decode(signature)?;
    let (r, s) = signature.split_at_checked(32)?;
    let s: &[u8; 32] = s.try_into().ok()?;
    let mut out = [0_u8; 32];
    let mut borrow = 0_i16;
    for ((o, n), s) in out.iter_mut().zip(P256_ORDER).zip(s).rev() {
        let difference = i16::from(n) - i16::from(*s) - borrow;
        borrow = i16::from(difference < 0);
        *o = u8::try_from(difference.rem_euclid(256)).unwrap_or_default();
    }
    let mut other = r.to_vec();
    other.extend_from_slice(&out);
    Some(format!("{header}.{payload}.{}", b64url(&other)))
}

/// The signature as the ASN.1 sequence that TLS libraries like.
pub(crate) fn as_der_signature(token: &str) -> Option<String> {
    let (header, payload, signature) = parts(token)?;
    let signature = b64url_decode(signature)?;
    let (r, s) = signature.split_at_checked(32)?;
    let mut body = der_integer(r);
    body.extend(der_integer(s));
    let mut der = vec![0x30, u8::try_from(body.len()).ok()?];
    der.extend(body);
    Some(format!("{header}.{payload}.{}", b64url(&der)))
}

fn der_integer(bytes: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_none_or(|byte| *byte >= 0x80) {
        digits.insert(0, 0);
    }
    let mut out = vec![0x02, u8::try_from(digits.len()).unwrap_or_default()];
    out.extend(digits);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwk;

    #[test]
    fn a_malleated_signature_still_verifies_and_differs() {
        let signer = Signer::stranger(None).unwrap();
        let token = signer.sign(&signer.header(), &json!({"a": 1}));
        let other = malleate(&token).unwrap();
        let key = signer.public_jwk().unwrap();
        assert_ne!(token, other);
        assert!(jwk::verifies(&key, "ES256", &token));
        assert!(jwk::verifies(&key, "ES256", &other));
    }

    #[test]
    fn a_signature_of_another_key_does_not_verify() {
        let signer = Signer::stranger(None).unwrap();
        let other = Signer::stranger(None).unwrap();
        let token = signer.sign(&signer.header(), &json!({"a": 1}));
        assert!(!jwk::verifies(&other.public_jwk().unwrap(), "ES256", &token));
    }
}
