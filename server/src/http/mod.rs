//! The HTTP surface: the route table, and nothing that decides. Only this module and the
//! admin API's handlers know actix.

mod accept;
mod admit;
mod answer;
mod authorize;
mod backchannel;
mod body;
mod budget;
mod certificate;
mod challenge;
mod custody;
mod declined;
mod discovery;
mod guard;
mod health;
mod introspect;
mod log;
mod metrics;
mod observe;
mod origin;
mod present;
mod proxy;
mod registration;
mod revoke;
mod signals;
mod status;
mod token;

pub use admit::admit;
pub use answer::not_found;
pub use answer::{oauth_error, tell_nonce};
pub use body::read_body;
pub use certificate::{client_certificate, keep_certificate};
pub use challenge::{challenges, speaks_dpop};
pub use guard::guard;
pub use log::{Line, request_log};
pub use metrics::metrics_routes;
pub use observe::observe;
pub use origin::origin;
pub use present::{DPOP, presentation, presented, presents_twice};

use crate::config::Services;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::web::{self, PathConfig, QueryConfig, ServiceConfig};

/// Every route but the admin API's, of what the node serves.
pub fn routes(config: &mut ServiceConfig, services: Services) {
    // What the library refuses for us is told in our words.
    config
        .app_data(QueryConfig::default().error_handler(|_, _| {
            let answer = answer::unread(StatusCode::BAD_REQUEST, "the query can't be read");
            InternalError::from_response("query", answer).into()
        }))
        .app_data(
            PathConfig::default()
                .error_handler(|_, _| InternalError::from_response("path", answer::nothing_here()).into()),
        );
    if services.issuer {
        issuer(config);
    }
    if services.release {
        release(config);
    }
    config
        .service(document("/healthz").route(web::get().to(health::live)))
        .service(document("/readyz").route(web::get().to(health::ready)));
}

/// The key-release service and its proxy.
fn release(config: &mut ServiceConfig) {
    config
        .service(endpoint("/credentials/unwrap").route(web::post().to(custody::unwrap)))
        .service(endpoint("/credentials/{id}/release").route(web::post().to(custody::release)))
        .service(web::resource("/proxy/{call:.*}").route(web::route().to(proxy::handle)))
        .service(document("/.well-known/oauth-protected-resource/credentials").route(web::get().to(custody::metadata)));
}

fn issuer(config: &mut ServiceConfig) {
    config
        .service(endpoint("/oauth2/token").route(web::post().to(token::handle)))
        .service(
            web::resource("/oauth2/authorize")
                .route(web::get().to(authorize::handle))
                .route(web::post().to(authorize::handle))
                .default_service(web::to(|| async { answer::method_not_allowed("GET, POST") })),
        )
        .service(endpoint("/oauth2/bc-authorize").route(web::post().to(backchannel::handle)))
        .service(endpoint("/oauth2/introspect").route(web::post().to(introspect::handle)))
        .service(endpoint("/oauth2/revoke").route(web::post().to(revoke::handle)))
        .service(endpoint("/oauth2/register").route(web::post().to(registration::register)))
        .service(
            web::resource("/oauth2/register/{client_id}")
                .route(web::get().to(registration::read))
                .route(web::put().to(registration::update))
                .route(web::delete().to(registration::delete))
                .default_service(web::to(|| async { answer::method_not_allowed("GET, PUT, DELETE") })),
        )
        .service(endpoint("/budget/holds").route(web::post().to(budget::hold)))
        .service(endpoint("/budget/holds/{id}/capture").route(web::post().to(budget::capture)))
        .service(endpoint("/budget/holds/{id}/extend").route(web::post().to(budget::extend)))
        .service(endpoint("/budget/holds/{id}/void").route(web::post().to(budget::void)))
        .service(endpoint("/budget/charges").route(web::post().to(budget::charge)))
        .service(endpoint("/budget/refunds").route(web::post().to(budget::refund)))
        .service(endpoint("/budget/reports").route(web::post().to(budget::report)))
        .service(
            web::resource("/budget/lines/{id}")
                .route(web::get().to(budget::line))
                .route(web::post().to(budget::line_by_form))
                .default_service(web::to(|| async { answer::method_not_allowed("GET, POST") })),
        )
        .service(document("/oauth2/authorization-details-types").route(web::get().to(discovery::details_types)))
        .service(
            web::resource("/ssf/stream")
                .route(web::get().to(signals::stream))
                .route(web::post().to(signals::stream))
                .route(web::patch().to(signals::stream))
                .route(web::put().to(signals::stream))
                .route(web::delete().to(signals::stream))
                .default_service(web::to(|| async { answer::method_not_allowed("GET, POST, PATCH, PUT, DELETE") })),
        )
        .service(
            web::resource("/ssf/status")
                .route(web::get().to(signals::status))
                .route(web::post().to(signals::status))
                .default_service(web::to(|| async { answer::method_not_allowed("GET, POST") })),
        )
        .service(endpoint("/ssf/verify").route(web::post().to(signals::verify)))
        .service(endpoint("/ssf/poll/{stream}").route(web::post().to(signals::poll)))
        .service(document("/.well-known/ssf-configuration").route(web::get().to(signals::metadata)))
        .service(document("/status/{list}").route(web::get().to(status::handle)))
        .service(document("/oauth2/jwks").route(web::get().to(discovery::jwks)))
        .service(document("/.well-known/oauth-authorization-server").route(web::get().to(discovery::metadata)))
        .service(document("/.well-known/openid-configuration").route(web::get().to(discovery::metadata)));
}

/// An endpoint that takes POST only (RFC 6749 section 3.2).
fn endpoint(path: &str) -> actix_web::Resource {
    web::resource(path).default_service(web::to(|| async { answer::method_not_allowed("POST") }))
}

fn document(path: &str) -> actix_web::Resource {
    web::resource(path)
        .route(web::head().to(discovery::head))
        .default_service(web::to(|| async { answer::method_not_allowed("GET, HEAD") }))
}
