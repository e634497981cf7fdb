//! `/admin/v1/audit-sinks`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{
    AuditSink, AuditSinkCreated, AuditSinkTried, ChangeState, ListQuery, NewAuditSink, Page, PauseAuditSink,
    SCOPE_AUDIT, SCOPE_WRITE,
};
use super::super::audit_sinks as collection;
use super::Refused;
use super::call::{answer, body, no_body, no_content, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Where the audit of owners whom the caller may audit is sent, and for admins of the deployment all of it.
#[utoipa::path(get, path = "/admin/v1/audit-sinks", tag = "audit", params(ListQuery), responses((status = 200, body = Page<AuditSink>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_AUDIT, "audit_sink.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Has the audit sent to a webhook. The secret is shown once.
#[utoipa::path(post, path = "/admin/v1/audit-sinks", tag = "audit", request_body = NewAuditSink, responses((status = 201, body = AuditSinkCreated), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "audit_sink.created", async |session| {
        let new: NewAuditSink = body(&request, payload).await?;
        answer(201, &collection::create(session, &new).await?)
    })
    .await
}

/// One sink, and how its delivery goes.
#[utoipa::path(get, path = "/admin/v1/audit-sinks/{id}", tag = "audit", params(("id" = String, Path)), responses((status = 200, body = AuditSink), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_AUDIT, "audit_sink.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Removes a sink. What it has not had it never gets.
#[utoipa::path(delete, path = "/admin/v1/audit-sinks/{id}", tag = "audit", params(("id" = String, Path)), responses((status = 204, description = "Removed"), Refused))]
pub(super) async fn delete(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "audit_sink.removed", async |session| {
        no_body(&request, payload).await?;
        collection::delete(session, segment(&request, "id")?).await?;
        Ok(no_content())
    })
    .await
}

/// Stops delivery, which later goes on where it stopped.
#[utoipa::path(post, path = "/admin/v1/audit-sinks/{id}/pause", tag = "audit", params(("id" = String, Path)), request_body = PauseAuditSink, responses((status = 200, body = AuditSink), Refused))]
pub(super) async fn pause(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "audit_sink.paused", async |session| {
        let why: PauseAuditSink = body(&request, payload).await?;
        answer(200, &collection::pause(session, segment(&request, "id")?, &why).await?)
    })
    .await
}

/// Has delivery go on where it stopped, at once.
#[utoipa::path(post, path = "/admin/v1/audit-sinks/{id}/resume", tag = "audit", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = AuditSink), Refused))]
pub(super) async fn resume(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "audit_sink.resumed", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::resume(session, segment(&request, "id")?, &why).await?)
    })
    .await
}

/// Sends one message without records, and says whether it arrived.
#[utoipa::path(post, path = "/admin/v1/audit-sinks/{id}/test", tag = "audit", params(("id" = String, Path)), responses((status = 200, body = AuditSinkTried), Refused))]
pub(super) async fn test(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "audit_sink.tested", async |session| {
        no_body(&request, payload).await?;
        answer(200, &collection::test(session, segment(&request, "id")?).await?)
    })
    .await
}
