//! The Shared Signals endpoints: metadata, streams, their status and verification, and polling.
//! JSON in and out, bearer tokens of the receiver's own.

use super::answer::{json, oauth_error};
use super::body::read_body;
use super::custody::is_json;
use super::discovery::json_document;
use super::origin::origin;
use super::present::{bearer_token, presents_twice};
use crate::app::App;
use crate::audit::Origin;
use crate::reason::{OAuthCode, Reason};
use crate::signals::{self, Caller, Delivery, NewStatus, Poll, SCOPE_MANAGE, SCOPE_READ, StreamRequest, Verification};
use actix_web::http::Method;
use actix_web::http::header::{HeaderValue, LOCATION, WWW_AUTHENTICATE};
use actix_web::web::{Data, Path, Payload, Query};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::json as value;

/// SSF section 7.1.
#[derive(Serialize)]
struct Metadata<'a> {
    spec_version: &'static str,
    issuer: &'a str,
    jwks_uri: &'a str,
    delivery_methods_supported: [&'static str; 2],
    configuration_endpoint: &'a str,
    status_endpoint: &'a str,
    verification_endpoint: &'a str,
    /// Access tokens of this issuer (RFC 6749), for the resource beside.
    authorization_schemes: [Value; 1],
    /// All of the audiences that the receiver serves: there is no endpoint to add any.
    default_subjects: &'static str,
}

pub(super) async fn metadata(app: Data<App>, request: HttpRequest) -> HttpResponse {
    let urls = &app.urls;
    let document = Metadata {
        spec_version: "1_0",
        issuer: &urls.issuer,
        jwks_uri: &urls.jwks_uri,
        delivery_methods_supported: [Delivery::PUSH, Delivery::POLL],
        configuration_endpoint: &urls.signals_stream_endpoint,
        status_endpoint: &urls.signals_status_endpoint,
        verification_endpoint: &urls.signals_verification_endpoint,
        authorization_schemes: [value!({ "spec_urn": "urn:ietf:rfc:6749" })],
        default_subjects: "ALL",
    };
    json_document(&request, &document)
}

/// Which stream.
#[derive(Debug, Deserialize)]
pub(super) struct Which {
    stream_id: Option<String>,
}

pub(super) async fn stream(
    app: Data<App>,
    request: HttpRequest,
    which: Query<Which>,
    payload: Payload,
) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let id = which.stream_id.as_deref();
    let answer = async {
        match *request.method() {
            Method::GET => {
                let caller = open(&app, &request, SCOPE_READ).await?;
                Ok(json(200, &signals::find(&app, &caller, id).await?))
            }
            Method::DELETE => {
                let caller = open(&app, &request, SCOPE_MANAGE).await?;
                signals::remove(&app, &caller, id.ok_or(Reason::BadStream)?, &origin).await?;
                Ok(HttpResponse::NoContent().finish())
            }
            ref method => {
                let caller = open(&app, &request, SCOPE_MANAGE).await?;
                let asked: StreamRequest = body(&request, payload).await?;
                if *method == Method::PATCH {
                    return Ok(json(200, &signals::patch(&app, &caller, &asked, &origin).await?));
                }
                if *method == Method::PUT {
                    return Ok(json(200, &signals::put(&app, &caller, &asked, &origin).await?));
                }
                let made = signals::create(&app, &caller, &asked, &origin).await?;
                let place = format!("{}?stream_id={}", app.urls.signals_stream_endpoint, made.stream_id);
                let mut response = json(201, &made);
                if let Ok(place) = HeaderValue::from_str(&place) {
                    response.headers_mut().insert(LOCATION, place);
                }
                Ok(response)
            }
        }
    };
    let answer: Result<HttpResponse, Reason> = answer.await;
    respond(&app, &request, &origin, answer).await
}

pub(super) async fn status(
    app: Data<App>,
    request: HttpRequest,
    which: Query<Which>,
    payload: Payload,
) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let answer = async {
        if *request.method() == Method::GET {
            let caller = open(&app, &request, SCOPE_READ).await?;
            let id = which.stream_id.as_deref().ok_or(Reason::BadStream)?;
            return Ok(json(200, &signals::status(&app, &caller, id).await?));
        }
        let caller = open(&app, &request, SCOPE_MANAGE).await?;
        let new: NewStatus = body(&request, payload).await?;
        Ok(json(200, &signals::set_status(&app, &caller, &new, &origin).await?))
    };
    let answer: Result<HttpResponse, Reason> = answer.await;
    respond(&app, &request, &origin, answer).await
}

pub(super) async fn verify(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let answer = async {
        let caller = open(&app, &request, SCOPE_READ).await?;
        let asked: Verification = body(&request, payload).await?;
        signals::verify(&app, &caller, &asked, &origin).await?;
        Ok(HttpResponse::NoContent().finish())
    };
    let answer: Result<HttpResponse, Reason> = answer.await;
    respond(&app, &request, &origin, answer).await
}

pub(super) async fn poll(app: Data<App>, request: HttpRequest, stream: Path<String>, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let answer = async {
        let caller = open(&app, &request, SCOPE_READ).await?;
        let asked: Poll = body(&request, payload).await?;
        Ok(json(200, &signals::poll(&app, &caller, &stream, &asked).await?))
    };
    let answer: Result<HttpResponse, Reason> = answer.await;
    respond(&app, &request, &origin, answer).await
}

async fn open(app: &App, request: &HttpRequest, scope: &str) -> Result<Caller, Reason> {
    if presents_twice(request) {
        return Err(Reason::TokenTwice);
    }
    Caller::open(app, bearer_token(request).ok_or(Reason::NoBearer)?, scope).await
}

async fn body<T: DeserializeOwned>(request: &HttpRequest, payload: Payload) -> Result<T, Reason> {
    let bytes = read_body(request, payload).await?;
    let parsed = signals::parse(&bytes);
    parsed.filter(|_| is_json(request)).ok_or(Reason::NotJson)
}

/// A refusal of a request that nobody has vouched for is recorded here; others have been.
async fn respond(
    app: &App,
    request: &HttpRequest,
    origin: &Origin,
    answer: Result<HttpResponse, Reason>,
) -> HttpResponse {
    let mut log = super::log::Line::new(origin);
    let response = match answer {
        Ok(response) => response,
        Err(reason) => {
            let mut reason = reason;
            let stranger = matches!(reason.code(), OAuthCode::Unauthenticated | OAuthCode::InsufficientScope);
            if stranger && !app.refusals.refuse("stream.refused", reason, None, origin).await {
                reason = Reason::StoreUnavailable;
            }
            log.reason = Some(reason);
            refused(reason)
        }
    };
    request.extensions_mut().insert(log);
    response
}

/// RFC 6750 section 3.
fn refused(reason: Reason) -> HttpResponse {
    let mut response = oauth_error(reason);
    let challenge = match reason.code() {
        OAuthCode::Unauthenticated if reason == Reason::NoBearer => Some("Bearer".to_owned()),
        OAuthCode::Unauthenticated => Some("Bearer error=\"invalid_token\"".to_owned()),
        OAuthCode::InsufficientScope => {
            Some(format!("Bearer error=\"insufficient_scope\", scope=\"{SCOPE_READ} {SCOPE_MANAGE}\""))
        }
        _ => None,
    };
    if let Some(challenge) = challenge.and_then(|challenge| HeaderValue::from_str(&challenge).ok()) {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}
