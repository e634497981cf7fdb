//! Around every handler: headers of a sane size, no panic that leaves a client without an answer,
//! and one way to say when to come again.

use super::answer::oauth_error;
use crate::pace::Pace;
use crate::reason::Reason;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse};
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
        Ok(answered) => {
            let mut answered = answered?;
            tell_wait(&mut answered);
            Ok(answered)
        }
        Err(_) => {
            tracing::error!("a handler panicked");
            Err(InternalError::from_response("panic", oauth_error(Reason::Internal)).into())
        }
    }
}

/// Says exactly when a request that came too early may be tried again, where that is known.
fn tell_wait<B>(answered: &mut ServiceResponse<B>) {
    let wait = answered.request().extensions().get::<Pace>().and_then(Pace::wait);
    if let Some(seconds) = wait.filter(|_| answered.status() == StatusCode::TOO_MANY_REQUESTS) {
        answered.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}
