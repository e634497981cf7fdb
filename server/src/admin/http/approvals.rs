//! `/admin/v1/approvals`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{ApprovalQuery, ApprovalRequest, Approve, Page, Refuse, SCOPE_READ, SCOPE_WRITE};
use super::super::approvals as collection;
use super::Refused;
use super::call::{answer, body, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Exchanges that wait for people, and how they ended, of owners that the caller may see.
#[utoipa::path(get, path = "/admin/v1/approvals", tag = "approvals", params(ApprovalQuery), responses((status = 200, body = Page<ApprovalRequest>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "approval.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// One of them.
#[utoipa::path(get, path = "/admin/v1/approvals/{id}", tag = "approvals", params(("id" = String, Path)), responses((status = 200, body = ApprovalRequest), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "approval.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Says yes, for all the owners that the caller may answer for; what is approved may be less
/// than what was asked for.
#[utoipa::path(post, path = "/admin/v1/approvals/{id}/approve", tag = "approvals", params(("id" = String, Path)), request_body = Option<Approve>, responses((status = 200, body = ApprovalRequest), Refused))]
pub(super) async fn approve(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "approval.approved", async |session| {
        let yes: Approve = optional_body(&request, payload).await?;
        answer(200, &collection::approve(session, segment(&request, "id")?, &yes).await?)
    })
    .await
}

/// Says no: the request is over.
#[utoipa::path(post, path = "/admin/v1/approvals/{id}/refuse", tag = "approvals", params(("id" = String, Path)), request_body = Refuse, responses((status = 200, body = ApprovalRequest), Refused))]
pub(super) async fn refuse(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "approval.refused", async |session| {
        let no: Refuse = body(&request, payload).await?;
        answer(200, &collection::refuse(session, segment(&request, "id")?, &no).await?)
    })
    .await
}
