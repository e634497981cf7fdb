//! Answers of the OAuth endpoints: never cached, errors as RFC 6749 section 5.2 has them.

use crate::limits::RETRY_AFTER_SECONDS;
use crate::reason::{OAuthCode, Reason};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use serde::Serialize;

/// RFC 9449 section 8.
const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// A JSON answer that no cache may keep (RFC 6749 section 5.1).
pub(super) fn json(status: u16, body: &impl Serialize) -> HttpResponse {
    match serde_json::to_string(body) {
        Ok(body) => build(status).body(body),
        Err(_) => oauth_error(Reason::Internal),
    }
}

/// A signed answer that no cache may keep.
pub(super) fn signed(kind: &'static str, jwt: String) -> HttpResponse {
    let mut builder = build(200);
    builder.insert_header((CONTENT_TYPE, kind));
    builder.body(jwt)
}

fn build(status: u16) -> actix_web::HttpResponseBuilder {
    let mut builder = HttpResponse::build(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    builder
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((PRAGMA, "no-cache"));
    builder
}

#[derive(Serialize)]
struct ErrorBody {
    error: &'static str,
    error_description: &'static str,
}

/// The error answer for a reason.
#[must_use]
pub fn oauth_error(reason: Reason) -> HttpResponse {
    let code = reason.code();
    let mut builder = build(code.status());
    match code {
        // RFC 6749 section 5.2: 401 names the scheme to authenticate with.
        OAuthCode::InvalidClient => {
            builder.insert_header((WWW_AUTHENTICATE, "Basic realm=\"oauth2\", charset=\"UTF-8\""));
        }
        OAuthCode::TemporarilyUnavailable | OAuthCode::RateExceeded => {
            builder.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS));
        }
        OAuthCode::TooManyRequests => {
            builder.insert_header((RETRY_AFTER, 60_u32));
        }
        OAuthCode::TooSlow => {
            builder.force_close();
        }
        OAuthCode::InvalidRequest
        | OAuthCode::UnauthorizedClient
        | OAuthCode::UnsupportedGrantType
        | OAuthCode::UnsupportedResponseType
        | OAuthCode::InvalidScope
        | OAuthCode::InvalidTarget
        | OAuthCode::InvalidGrant
        | OAuthCode::AuthorizationPending
        | OAuthCode::SlowDown
        | OAuthCode::ExpiredToken
        | OAuthCode::Denied
        | OAuthCode::InvalidBindingMessage
        | OAuthCode::InteractionRequired
        | OAuthCode::InvalidAuthorizationDetails
        | OAuthCode::InvalidClientMetadata
        | OAuthCode::InvalidSoftwareStatement
        | OAuthCode::UnapprovedSoftwareStatement
        | OAuthCode::TooLarge
        | OAuthCode::InvalidDpopProof
        | OAuthCode::UseDpopNonce
        | OAuthCode::InvalidToken
        | OAuthCode::InsufficientBudget
        | OAuthCode::Unauthenticated
        | OAuthCode::InsufficientScope
        | OAuthCode::AccessDenied
        | OAuthCode::ConstraintViolated
        | OAuthCode::BadGateway
        | OAuthCode::GatewayTimeout
        | OAuthCode::NotFound
        | OAuthCode::HoldEnded
        | OAuthCode::Conflict
        | OAuthCode::IdempotencyKeyReused
        | OAuthCode::ServerError => {}
    }
    let body = ErrorBody { error: code.error(), error_description: reason.description() };
    match serde_json::to_string(&body) {
        Ok(body) => builder.body(body),
        Err(_) => builder.body("{\"error\":\"server_error\"}"),
    }
}

/// Adds the nonce that a client is to use from now on (RFC 9449 section 8.2), exactly one.
pub fn tell_nonce(response: &mut HttpResponse, nonce: Option<String>) {
    if let Some(value) = nonce.and_then(|nonce| HeaderValue::from_str(&nonce).ok()) {
        response.headers_mut().insert(DPOP_NONCE, value);
    }
}

pub(super) fn method_not_allowed(allow: &'static str) -> HttpResponse {
    let mut builder = build(405);
    builder.insert_header((ALLOW, allow));
    builder.body("{\"error\":\"invalid_request\",\"error_description\":\"this method is not allowed here\"}")
}

pub(super) fn not_implemented(what: &'static str) -> HttpResponse {
    build(501).body(format!("{{\"error\":\"not_implemented\",\"error_description\":\"{what}\"}}"))
}

/// A request that no handler looked at.
pub(super) fn unread(status: StatusCode, description: &'static str) -> HttpResponse {
    let body = ErrorBody { error: "invalid_request", error_description: description };
    json(status.as_u16(), &body)
}

/// 204, for what has nothing to say.
pub(super) fn no_content() -> HttpResponse {
    HttpResponse::NoContent().insert_header((CACHE_CONTROL, "no-store")).finish()
}

/// What no route serves.
pub async fn not_found() -> HttpResponse {
    nothing_here()
}

pub(super) fn nothing_here() -> HttpResponse {
    build(404).body("{\"error\":\"not_found\",\"error_description\":\"there is nothing here\"}")
}
