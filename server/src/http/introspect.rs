//! `POST /oauth2/introspect` (RFC 7662). Who may not know of a token learns the same as of
//! one that does not exist: `{"active":false}`.

use super::answer::{json, oauth_error};
use super::body::read_request;
use super::origin::origin;
use crate::app::App;
use crate::audit::Origin;
use crate::client::authenticate;
use crate::grant::refuse_stranger;
use crate::introspection::{Introspection, introspect};
use crate::reason::Reason;
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

pub(super) async fn handle(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let mut log = super::log::Line::new(&origin);
    let response = match answer(&app, &request, payload, &origin).await {
        Ok(introspection) => {
            log.jti = introspection.jti().map(str::to_owned);
            json(200, &introspection)
        }
        Err(reason) => {
            log.reason = Some(reason);
            oauth_error(reason)
        }
    };
    request.extensions_mut().insert(log);
    response
}

async fn answer(app: &App, request: &HttpRequest, payload: Payload, origin: &Origin) -> Result<Introspection, Reason> {
    let form = read_request(app, request, payload, origin).await?;
    let (params, credentials) = (&form.params, form.credentials(origin));
    let client = match authenticate(app, &credentials).await {
        Ok(client) => client,
        Err(failure) => return Err(refuse_stranger(app, &failure, origin).await),
    };
    introspect(app, client, params.one("token"), origin).await
}
