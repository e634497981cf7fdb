//! `/admin/v1/exchange-rules`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{
    AcceptRule, Explain, Explained, ListQuery, NewRule, Page, Rule, SCOPE_READ, SCOPE_WRITE, State,
};
use super::super::{explain as explanation, rules as collection};
use super::Refused;
use super::call::{answer, body, created, no_body, no_content, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Rules that name an owner the caller may see.
#[utoipa::path(get, path = "/admin/v1/exchange-rules", tag = "exchange-rules", params(ListQuery), responses((status = 200, body = Page<Rule>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "rule.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Proposes a rule, and accepts it for the owners the caller administers.
#[utoipa::path(post, path = "/admin/v1/exchange-rules", tag = "exchange-rules", request_body = NewRule, responses((status = 201, description = "Made", body = Rule), (status = 200, description = "There already", body = Rule), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "rule.created", async |session| {
        let new: NewRule = body(&request, payload).await?;
        let (is_new, rule) = collection::create(session, &new).await?;
        created(is_new, &rule)
    })
    .await
}

/// One rule.
#[utoipa::path(get, path = "/admin/v1/exchange-rules/{id}", tag = "exchange-rules", params(("id" = String, Path)), responses((status = 200, body = Rule), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "rule.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Accepts a rule for the owners the caller administers.
#[utoipa::path(post, path = "/admin/v1/exchange-rules/{id}/accept", tag = "exchange-rules", params(("id" = String, Path)), request_body = Option<AcceptRule>, responses((status = 200, body = Rule), Refused))]
pub(super) async fn accept(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "rule.accepted", async |session| {
        let accept: AcceptRule = optional_body(&request, payload).await?;
        answer(200, &collection::accept(session, segment(&request, "id")?, &accept).await?)
    })
    .await
}

/// Switches a rule off and takes back the acceptance of the owners the caller administers.
#[utoipa::path(post, path = "/admin/v1/exchange-rules/{id}/disable", tag = "exchange-rules", params(("id" = String, Path)), responses((status = 200, body = Rule), Refused))]
pub(super) async fn disable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "rule.disabled", async |session| {
        no_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, State::Disabled).await?)
    })
    .await
}

/// Switches a rule on and accepts it for the owners the caller administers.
#[utoipa::path(post, path = "/admin/v1/exchange-rules/{id}/enable", tag = "exchange-rules", params(("id" = String, Path)), responses((status = 200, body = Rule), Refused))]
pub(super) async fn enable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "rule.enabled", async |session| {
        no_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, State::Active).await?)
    })
    .await
}

/// Deletes a rule.
#[utoipa::path(delete, path = "/admin/v1/exchange-rules/{id}", tag = "exchange-rules", params(("id" = String, Path)), responses((status = 204, description = "Done"), Refused))]
pub(super) async fn delete(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "rule.deleted", async |session| {
        collection::delete(session, segment(&request, "id")?).await?;
        Ok(no_content())
    })
    .await
}

/// Why an exchange would be allowed or refused, without doing it.
#[utoipa::path(post, path = "/admin/v1/exchange-rules/explain", tag = "exchange-rules", request_body = Explain, responses((status = 200, body = Explained), Refused))]
pub(super) async fn explain(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "rule.explained", async |session| {
        let question: Explain = body(&request, payload).await?;
        answer(200, &explanation::explain(session, &question).await?)
    })
    .await
}
