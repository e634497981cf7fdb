//! `/admin/v1/signing-keys`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{Distrust, Page, SCOPE_READ, SCOPE_WRITE, SigningKey};
use super::super::signing_keys as collection;
use super::Refused;
use super::call::{answer, body, no_body, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// All signing keys, newest first.
#[utoipa::path(get, path = "/admin/v1/signing-keys", tag = "signing-keys", responses((status = 200, body = Page<SigningKey>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "signing_key.listed", async |session| {
        answer(200, &collection::list(session).await?)
    })
    .await
}

/// Publishes the next signing key.
#[utoipa::path(post, path = "/admin/v1/signing-keys/rotate", tag = "signing-keys", responses((status = 200, body = Page<SigningKey>), Refused))]
pub(super) async fn rotate(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "signing_key.rotated", async |session| {
        no_body(&request, payload).await?;
        answer(200, &collection::rotate(session).await?)
    })
    .await
}

/// Takes a compromised key out at once, with everything it signed.
#[utoipa::path(post, path = "/admin/v1/signing-keys/{kid}/distrust", tag = "signing-keys", params(("kid" = String, Path)), request_body = Distrust, responses((status = 200, body = Page<SigningKey>), Refused))]
pub(super) async fn distrust(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "signing_key.distrusted", async |session| {
        let why: Distrust = body(&request, payload).await?;
        answer(200, &collection::distrust(session, segment(&request, "kid")?, &why).await?)
    })
    .await
}
