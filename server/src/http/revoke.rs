//! `POST /oauth2/revoke` (RFC 7009).

use super::answer::oauth_error;
use super::body::read_request;
use super::origin::origin;
use crate::app::App;
use crate::audit::Origin;
use crate::reason::Reason;
use crate::revocation::revoke;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

pub(super) async fn handle(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let mut log = super::log::Line::new(&origin);
    let response = match answer(&app, &request, payload, &origin).await {
        // RFC 7009 section 2.2: 200, and the content is of no interest.
        Ok(()) => HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).finish(),
        Err(reason) => {
            log.reason = Some(reason);
            oauth_error(reason)
        }
    };
    request.extensions_mut().insert(log);
    response
}

async fn answer(app: &App, request: &HttpRequest, payload: Payload, origin: &Origin) -> Result<(), Reason> {
    let form = read_request(app, request, payload, origin).await?;
    revoke(app, &form.credentials(origin), origin).await
}
