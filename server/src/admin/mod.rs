//! The admin API.
pub mod api;
pub fn routes(_: &mut actix_web::web::ServiceConfig) {}
