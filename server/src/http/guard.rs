//! Around every handler: headers of a sane size, no change of protocol, no panic that leaves a client without an answer,
//! and one way to say when to come again.

use super::answer::{oauth_error, unread};
use crate::pace::Pace;
use crate::reason::Reason;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::ConnectionType;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderValue, RETRY_AFTER, UPGRADE};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage};
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
        let answer = unread(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request head is too large");
        return Err(InternalError::from_response("request head too large", answer).into());
    }
    // The HTTP library reads what follows the head of such a request as one body without an end,
    // whatever length it says: behind a proxy that counts, that could be somebody else's request.
    if upgrades(headers) {
        let mut answer = unread(StatusCode::BAD_REQUEST, "this server speaks HTTP/1.1 and upgrades to nothing else");
        answer.head_mut().set_connection_type(ConnectionType::Close);
        return Err(InternalError::from_response("upgrade", answer).into());
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

fn upgrades(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(UPGRADE).filter_map(|value| value.to_str().ok());
    values.any(|value| value.split(',').any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket")))
}

/// Says exactly when a request that came too early may be tried again, where that is known.
fn tell_wait<B>(answered: &mut ServiceResponse<B>) {
    let wait = answered.request().extensions().get::<Pace>().and_then(Pace::wait);
    if let Some(seconds) = wait.filter(|_| answered.status() == StatusCode::TOO_MANY_REQUESTS) {
        answered.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
}
