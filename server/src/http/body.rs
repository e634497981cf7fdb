//! A request's body, read once: size first, with a deadline of its own, because a slow
//! body would otherwise stay open for ever.

use crate::app::App;
use crate::audit::Origin;
use crate::client::AuthFailure;
use crate::form::Params;
use crate::grant::refuse_stranger;
use crate::limits::{BODY_DEADLINE, MAX_BODY_BYTES};
use crate::reason::Reason;
use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;

/// # Errors
/// [`Reason::BodyTooLarge`], [`Reason::BodyTooSlow`] or [`Reason::BodyUnreadable`].
pub async fn read_body(request: &HttpRequest, payload: Payload) -> Result<Bytes, Reason> {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(Reason::BodyTooLarge);
    }
    tokio::time::timeout(BODY_DEADLINE, collect(payload)).await.map_err(|_| Reason::BodyTooSlow)?
}

async fn collect(mut payload: Payload) -> Result<Bytes, Reason> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Reason::BodyUnreadable)?;
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(Reason::BodyTooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// The parameters of a form request (RFC 6749 section 4.4.2). The query is never read.
///
/// # Errors
/// What is wrong with the form.
async fn read_form(request: &HttpRequest, payload: Payload) -> Result<Params, Reason> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Reason::NotAForm);
    }
    Params::parse(&read_body(request, payload).await?)
}

/// The form of a request that nobody has vouched for yet: what is none is recorded.
///
/// # Errors
/// What is wrong with the form.
pub(super) async fn read_params(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    origin: &Origin,
) -> Result<Params, Reason> {
    match read_form(request, payload).await {
        Ok(params) => Ok(params),
        Err(reason) => Err(refuse_stranger(app, &AuthFailure { reason, claimed: None }, origin).await),
    }
}
