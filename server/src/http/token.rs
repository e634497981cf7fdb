//! `POST /oauth2/token` (RFC 6749 section 3.2).

use super::answer::{json, oauth_error};
use super::body::read_params;
use super::origin::origin;
use crate::app::App;
use crate::client::Credentials;
use crate::grant;
use crate::reason::Reason;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

pub(super) async fn handle(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let mut log = super::log::Line::new(&origin);
    let answer = answer(&app, &request, payload, &origin).await;
    let response = match &answer {
        Ok(token) => {
            log.jti = Some(token.jti.clone());
            json(200, token)
        }
        Err(reason) => {
            log.reason = Some(*reason);
            oauth_error(*reason)
        }
    };
    request.extensions_mut().insert(log);
    response
}

async fn answer(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    origin: &crate::audit::Origin,
) -> Result<grant::TokenResponse, Reason> {
    let params = read_params(app, request, payload, origin).await?;
    let credentials = Credentials { authorization: authorization(request)?, params: &params, source: origin.source };
    grant::token(app, &credentials, origin).await
}

/// The one `Authorization` header; two are two methods.
pub(super) fn authorization(request: &HttpRequest) -> Result<Option<&[u8]>, Reason> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    match (headers.next(), headers.next()) {
        (_, Some(_)) => Err(Reason::SeveralAuthMethods),
        (header, None) => Ok(header.map(|header| header.as_bytes())),
    }
}
