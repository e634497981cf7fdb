//! What is looked at when somebody collects, and costs nothing in between: how full, how old, how
//! many. One line each in [`observe`]; a state that another part of the server keeps is read from
//! there, and never counted twice.

use super::Inner;
use crate::app::App;
use opentelemetry::KeyValue;
use opentelemetry::metrics::AsyncInstrument;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;
use stipend_schema::Backend;

/// Has the instruments look at this node. They let it go when it stops.
pub(super) fn observe(inner: &Arc<Inner>, app: &Arc<App>) {
    requests(inner);
    gauge(inner, app, ("stipend.build.info", "", "Which build this is: always 1"), |app, seen| {
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let backend = match app.store.db().backend() {
            Backend::Sqlite => "sqlite",
            Backend::Postgres => "postgresql",
        };
        seen.observe(1, &[version, KeyValue::new("db.system.name", backend)]);
    });
    feed(inner, app);
    pools(inner, app);
    let about = "Works that wait for a transaction";
    gauge(inner, app, ("stipend.commit.queue.length", "{work}", about), |app, seen| {
        seen.observe(whole(app.committer.waiting()), &[]);
    });
    let about = "1 where Redis answers, by what it is used for; absent without Redis";
    gauge(inner, app, ("stipend.redis.up", "", about), |app, seen| {
        use crate::redis::RedisState::{Answers, DoesNotAnswer};
        let Some(state) = app.rates.cells.redis() else { return };
        for (up, what) in [(state != DoesNotAnswer, "limits"), (state == Answers, "wake_ups")] {
            seen.observe(u64::from(up), &[KeyValue::new("stipend.use", what)]);
        }
    });
    let about = "Records that the sink furthest behind has yet to be given, as last looked at";
    gauge(inner, app, ("stipend.audit.sink.behind", "{record}", about), |app, seen| {
        seen.observe(u64::try_from(app.exports.behind().records).unwrap_or(0), &[]);
    });
    let about = "Age of the oldest record that a sink has yet to be given, as last looked at";
    gauge(inner, app, ("stipend.audit.sink.lag", "s", about), |app, seen| {
        seen.observe(u64::try_from(app.exports.behind().seconds).unwrap_or(0), &[]);
    });
    let about = "Long polls for security events that may still begin to wait";
    gauge(inner, app, ("stipend.polls.free", "{poll}", about), |app, seen| {
        seen.observe(whole(app.long_polls.available_permits()), &[]);
    });
}

/// Semantic conventions: `http.server.active_requests`, here of all methods together.
fn requests(inner: &Arc<Inner>) {
    let counted: Weak<Inner> = Arc::downgrade(inner);
    let active = inner.meter.i64_observable_up_down_counter("http.server.active_requests").with_unit("{request}");
    let active = active.with_description("Requests under way");
    let _ = active
        .with_callback(move |seen| {
            if let Some(inner) = counted.upgrade() {
                seen.observe(inner.meters.active.load(Ordering::Relaxed), &[]);
            }
        })
        .build();
}

fn feed(inner: &Arc<Inner>, app: &Arc<App>) {
    let node = Arc::downgrade(app);
    let age = inner.meter.f64_observable_gauge("stipend.feed.age").with_unit("s");
    let age = age.with_description("Since when this node's view of the change feed is complete");
    let _ = age
        .with_callback(move |seen| {
            if let Some(app) = node.upgrade() {
                seen.observe(Instant::now().saturating_duration_since(app.tailer.fresh_since()).as_secs_f64(), &[]);
            }
        })
        .build();
    let about = "Newest change that this node has applied";
    gauge(inner, app, ("stipend.feed.position", "{change}", about), |app, seen| {
        seen.observe(u64::try_from(app.live.applied()).unwrap_or(0), &[]);
    });
    gauge(inner, app, ("stipend.revoked.entries", "{entry}", "Entries of the revoked set"), |app, seen| {
        seen.observe(whole(app.live.revoked_len()), &[]);
    });
}

/// Semantic conventions: `db.client.connection.*`.
fn pools(inner: &Arc<Inner>, app: &Arc<App>) {
    let pool = |name: &'static str| KeyValue::new("db.client.connection.pool.name", name);
    let about = "Connections to the database";
    gauge(inner, app, ("db.client.connection.count", "{connection}", about), move |app, seen| {
        for used in app.store.db().pools() {
            for (state, count) in [("used", used.used), ("idle", used.idle)] {
                seen.observe(whole(count), &[pool(used.name), KeyValue::new("db.client.connection.state", state)]);
            }
        }
    });
    gauge(inner, app, ("db.client.connection.max", "{connection}", "The most that there may be"), move |app, seen| {
        app.store.db().pools().iter().for_each(|used| seen.observe(whole(used.max), &[pool(used.name)]));
    });
    let about = "Who waits for a connection";
    gauge(inner, app, ("db.client.connection.pending_requests", "{request}", about), move |app, seen| {
        app.store.db().pools().iter().for_each(|used| seen.observe(whole(used.waiting), &[pool(used.name)]));
    });
}

fn gauge(
    inner: &Inner,
    app: &Arc<App>,
    (name, unit, about): (&'static str, &'static str, &'static str),
    look: impl Fn(&App, &dyn AsyncInstrument<u64>) + Send + Sync + 'static,
) {
    let node = Arc::downgrade(app);
    let gauge = inner.meter.u64_observable_gauge(name).with_unit(unit).with_description(about);
    let _ = gauge
        .with_callback(move |seen| {
            if let Some(app) = node.upgrade() {
                look(&app, seen);
            }
        })
        .build();
}

fn whole(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
