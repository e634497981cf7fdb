//! `/healthz`: the process answers. `/readyz`: this node can serve, and why not.

use super::answer::json;
use crate::app::App;
use crate::limits::{AUDIT_BEHIND_SECONDS, MAX_CLOCK_SKEW_SECONDS};
use crate::redis::RedisState;
use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use stipend_schema::queries;

#[derive(Serialize)]
struct Live {
    status: &'static str,
}

pub(super) async fn live() -> HttpResponse {
    json(200, &Live { status: "ok" })
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    database: &'static str,
    change_feed: &'static str,
    signing_key: &'static str,
    clock: &'static str,
    /// Where there is one: without it everything goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    redis: Option<&'static str>,
    /// Where sinks of the audit are far behind: what waits is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit_sinks: Option<&'static str>,
}

pub(super) async fn ready(app: Data<App>) -> HttpResponse {
    let db = app.store.db().clone();
    let time = app.store.run(async move { queries::database_time(&db).await }).await;
    let time = time.ok().and_then(Result::ok);
    let now = app.clock.now();
    let word = |ok: bool, bad: &'static str| if ok { "ok" } else { bad };
    let feed = app.view_is_fresh().await;
    let key = app.ring.keyring().signing_key(now).is_some();
    let clock = time.is_none_or(|time| (time / 1_000_000 - now).abs() <= MAX_CLOCK_SKEW_SECONDS);
    let all = time.is_some() && feed && key && clock;
    let redis = app.rates.cells.redis();
    let behind = app.exports.behind().seconds > AUDIT_BEHIND_SECONDS;
    let whole = redis.is_none_or(|redis| redis == RedisState::Answers) && !behind;
    let body = Ready {
        status: word(all && whole, if all { "degraded" } else { "not ready" }),
        database: word(time.is_some(), "does not answer"),
        change_feed: word(feed, "behind"),
        signing_key: word(key, "none active"),
        clock: word(clock, "off by more than 30 s against the database"),
        redis: redis.map(RedisState::as_str),
        audit_sinks: behind.then_some("behind"),
    };
    json(if all { 200 } else { 503 }, &body)
}
