//! `/admin/v1/grants` and the topology: bodies and answers.

use super::super::api::{
    ChangeState, CredentialGrant, Edge, GrantQuery, ListQuery, NewGrant, Page, PatchGrant, SCOPE_READ, SCOPE_WRITE,
    State,
};
use super::super::custody as collection;
use super::Refused;
use super::call::{answer, body, created, no_body, no_content, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Grants of credentials that the caller may see, by credential or agent where named.
#[utoipa::path(get, path = "/admin/v1/grants", tag = "grants", params(GrantQuery), responses((status = 200, body = Page<CredentialGrant>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "grant.listed", async |session| {
        answer(200, &collection::list_grants(session, &query(&request)?).await?)
    })
    .await
}

/// Lets an agent use a credential, from its next call on.
#[utoipa::path(post, path = "/admin/v1/grants", tag = "grants", request_body = NewGrant, responses((status = 201, description = "Made", body = CredentialGrant), (status = 200, description = "There already", body = CredentialGrant), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "grant.created", async |session| {
        let wanted: NewGrant = body(&request, payload).await?;
        let (is_new, made) = collection::create_grant(session, &wanted).await?;
        created(is_new, &made)
    })
    .await
}

/// One grant.
#[utoipa::path(get, path = "/admin/v1/grants/{id}", tag = "grants", params(("id" = String, Path)), responses((status = 200, body = CredentialGrant), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "grant.read", async |session| {
        answer(200, &collection::find_grant(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Changes a grant.
#[utoipa::path(patch, path = "/admin/v1/grants/{id}", tag = "grants", params(("id" = String, Path)), request_body = PatchGrant, responses((status = 200, body = CredentialGrant), Refused))]
pub(super) async fn patch(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "grant.changed", async |session| {
        let wanted: PatchGrant = body(&request, payload).await?;
        answer(200, &collection::patch_grant(session, segment(&request, "id")?, &wanted).await?)
    })
    .await
}

/// Takes the credential from the agent, at once. The credential stays.
#[utoipa::path(delete, path = "/admin/v1/grants/{id}", tag = "grants", params(("id" = String, Path)), responses((status = 204, description = "Deleted"), Refused))]
pub(super) async fn delete(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "grant.deleted", async |session| {
        no_body(&request, payload).await?;
        collection::delete_grant(session, segment(&request, "id")?).await?;
        Ok(no_content())
    })
    .await
}

/// Switches a grant off.
#[utoipa::path(post, path = "/admin/v1/grants/{id}/disable", tag = "grants", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = CredentialGrant), Refused))]
pub(super) async fn disable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "grant.disabled", async |session| {
        let wanted: ChangeState = optional_body(&request, payload).await?;
        answer(
            200,
            &collection::set_grant_state(session, segment(&request, "id")?, State::Disabled, wanted.reason.as_deref())
                .await?,
        )
    })
    .await
}

/// Switches a grant on again.
#[utoipa::path(post, path = "/admin/v1/grants/{id}/enable", tag = "grants", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = CredentialGrant), Refused))]
pub(super) async fn enable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "grant.enabled", async |session| {
        let wanted: ChangeState = optional_body(&request, payload).await?;
        answer(
            200,
            &collection::set_grant_state(session, segment(&request, "id")?, State::Active, wanted.reason.as_deref())
                .await?,
        )
    })
    .await
}

/// What an agent may use: nothing until something is granted.
#[utoipa::path(get, path = "/admin/v1/agents/{id}/grants", tag = "grants", params(ListQuery, ("id" = String, Path)), responses((status = 200, body = Page<CredentialGrant>), Refused))]
pub(super) async fn of_agent(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "grant.listed", async |session| {
        answer(200, &collection::of_agent(session, segment(&request, "id")?, &query(&request)?).await?)
    })
    .await
}

/// Agents, credentials, and what stands between them.
#[utoipa::path(get, path = "/admin/v1/topology", tag = "grants", params(ListQuery), responses((status = 200, body = Page<Edge>), Refused))]
pub(super) async fn topology(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "topology.read", async |session| {
        answer(200, &collection::edges(session, &query(&request)?).await?)
    })
    .await
}
