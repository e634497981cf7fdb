//! `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 section 2), and `spiffe_x509`
//! (draft-ietf-oauth-spiffe-client-auth section 3.2): the certificate
//! whose key the client proved on its connection, judged for the client that `client_id` names.

use super::federated::speaks_for;
use super::{AuthFailure, AuthenticatedClient, SpiffeId, find_named};
use crate::app::App;
use crate::certificate::{CertificateSubject, ClientCertificate};
use crate::deps;
use crate::federation::IssuerUse;
use crate::reason::Reason;
use crate::records::{AuthMethod, Client};
use stipend_schema::Dep;
use stipend_token::revoked::RevokedKind;

pub(super) async fn authenticate(
    app: &App,
    id: &str,
    certificate: &ClientCertificate,
) -> Result<AuthenticatedClient, AuthFailure> {
    let fail = |reason| AuthFailure::new(reason, Some(id));
    let now = app.clock.now();
    let client = find_named(app, id).await.map_err(&fail)?;
    let mut deps = vec![deps::client(&client.id), deps::owner(&client.owner_id)];
    match client.auth_method {
        AuthMethod::TlsClientAuth => trusted(app, &client, certificate, now).map_err(&fail)?,
        AuthMethod::SelfSignedTlsClientAuth => registered(&client, certificate, now).map_err(&fail)?,
        AuthMethod::SpiffeX509 => deps.extend(svid(app, &client, certificate, now).await.map_err(&fail)?),
        AuthMethod::ClientSecretBasic
        | AuthMethod::ClientSecretPost
        | AuthMethod::PrivateKeyJwt
        | AuthMethod::FederatedJwt
        | AuthMethod::SpiffeJwt => return Err(fail(Reason::WrongAuthMethod)),
    }
    if !client.stands(now) {
        return Err(fail(Reason::ClientNotActive));
    }
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

/// An X.509-SVID: one SPIFFE ID, the registered one, and a chain to the authorities of its own
/// trust domain, which are those of its bundle and never the system's. Answers what was asked.
async fn svid(app: &App, client: &Client, certificate: &ClientCertificate, now: i64) -> Result<Vec<Dep>, Reason> {
    let parsed = certificate.parsed();
    let mut uris = parsed.uris();
    // X509-SVID section 2: exactly one URI name; section 4.1: no authority; 4.3: digitalSignature.
    let (Some(only), None) = (uris.next(), uris.next()) else { return Err(Reason::CertificateNotRegistered) };
    let id = SpiffeId::parse(only).ok_or(Reason::CertificateNotRegistered)?;
    if client.settings.spiffe_id.as_deref() != Some(id.as_str()) {
        return Err(Reason::CertificateNotRegistered);
    }
    if parsed.is_authority || !parsed.signs {
        return Err(Reason::CertificateUntrusted);
    }
    let domain = app.records.find_issuer(id.trust_domain()).await?.ok_or(Reason::CertificateUntrusted)?;
    if !domain.active || !domain.permits(IssuerUse::ClientAssertion) || !speaks_for(&domain, client) {
        return Err(Reason::CertificateUntrusted);
    }
    // A certificate has no time of issue to compare with: what revoked the trust domain's past
    // revokes it as from its beginning.
    if app.live.covers(RevokedKind::Issuer, &domain.id, parsed.not_before()) {
        return Err(Reason::CertificateUntrusted);
    }
    let authorities = app.issuer_keys.authorities(&domain, now).await.map_err(|_| Reason::CertificateUntrusted)?;
    authorities.verify(certificate, now).map_err(|_| Reason::CertificateUntrusted)?;
    Ok(vec![deps::issuer(&domain.id), deps::issuer_named(&domain.issuer), deps::owner(&domain.owner_id)])
}
