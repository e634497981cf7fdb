//! `/admin/v1/streams`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{ChangeState, ListQuery, Page, SCOPE_READ, SCOPE_WRITE, StopStream, Stream};
use super::super::streams as collection;
use super::Refused;
use super::call::{answer, body, no_body, no_content, optional_body, query, segment, serve};
use crate::app::App;
use crate::signals::StreamState;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Streams of security events that services of owners whom the caller may see have made.
#[utoipa::path(get, path = "/admin/v1/streams", tag = "streams", params(ListQuery), responses((status = 200, body = Page<Stream>), Refused))]
pub(super) async fn list(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "stream.listed", async |session| {
        answer(200, &collection::list(session, &query(&request)?).await?)
    })
    .await
}

/// One stream, and how its delivery goes.
#[utoipa::path(get, path = "/admin/v1/streams/{id}", tag = "streams", params(("id" = String, Path)), responses((status = 200, body = Stream), Refused))]
pub(super) async fn find(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "stream.read", async |session| {
        answer(200, &collection::find(session, segment(&request, "id")?).await?)
    })
    .await
}

/// Removes a stream, with what waits for its service.
#[utoipa::path(delete, path = "/admin/v1/streams/{id}", tag = "streams", params(("id" = String, Path)), responses((status = 204, description = "Removed"), Refused))]
pub(super) async fn delete(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "stream.removed", async |session| {
        no_body(&request, payload).await?;
        collection::delete(session, segment(&request, "id")?).await?;
        Ok(no_content())
    })
    .await
}

/// Stops delivery and keeps what comes, until an admin lets it go on.
#[utoipa::path(post, path = "/admin/v1/streams/{id}/pause", tag = "streams", params(("id" = String, Path)), request_body = StopStream, responses((status = 200, body = Stream), Refused))]
pub(super) async fn pause(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "stream.paused", async |session| {
        let why: StopStream = body(&request, payload).await?;
        answer(200, &collection::stop(session, segment(&request, "id")?, StreamState::Paused, &why).await?)
    })
    .await
}

/// Stops a stream and drops what waits and what comes, until an admin lets it go on.
#[utoipa::path(post, path = "/admin/v1/streams/{id}/disable", tag = "streams", params(("id" = String, Path)), request_body = StopStream, responses((status = 200, body = Stream), Refused))]
pub(super) async fn disable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "stream.disabled", async |session| {
        let why: StopStream = body(&request, payload).await?;
        answer(200, &collection::stop(session, segment(&request, "id")?, StreamState::Disabled, &why).await?)
    })
    .await
}

/// Lets a stream go on, whoever has stopped it; what was kept is told now.
#[utoipa::path(post, path = "/admin/v1/streams/{id}/enable", tag = "streams", params(("id" = String, Path)), request_body = Option<ChangeState>, responses((status = 200, body = Stream), Refused))]
pub(super) async fn enable(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "stream.enabled", async |session| {
        let why: ChangeState = optional_body(&request, payload).await?;
        answer(200, &collection::enable(session, segment(&request, "id")?, &why).await?)
    })
    .await
}
