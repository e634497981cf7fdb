//! `/admin/v1/budgets`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{
    Budget, ChangeState, IncreaseBudget, ListQuery, NewBudget, Page, PatchBudget, SCOPE_READ, SCOPE_WRITE, State,
};
use super::super::budgets as collection;
use super::Refused;
use super::call::{answer, body, created, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Budgets that the caller may see.
#[utoipa::path(get, path = "/admin/v1/budgets", tag = "budgets", params(ListQuery), responses((status = 200, body = Page<Budget>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "budget.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Registers a budget.
#[utoipa::path(post, path = "/admin/v1/budgets", tag = "budgets", request_body = NewBudget, responses((status = 201, description = "Made", body = Budget), (status = 200, description = "There already", body = Budget), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "budget.created", async |session| {
        let new: NewBudget = body(&request, payload).await?;
        let (is_new, budget) = collection::create(session, &new).await?;
        created(is_new, &budget)
    })
    .await
}

/// One budget.
#[utoipa::path(get, path = "/admin/v1/budgets/{id}", tag = "budgets", params(("id" = String, Path)), responses((status = 200, body = Budget), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "budget.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Changes a budget.
#[utoipa::path(patch, path = "/admin/v1/budgets/{id}", tag = "budgets", params(("id" = String, Path)), request_body = PatchBudget, responses((status = 200, body = Budget), Refused))]
pub(super) async fn patch(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "budget.changed", async |session| {
        let patch: PatchBudget = body(&request, payload).await?;
        answer(200, &collection::patch(session, segment(&request, "id")?, &patch).await?)
    })
    .await
}

/// Raises a budget for a while, or ends that.
#[utoipa::path(post, path = "/admin/v1/budgets/{id}/increase", tag = "budgets", params(("id" = String, Path)), request_body = IncreaseBudget, responses((status = 200, body = Budget), Refused))]
pub(super) async fn increase(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "budget.increased", async |session| {
        let wanted: IncreaseBudget = body(&request, payload).await?;
        answer(200, &collection::increase(session, segment(&request, "id")?, &wanted).await?)
    })
    .await
}

/// The budgets directly under one, those of tokens as well.
#[utoipa::path(get, path = "/admin/v1/budgets/{id}/children", tag = "budgets", params(("id" = String, Path), ListQuery), responses((status = 200, body = Page<Budget>), Refused))]
pub(super) async fn children(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "budget.listed", async |session| {
        answer(200, &collection::children(session, segment(&request, "id")?, &query(&request)?).await?)
    })
    .await
}

/// Switches a budget off: nothing new is spent from it, nor from what lies under it.
#[utoipa::path(post, path = "/admin/v1/budgets/{id}/disable", tag = "budgets", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Budget), Refused))]
pub(super) async fn disable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "budget.disabled", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, State::Disabled, &why).await?)
    })
    .await
}

/// Switches a budget on again.
#[utoipa::path(post, path = "/admin/v1/budgets/{id}/enable", tag = "budgets", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Budget), Refused))]
pub(super) async fn enable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "budget.enabled", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, State::Active, &why).await?)
    })
    .await
}
