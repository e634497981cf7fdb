//! `/admin/v1/policies`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{
    DryRun, DryRunResult, ListQuery, NewPolicy, Page, PatchPolicy, Policy, PolicyChecked, PolicySchema, PolicyState,
    PolicyVersion, SCOPE_AUDIT, SCOPE_READ, SCOPE_WRITE, ValidatePolicy,
};
use super::super::policies as collection;
use super::Refused;
use super::call::{answer, body, created, no_body, no_content, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Policies that the caller may see.
#[utoipa::path(get, path = "/admin/v1/policies", tag = "policies", params(ListQuery), responses((status = 200, body = Page<Policy>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "policy.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Stores a policy. It applies at once unless it is to be disabled.
#[utoipa::path(post, path = "/admin/v1/policies", tag = "policies", request_body = NewPolicy, responses((status = 201, description = "Made", body = Policy), (status = 200, description = "There already", body = Policy), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "policy.created", async |session| {
        let new: NewPolicy = body(&request, payload).await?;
        let (is_new, policy) = collection::create(session, &new).await?;
        created(is_new, &policy)
    })
    .await
}

/// What policies can see.
#[utoipa::path(get, path = "/admin/v1/policies/schema", tag = "policies", responses((status = 200, body = PolicySchema), Refused))]
pub(super) async fn schema(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "policy.schema_read", async |_| answer(200, &collection::schema())).await
}

/// Reads a text as a new policy would be, and stores nothing.
#[utoipa::path(post, path = "/admin/v1/policies/validate", tag = "policies", request_body = ValidatePolicy, responses((status = 200, body = PolicyChecked), Refused))]
pub(super) async fn validate(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "policy.validated", async |session| {
        let wanted: ValidatePolicy = body(&request, payload).await?;
        answer(200, &collection::validate(session, wanted.text).await?)
    })
    .await
}

/// What a text would have refused of what was recorded as allowed.
#[utoipa::path(post, path = "/admin/v1/policies/dry-run", tag = "policies", request_body = DryRun, responses((status = 200, body = DryRunResult), Refused))]
pub(super) async fn dry_run(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_AUDIT, "policy.tried", async |session| {
        let wanted: DryRun = body(&request, payload).await?;
        answer(200, &collection::dry_run(session, &wanted).await?)
    })
    .await
}

/// One policy.
#[utoipa::path(get, path = "/admin/v1/policies/{id}", tag = "policies", params(("id" = String, Path)), responses((status = 200, body = Policy), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "policy.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Changes a policy: a new text is a new version, and applies at once.
#[utoipa::path(patch, path = "/admin/v1/policies/{id}", tag = "policies", params(("id" = String, Path)), request_body = PatchPolicy, responses((status = 200, body = Policy), Refused))]
pub(super) async fn patch(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "policy.changed", async |session| {
        let patch: PatchPolicy = body(&request, payload).await?;
        answer(200, &collection::patch(session, segment(&request, "id")?, &patch).await?)
    })
    .await
}

/// Switches a policy on.
#[utoipa::path(post, path = "/admin/v1/policies/{id}/enable", tag = "policies", params(("id" = String, Path)), responses((status = 200, body = Policy), Refused))]
pub(super) async fn enable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "policy.enabled", async |session| {
        no_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, PolicyState::Enabled).await?)
    })
    .await
}

/// Switches a policy off.
#[utoipa::path(post, path = "/admin/v1/policies/{id}/disable", tag = "policies", params(("id" = String, Path)), responses((status = 200, body = Policy), Refused))]
pub(super) async fn disable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "policy.disabled", async |session| {
        no_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, PolicyState::Disabled).await?)
    })
    .await
}

/// Removes a policy for ever. Its texts stay, because records name them.
#[utoipa::path(delete, path = "/admin/v1/policies/{id}", tag = "policies", params(("id" = String, Path)), responses((status = 204, description = "Done"), Refused))]
pub(super) async fn delete(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "policy.removed", async |session| {
        collection::set_state(session, segment(&request, "id")?, PolicyState::Removed).await?;
        Ok(no_content())
    })
    .await
}

/// Every text that a policy had, newest first.
#[utoipa::path(get, path = "/admin/v1/policies/{id}/versions", tag = "policies", params(("id" = String, Path)), responses((status = 200, body = Page<PolicyVersion>), Refused))]
pub(super) async fn versions(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "policy.versions_read", async |session| {
        answer(200, &collection::versions(session, segment(&request, "id")?).await?)
    })
    .await
}
