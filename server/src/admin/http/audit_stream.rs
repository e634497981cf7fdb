//! `/admin/v1/audit/stream`: the audit as it comes, as server-sent events (WHATWG HTML, section
//! 9.2). Whoever may search it may follow it, and sees of it what a search would show.

use super::super::api::{SCOPE_AUDIT, StreamQuery};
use super::super::audit as collection;
use super::Refused;
use super::call::{query, serve};
use crate::app::App;
use crate::export::{May, follow};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::unfold;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Pieces that wait for a follower who is slow; then the sender waits, and not for long.
const WAITING_PIECES: usize = 64;

/// The audit as it comes: records as the search shows them, each with the cursor to go on from.
#[utoipa::path(get, path = "/admin/v1/audit/stream", tag = "audit", params(StreamQuery), responses((status = 200, description = "Events, until the token ends", content_type = "text/event-stream", body = String), (status = 429, description = "As many follow as may"), Refused))]
pub(super) async fn stream(app: Data<App>, request: HttpRequest) -> HttpResponse {
    serve(&app, &request, SCOPE_AUDIT, "audit.followed", async |session| {
        let wanted: StreamQuery = query(&request)?;
        // What a browser sends when it comes back is newer than the URL it was given.
        let last = request.headers().get("last-event-id").map(|id| id.to_str().unwrap_or("not text").to_owned());
        let opened = collection::follow(session, &app, &wanted, last).await?;
        let (sender, receiver) = mpsc::channel::<Bytes>(WAITING_PIECES);
        let (shown, owners) = (session.shown().clone(), opened.wanted.filter.owners.clone());
        let node = app.clone().into_inner();
        let may: May = Box::new(move || {
            let (node, shown, owners) = (Arc::clone(&node), shown.clone(), owners.clone());
            Box::pin(async move { collection::may_follow(&node, &shown, &owners).await })
        });
        let task = follow(opened.seat, opened.place, opened.wanted, may, sender);
        drop(app.store.background(task));
        let events = unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (Ok::<_, Infallible>(piece), receiver))
        });
        Ok(HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, "text/event-stream"))
            .insert_header((CACHE_CONTROL, "no-store"))
            // Proxies that gather answers would hold back what is to be seen at once.
            .insert_header(("x-accel-buffering", "no"))
            .streaming(events))
    })
    .await
}
