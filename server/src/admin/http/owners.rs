//! `/admin/v1/owners`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{ChangeState, ListQuery, NewOwner, Owner, Page, SCOPE_READ, SCOPE_WRITE, State};
use super::super::owners as collection;
use super::Refused;
use super::call::{answer, body, created, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Owners that the caller may see.
#[utoipa::path(get, path = "/admin/v1/owners", tag = "owners", params(ListQuery), responses((status = 200, body = Page<Owner>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "owner.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Makes an owner.
#[utoipa::path(post, path = "/admin/v1/owners", tag = "owners", request_body = NewOwner, responses((status = 201, description = "Made", body = Owner), (status = 200, description = "There already", body = Owner), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "owner.created", async |session| {
        let new: NewOwner = body(&request, payload).await?;
        let (is_new, owner) = collection::create(session, &new).await?;
        created(is_new, &owner)
    })
    .await
}

/// One owner.
#[utoipa::path(get, path = "/admin/v1/owners/{id}", tag = "owners", params(("id" = String, Path)), responses((status = 200, body = Owner), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "owner.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Switches an owner off, and with it all its clients.
#[utoipa::path(post, path = "/admin/v1/owners/{id}/disable", tag = "owners", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Owner), Refused))]
pub(super) async fn disable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "owner.disabled", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, State::Disabled, &why).await?)
    })
    .await
}

/// Switches an owner on again. What was issued before stays dead.
#[utoipa::path(post, path = "/admin/v1/owners/{id}/enable", tag = "owners", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Owner), Refused))]
pub(super) async fn enable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "owner.enabled", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, State::Active, &why).await?)
    })
    .await
}
