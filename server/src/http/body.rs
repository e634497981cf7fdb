//! A request's body, read once: size first, with a deadline of its own, because a slow
//! body would otherwise stay open for ever.

use super::certificate::client_certificate;
use crate::admission::enter;
use crate::app::App;
use crate::audit::Origin;
use crate::certificate::ClientCertificate;
use crate::client::{AuthFailure, Credentials};
use crate::form::Params;
use crate::grant::refuse_stranger;
use crate::limits::{BODY_DEADLINE, MAX_BODY_BYTES};
use crate::reason::Reason;
use crate::telemetry::{Phase, phase};
use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::web::{Bytes, BytesMut, Payload};
use futures_util::StreamExt;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// # Errors
/// [`Reason::BodyTooLarge`], [`Reason::BodyTooSlow`] or [`Reason::BodyUnreadable`];
/// [`Reason::Overloaded`] where there is no seat for a request that is whole.
pub async fn read_body(request: &HttpRequest, payload: Payload) -> Result<Bytes, Reason> {
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > MAX_BODY_BYTES) {
        return Err(Reason::BodyTooLarge);
    }
    let body = {
        let _timed = phase(Phase::Body);
        tokio::time::timeout(BODY_DEADLINE, collect(payload)).await.map_err(|_| Reason::BodyTooSlow)??
    };
    enter().await.map_err(|_| Reason::Overloaded)?;
    Ok(body)
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

/// What a form request brings, before anybody has vouched for it.
pub(super) struct Form<'r> {
    pub params: Params,
    /// The one `Authorization` header.
    pub authorization: Option<&'r [u8]>,
    pub certificate: Option<ClientCertificate>,
    /// The `Idempotency-Key`; what can't be one is empty, and refused as such.
    pub key: Option<&'r str>,
}

impl Form<'_> {
    pub fn credentials<'a>(&'a self, origin: &'a Origin) -> Credentials<'a> {
        Credentials {
            authorization: self.authorization,
            certificate: self.certificate.as_ref(),
            params: &self.params,
            origin,
            pace: origin.pace.clone(),
        }
    }
}

/// Reads a form request. What is none is recorded.
///
/// # Errors
/// What is wrong with it.
pub(super) async fn read_request<'r>(
    app: &App,
    request: &'r HttpRequest,
    payload: Payload,
    origin: &Origin,
) -> Result<Form<'r>, Reason> {
    let read = async {
        let params = read_form(request, payload).await?;
        let certificate = client_certificate(app, request)?;
        Ok(Form { params, authorization: authorization(request)?, certificate, key: idempotency_key(request) })
    };
    match read.await {
        Ok(form) => Ok(form),
        Err(reason) => Err(refuse_stranger(app, &AuthFailure { reason, claimed: None }, origin).await),
    }
}

/// Two are two methods of authentication (RFC 6749 section 2.3).
pub(super) fn authorization(request: &HttpRequest) -> Result<Option<&[u8]>, Reason> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    match (headers.next(), headers.next()) {
        (_, Some(_)) => Err(Reason::SeveralAuthMethods),
        (header, None) => Ok(header.map(|header| header.as_bytes())),
    }
}

pub(super) fn idempotency_key(request: &HttpRequest) -> Option<&str> {
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY);
    match (keys.next(), keys.next()) {
        (None, _) => None,
        (Some(key), None) => Some(key.to_str().unwrap_or_default()),
        (Some(_), Some(_)) => Some(""),
    }
}
