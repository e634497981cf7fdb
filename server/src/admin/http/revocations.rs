//! `/admin/v1/revocations`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{ListQuery, NewRevocation, Page, Revocation, SCOPE_READ, SCOPE_WRITE};
use super::super::revocations as collection;
use super::Refused;
use super::call::{answer, body, query, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Entries of the revoked set that the caller may see.
#[utoipa::path(get, path = "/admin/v1/revocations", tag = "revocations", params(ListQuery), responses((status = 200, body = Page<Revocation>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "revocation.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Revokes a token, or all that was issued for something until now.
#[utoipa::path(post, path = "/admin/v1/revocations", tag = "revocations", request_body = NewRevocation, responses((status = 201, body = Revocation), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "revocation.created", async |session| {
        let new: NewRevocation = body(&request, payload).await?;
        answer(201, &collection::create(session, &new).await?)
    })
    .await
}
