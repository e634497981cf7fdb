//! Clients' certificates, made by the run, and connections that show them.
//!
//! Owns the profile's certificate authorities. A certificate is shown on a connection of its own
//! and in no header: what a proxy would say of it is tried as a lie only.

use rcgen::{
    Certificate, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer as Signing,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use ring::digest;

use crate::check::{Miss, skip};
use crate::encode::b64url;
use crate::http::{Http, Request};
use crate::issuer::{CLIENT_CREDENTIALS, Issuer};
use crate::profile::{Authority, Certificates};

/// A certificate with its key.
pub(crate) struct Leaf {
    certificate: Certificate,
    key: KeyPair,
}

impl Leaf {
    pub(crate) fn der(&self) -> &[u8] {
        self.certificate.der()
    }

    /// RFC 8705 section 3.1.
    pub(crate) fn thumbprint(&self) -> String {
        b64url(digest::digest(&digest::SHA256, self.der()).as_ref())
    }

    fn pem(&self) -> String {
        self.key.serialize_pem() + &self.certificate.pem()
    }
}

fn broken(error: rcgen::Error) -> Miss {
    Miss::Fail(format!("the runner could not make a certificate: {error}"))
}

/// What a client's certificate says.
pub(crate) fn params(common_name: &str, names: Vec<SanType>) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = names;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// The same, long over.
pub(crate) fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 1, 1);
    params
}

/// The same, for servers alone.
pub(crate) fn for_servers(mut params: CertificateParams) -> CertificateParams {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}

pub(crate) fn self_signed(params: &CertificateParams) -> Result<Leaf, Miss> {
    let key = KeyPair::generate().map_err(broken)?;
    Ok(Leaf { certificate: params.self_signed(&key).map_err(broken)?, key })
}

/// A renewed certificate of the same key: other bytes, because its serial number is another.
pub(crate) fn renewed(leaf: &Leaf, params: &CertificateParams) -> Result<Leaf, Miss> {
    let key = KeyPair::from_pem(&leaf.key.serialize_pem()).map_err(broken)?;
    let mut params = params.clone();
    params.distinguished_name.push(DnType::OrganizationalUnitName, "renewed");
    Ok(Leaf { certificate: params.self_signed(&key).map_err(broken)?, key })
}

/// An authority of the profile, or one of the run's own with the same name.
pub(crate) struct Signer(Signing<'static, KeyPair>);

impl Signer {
    pub(crate) fn of(authority: &Authority) -> Result<Self, Miss> {
        let key = KeyPair::from_pem(&authority.key.private_key_pem.0).map_err(broken)?;
        Ok(Self::named(&authority.common_name, key))
    }

    pub(crate) fn namesake(authority: &Authority) -> Result<Self, Miss> {
        Ok(Self::named(&authority.common_name, KeyPair::generate().map_err(broken)?))
    }

    fn named(common_name: &str, key: KeyPair) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        Self(Signing::new(params, key))
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Result<Leaf, Miss> {
        let key = KeyPair::generate().map_err(broken)?;
        Ok(Leaf { certificate: params.signed_by(&key, &self.0).map_err(broken)?, key })
    }
}

impl Issuer {
    pub(crate) fn certificates(&self) -> Result<&Certificates, Miss> {
        match &self.profile.certificates {
            Some(section) => Ok(section),
            None => skip("the profile has no [certificates]"),
        }
    }

    /// Connections that show this certificate.
    pub(crate) fn showing(&self, leaf: &Leaf) -> Result<Http, Miss> {
        self.showing_pem(&leaf.pem())
    }

    pub(crate) fn showing_pem(&self, identity: &str) -> Result<Http, Miss> {
        Http::showing(self.profile.issuer.ca_pem.as_deref(), identity).map_err(Miss::Fail)
    }

    /// Where clients with certificates go (RFC 8705 section 5).
    pub(crate) fn mtls_endpoint(&self, member: &str) -> Result<&str, Miss> {
        let alias = self.meta.get("mtls_endpoint_aliases").and_then(|aliases| aliases.get(member));
        match alias.and_then(serde_json::Value::as_str) {
            Some(url) => Ok(url),
            None => self.endpoint(member),
        }
    }

    /// A client credentials request with nothing but `client_id` to say who asks.
    pub(crate) fn by_certificate(&self, client_id: &str) -> Result<Request, Miss> {
        let request = self.http.form(self.mtls_endpoint("token_endpoint")?);
        let request = request.with("grant_type", CLIENT_CREDENTIALS).with("client_id", client_id);
        let request = request.with("resource", &self.resource("a")?.uri);
        Ok(request.with("scope", self.scope_of("a")?))
    }
}

/// A name of this kind, for a certificate.
pub(crate) fn name(kind: &str, value: &str) -> Result<SanType, Miss> {
    let wrong = |what: &str| Miss::Fail(format!("the profile's {kind} {value} is no {what}"));
    Ok(match kind {
        "san_dns" => SanType::DnsName(value.try_into().map_err(|_| wrong("host name"))?),
        "san_uri" => SanType::URI(value.try_into().map_err(|_| wrong("URI"))?),
        "san_email" => SanType::Rfc822Name(value.try_into().map_err(|_| wrong("address"))?),
        "san_ip" => SanType::IpAddress(value.parse().map_err(|_| wrong("IP address"))?),
        _ => return Err(wrong("name that the runner can make")),
    })
}
