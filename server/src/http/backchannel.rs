//! `POST /oauth2/bc-authorize` (OpenID CIBA Core section 7): asking people for an exchange.

use super::answer::{json, oauth_error};
use super::body::read_request;
use super::origin::origin;
use crate::app::App;
use crate::audit::Origin;
use crate::grant::{Started, start_backchannel};
use crate::reason::Reason;
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

pub(super) async fn handle(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let mut log = super::log::Line::new(&origin);
    let response = match answer(&app, &request, payload, &origin).await {
        Ok(started) => json(200, &started),
        Err(reason) => {
            log.reason = Some(reason);
            oauth_error(reason)
        }
    };
    request.extensions_mut().insert(log);
    response
}

async fn answer(app: &App, request: &HttpRequest, payload: Payload, origin: &Origin) -> Result<Started, Reason> {
    let form = read_request(app, request, payload, origin).await?;
    start_backchannel(app, &form.credentials(origin), origin).await
}
