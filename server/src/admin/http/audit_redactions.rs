//! `/admin/v1/audit/redactions`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{NewRedaction, Redacted, SCOPE_WRITE};
use super::super::audit_redactions as collection;
use super::Refused;
use super::call::{answer, body, serve};
use crate::app::App;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

/// Takes personal data out of records, for good. The chain is proved as before, and says which.
#[utoipa::path(post, path = "/admin/v1/audit/redactions", tag = "audit", request_body = NewRedaction, responses((status = 200, body = Redacted), Refused))]
pub(super) async fn create(app: Data<App>, request: HttpRequest, payload: Payload) -> HttpResponse {
    serve(&app, &request, SCOPE_WRITE, "audit.redacted", async |session| {
        let new: NewRedaction = body(&request, payload).await?;
        answer(200, &collection::create(session, &new).await?)
    })
    .await
}
