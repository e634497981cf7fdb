//! The settings of a client against its method of authentication: what a method needs is there,
//! and nothing of another method, which would look as if it were asked for.

use super::super::caller::Caller;
use super::super::check;
use super::super::problem::Refusal;
use super::super::roles::Action;
use crate::app::App;
use crate::certificate::{CertificateSubject, SubjectFault};
use crate::client::SpiffeId;
use crate::federation::MAX_FOREIGN_SUBJECT_BYTES;
use crate::records::{AuthMethod, ClientSettings, FederatedIdentity};

use stipend_token::details::DETAILS_TYPES;
use url::Url;

/// Longest issuer, URL, claim's name and value, in bytes.
const MAX_ISSUER_BYTES: usize = 512;
/// Required claims, values of one, and audiences.
const MAX_CLAIMS: usize = 16;

/// How often the client may ask. Up to what holds for all clients its owner's admins may say;
/// more than that only those who run the deployment.
pub(super) fn check_rate(
    app: &App,
    caller: &Caller,
    wanted: &ClientSettings,
    have: Option<&ClientSettings>,
) -> Result<(), Refusal> {
    let has = have.and_then(|have| have.rate);
    let Some(wanted) = wanted.rate.filter(|wanted| has != Some(*wanted)) else { return Ok(()) };
    let rate = wanted.rate().map_err(|error| Refusal::field("/settings/rate", error.to_string()))?;
    match app.config.rates.client {
        Some(most) if most.is_exceeded_by(&rate) => caller.check(Action::ManageAdmin, None),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn check(app: &App, method: AuthMethod, settings: &ClientSettings) -> Result<(), Refusal> {
    let certificates = app.config.takes_certificates();
    match method {
        AuthMethod::TlsClientAuth => {
            if app.authorities.is_none() {
                return Err(Refusal::field(
                    "/auth_method",
                    "this server names no authorities: set STIPEND_CLIENT_CA_FILE",
                ));
            }
            CertificateSubject::of(settings).map_err(subject)?;
        }
        AuthMethod::SelfSignedTlsClientAuth if !certificates => return Err(no_certificates("/auth_method")),
        AuthMethod::SpiffeX509 if !certificates => return Err(no_certificates("/auth_method")),
        AuthMethod::FederatedJwt => check_federated(settings.federated.as_ref())?,
        AuthMethod::SpiffeJwt | AuthMethod::SpiffeX509 => check_spiffe_id(settings.spiffe_id.as_deref())?,
        AuthMethod::ClientSecretBasic
        | AuthMethod::ClientSecretPost
        | AuthMethod::PrivateKeyJwt
        | AuthMethod::SelfSignedTlsClientAuth => {}
    }
    if settings.risk.is_some() {
        return Err(Refusal::field("/settings/risk", "is said by a call of its own: /agents/{id}/risk"));
    }
    check_details_types("/settings/authorization_details_types", settings)?;
    refuse_others(method, settings)?;
    let names = &settings.id_token_audiences;
    if names.len() > MAX_CLAIMS || !names.iter().all(|name| check::text("", name, 1, MAX_ISSUER_BYTES).is_ok()) {
        let what = format!("names at most {MAX_CLAIMS}, each of 1 to {MAX_ISSUER_BYTES} bytes");
        return Err(Refusal::field("/settings/id_token_audiences", what));
    }
    if settings.tls_client_certificate_bound_access_tokens && !certificates {
        return Err(no_certificates("/settings/tls_client_certificate_bound_access_tokens"));
    }
    if settings.dpop_bound_access_tokens && settings.tls_client_certificate_bound_access_tokens {
        return Err(Refusal::field(
            "/settings/dpop_bound_access_tokens",
            "a token is bound to a key or to a certificate",
        ));
    }
    Ok(())
}

/// Types that there are, each once; none at all is a client that asks for nothing.
pub(in crate::admin) fn check_details_types(pointer: &str, settings: &ClientSettings) -> Result<(), Refusal> {
    let types = settings.authorization_details_types.as_deref().unwrap_or_default();
    let once = |at: usize, name: &String| !types.iter().take(at).any(|earlier| earlier == name);
    let known = |name: &String| DETAILS_TYPES.contains(&name.as_str());
    if types.iter().enumerate().all(|(at, name)| known(name) && once(at, name)) {
        return Ok(());
    }
    Err(Refusal::field(pointer, format!("names types among {}, each once", DETAILS_TYPES.join(", "))))
}

/// What belongs to another method.
fn refuse_others(method: AuthMethod, settings: &ClientSettings) -> Result<(), Refusal> {
    if let Some(name) = certificate_subject(settings).filter(|_| method != AuthMethod::TlsClientAuth) {
        return Err(Refusal::field(format!("/settings/{name}"), "goes with tls_client_auth only"));
    }
    if settings.federated.is_some() && method != AuthMethod::FederatedJwt {
        return Err(Refusal::field("/settings/federated", "goes with federated_jwt only"));
    }
    if let Some(url) = &settings.jwks_uri {
        if method != AuthMethod::PrivateKeyJwt {
            return Err(Refusal::field("/settings/jwks_uri", "goes with private_key_jwt only"));
        }
        // What may be called by plain http, and which addresses, is asked at each fetch.
        let is_url = Url::parse(url).is_ok_and(|url| {
            matches!(url.scheme(), "https" | "http")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
        });
        if !is_url || url.len() > MAX_ISSUER_BYTES {
            return Err(Refusal::field(
                "/settings/jwks_uri",
                "must be an https URL without fragment and user information",
            ));
        }
    }
    if settings.spiffe_id.is_some() && !matches!(method, AuthMethod::SpiffeJwt | AuthMethod::SpiffeX509) {
        return Err(Refusal::field("/settings/spiffe_id", "goes with spiffe_jwt and spiffe_x509 only"));
    }
    if settings.assertions_reusable && !matches!(method, AuthMethod::FederatedJwt | AuthMethod::SpiffeJwt) {
        return Err(Refusal::field("/settings/assertions_reusable", "goes with federated_jwt and spiffe_jwt only"));
    }
    Ok(())
}

/// Who the client is on its platform. Whether its issuer is trusted is asked at each use: it may
/// be registered later, and go away again.
fn check_federated(identity: Option<&FederatedIdentity>) -> Result<(), Refusal> {
    let identity = identity.ok_or_else(|| Refusal::field("/settings/federated", "names the issuer and the subject"))?;
    check::text("/settings/federated/issuer", &identity.issuer, 1, MAX_ISSUER_BYTES)?;
    check::text("/settings/federated/subject", &identity.subject, 1, MAX_FOREIGN_SUBJECT_BYTES)?;
    let is_text = |text: &String| check::text("", text, 1, MAX_ISSUER_BYTES).is_ok();
    let fits = |(name, values): (&String, &Vec<String>)| {
        is_text(name) && (1..=MAX_CLAIMS).contains(&values.len()) && values.iter().all(is_text)
    };
    if identity.claims.len() > MAX_CLAIMS || !identity.claims.iter().all(fits) {
        let what = format!(
            "names at most {MAX_CLAIMS} claims, each with 1 to {MAX_CLAIMS} values of 1 to {MAX_ISSUER_BYTES} bytes"
        );
        return Err(Refusal::field("/settings/federated/claims", what));
    }
    Ok(())
}

fn check_spiffe_id(id: Option<&str>) -> Result<(), Refusal> {
    match id.and_then(SpiffeId::parse) {
        Some(_) => Ok(()),
        None => Err(Refusal::field(
            "/settings/spiffe_id",
            "must be the SPIFFE ID of a workload, such as spiffe://example.org/ns/billing/sa/refunds",
        )),
    }
}

fn no_certificates(pointer: &str) -> Refusal {
    Refusal::field(
        pointer,
        "this server sees no client certificates: set STIPEND_TLS_CERT_FILE or STIPEND_CLIENT_CERTIFICATE_HEADER",
    )
}

fn subject(fault: SubjectFault) -> Refusal {
    let pointer = fault.setting().map_or_else(|| "/settings".to_owned(), |name| format!("/settings/{name}"));
    Refusal::field(pointer, fault.to_string())
}

/// The first setting that names a certificate's subject.
fn certificate_subject(settings: &ClientSettings) -> Option<&'static str> {
    [
        ("tls_client_auth_subject_dn", &settings.tls_client_auth_subject_dn),
        ("tls_client_auth_san_dns", &settings.tls_client_auth_san_dns),
        ("tls_client_auth_san_uri", &settings.tls_client_auth_san_uri),
        ("tls_client_auth_san_ip", &settings.tls_client_auth_san_ip),
        ("tls_client_auth_san_email", &settings.tls_client_auth_san_email),
    ]
    .into_iter()
    .find_map(|(name, value)| value.as_ref().map(|_| name))
}
