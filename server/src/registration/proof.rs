//! What a registered client will prove itself by: its method, and what belongs to that and to no
//! other. Keys and names of certificates are the client's to say, anew with each update; which
//! methods there are to choose from is the template's and the server's.

use super::metadata::Wanted;
use super::template::{REGISTRABLE, Template};
use crate::admin::parse_jwks;
use crate::app::App;
use crate::certificate::CertificateSubject;
use crate::reason::Reason;
use crate::records::{AuthMethod, ClientSettings, CredentialKind, RegisteredKey};
use url::Url;

/// A method, with all that it needs.
#[derive(Debug)]
pub(super) struct Proof {
    pub method: AuthMethod,
    pub keys: Vec<RegisteredKey>,
    jwks_uri: Option<String>,
    /// Of these only the subject of its certificates is there.
    subject: ClientSettings,
}

/// How the client will authenticate. RFC 7591 section 2 makes client_secret_basic the default;
/// where that is not to be had, or something of another method was sent, the server replaces it
/// and says so.
pub(super) fn proof(app: &App, template: &Template, wanted: &Wanted) -> Result<Proof, Reason> {
    let may = |method: &AuthMethod| {
        REGISTRABLE.contains(method) && template.auth_methods.contains(method) && works(app, *method)
    };
    let method = match wanted.auth_method {
        Some(method) => Some(method).filter(may),
        None => {
            let first = || template.auth_methods.iter().copied().find(may);
            Some(usual(wanted)).filter(may).or_else(first)
        }
    };
    let method = method.ok_or(Reason::MetadataAuthMethod)?;
    let keys = match (&wanted.jwks, method.credential()) {
        (Some(jwks), kind @ CredentialKind::Key) => parse_jwks(kind, jwks).map_err(|_| Reason::MetadataKeys)?,
        (Some(jwks), kind @ CredentialKind::Certificate) => {
            parse_jwks(kind, jwks).map_err(|_| Reason::MetadataCertificates)?
        }
        (Some(_), CredentialKind::Secret | CredentialKind::Nothing) => return Err(Reason::MetadataKeysUnused),
        (None, _) => Vec::new(),
    };
    check(app, method, &keys, wanted)?;
    Ok(Proof { method, keys, jwks_uri: wanted.jwks_uri.clone(), subject: wanted.subject.clone() })
}

impl Proof {
    /// Writes what of it is settings: there where it is this method's, and gone where not.
    pub fn apply(&self, settings: &mut ClientSettings) {
        settings.jwks_uri.clone_from(&self.jwks_uri);
        settings.tls_client_auth_subject_dn.clone_from(&self.subject.tls_client_auth_subject_dn);
        settings.tls_client_auth_san_dns.clone_from(&self.subject.tls_client_auth_san_dns);
        settings.tls_client_auth_san_uri.clone_from(&self.subject.tls_client_auth_san_uri);
        settings.tls_client_auth_san_ip.clone_from(&self.subject.tls_client_auth_san_ip);
        settings.tls_client_auth_san_email.clone_from(&self.subject.tls_client_auth_san_email);
    }
}

/// Whether a client could authenticate so at this server.
fn works(app: &App, method: AuthMethod) -> bool {
    match method {
        AuthMethod::TlsClientAuth => app.authorities.is_some(),
        AuthMethod::SelfSignedTlsClientAuth => app.config.takes_certificates(),
        _ => true,
    }
}

fn usual(wanted: &Wanted) -> AuthMethod {
    if wanted.jwks.is_some() || wanted.jwks_uri.is_some() {
        AuthMethod::PrivateKeyJwt
    } else if wanted.subject != ClientSettings::default() {
        AuthMethod::TlsClientAuth
    } else {
        AuthMethod::ClientSecretBasic
    }
}

fn check(app: &App, method: AuthMethod, keys: &[RegisteredKey], wanted: &Wanted) -> Result<(), Reason> {
    let has_subject = wanted.subject != ClientSettings::default();
    if has_subject && method != AuthMethod::TlsClientAuth {
        return Err(Reason::MetadataSubjectUnused);
    }
    match (method, &wanted.jwks_uri) {
        // RFC 8705 section 2.1.2: exactly one of five.
        (AuthMethod::TlsClientAuth, None) => {
            CertificateSubject::of(&wanted.subject).map(|_| ()).map_err(|_| Reason::MetadataSubject)
        }
        (AuthMethod::PrivateKeyJwt, Some(url)) => check_jwks_uri(app, url),
        (AuthMethod::PrivateKeyJwt, None) if keys.is_empty() => Err(Reason::MetadataKeysMissing),
        // RFC 8705 section 2.2.2 lets certificates be fetched; here they are registered.
        (AuthMethod::SelfSignedTlsClientAuth, None) if keys.is_empty() => Err(Reason::MetadataCertificates),
        (_, Some(_)) => Err(Reason::MetadataJwksUriUnused),
        (_, None) => Ok(()),
    }
}

/// What no fetch would be made for is refused here, where somebody can read why.
fn check_jwks_uri(app: &App, text: &str) -> Result<(), Reason> {
    let url = Url::parse(text).map_err(|_| Reason::MetadataJwksUri)?;
    app.fetcher.check(&url).map_err(|_| Reason::MetadataJwksUri)
}
