//! A public key of a client as it is registered and stored: a JWK (RFC 7517), and with it,
//! where the client authenticates by that, its certificate (`x5c`).

use crate::certificate::{ParsedCertificate, thumbprint};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use stipend_keys::{JwkError, MAX_JWK_BYTES, PublicJwk};

/// Why a key was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RegisteredKeyFault {
    #[error(transparent)]
    Key(#[from] JwkError),
    #[error("x5c must hold one certificate, as base64 of its DER")]
    X5c,
    #[error("the key in x5c is another than the JWK's")]
    OtherKey,
    #[error("the key and its certificate together are larger than 16 KiB")]
    TooLarge,
}

/// A certificate that a client has registered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegisteredCertificate {
    /// `x5t#S256`.
    pub thumbprint: String,
    pub not_after: i64,
    /// Base64 of its DER.
    x5c: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegisteredKey {
    pub jwk: PublicJwk,
    pub certificate: Option<RegisteredCertificate>,
}

impl RegisteredKey {
    /// Reads what is stored.
    ///
    /// # Errors
    /// [`RegisteredKeyFault`].
    pub fn from_json(json: &str) -> Result<Self, RegisteredKeyFault> {
        let jwk = PublicJwk::from_json(json.as_bytes())?;
        // Read strictly just before: of what is left only x5c is looked at.
        let members: Map<String, Value> = serde_json::from_str(json).map_err(|_| RegisteredKeyFault::X5c)?;
        let certificate = members.get("x5c").map(|x5c| certificate(x5c, &jwk)).transpose()?;
        Ok(Self { jwk, certificate })
    }

    /// Reads a key that is to be registered for signing: a certificate that comes along says
    /// nothing, and is not kept.
    ///
    /// # Errors
    /// [`RegisteredKeyFault`].
    pub fn for_signing(jwk: &Map<String, Value>) -> Result<Self, RegisteredKeyFault> {
        Ok(Self { jwk: PublicJwk::parse(jwk)?, certificate: None })
    }

    /// Reads a key that is to be registered with its certificate (RFC 8705 section 2.2.2).
    ///
    /// # Errors
    /// [`RegisteredKeyFault`].
    pub fn with_certificate(members: &Map<String, Value>) -> Result<Self, RegisteredKeyFault> {
        let jwk = PublicJwk::parse(members)?;
        let certificate = certificate(members.get("x5c").ok_or(RegisteredKeyFault::X5c)?, &jwk)?;
        let key = Self { jwk, certificate: Some(certificate) };
        if key.to_json().len() > MAX_JWK_BYTES {
            return Err(RegisteredKeyFault::TooLarge);
        }
        Ok(key)
    }

    /// As it is stored: always the same text for the same key and certificate.
    #[must_use]
    pub fn to_json(&self) -> String {
        let jwk = self.jwk.to_public_json();
        match (&self.certificate, jwk.strip_suffix('}')) {
            (Some(certificate), Some(open)) => format!(r#"{open},"x5c":["{}"]}}"#, certificate.x5c),
            _ => jwk,
        }
    }

    /// Whether the two could be mistaken for each other: the same kid, or the same certificate,
    /// or, without certificates, the same key. A renewed certificate of the same key is another.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let same = match (&self.certificate, &other.certificate) {
            (Some(one), Some(other)) => one.thumbprint == other.thumbprint,
            _ => self.jwk.thumbprint() == other.jwk.thumbprint(),
        };
        same || self.jwk.kid() == other.jwk.kid()
    }
}

/// RFC 7517 section 4.7: standard base64, and the first certificate's key is the JWK's. More
/// than one would be a chain, which nobody looks at.
fn certificate(x5c: &Value, jwk: &PublicJwk) -> Result<RegisteredCertificate, RegisteredKeyFault> {
    let Some([Value::String(only)]) = x5c.as_array().map(Vec::as_slice) else { return Err(RegisteredKeyFault::X5c) };
    let der = STANDARD.decode(only).map_err(|_| RegisteredKeyFault::X5c)?;
    let parsed = ParsedCertificate::parse(&der).map_err(|_| RegisteredKeyFault::X5c)?;
    if parsed.public_jwk()?.thumbprint() != jwk.thumbprint() {
        return Err(RegisteredKeyFault::OtherKey);
    }
    Ok(RegisteredCertificate { thumbprint: thumbprint(&der), not_after: parsed.not_after(), x5c: STANDARD.encode(der) })
}
