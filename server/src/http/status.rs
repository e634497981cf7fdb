//! `GET /status/{list}`: a status list, for everybody (draft-ietf-oauth-status-list, section 8).

use super::answer::{not_found, not_implemented, oauth_error};
use crate::app::App;
use actix_web::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

/// Section 8.2.
const KIND: &str = "application/statuslist+jwt";

pub(super) async fn handle(app: Data<App>, request: HttpRequest, list: Path<String>) -> HttpResponse {
    // Section 8.4: lists of the past are not kept, and who asks for one must not get another.
    if request.query_string().split('&').any(|pair| pair == "time" || pair.starts_with("time=")) {
        return not_implemented("lists of the past are not kept");
    }
    match app.status.find(&app, &list).await {
        Ok(Some(published)) => {
            let known = request.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
            let same = known.flat_map(|value| value.split(',')).any(|tag| tag.trim() == published.etag);
            let mut builder = if same { HttpResponse::NotModified() } else { HttpResponse::Ok() };
            builder
                // What `ttl` says is the reader's own; a cache on the way adds to it.
                .insert_header((CACHE_CONTROL, "public, max-age=1"))
                .insert_header((ETAG, published.etag.clone()))
                .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"));
            if same {
                return builder.finish();
            }
            builder.insert_header((CONTENT_TYPE, KIND)).body(published.jwt.clone())
        }
        Ok(None) => not_found().await,
        Err(reason) => oauth_error(reason),
    }
}
