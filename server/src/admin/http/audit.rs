//! `/admin/v1/audit` and `/whoami`: bodies and answers; what happens is in the collection's own module.

use super::super::api::{
    AuditExport, AuditItem, AuditQuery, ExportQuery, ListQuery, Page, SCOPE_AUDIT, SCOPE_READ, WhoAmI, WhoAmIPerson,
    Writer,
};
use super::super::audit as collection;
use super::Refused;
use super::call::{answer, query, serve};
use crate::app::App;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

/// Records that concern an owner the caller may audit, newest first.
#[utoipa::path(get, path = "/admin/v1/audit", tag = "audit", params(AuditQuery), responses((status = 200, body = Page<AuditItem>), Refused))]
pub(super) async fn search(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_AUDIT, "audit.searched", async |session| {
        answer(200, &collection::search(session, &query(&request)?).await?)
    })
    .await
}

/// The chains of records.
#[utoipa::path(get, path = "/admin/v1/audit/writers", tag = "audit", params(ListQuery), responses((status = 200, body = Page<Writer>), Refused))]
pub(super) async fn writers(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_AUDIT, "audit.writers_listed", async |session| {
        answer(200, &collection::writers(session, &query(&request)?).await?)
    })
    .await
}

/// One chain, as it was hashed.
#[utoipa::path(get, path = "/admin/v1/audit/export", tag = "audit", params(ExportQuery), responses((status = 200, body = AuditExport), Refused))]
pub(super) async fn export(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_AUDIT, "audit.exported", async |session| {
        answer(200, &collection::export(session, &query(&request)?).await?)
    })
    .await
}

/// Who is calling.
#[utoipa::path(get, path = "/admin/v1/whoami", tag = "whoami", responses((status = 200, body = WhoAmI), Refused))]
pub(super) async fn whoami(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_READ, "whoami", async |session| {
        let caller = session.caller();
        let who = WhoAmI {
            client_id: caller.id().to_owned(),
            owner: caller.owner().to_owned(),
            roles: caller.roles().to_vec(),
            person: caller.person().map(|person| WhoAmIPerson {
                issuer: person.issuer.issuer.clone(),
                subject: person.subject.clone(),
                acr: person.user.acr.clone(),
                auth_time: person.user.auth_time,
            }),
            scopes: caller.scope.iter().map(str::to_owned).collect(),
        };
        answer(200, &who)
    })
    .await
}
