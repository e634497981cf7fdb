//! `POST /oauth2/token` (RFC 6749 section 3.2).

use super::answer::{json, tell_nonce};
use super::body::read_request;
use super::declined::refused;
use super::origin::origin;
use super::present::presented;
use crate::app::App;
use crate::binding::Presented;
use crate::budget::Declined;
use crate::grant;
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

pub(super) async fn handle(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let mut log = super::log::Line::new(&origin);
    let presented = presented(&app, &request, &app.urls.issuer);
    let answer = answer(&app, &request, payload, &presented, &origin).await;
    let mut response = match &answer {
        Ok(token) => {
            log.jti = Some(token.jti.clone());
            json(200, token)
        }
        Err(declined) => {
            log.reason = Some(declined.reason);
            refused(declined)
        }
    };
    if presented.has_proof() {
        tell_nonce(&mut response, app.binding.nonce(app.clock.now()));
    }
    request.extensions_mut().insert(log);
    response
}

async fn answer(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    presented: &Presented,
    origin: &crate::audit::Origin,
) -> Result<grant::TokenResponse, Declined> {
    let form = read_request(app, request, payload, origin).await?;
    grant::token(app, &form.credentials(origin), form.key, presented, origin).await
}
