//! `POST /oauth2/token` (RFC 6749 section 3.2).

use super::answer::json;
use super::body::read_request;
use super::declined::refused;
use super::origin::origin;
use crate::app::App;
use crate::budget::Declined;
use crate::grant;
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
        Err(declined) => {
            log.reason = Some(declined.reason);
            refused(declined)
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
) -> Result<grant::TokenResponse, Declined> {
    let form = read_request(app, request, payload, origin).await?;
    grant::token(app, &form.credentials(origin), form.key, origin).await
}
