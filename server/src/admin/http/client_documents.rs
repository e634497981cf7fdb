//! `/admin/v1/client-documents`: bodies and answers; what happens is in the collection's own
//! module.

use super::super::api::{ChangeState, ClientDocument, ListQuery, NewClientDocument, Page, SCOPE_READ, SCOPE_WRITE};
use super::super::client_documents::{self as collection, Verb};
use super::Refused;
use super::call::{answer, body, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Client documents that the caller may see.
#[utoipa::path(get, path = "/admin/v1/client-documents", tag = "client-documents", params(ListQuery), responses((status = 200, body = Page<ClientDocument>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "client_document.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Admits a metadata document, or all under a prefix, as clients of an owner. Nothing is fetched
/// before one of them comes.
#[utoipa::path(post, path = "/admin/v1/client-documents", tag = "client-documents", request_body = NewClientDocument, responses((status = 201, description = "Made", body = ClientDocument), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "client_document.created", async |session| {
        let new: NewClientDocument = body(&request, payload).await?;
        answer(201, &collection::create(session, &new).await?)
    })
    .await
}

/// One client document.
#[utoipa::path(get, path = "/admin/v1/client-documents/{id}", tag = "client-documents", params(("id" = String, Path)), responses((status = 200, body = ClientDocument), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "client_document.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Stops all its clients at once, and lets no new one in.
#[utoipa::path(post, path = "/admin/v1/client-documents/{id}/suspend", tag = "client-documents", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = ClientDocument), Refused))]
pub(super) async fn suspend(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    set_state(&app, &request, payload, "client_document.suspended", Verb::Suspend).await
}

/// Lets its clients in again: those that were stopped with it.
#[utoipa::path(post, path = "/admin/v1/client-documents/{id}/resume", tag = "client-documents", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = ClientDocument), Refused))]
pub(super) async fn resume(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    set_state(&app, &request, payload, "client_document.resumed", Verb::Resume).await
}

/// Ends it for ever and revokes all its clients; its URL may be admitted anew, by anybody.
#[utoipa::path(post, path = "/admin/v1/client-documents/{id}/revoke", tag = "client-documents", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = ClientDocument), Refused))]
pub(super) async fn revoke(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    set_state(&app, &request, payload, "client_document.revoked", Verb::Revoke).await
}

async fn set_state(
    app: &App,
    request: &HttpRequest,
    payload: Payload,
    event: &'static str,
    verb: Verb,
) -> HttpResponse {
    serve(app, request, SCOPE_WRITE, event, async |session| {
        let why: ChangeState = optional_body(request, payload).await?;
        answer(200, &collection::set_state(session, segment(request, "id")?, verb, &why).await?)
    })
    .await
}
