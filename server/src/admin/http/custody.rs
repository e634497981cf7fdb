//! `/admin/v1/credentials`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{
    ActivateVersion, ChangeState, Credential, CredentialState, KeyEncryptionStatus, ListQuery, NewCredential, Page,
    PatchCredential, ProbeResult, RotateCredential, SCOPE_READ, SCOPE_WRITE,
};
use super::super::custody as collection;
use super::Refused;
use super::call::{answer, body, created, no_body, optional_body, query, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Credentials that the caller may see, each with the version in use.
#[utoipa::path(get, path = "/admin/v1/credentials", tag = "credentials", params(ListQuery), responses((status = 200, body = Page<Credential>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "credential.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// Puts a key of another service into custody.
#[utoipa::path(post, path = "/admin/v1/credentials", tag = "credentials", request_body = NewCredential, responses((status = 201, description = "Made", body = Credential), (status = 200, description = "There already", body = Credential), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "credential.created", async |session| {
        let wanted: NewCredential = body(&request, payload).await?;
        let (is_new, made) = collection::create(session, &wanted).await?;
        created(is_new, &made)
    })
    .await
}

/// One credential, with all its versions and who has seen them.
#[utoipa::path(get, path = "/admin/v1/credentials/{id}", tag = "credentials", params(("id" = String, Path)), responses((status = 200, body = Credential), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "credential.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Changes what is said of a credential.
#[utoipa::path(patch, path = "/admin/v1/credentials/{id}", tag = "credentials", params(("id" = String, Path)), request_body = PatchCredential, responses((status = 200, body = Credential), Refused))]
pub(super) async fn patch(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "credential.changed", async |session| {
        let wanted: PatchCredential = body(&request, payload).await?;
        answer(200, &collection::patch(session, segment(&request, "id")?, &wanted).await?)
    })
    .await
}

/// Gives a credential a new value, in use at the next call.
#[utoipa::path(post, path = "/admin/v1/credentials/{id}/rotate", tag = "credentials", params(("id" = String, Path)), request_body = RotateCredential, responses((status = 200, body = Credential), Refused))]
pub(super) async fn rotate(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "credential.rotated", async |session| {
        let wanted: RotateCredential = body(&request, payload).await?;
        answer(200, &collection::rotate(session, segment(&request, "id")?, &wanted).await?)
    })
    .await
}

/// Switches a credential off: nothing is released and no call is made, at once.
#[utoipa::path(post, path = "/admin/v1/credentials/{id}/disable", tag = "credentials", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Credential), Refused))]
pub(super) async fn disable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "credential.disabled", async |session| {
        let wanted: ChangeState = optional_body(&request, payload).await?;
        answer(
            200,
            &collection::set_state(
                session,
                segment(&request, "id")?,
                CredentialState::Disabled,
                wanted.reason.as_deref(),
            )
            .await?,
        )
    })
    .await
}

/// Switches a credential on again.
#[utoipa::path(post, path = "/admin/v1/credentials/{id}/enable", tag = "credentials", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Credential), Refused))]
pub(super) async fn enable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "credential.enabled", async |session| {
        let wanted: ChangeState = optional_body(&request, payload).await?;
        answer(
            200,
            &collection::set_state(
                session,
                segment(&request, "id")?,
                CredentialState::Active,
                wanted.reason.as_deref(),
            )
            .await?,
        )
    })
    .await
}

/// Destroys a credential and every value it ever had, for good.
#[utoipa::path(post, path = "/admin/v1/credentials/{id}/destroy", tag = "credentials", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Credential), Refused))]
pub(super) async fn destroy(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "credential.destroyed", async |session| {
        let wanted: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::destroy(session, segment(&request, "id")?, wanted.reason.as_deref()).await?)
    })
    .await
}

/// Brings a version into use.
#[utoipa::path(post, path = "/admin/v1/credentials/{id}/versions/{version}/activate", tag = "credentials", params(("id" = String, Path), ("version" = String, Path)), request_body = Option<ActivateVersion>, responses((status = 200, body = Credential), Refused))]
pub(super) async fn activate(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "credential.activated", async |session| {
        let wanted: ActivateVersion = optional_body(&request, payload).await?;
        answer(
            200,
            &collection::activate(session, segment(&request, "id")?, segment(&request, "version")?, &wanted).await?,
        )
    })
    .await
}

/// Destroys the value of a version that is not in use.
#[utoipa::path(post, path = "/admin/v1/credentials/{id}/versions/{version}/destroy", tag = "credentials", params(("id" = String, Path), ("version" = String, Path)), responses((status = 200, body = Credential), Refused))]
pub(super) async fn destroy_version(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "credential.version_destroyed", async |session| {
        no_body(&request, payload).await?;
        answer(
            200,
            &collection::destroy_version(session, segment(&request, "id")?, segment(&request, "version")?).await?,
        )
    })
    .await
}

/// What each key-encryption key has wrapped.
#[utoipa::path(get, path = "/admin/v1/key-encryption", tag = "credentials", responses((status = 200, body = KeyEncryptionStatus), Refused))]
pub(super) async fn key_encryption(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "key_encryption.read", async |session| {
        answer(200, &collection::status(session).await?)
    })
    .await
}

/// Wraps up to 50 data keys anew under the current key-encryption key. Call it until none remain.
#[utoipa::path(post, path = "/admin/v1/key-encryption/rewrap", tag = "credentials", responses((status = 200, body = KeyEncryptionStatus), Refused))]
pub(super) async fn rewrap(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "key_encryption.rewrapped", async |session| {
        no_body(&request, payload).await?;
        answer(200, &collection::rewrap(session).await?)
    })
    .await
}

/// Makes the template's harmless call with the value in use.
#[utoipa::path(post, path = "/admin/v1/credentials/{id}/probe", tag = "credentials", params(("id" = String, Path)), responses((status = 200, body = ProbeResult), Refused))]
pub(super) async fn probe(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "credential.probed", async |session| {
        no_body(&request, payload).await?;
        answer(200, &collection::probe(session, segment(&request, "id")?).await?)
    })
    .await
}
