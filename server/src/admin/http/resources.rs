//! `/admin/v1/resources`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{
    ChangeState, ListQuery, NewResource, Page, PatchResource, Resource, SCOPE_READ, SCOPE_WRITE, State,
};
use super::super::resources as collection;
use super::Refused;
use super::call::{answer, body, created, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Resources that the caller may see.
#[utoipa::path(get, path = "/admin/v1/resources", tag = "resources", params(ListQuery), responses((status = 200, body = Page<Resource>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "resource.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Registers a resource.
#[utoipa::path(post, path = "/admin/v1/resources", tag = "resources", request_body = NewResource, responses((status = 201, description = "Made", body = Resource), (status = 200, description = "There already", body = Resource), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "resource.created", async |session| {
        let new: NewResource = body(&request, payload).await?;
        let (is_new, resource) = collection::create(session, &new).await?;
        created(is_new, &resource)
    })
    .await
}

/// One resource.
#[utoipa::path(get, path = "/admin/v1/resources/{id}", tag = "resources", params(("id" = String, Path)), responses((status = 200, body = Resource), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "resource.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Changes a resource.
#[utoipa::path(patch, path = "/admin/v1/resources/{id}", tag = "resources", params(("id" = String, Path)), request_body = PatchResource, responses((status = 200, body = Resource), Refused))]
pub(super) async fn patch(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "resource.changed", async |session| {
        let patch: PatchResource = body(&request, payload).await?;
        answer(200, &collection::patch(session, segment(&request, "id")?, &patch).await?)
    })
    .await
}

/// Switches a resource off, and with it the tokens for it.
#[utoipa::path(post, path = "/admin/v1/resources/{id}/disable", tag = "resources", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Resource), Refused))]
pub(super) async fn disable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "resource.disabled", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, State::Disabled, &why).await?)
    })
    .await
}

/// Switches a resource on again.
#[utoipa::path(post, path = "/admin/v1/resources/{id}/enable", tag = "resources", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Resource), Refused))]
pub(super) async fn enable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "resource.enabled", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, State::Active, &why).await?)
    })
    .await
}
