//! `/credentials/…`: JSON in and out, tokens by RFC 6750 or RFC 9449, challenges that name the
//! resource's metadata (RFC 9728 section 5.1).

use super::answer::{json, oauth_error, tell_nonce};
use super::body::read_body;
use super::challenge::{challenges, proof_algorithms, speaks_dpop};
use super::declined::{refused, with_budget};
use super::origin::origin;
use super::present::{DPOP, presentation, presents_twice};
use crate::app::App;
use crate::audit::Origin;
use crate::binding::Presentation;
use crate::budget::Declined;
use crate::custody::{self, Ending, Released, SCOPE_RELEASE, SCOPE_USE};
use crate::reason::{OAuthCode, Reason};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stipend_token::details::DETAILS_TYPES;
use stipend_token::json::{self as strict, Limits};

/// Longest body of these endpoints: a reference and little else.
const MAX_CUSTODY_BODY_BYTES: usize = 8 * 1024;
const MAX_CUSTODY_BODY_DEPTH: usize = 4;

/// RFC 9728 section 2.
#[derive(Serialize)]
struct Metadata<'a> {
    resource: &'a str,
    authorization_servers: [&'a str; 1],
    scopes_supported: [&'static str; 2],
    bearer_methods_supported: [&'static str; 1],
    dpop_signing_alg_values_supported: [&'static str; 4],
    /// Where a certificate can be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls_client_certificate_bound_access_tokens: Option<bool>,
    resource_name: &'static str,
    authorization_details_types_supported: [&'static str; DETAILS_TYPES.len()],
    resource_documentation: &'static str,
}

pub(super) async fn metadata(app: Data<App>, request: HttpRequest) -> HttpResponse {
    let document = Metadata {
        resource: &app.urls.credential_resource,
        authorization_servers: [&app.urls.issuer],
        scopes_supported: [SCOPE_RELEASE, SCOPE_USE],
        bearer_methods_supported: ["header"],
        dpop_signing_alg_values_supported: proof_algorithms(),
        tls_client_certificate_bound_access_tokens: app.config.takes_certificates().then_some(true),
        resource_name: "Stipend key release",
        authorization_details_types_supported: DETAILS_TYPES,
        resource_documentation: "https://github.com/stipend-auth/stipend",
    };
    super::discovery::json_document(&request, &document)
}

pub(super) async fn release(app: Data<App>, request: HttpRequest, id: Path<String>, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let released = async {
        let shown = shown(&app, &request, &origin).await?;
        let body = body(&app, &request, payload, &origin).await?;
        custody::release(&app, (&shown, &id), body, super::body::idempotency_key(&request), &origin).await
    };
    respond(&app, &request, &origin, released.await)
}

pub(super) async fn unwrap(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let released = async {
        let shown = shown(&app, &request, &origin).await?;
        let body = body(&app, &request, payload, &origin).await?;
        custody::unwrap(&app, &shown, &body, &origin).await
    };
    respond(&app, &request, &origin, released.await)
}

fn respond(app: &App, request: &HttpRequest, origin: &Origin, released: Result<Released, Ending>) -> HttpResponse {
    let mut log = super::log::Line::new(origin);
    let mut response = match released {
        Ok(released) => {
            log.jti = Some(released.jti.clone());
            let response = json(200, &released);
            match released.budget {
                Some((remaining, cost)) => with_budget(response, remaining, cost),
                None => response,
            }
        }
        Err(ending) => {
            log.reason = Some(ending.reason);
            answer(app, request, &ending)
        }
    };
    next_nonce(app, request, &mut response);
    request.extensions_mut().insert(log);
    response
}

#[derive(Serialize)]
struct Violated {
    error: &'static str,
    error_description: &'static str,
    constraint: &'static str,
    reason: &'static str,
}

/// The answer to a request that was not done.
pub(super) fn answer(app: &App, request: &HttpRequest, ending: &Ending) -> HttpResponse {
    let reason = ending.reason;
    let code = reason.code();
    let mut response = match (&ending.budget, &ending.broken) {
        (Some(refusal), _) => refused(&Declined::new(reason, refusal.clone())),
        (None, Some(broken)) => json(
            code.status(),
            &Violated {
                error: code.error(),
                error_description: reason.description(),
                constraint: broken.constraint.as_str(),
                reason: broken.reason.as_str(),
            },
        ),
        (None, None) => oauth_error(reason),
    };
    if let Ok(status) = StatusCode::from_u16(code.status_at_resource()) {
        *response.status_mut() = status;
    }
    if let Some(seconds) = ending.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let challenge = challenge(app, reason).into_iter();
    let status = code.status_at_resource();
    for text in challenge.flat_map(|text| challenges(&text, speaks_dpop(request, Some(reason)), status)) {
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(WWW_AUTHENTICATE, value);
        }
    }
    response
}

/// The nonce for the client's next proof, where it has sent one.
pub(super) fn next_nonce(app: &App, request: &HttpRequest, response: &mut HttpResponse) {
    if request.headers().contains_key(DPOP) {
        tell_nonce(response, app.binding.nonce(app.clock.now()));
    }
}

/// RFC 6750 section 3 and RFC 9728 section 5.1.
fn challenge(app: &App, reason: Reason) -> Option<String> {
    let metadata = &app.urls.credential_metadata;
    match reason.code() {
        // RFC 6750 section 3.1: a request without a token is told no error code.
        OAuthCode::Unauthenticated if reason == Reason::NoBearer => {
            Some(format!("Bearer resource_metadata=\"{metadata}\""))
        }
        OAuthCode::InvalidRequest if reason == Reason::TokenTwice => {
            Some(format!("Bearer error=\"invalid_request\", resource_metadata=\"{metadata}\""))
        }
        OAuthCode::InvalidDpopProof | OAuthCode::UseDpopNonce => {
            Some(format!("Bearer error=\"{}\", resource_metadata=\"{metadata}\"", reason.code().error()))
        }
        OAuthCode::Unauthenticated => Some(format!("Bearer error=\"invalid_token\", resource_metadata=\"{metadata}\"")),
        OAuthCode::InsufficientScope => {
            let scope = needed(reason).map(|scope| format!(", scope=\"{scope}\"")).unwrap_or_default();
            Some(format!("Bearer error=\"insufficient_scope\"{scope}, resource_metadata=\"{metadata}\""))
        }
        _ => None,
    }
}

/// All the scopes that the refused operation needs, and no more: a client that steps up asks for
/// what the challenge names. Where the scope is not what is lacking, none is named.
fn needed(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::MissingScope => Some(SCOPE_RELEASE),
        Reason::MissingUseScope => Some(SCOPE_USE),
        _ => None,
    }
}

async fn shown(app: &App, request: &HttpRequest, origin: &Origin) -> Result<Presentation, Ending> {
    if presents_twice(request) {
        return Err(stranger(app, Reason::TokenTwice, origin).await);
    }
    match presentation(app, request, &app.urls.release) {
        Some(shown) => Ok(shown),
        None => Err(stranger(app, Reason::NoBearer, origin).await),
    }
}

/// Whether the body says to be JSON.
pub(super) fn is_json(request: &HttpRequest) -> bool {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// A refusal of a request that nobody has vouched for, recorded.
pub(super) async fn stranger(app: &App, reason: Reason, origin: &Origin) -> Ending {
    let recorded = reason.is_own_trouble() || app.refusals.refuse("credential.refused", reason, None, origin).await;
    if recorded { reason.into() } else { Reason::StoreUnavailable.into() }
}

async fn body<T: DeserializeOwned>(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    origin: &Origin,
) -> Result<T, Ending> {
    let bytes = match read_body(request, payload).await {
        Ok(bytes) => bytes,
        Err(reason) => return Err(stranger(app, reason, origin).await),
    };
    let limits = Limits { max_bytes: MAX_CUSTODY_BODY_BYTES, max_depth: MAX_CUSTODY_BODY_DEPTH };
    let parsed =
        strict::parse_storable_object(&bytes, limits).ok().and_then(|map| serde_json::from_value(map.into()).ok());
    match parsed.filter(|_| is_json(request)) {
        Some(parsed) => Ok(parsed),
        None => Err(stranger(app, Reason::NotJson, origin).await),
    }
}
