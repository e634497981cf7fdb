//! A certificate's members that we look at, read once and strictly: what could be read in two
//! ways is no certificate here.

use super::MAX_CERTIFICATE_BYTES;
use super::name::DistinguishedName;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use stipend_keys::{JwkError, PublicJwk};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

/// Alternative names of one certificate.
const MAX_ALTERNATIVE_NAMES: usize = 64;

/// Why a certificate can't be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CertificateFault {
    #[error("larger than 16 KiB")]
    TooLarge,
    #[error("not one X.509 certificate in DER")]
    Malformed,
    #[error("its subject or alternative names can't be read")]
    Names,
}

/// An alternative name, as far as clients are known by it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AlternativeName {
    Dns(String),
    Uri(String),
    /// Four bytes or sixteen.
    Ip(Vec<u8>),
    Email(String),
}

/// What a certificate says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParsedCertificate {
    pub subject: DistinguishedName,
    pub names: Vec<AlternativeName>,
    pub is_authority: bool,
    /// Its key may make signatures.
    pub signs: bool,
    not_before: i64,
    not_after: i64,
    /// Its key as a JWK, where it is of a kind that has one here.
    key: Option<Map<String, Value>>,
}

impl ParsedCertificate {
    /// # Errors
    /// [`CertificateFault`].
    pub fn parse(der: &[u8]) -> Result<Self, CertificateFault> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateFault::TooLarge);
        }
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateFault::Malformed)?;
        if !rest.is_empty() {
            return Err(CertificateFault::Malformed);
        }
        let basic = certificate.basic_constraints().map_err(|_| CertificateFault::Malformed)?;
        let usage = certificate.key_usage().map_err(|_| CertificateFault::Malformed)?;
        Ok(Self {
            subject: DistinguishedName::of(certificate.subject()).ok_or(CertificateFault::Names)?,
            names: alternative_names(&certificate)?,
            signs: usage.is_some_and(|usage| usage.value.digital_signature()),
            is_authority: basic.is_some_and(|basic| basic.value.ca),
            not_before: certificate.validity().not_before.timestamp(),
            not_after: certificate.validity().not_after.timestamp(),
            key: key(&certificate),
        })
    }

    /// RFC 5280 section 4.1.2.5: both ends are included.
    #[must_use]
    pub fn is_valid_at(&self, now: i64) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    #[must_use]
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// The key, to be compared with a registered one.
    ///
    /// # Errors
    /// [`JwkError`] for a key that is not taken here.
    pub fn public_jwk(&self) -> Result<PublicJwk, JwkError> {
        PublicJwk::parse(self.key.as_ref().ok_or(JwkError::UnsupportedKeyType)?)
    }

    /// The URI names: a SPIFFE certificate has exactly one.
    pub fn uris(&self) -> impl Iterator<Item = &str> {
        self.names.iter().filter_map(|name| match name {
            AlternativeName::Uri(uri) => Some(uri.as_str()),
            AlternativeName::Dns(_) | AlternativeName::Ip(_) | AlternativeName::Email(_) => None,
        })
    }
}

fn alternative_names(certificate: &X509Certificate<'_>) -> Result<Vec<AlternativeName>, CertificateFault> {
    // Refuses a second extension of the same kind.
    let Some(names) = certificate.subject_alternative_name().map_err(|_| CertificateFault::Names)? else {
        return Ok(Vec::new());
    };
    let names = &names.value.general_names;
    if names.len() > MAX_ALTERNATIVE_NAMES {
        return Err(CertificateFault::Names);
    }
    let mut read = Vec::new();
    for name in names {
        read.push(match name {
            GeneralName::DNSName(name) => AlternativeName::Dns((*name).to_owned()),
            GeneralName::URI(uri) => AlternativeName::Uri((*uri).to_owned()),
            GeneralName::IPAddress(bytes) => AlternativeName::Ip(bytes.to_vec()),
            GeneralName::RFC822Name(name) => AlternativeName::Email((*name).to_owned()),
            GeneralName::Invalid(..) => return Err(CertificateFault::Names),
            // Nobody is known here by the other kinds.
            _ => continue,
        });
    }
    Ok(read)
}

fn key(certificate: &X509Certificate<'_>) -> Option<Map<String, Value>> {
    let info = certificate.public_key();
    let text = |bytes: &[u8]| Value::from(URL_SAFE_NO_PAD.encode(bytes));
    let members: Vec<(&str, Value)> = match info.parsed().ok()? {
        PublicKey::RSA(rsa) => {
            let trim = |bytes: &[u8]| text(bytes.iter().position(|b| *b != 0).map_or(&[], |at| bytes.split_at(at).1));
            vec![("kty", "RSA".into()), ("n", trim(rsa.modulus)), ("e", trim(rsa.exponent))]
        }
        PublicKey::EC(point) => {
            // SEC 1 section 2.3.3: uncompressed, two coordinates of 32 bytes; what else it may
            // be is no key on P-256.
            let (form, coordinates) = point.data().split_first()?;
            let (x, y) = (*form == 4 && coordinates.len() == 64).then(|| coordinates.split_at(32))?;
            vec![("kty", "EC".into()), ("crv", "P-256".into()), ("x", text(x)), ("y", text(y))]
        }
        PublicKey::Unknown(raw) if info.algorithm.algorithm.to_id_string() == ED25519 => {
            vec![("kty", "OKP".into()), ("crv", "Ed25519".into()), ("x", text(raw))]
        }
        _ => return None,
    };
    Some(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// RFC 8410 section 3.
const ED25519: &str = "1.3.101.112";
