//! `/admin/v1/agents/{id}/secrets` and `/keys`: bodies and answers; what happens is in the collection's own module.

use super::super::agents as collection;
use super::super::api::{AgentKey, NewKey, NewSecret, SCOPE_WRITE, SecretCreated};
use super::Refused;
use super::call::{answer, body, created, no_content, optional_body, segment, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Makes a further secret, shown in this answer only; two may be valid at once.
#[utoipa::path(post, path = "/admin/v1/agents/{id}/secrets", tag = "agents", params(("id" = String, Path)), request_body = Option<NewSecret>, responses((status = 201, body = SecretCreated), Refused))]
pub(super) async fn add_secret(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.secret_added", async |session| {
        let new: NewSecret = optional_body(&request, payload).await?;
        answer(201, &collection::add_secret(session, segment(&request, "id")?, &new).await?)
    })
    .await
}

/// Ends a secret at once.
#[utoipa::path(delete, path = "/admin/v1/agents/{id}/secrets/{secret_id}", tag = "agents", params(("id" = String, Path), ("secret_id" = String, Path)), responses((status = 204, description = "Done"), Refused))]
pub(super) async fn delete_secret(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.secret_deleted", async |session| {
        collection::delete_secret(session, segment(&request, "id")?, segment(&request, "secret_id")?).await?;
        Ok(no_content())
    })
    .await
}

/// Registers a public key.
#[utoipa::path(post, path = "/admin/v1/agents/{id}/keys", tag = "agents", params(("id" = String, Path)), request_body = NewKey, responses((status = 201, description = "Made", body = AgentKey), (status = 200, description = "There already", body = AgentKey), Refused))]
pub(super) async fn add_key(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.key_added", async |session| {
        let new: NewKey = body(&request, payload).await?;
        let (is_new, key) = collection::add_key(session, segment(&request, "id")?, &new).await?;
        created(is_new, &key)
    })
    .await
}

/// Ends a key at once.
#[utoipa::path(delete, path = "/admin/v1/agents/{id}/keys/{key_id}", tag = "agents", params(("id" = String, Path), ("key_id" = String, Path)), responses((status = 204, description = "Done"), Refused))]
pub(super) async fn delete_key(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "agent.key_deleted", async |session| {
        collection::delete_key(session, segment(&request, "id")?, segment(&request, "key_id")?).await?;
        Ok(no_content())
    })
    .await
}
