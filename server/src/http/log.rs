//! One line per request, when it is answered, and the request's id in the answer: by it whoever
//! asked finds the record. Tokens appear as their id, clients as what was proved; nothing of
//! the body or the headers gets here.

use crate::audit::Origin;
use crate::reason::Reason;
use crate::telemetry;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
use std::time::Instant;

/// Names the request as its audit record and its line in the log do. A name of our own: an
/// upstream's `Request-Id` or `X-Request-Id` goes through the proxy beside it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("stipend-request-id");

/// What a handler knows about its request, for the line.
#[derive(Debug)]
pub struct Line {
    pub request_id: String,
    pub source: Option<std::net::IpAddr>,
    pub jti: Option<String>,
    pub reason: Option<Reason>,
}

impl Line {
    #[must_use]
    pub fn new(origin: &Origin) -> Self {
        Self { request_id: origin.request_id.clone(), source: origin.source, jti: None, reason: None }
    }
}

/// Writes the line.
///
/// # Errors
/// The handler's own.
pub async fn request_log(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let method = request.method().clone();
    let mut response = next.call(request).await?;
    if tracing::enabled!(tracing::Level::INFO) {
        let pattern = response.request().match_pattern();
        let extensions = response.request().extensions();
        let line = extensions.get::<Line>();
        tracing::info!(
            request_id = line.map(|line| line.request_id.as_str()),
            source = line.and_then(|line| line.source).map(tracing::field::display),
            method = method.as_str(),
            // The pattern, not the path: a path may carry anything.
            route = pattern.as_deref().unwrap_or("none"),
            status = response.status().as_u16(),
            jti = line.and_then(|line| line.jti.as_deref()),
            trace_id = telemetry::trace_id().map(tracing::field::display),
            reason = line.and_then(|line| line.reason).map(Reason::as_str),
            micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
            "request"
        );
    }
    let id = response.request().extensions().get::<Line>().map(|line| line.request_id.clone());
    if let Some(id) = id.and_then(|id| HeaderValue::from_str(&id).ok()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}
