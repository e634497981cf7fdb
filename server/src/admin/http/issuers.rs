//! `/admin/v1/issuers`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{ChangeState, Issuer, ListQuery, NewIssuer, Page, PatchIssuer, SCOPE_READ, SCOPE_WRITE, State};
use super::super::issuers as collection;
use super::Refused;
use super::call::{answer, body, created, no_body, no_content, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Trusted issuers that the caller may see.
#[utoipa::path(get, path = "/admin/v1/issuers", tag = "issuers", params(ListQuery), responses((status = 200, body = Page<Issuer>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "issuer.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Trusts an issuer. Nobody is let in by this alone.
#[utoipa::path(post, path = "/admin/v1/issuers", tag = "issuers", request_body = NewIssuer, responses((status = 201, description = "Made", body = Issuer), (status = 200, description = "There already", body = Issuer), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "issuer.created", async |session| {
        let new: NewIssuer = body(&request, payload).await?;
        let (is_new, issuer) = collection::create(session, &new).await?;
        created(is_new, &issuer)
    })
    .await
}

/// One trusted issuer.
#[utoipa::path(get, path = "/admin/v1/issuers/{id}", tag = "issuers", params(("id" = String, Path)), responses((status = 200, body = Issuer), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "issuer.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Changes what an issuer is trusted for, and how its tokens are read.
#[utoipa::path(patch, path = "/admin/v1/issuers/{id}", tag = "issuers", params(("id" = String, Path)), request_body = PatchIssuer, responses((status = 200, body = Issuer), Refused))]
pub(super) async fn patch(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "issuer.changed", async |session| {
        let patch: PatchIssuer = body(&request, payload).await?;
        answer(200, &collection::patch(session, segment(&request, "id")?, &patch).await?)
    })
    .await
}

/// Takes an issuer away, with all that came of its tokens.
#[utoipa::path(delete, path = "/admin/v1/issuers/{id}", tag = "issuers", params(("id" = String, Path)), responses((status = 204, description = "Deleted"), Refused))]
pub(super) async fn delete(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "issuer.deleted", async |session| {
        no_body(&request, payload).await?;
        collection::delete(session, segment(&request, "id")?).await?;
        Ok(no_content())
    })
    .await
}

/// Switches an issuer off, and with it all that came of its tokens, for good.
#[utoipa::path(post, path = "/admin/v1/issuers/{id}/disable", tag = "issuers", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Issuer), Refused))]
pub(super) async fn disable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "issuer.disabled", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, State::Disabled, &why).await?)
    })
    .await
}

/// Switches an issuer on again, for tokens that it makes from now on.
#[utoipa::path(post, path = "/admin/v1/issuers/{id}/enable", tag = "issuers", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Issuer), Refused))]
pub(super) async fn enable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "issuer.enabled", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::set_state(session, segment(&request, "id")?, State::Active, &why).await?)
    })
    .await
}
