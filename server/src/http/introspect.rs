//! `POST /oauth2/introspect` (RFC 7662), also as a signed JWT (RFC 9701). Who may not know of a
//! token learns the same as of one that does not exist: `{"active":false}`.

use super::accept::prefers;
use super::answer::{json, oauth_error, signed};
use super::body::read_request;
use super::origin::origin;
use crate::app::App;
use crate::audit::Origin;
use crate::client::authenticate;
use crate::grant::refuse_stranger;
use crate::introspection::{introspect, introspect_signed};
use crate::reason::Reason;
use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};

/// RFC 9701 section 4: what a caller accepts who wants the answer signed.
const SIGNED: &str = "application/token-introspection+jwt";

pub(super) async fn handle(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let origin = origin(&app.config, &request);
    let mut log = super::log::Line::new(&origin);
    let response = match answer(&app, &request, payload, &origin).await {
        Ok((response, jti)) => {
            log.jti = jti;
            response
        }
        Err(reason) => {
            log.reason = Some(reason);
            oauth_error(reason)
        }
    };
    request.extensions_mut().insert(log);
    response
}

/// The answer, and the token's id for the log.
async fn answer(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    origin: &Origin,
) -> Result<(HttpResponse, Option<String>), Reason> {
    let form = read_request(app, request, payload, origin).await?;
    let (params, credentials) = (&form.params, form.credentials(origin));
    if prefers(request.headers(), SIGNED, "application/json") {
        let answer = introspect_signed(app, &credentials, origin).await?;
        return Ok((signed(SIGNED, answer.jwt), answer.jti));
    }
    let client = match authenticate(app, &credentials).await {
        Ok(client) => client,
        Err(failure) => return Err(refuse_stranger(app, &failure, origin).await),
    };
    let answer = introspect(app, client, params.one("token"), origin).await?;
    Ok((json(200, &answer), answer.jti().map(str::to_owned)))
}
