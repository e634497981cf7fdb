//! The admin API's HTTP surface: the route table, and the OpenAPI document made from it. Thin
//! handlers, nothing that decides.

mod agents;
mod approvals;
mod audit;
mod audit_redactions;
mod audit_sinks;
mod audit_stream;
mod budgets;
mod call;
mod client_documents;
mod credentials;
mod custody;
mod grants;
mod issuers;
mod owners;
mod policies;
mod registration_tokens;
mod resources;
mod revocations;
mod rules;
mod signing_keys;
mod streams;

pub use call::overloaded;

use super::api::{Problem, SCOPE_AUDIT, SCOPE_READ, SCOPE_WRITE};
use crate::app::App;
use crate::approval::ApprovalState;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use utoipa::openapi::security::{ClientCredentials, Flow, OAuth2, Scopes, SecurityRequirement, SecurityScheme};
use utoipa::{IntoResponses, Modify, OpenApi};

/// Every refusal has this body.
#[derive(Debug, IntoResponses)]
#[expect(dead_code, reason = "described, never built")]
pub(super) enum Refused {
    /// The request is malformed; the member is named.
    #[response(status = 400, content_type = "application/problem+json")]
    Invalid(Problem),
    /// No token, or one that is not valid here.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthenticated(Problem),
    /// The token's scope or the caller's roles do not allow it.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// Missing, or not for this caller.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// What is there does not allow it.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(Problem),
    /// The server can't read or record now.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// One table for the routes and for the document, so that neither can lack what the other has.
macro_rules! table {
    ($($path:literal $allow:literal { $($method:ident $module:ident::$handler:ident),+ })+) => {
        /// Every route of the admin API.
        pub fn routes(config: &mut ServiceConfig) {
            $(config.service(
                web::resource(concat!("/admin/v1", $path))
                    $(.route(web::$method().to($module::$handler)))+
                    .default_service(web::to(|| call::method_not_allowed($allow))),
            );)+
            config.service(web::resource("/admin/v1{rest:(/.*)?}").default_service(web::to(call::no_such_route)));
            config.service(
                web::resource("/openapi.json")
                    .route(web::get().to(document))
                    .default_service(web::to(|| call::method_not_allowed("GET"))),
            );
        }

        #[derive(OpenApi)]
        #[openapi(
            info(title = "Stipend admin API", version = "1"),
            modifiers(&Secured),
            components(schemas(Problem, ApprovalState)),
            paths($($($module::$handler),+),+)
        )]
        struct Document;
    };
}

table! {
    "/owners" "GET, POST" { get owners::list, post owners::create }
    "/owners/{id}" "GET" { get owners::find }
    "/owners/{id}/disable" "POST" { post owners::disable }
    "/owners/{id}/enable" "POST" { post owners::enable }
    "/agents" "GET, POST" { get agents::list, post agents::create }
    "/agents/{id}" "GET, PATCH" { get agents::find, patch agents::patch }
    "/agents/{id}/narrow" "POST" { post agents::narrow }
    "/agents/{id}/suspend" "POST" { post agents::suspend }
    "/agents/{id}/resume" "POST" { post agents::resume }
    "/agents/{id}/revoke" "POST" { post agents::revoke }
    "/agents/{id}/risk" "POST, DELETE" { post agents::rate, delete agents::unrate }
    "/agents/{id}/retire" "POST" { post agents::retire }
    "/agents/{id}/reissue" "POST" { post agents::reissue }
    "/agents/{id}/responsible" "POST" { post agents::transfer }
    "/agents/{id}/responsible/accept" "POST" { post agents::accept }
    "/people/departed" "POST" { post agents::departed }
    "/agents/{id}/secrets" "POST" { post credentials::add_secret }
    "/agents/{id}/secrets/{secret_id}" "DELETE" { delete credentials::delete_secret }
    "/agents/{id}/keys" "POST" { post credentials::add_key }
    "/agents/{id}/keys/{key_id}" "DELETE" { delete credentials::delete_key }
    "/registration-tokens" "GET, POST" { get registration_tokens::list, post registration_tokens::create }
    "/registration-tokens/{id}" "GET" { get registration_tokens::find }
    "/registration-tokens/{id}/revoke" "POST" { post registration_tokens::revoke }
    "/client-documents" "GET, POST" { get client_documents::list, post client_documents::create }
    "/client-documents/{id}" "GET" { get client_documents::find }
    "/client-documents/{id}/suspend" "POST" { post client_documents::suspend }
    "/client-documents/{id}/resume" "POST" { post client_documents::resume }
    "/client-documents/{id}/revoke" "POST" { post client_documents::revoke }
    "/resources" "GET, POST" { get resources::list, post resources::create }
    "/resources/{id}" "GET, PATCH" { get resources::find, patch resources::patch }
    "/resources/{id}/disable" "POST" { post resources::disable }
    "/resources/{id}/enable" "POST" { post resources::enable }
    "/issuers" "GET, POST" { get issuers::list, post issuers::create }
    "/issuers/{id}" "GET, PATCH, DELETE" { get issuers::find, patch issuers::patch, delete issuers::delete }
    "/issuers/{id}/disable" "POST" { post issuers::disable }
    "/issuers/{id}/enable" "POST" { post issuers::enable }
    "/exchange-rules" "GET, POST" { get rules::list, post rules::create }
    "/exchange-rules/explain" "POST" { post rules::explain }
    "/exchange-rules/{id}" "GET, DELETE" { get rules::find, delete rules::delete }
    "/exchange-rules/{id}/accept" "POST" { post rules::accept }
    "/exchange-rules/{id}/disable" "POST" { post rules::disable }
    "/exchange-rules/{id}/enable" "POST" { post rules::enable }
    "/approvals" "GET" { get approvals::list }
    "/approvals/{id}" "GET" { get approvals::find }
    "/approvals/{id}/approve" "POST" { post approvals::approve }
    "/approvals/{id}/refuse" "POST" { post approvals::refuse }
    "/budgets" "GET, POST" { get budgets::list, post budgets::create }
    "/budgets/{id}" "GET, PATCH" { get budgets::find, patch budgets::patch }
    "/budgets/{id}/children" "GET" { get budgets::children }
    "/budgets/{id}/increase" "POST" { post budgets::increase }
    "/budgets/{id}/disable" "POST" { post budgets::disable }
    "/budgets/{id}/enable" "POST" { post budgets::enable }
    "/credentials" "GET, POST" { get custody::list, post custody::create }
    "/credentials/{id}" "GET, PATCH" { get custody::find, patch custody::patch }
    "/credentials/{id}/rotate" "POST" { post custody::rotate }
    "/credentials/{id}/disable" "POST" { post custody::disable }
    "/credentials/{id}/enable" "POST" { post custody::enable }
    "/credentials/{id}/destroy" "POST" { post custody::destroy }
    "/credentials/{id}/probe" "POST" { post custody::probe }
    "/credentials/{id}/versions/{version}/activate" "POST" { post custody::activate }
    "/credentials/{id}/versions/{version}/destroy" "POST" { post custody::destroy_version }
    "/grants" "GET, POST" { get grants::list, post grants::create }
    "/grants/{id}" "GET, PATCH, DELETE" { get grants::find, patch grants::patch, delete grants::delete }
    "/grants/{id}/disable" "POST" { post grants::disable }
    "/grants/{id}/enable" "POST" { post grants::enable }
    "/agents/{id}/grants" "GET" { get grants::of_agent }
    "/topology" "GET" { get grants::topology }
    "/policies" "GET, POST" { get policies::list, post policies::create }
    "/policies/schema" "GET" { get policies::schema }
    "/policies/validate" "POST" { post policies::validate }
    "/policies/dry-run" "POST" { post policies::dry_run }
    "/policies/{id}" "GET, PATCH, DELETE" { get policies::find, patch policies::patch, delete policies::delete }
    "/policies/{id}/enable" "POST" { post policies::enable }
    "/policies/{id}/disable" "POST" { post policies::disable }
    "/policies/{id}/versions" "GET" { get policies::versions }
    "/key-encryption" "GET" { get custody::key_encryption }
    "/key-encryption/rewrap" "POST" { post custody::rewrap }
    "/signing-keys" "GET" { get signing_keys::list }
    "/signing-keys/rotate" "POST" { post signing_keys::rotate }
    "/signing-keys/{kid}/distrust" "POST" { post signing_keys::distrust }
    "/streams" "GET" { get streams::list }
    "/streams/{id}" "GET, DELETE" { get streams::find, delete streams::delete }
    "/streams/{id}/pause" "POST" { post streams::pause }
    "/streams/{id}/disable" "POST" { post streams::disable }
    "/streams/{id}/enable" "POST" { post streams::enable }
    "/revocations" "GET, POST" { get revocations::list, post revocations::create }
    "/audit" "GET" { get audit::search }
    "/audit/writers" "GET" { get audit::writers }
    "/audit/export" "GET" { get audit::export }
    "/audit/redactions" "POST" { post audit_redactions::create }
    "/audit/stream" "GET" { get audit_stream::stream }
    "/audit-sinks" "GET, POST" { get audit_sinks::list, post audit_sinks::create }
    "/audit-sinks/{id}" "GET, DELETE" { get audit_sinks::find, delete audit_sinks::delete }
    "/audit-sinks/{id}/pause" "POST" { post audit_sinks::pause }
    "/audit-sinks/{id}/resume" "POST" { post audit_sinks::resume }
    "/audit-sinks/{id}/test" "POST" { post audit_sinks::test }
    "/whoami" "GET" { get audit::whoami }
}

/// Says how to get a token, and that every route needs one.
struct Secured;

impl Modify for Secured {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scopes = [SCOPE_READ, SCOPE_WRITE, SCOPE_AUDIT];
        let flow = ClientCredentials::new("/oauth2/token", Scopes::from_iter(scopes.map(|scope| (scope, scope))));
        let scheme = SecurityScheme::OAuth2(OAuth2::new([Flow::ClientCredentials(flow)]));
        document.components.get_or_insert_default().add_security_scheme("oauth2", scheme);
        document.security = Some(vec![SecurityRequirement::new("oauth2", Vec::<String>::new())]);
    }
}

/// The OpenAPI 3.1 document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

async fn document(app: Data<App>) -> impl Responder {
    let mut document = openapi();
    document.servers = Some(vec![utoipa::openapi::Server::new(&app.urls.issuer)]);
    match document.to_json() {
        Ok(body) => HttpResponse::Ok().insert_header(("content-type", "application/json")).body(body),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
