//! `/oauth2/register` (RFC 7591) and `/oauth2/register/{client_id}` (RFC 7592): JSON in and out,
//! bearer tokens of their own.

use super::answer::{json, no_content, oauth_error};
use super::body::read_body;
use super::custody::is_json;
use super::origin::origin;
use super::present::bearer_token;
use crate::app::App;
use crate::audit::Origin;
use crate::reason::{OAuthCode, Reason};
use crate::registration::{self, Registered, refuse_stranger};
use actix_web::http::header::{HeaderValue, WWW_AUTHENTICATE};
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use serde_json::{Map, Value};
use stipend_token::json::{Limits, parse_storable_object};

/// Longest client metadata, in bytes.
const MAX_METADATA_BYTES: usize = 32 * 1024;
/// Deepest nesting of client metadata.
const MAX_METADATA_DEPTH: usize = 8;

pub(super) async fn register(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let registered = async {
        let bearer = bearer(&app, &request, &origin).await?;
        let metadata = metadata(&app, &request, payload, &origin).await?;
        registration::register(&app, bearer, &metadata, &origin).await
    };
    respond(&request, &origin, registered.await, |registered: &Registered| json(201, registered))
}

pub(super) async fn read(app: Data<App>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let read = async {
        let bearer = bearer(&app, &request, &origin).await?;
        registration::read(&app, &id, bearer, &origin).await
    };
    respond(&request, &origin, read.await, |registered: &Registered| json(200, registered))
}

pub(super) async fn update(app: Data<App>, request: HttpRequest, id: Path<String>, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let updated = async {
        let bearer = bearer(&app, &request, &origin).await?;
        let metadata = metadata(&app, &request, payload, &origin).await?;
        registration::update(&app, &id, bearer, &metadata, &origin).await
    };
    respond(&request, &origin, updated.await, |registered: &Registered| json(200, registered))
}

pub(super) async fn delete(app: Data<App>, request: HttpRequest, id: Path<String>) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let deleted = async {
        let bearer = bearer(&app, &request, &origin).await?;
        registration::delete(&app, &id, bearer, &origin).await
    };
    respond(&request, &origin, deleted.await, |(): &()| no_content())
}

fn respond<T>(
    request: &HttpRequest,
    origin: &Origin,
    result: Result<T, Reason>,
    done: impl FnOnce(&T) -> HttpResponse,
) -> HttpResponse {
    let mut log = super::log::Line::new(origin);
    let response = match result {
        Ok(answer) => done(&answer),
        Err(reason) => {
            log.reason = Some(reason);
            refused(reason)
        }
    };
    request.extensions_mut().insert(log);
    response
}

fn refused(reason: Reason) -> HttpResponse {
    let mut response = oauth_error(reason);
    // RFC 6750 section 3: no error code where no token was sent.
    let challenge = match reason.code() {
        OAuthCode::Unauthenticated if reason == Reason::NoBearer => "Bearer realm=\"registration\"",
        OAuthCode::Unauthenticated => "Bearer realm=\"registration\", error=\"invalid_token\"",
        _ => return response,
    };
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    response
}

/// RFC 6750 section 2.1: in the header and nowhere else.
async fn bearer<'r>(app: &App, request: &'r HttpRequest, origin: &Origin) -> Result<&'r str, Reason> {
    match bearer_token(request) {
        Some(token) => Ok(token),
        None => Err(refuse_stranger(app, Reason::NoBearer, None, origin).await),
    }
}

async fn metadata(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    origin: &Origin,
) -> Result<Map<String, Value>, Reason> {
    let bytes = match read_body(request, payload).await {
        Ok(bytes) => bytes,
        Err(reason) => return Err(refuse_stranger(app, reason, None, origin).await),
    };
    let limits = Limits { max_bytes: MAX_METADATA_BYTES, max_depth: MAX_METADATA_DEPTH };
    match parse_storable_object(&bytes, limits) {
        Ok(object) if is_json(request) => Ok(object),
        _ => Err(refuse_stranger(app, Reason::MetadataNotJson, None, origin).await),
    }
}
