//! Around every handler: headers of a sane size, and no panic that leaves a client
//! without an answer.

use super::answer::oauth_error;
use crate::reason::Reason;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;

/// Longest request head, as names and values: 431 beyond.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Most header fields: 431 beyond.
const MAX_HEADERS: usize = 64;

/// # Errors
/// The handler's own, or the answer of this guard.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > MAX_HEAD_BYTES || headers.len() > MAX_HEADERS {
        let mut answer = HttpResponse::build(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        return Err(InternalError::from_response("request head too large", answer.finish()).into());
    }
    // The state behind a handler is shared behind locks that don't poison, and is only ever
    // replaced whole, so going on after a panic is sound.
    match AssertUnwindSafe(next.call(request)).catch_unwind().await {
        Ok(answered) => answered,
        Err(_) => {
            tracing::error!("a handler panicked");
            Err(InternalError::from_response("panic", oauth_error(Reason::Internal)).into())
        }
    }
}
