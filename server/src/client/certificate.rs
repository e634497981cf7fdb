//! `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 section 2): the certificate
//! whose key the client proved on its connection, judged for the client that `client_id` names.

use super::{AuthFailure, AuthenticatedClient};
use crate::app::App;
use crate::certificate::{CertificateSubject, ClientCertificate};
use crate::deps;
use crate::reason::Reason;
use crate::records::{AuthMethod, Client};

pub(super) async fn authenticate(
    app: &App,
    id: &str,
    certificate: &ClientCertificate,
) -> Result<AuthenticatedClient, AuthFailure> {
    let fail = |reason| AuthFailure::new(reason, Some(id));
    let now = app.clock.now();
    let client = app.records.find_client(id).await.map_err(|_| fail(Reason::StoreUnavailable))?;
    let client = client.ok_or_else(|| fail(Reason::UnknownClient))?;
    match client.auth_method {
        AuthMethod::TlsClientAuth => trusted(app, &client, certificate, now),
        AuthMethod::SelfSignedTlsClientAuth => registered(&client, certificate, now),
        AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost | AuthMethod::PrivateKeyJwt => {
            Err(Reason::WrongAuthMethod)
        }
    }
    .map_err(&fail)?;
    if !client.stands(now) {
        return Err(fail(Reason::ClientNotActive));
    }
    let deps = vec![deps::client(&client.id), deps::owner(&client.owner_id)];
    Ok(AuthenticatedClient { method: client.auth_method, client, burn: None, deps })
}

/// RFC 8705 section 2.1: a chain to a named authority, and the one registered subject.
fn trusted(app: &App, client: &Client, certificate: &ClientCertificate, now: i64) -> Result<(), Reason> {
    let authorities = app.authorities.as_ref().ok_or(Reason::CertificateUntrusted)?;
    authorities.verify(certificate, now).map_err(|_| Reason::CertificateUntrusted)?;
    let subject = CertificateSubject::of(&client.settings).map_err(|_| Reason::CertificateNotRegistered)?;
    if subject.matches(certificate.parsed()) { Ok(()) } else { Err(Reason::CertificateNotRegistered) }
}

/// RFC 8705 section 2.2: a registered certificate, byte for byte. Nobody vouches for it, so its
/// chain says nothing; its dates do, as the client's own.
fn registered(client: &Client, certificate: &ClientCertificate, now: i64) -> Result<(), Reason> {
    let is_this = |known: &Option<String>| known.as_deref() == Some(certificate.thumbprint());
    if !client.keys.iter().any(|key| now < key.expires_at && is_this(&key.certificate)) {
        return Err(Reason::CertificateNotRegistered);
    }
    if certificate.parsed().is_valid_at(now) { Ok(()) } else { Err(Reason::CertificateUntrusted) }
}
