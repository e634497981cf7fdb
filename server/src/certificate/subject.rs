//! Who a certificate must be for (RFC 8705 section 2.1.2): one name, registered in one form.

use super::name::{DistinguishedName, NameFault};
use super::parsed::{AlternativeName, ParsedCertificate};
use crate::records::ClientSettings;
use std::net::IpAddr;
use url::Url;

/// Longest registered alternative name, in bytes.
const MAX_ALTERNATIVE_NAME_BYTES: usize = 512;

/// Why a registered subject was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SubjectFault {
    #[error(transparent)]
    Name(#[from] NameFault),
    #[error("must be a host name, without a wildcard")]
    Dns,
    #[error("must be an absolute URI")]
    Uri,
    #[error("must be an IPv4 or IPv6 address")]
    Ip,
    #[error("must be an email address in ASCII")]
    Email,
    #[error(
        "name the certificate's subject in exactly one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and _san_email"
    )]
    NotOne,
}

/// The one subject that a client's certificates have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CertificateSubject {
    Dn(DistinguishedName),
    Dns(String),
    Uri(String),
    Ip(Vec<u8>),
    Email(String),
}

const DN: &str = "tls_client_auth_subject_dn";

impl SubjectFault {
    /// The setting that is wrong, where it is one.
    #[must_use]
    pub fn setting(&self) -> Option<&'static str> {
        match self {
            Self::Name(..) => Some(DN),
            Self::Dns => Some("tls_client_auth_san_dns"),
            Self::Uri => Some("tls_client_auth_san_uri"),
            Self::Ip => Some("tls_client_auth_san_ip"),
            Self::Email => Some("tls_client_auth_san_email"),
            Self::NotOne => None,
        }
    }
}

impl CertificateSubject {
    /// Reads what was registered.
    ///
    /// # Errors
    /// [`SubjectFault`].
    pub fn of(settings: &ClientSettings) -> Result<Self, SubjectFault> {
        let registered = [
            &settings.tls_client_auth_subject_dn,
            &settings.tls_client_auth_san_dns,
            &settings.tls_client_auth_san_uri,
            &settings.tls_client_auth_san_ip,
            &settings.tls_client_auth_san_email,
        ];
        match registered.map(Option::as_deref) {
            [Some(dn), None, None, None, None] => Ok(Self::Dn(DistinguishedName::parse(dn)?)),
            [None, Some(name), None, None, None] => {
                is_host(name).then(|| Self::Dns(name.to_ascii_lowercase())).ok_or(SubjectFault::Dns)
            }
            [None, None, Some(uri), None, None] => {
                is_uri(uri).then(|| Self::Uri(uri.to_owned())).ok_or(SubjectFault::Uri)
            }
            [None, None, None, Some(address), None] => {
                // RFC 8705 section 2.1.2: compared in binary, because text has many forms.
                address.parse().map(|address| Self::Ip(octets(address))).map_err(|_| SubjectFault::Ip)
            }
            [None, None, None, None, Some(email)] => {
                is_email(email).then(|| Self::Email(email.to_owned())).ok_or(SubjectFault::Email)
            }
            _ => Err(SubjectFault::NotOne),
        }
    }

    /// Whether the certificate is this subject's. Host names ignore case (RFC 4343); nothing
    /// else does, and a wildcard in a certificate stands for nothing.
    #[must_use]
    pub fn matches(&self, certificate: &ParsedCertificate) -> bool {
        let any = |is: &dyn Fn(&AlternativeName) -> bool| certificate.names.iter().any(is);
        match self {
            Self::Dn(subject) => !certificate.subject.is_empty() && certificate.subject == *subject,
            Self::Dns(wanted) => any(&|name| matches!(name, AlternativeName::Dns(n) if n.eq_ignore_ascii_case(wanted))),
            Self::Uri(wanted) => any(&|name| matches!(name, AlternativeName::Uri(uri) if uri == wanted)),
            Self::Ip(wanted) => any(&|name| matches!(name, AlternativeName::Ip(bytes) if bytes == wanted)),
            Self::Email(wanted) => any(&|name| matches!(name, AlternativeName::Email(email) if email == wanted)),
        }
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn is_short(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_ALTERNATIVE_NAME_BYTES
}

fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label) && name.parse::<IpAddr>().is_err()
}

fn is_uri(uri: &str) -> bool {
    is_short(uri) && uri.bytes().all(|b| b.is_ascii_graphic()) && Url::parse(uri).is_ok()
}

fn is_email(email: &str) -> bool {
    let parts = email.split_once('@');
    is_short(email)
        && email.bytes().all(|b| b.is_ascii_graphic())
        && parts.is_some_and(|(local, host)| !local.is_empty() && is_host(host))
}
