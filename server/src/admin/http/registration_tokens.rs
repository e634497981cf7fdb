//! `/admin/v1/registration-tokens`: bodies and answers; what happens is in the collection's own
//! module.

use super::super::api::{
    ChangeState, ListQuery, NewRegistrationToken, Page, RegistrationToken, RegistrationTokenCreated, SCOPE_READ,
    SCOPE_WRITE,
};
use super::super::registration_tokens as collection;
use super::Refused;
use super::call::{answer, body, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Registration tokens that the caller may see, without what they are.
#[utoipa::path(get, path = "/admin/v1/registration-tokens", tag = "registration-tokens", params(ListQuery), responses((status = 200, body = Page<RegistrationToken>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "registration_token.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Makes a registration token. It is shown once.
#[utoipa::path(post, path = "/admin/v1/registration-tokens", tag = "registration-tokens", request_body = NewRegistrationToken, responses((status = 201, description = "Made", body = RegistrationTokenCreated), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "registration_token.created", async |session| {
        let new: NewRegistrationToken = body(&request, payload).await?;
        answer(201, &collection::create(session, &new).await?)
    })
    .await
}

/// One registration token.
#[utoipa::path(get, path = "/admin/v1/registration-tokens/{id}", tag = "registration-tokens", params(("id" = String, Path)), responses((status = 200, body = RegistrationToken), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "registration_token.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Ends a registration token at once. The clients it registered stay; they can be read and
/// deleted by whoever registered them, and not be changed.
#[utoipa::path(post, path = "/admin/v1/registration-tokens/{id}/revoke", tag = "registration-tokens", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = RegistrationToken), Refused))]
pub(super) async fn revoke(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "registration_token.revoked", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::revoke(session, segment(&request, "id")?, &why).await?)
    })
    .await
}
