//! `GET /metrics`, at a listener of its own: what a node tells of itself is for those who run it,
//! and strangers who reach the issuer don't get there.

use super::answer::not_found;
use crate::app::App;
use crate::config::ScrapeConfig;
use actix_web::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use stipend_keys::constant_time_eq;

/// Prometheus text exposition format.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The one route of that listener.
pub fn metrics_routes(config: &mut ServiceConfig, scrape: Option<ScrapeConfig>) {
    if let Some(scrape) = scrape {
        config.app_data(Data::new(scrape));
    }
    config
        .service(
            web::resource("/metrics")
                .route(web::get().to(handle))
                .default_service(web::to(|| async { super::answer::method_not_allowed("GET") })),
        )
        .default_service(web::to(not_found));
}

async fn handle(app: Data<App>, scrape: Data<ScrapeConfig>, request: HttpRequest) -> HttpResponse {
    if !may_read(&scrape, &request) {
        return HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, "Bearer realm=\"metrics\"")).finish();
    }
    match app.telemetry.scrape() {
        Some(text) => {
            HttpResponse::Ok().insert_header((CONTENT_TYPE, TEXT)).insert_header((CACHE_CONTROL, "no-store")).body(text)
        }
        None => HttpResponse::InternalServerError().finish(),
    }
}

fn may_read(scrape: &ScrapeConfig, request: &HttpRequest) -> bool {
    let Some(token) = &scrape.token else { return true };
    let mut values = request.headers().get_all(AUTHORIZATION);
    let (Some(shown), None) = (values.next(), values.next()) else { return false };
    let shown = shown.as_bytes();
    let (scheme, shown) = shown.split_at(shown.len().min(b"Bearer ".len()));
    // RFC 9110 section 11.1: the scheme is compared without regard to case.
    scheme.eq_ignore_ascii_case(b"Bearer ") && constant_time_eq(shown, token.expose().as_bytes())
}
