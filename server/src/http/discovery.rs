//! Authorization server metadata (RFC 8414, also at the OpenID path) and the JWKS
//! (RFC 7517). Both come from memory and may be cached.

use crate::app::{App, Urls};
use crate::grant::{CIBA, CLIENT_CREDENTIALS, ID_JAG, JWT_BEARER, TOKEN_EXCHANGE};
use crate::limits::JWKS_MAX_AGE_SECONDS;
use crate::records::AuthMethod;
use actix_web::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use stipend_keys::{Algorithm, sha256};
use stipend_token::details::DETAILS_TYPES;

/// RFC 8705 section 5: where a client with a certificate goes. The listener that asks for
/// certificates is the same for all, so each is the endpoint itself.
#[derive(Serialize)]
struct MtlsAliases<'a> {
    token_endpoint: &'a str,
    backchannel_authentication_endpoint: &'a str,
    introspection_endpoint: &'a str,
    revocation_endpoint: &'a str,
}

/// The methods that can work on this node.
fn auth_methods(app: &App) -> Vec<&'static str> {
    let can = |method: &AuthMethod| match method {
        AuthMethod::ClientSecretBasic
        | AuthMethod::ClientSecretPost
        | AuthMethod::PrivateKeyJwt
        | AuthMethod::FederatedJwt
        | AuthMethod::SpiffeJwt => true,
        AuthMethod::TlsClientAuth => app.authorities.is_some(),
        AuthMethod::SelfSignedTlsClientAuth | AuthMethod::SpiffeX509 => app.config.takes_certificates(),
    };
    AuthMethod::ALL.into_iter().filter(can).map(AuthMethod::as_str).collect()
}

const ID_JAG_PROFILE: &str = "urn:ietf:params:oauth:grant-profile:id-jag";

/// RFC 8414 section 2. Only what works is said, and all that works is said.
#[derive(Serialize)]
struct Metadata<'a> {
    issuer: &'a str,
    token_endpoint: &'a str,
    jwks_uri: &'a str,
    /// No grant uses it and it refuses everybody; libraries that want a token alone insist on
    /// the member (see `authorize.rs`).
    authorization_endpoint: &'a str,
    /// It takes an initial access token, always.
    registration_endpoint: &'a str,
    /// REQUIRED by RFC 8414 although there is no authorization response: `none` is the
    /// registered value for one without parameters.
    response_types_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 4],
    /// draft-ietf-oauth-identity-assertion-authz-grant. Whose are accepted is not said.
    authorization_grant_profiles_supported: [&'static str; 1],
    /// draft-ietf-oauth-client-id-metadata-document, section 5.
    client_id_metadata_document_supported: bool,
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    token_endpoint_auth_signing_alg_values_supported: [&'static str; 4],
    introspection_endpoint: &'a str,
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    introspection_endpoint_auth_signing_alg_values_supported: [&'static str; 4],
    /// RFC 9701 section 7.
    introspection_signing_alg_values_supported: Vec<&'static str>,
    revocation_endpoint: &'a str,
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    revocation_endpoint_auth_signing_alg_values_supported: [&'static str; 4],
    /// draft-ietf-oauth-identity-chaining, section 3.
    identity_chaining_requested_token_types_supported: [&'static str; 1],
    /// OpenID CIBA Core section 4: polling, and no code that a user would type.
    backchannel_authentication_endpoint: &'a str,
    backchannel_token_delivery_modes_supported: [&'static str; 1],
    backchannel_user_code_parameter_supported: bool,
    /// RFC 9449 section 5.1.
    dpop_signing_alg_values_supported: [&'static str; 4],
    /// RFC 9396 section 10.
    authorization_details_types_supported: [&'static str; DETAILS_TYPES.len()],
    /// Where each type has its JSON Schema.
    authorization_details_types_metadata_endpoint: &'a str,
    /// Under it relying services spend, hold and report.
    budget_endpoint: &'a str,
    /// RFC 8705 section 3.3, where a certificate can be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_certificate_bound_access_tokens: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtls_endpoint_aliases: Option<MtlsAliases<'a>>,
    service_documentation: &'static str,
}

fn document(app: &App) -> Metadata<'_> {
    let urls: &Urls = &app.urls;
    let methods = auth_methods(app);
    let certificates = app.config.takes_certificates();
    let algs = Algorithm::ALL.map(Algorithm::as_str);
    Metadata {
        issuer: &urls.issuer,
        token_endpoint: &urls.token_endpoint,
        jwks_uri: &urls.jwks_uri,
        authorization_endpoint: &urls.authorization_endpoint,
        registration_endpoint: &urls.registration_endpoint,
        response_types_supported: ["none"],
        grant_types_supported: [CLIENT_CREDENTIALS, TOKEN_EXCHANGE, CIBA, JWT_BEARER],
        authorization_grant_profiles_supported: [ID_JAG_PROFILE],
        client_id_metadata_document_supported: true,
        token_endpoint_auth_methods_supported: methods.clone(),
        token_endpoint_auth_signing_alg_values_supported: algs,
        introspection_endpoint: &urls.introspection_endpoint,
        introspection_endpoint_auth_methods_supported: methods.clone(),
        introspection_endpoint_auth_signing_alg_values_supported: algs,
        introspection_signing_alg_values_supported: app.ring.signing_algs(app.clock.now()),
        revocation_endpoint: &urls.revocation_endpoint,
        revocation_endpoint_auth_methods_supported: methods,
        revocation_endpoint_auth_signing_alg_values_supported: algs,
        identity_chaining_requested_token_types_supported: [ID_JAG],
        backchannel_authentication_endpoint: &urls.backchannel_endpoint,
        backchannel_token_delivery_modes_supported: ["poll"],
        backchannel_user_code_parameter_supported: false,
        dpop_signing_alg_values_supported: algs,
        authorization_details_types_supported: DETAILS_TYPES,
        authorization_details_types_metadata_endpoint: &urls.details_types_endpoint,
        budget_endpoint: &urls.budget_endpoint,
        tls_client_certificate_bound_access_tokens: certificates.then_some(true),
        mtls_endpoint_aliases: certificates.then_some(MtlsAliases {
            token_endpoint: &urls.token_endpoint,
            backchannel_authentication_endpoint: &urls.backchannel_endpoint,
            introspection_endpoint: &urls.introspection_endpoint,
            revocation_endpoint: &urls.revocation_endpoint,
        }),
        service_documentation: "https://github.com/stipend-auth/stipend",
    }
}

pub(super) async fn metadata(app: Data<App>, request: HttpRequest) -> HttpResponse {
    json_document(&request, &document(&app))
}

/// A JSON document that may be cached.
pub(super) fn json_document(request: &HttpRequest, document: &impl Serialize) -> HttpResponse {
    match serde_json::to_string(document) {
        Ok(body) => {
            let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(sha256(body.as_bytes())));
            cacheable(request, "application/json", body, &etag)
        }
        Err(_) => super::answer::oauth_error(crate::reason::Reason::Internal),
    }
}

/// What may be in `authorization_details`, type by type: a JSON Schema (draft 2020-12) and
/// examples each.
pub(super) async fn details_types(request: HttpRequest) -> HttpResponse {
    let body = include_str!("details_types.json").to_owned();
    let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(sha256(body.as_bytes())));
    cacheable(&request, "application/json", body, &etag)
}

pub(super) async fn jwks(app: Data<App>, request: HttpRequest) -> HttpResponse {
    let document = app.ring.jwks(app.clock.now());
    cacheable(&request, "application/jwk-set+json", document.body, &document.etag)
}

/// HEAD of a document that exists.
pub(super) async fn head() -> HttpResponse {
    HttpResponse::Ok().finish()
}

fn cacheable(request: &HttpRequest, kind: &'static str, body: String, etag: &str) -> HttpResponse {
    let known = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    let fresh =
        known.flat_map(|value| value.split(',')).any(|tag| matches!(tag.trim(), tag if tag == etag || tag == "*"));
    let mut builder = if fresh { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    builder
        .insert_header((CACHE_CONTROL, format!("public, max-age={JWKS_MAX_AGE_SECONDS}")))
        .insert_header((ETAG, etag.to_owned()))
        // Public documents, read by browsers' clients as well.
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
    if fresh {
        return builder.finish();
    }
    builder.insert_header((CONTENT_TYPE, kind)).body(body)
}
