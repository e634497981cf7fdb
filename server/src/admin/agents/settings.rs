//! The settings of a client against its method of authentication: what a method needs is there,
//! and nothing of another method, which would look as if it were asked for.

use super::super::problem::Refusal;
use crate::app::App;
use crate::certificate::{CertificateSubject, SubjectFault};
use crate::records::{AuthMethod, ClientSettings};

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
        AuthMethod::ClientSecretBasic
        | AuthMethod::ClientSecretPost
        | AuthMethod::PrivateKeyJwt
        | AuthMethod::SelfSignedTlsClientAuth => {}
    }
    if method != AuthMethod::TlsClientAuth
        && let Some(name) = certificate_subject(settings)
    {
        return Err(Refusal::field(format!("/settings/{name}"), "goes with tls_client_auth only"));
    }
    if settings.tls_client_certificate_bound_access_tokens && !certificates {
        return Err(no_certificates("/settings/tls_client_certificate_bound_access_tokens"));
    }
    Ok(())
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
