//! Certificate authorities of the tests' own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use stipend::certificate::{ParsedCertificate, thumbprint};

/// A certificate with its key.
pub struct Leaf {
    pub certificate: Certificate,
    pub key: KeyPair,
}

impl Leaf {
    pub fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    pub fn thumbprint(&self) -> String {
        thumbprint(self.certificate.der())
    }

    pub fn base64(&self) -> String {
        STANDARD.encode(self.certificate.der())
    }

    /// As nginx escapes it.
    pub fn escaped_pem(&self) -> String {
        let escape = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        self.certificate.pem().bytes().map(escape).collect()
    }

    /// The key with its certificate, as it is registered.
    pub fn jwk(&self, kid: &str) -> Value {
        let parsed = ParsedCertificate::parse(self.certificate.der()).unwrap();
        let mut jwk: Value = serde_json::from_str(&parsed.public_jwk().unwrap().to_public_json()).unwrap();
        jwk["kid"] = json!(kid);
        jwk["x5c"] = json!([self.base64()]);
        jwk
    }
}

/// What a leaf says if nothing else is asked for.
pub fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Acme, Inc.");
    name.push(DnType::CommonName, common_name);
    params.distinguished_name = name;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

pub fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

pub fn uri(uri: &str) -> SanType {
    SanType::URI(uri.try_into().unwrap())
}

pub fn email(email: &str) -> SanType {
    SanType::Rfc822Name(email.try_into().unwrap())
}

pub fn self_signed(params: &CertificateParams) -> Leaf {
    self_signed_by(params, KeyPair::generate().unwrap())
}

pub fn self_signed_by(params: &CertificateParams, key: KeyPair) -> Leaf {
    Leaf { certificate: params.self_signed(&key).unwrap(), key }
}

/// An authority, or one under another.
pub struct Authority {
    pub certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::of(name, KeyPair::generate().unwrap())
    }

    /// With a key that somebody else is to have as well.
    pub fn of(name: &str, key: KeyPair) -> Self {
        let params = Self::params(name);
        Self { certificate: params.self_signed(&key).unwrap(), issuer: Issuer::new(params, key) }
    }

    pub fn under(&self, name: &str) -> Self {
        let (params, key) = (Self::params(name), KeyPair::generate().unwrap());
        Self { certificate: params.signed_by(&key, &self.issuer).unwrap(), issuer: Issuer::new(params, key) }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    pub fn issue(&self, params: &CertificateParams) -> Leaf {
        self.issue_for(params, KeyPair::generate().unwrap())
    }

    pub fn issue_for(&self, params: &CertificateParams, key: KeyPair) -> Leaf {
        Leaf { certificate: params.signed_by(&key, &self.issuer).unwrap(), key }
    }
}
