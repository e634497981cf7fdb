//! Delivery to webhooks: one batch after the other, each until it has arrived.
//!
//! One node at a time delivers to a sink (a lease in the database). A batch is stored before it is
//! first sent and its end is stored after the receiver's 2xx, so that a node that dies in between
//! leaves a batch that the next one sends again under the same `webhook-id`. A receiver that fails
//! is tried again after longer and longer pauses and for ever: what waits stays in the audit. One
//! that says that it is gone (410) has its sink paused.

use super::batch::{Batch, Message, message, trial};
use super::lag::{Lag, numbers};
use super::read::{self, next};
use super::sink::{Sink, SinkState, aad, row};
use crate::app::App;
use crate::audit::{DONE, Draft};
use crate::deps;
use crate::jobs::own_origin;
use crate::limits::{
    AUDIT_BATCHES_PER_TURN, AUDIT_LAG_EVERY, AUDIT_LEASE_FRESH, AUDIT_LEASE_MICROS, AUDIT_LOOK_EVERY,
    AUDIT_MAX_PAUSE_SECONDS, AUDIT_SINK_TIMEOUT, AUDIT_SINKS_AT_ONCE,
};
use crate::proxy::{Forward, RequestBody, Timeouts};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;
use stipend_keys::secret::random_bytes;
use stipend_keys::{random_id, sign_webhook};
use stipend_schema::sinks::{
    BatchDone, ChainHead, SinkDeliveryRow, active_sinks, chain_heads, claim, deliveries_of, find_sink, finish_batch,
    note_failure, open_sink, positions_of, positions_since, prunings, skip_pruned, start_batch,
};
use stipend_schema::{Db, DbError, Outcome, Row, Work, Write};
use stipend_token::constraint::Method;

/// Why a try came to nothing, in words of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Failed {
    pub why: &'static str,
    /// The receiver says that it is gone for good.
    pub gone: bool,
}

/// How a step of a delivery ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    /// Something arrived; there may be more.
    Done,
    /// There is nothing that has not arrived.
    Idle,
    /// Later, or somebody else.
    Later,
}

/// The job.
pub async fn deliver_to_sinks(app: Arc<App>) {
    let holder = random_id("n_");
    let mut under_way = FuturesUnordered::new();
    let mut busy: HashSet<String> = HashSet::new();
    let mut idle: HashMap<String, Arc<Vec<ChainHead>>> = HashMap::new();
    let mut looked: Option<Instant> = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(AUDIT_LOOK_EVERY) => {}
            Some((id, seen)) = under_way.next(), if !under_way.is_empty() => {
                busy.remove(&id);
                if let Some(seen) = seen {
                    idle.insert(id, seen);
                }
                continue;
            }
        }
        let (sinks, heads) = match look(&app).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "the sinks of the audit could not be read");
                continue;
            }
        };
        idle.retain(|id, seen| *seen == heads && sinks.iter().any(|(sink, _)| sink.id == *id));
        for (sink, delivery) in sinks {
            let waits = delivery.as_ref().is_some_and(|delivery| {
                let theirs = delivery.lease_holder != holder && delivery.leased_until > app.clock.micros();
                theirs || delivery.due_at > app.clock.now()
            });
            if waits || busy.len() >= AUDIT_SINKS_AT_ONCE || idle.contains_key(&sink.id) || busy.contains(&sink.id) {
                continue;
            }
            busy.insert(sink.id.clone());
            let (app, heads, holder) = (Arc::clone(&app), Arc::clone(&heads), holder.clone());
            under_way.push(async move {
                let seen = drain(&app, &sink, &heads, &holder).await;
                (sink.id, seen.then_some(heads))
            });
        }
        if looked.is_none_or(|looked| looked.elapsed() >= AUDIT_LAG_EVERY) {
            looked = Some(Instant::now());
            watch_lag(&app).await;
        }
    }
}

type Looked = (Vec<(Sink, Option<SinkDeliveryRow>)>, Arc<Vec<ChainHead>>);

/// The active sinks with how their delivery stands, and how far the audit is.
async fn look(app: &App) -> Result<Looked, DbError> {
    let db = app.store.db();
    let rows = active_sinks(db).await?;
    if rows.is_empty() && !app.exports.is_followed() {
        return Ok((Vec::new(), Arc::default()));
    }
    // Before it is asked: what is there by then is all in the answer.
    let at = app.clock.micros();
    let heads = Arc::new(chain_heads(db).await?);
    app.exports.note_heads(at, &heads);
    let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
    let mut deliveries = deliveries_of(db, &ids).await?;
    let mut sinks = Vec::with_capacity(rows.len());
    for row in rows {
        let place = deliveries.iter().position(|delivery| delivery.sink_id == row.id);
        let delivery = place.map(|place| deliveries.swap_remove(place));
        match Sink::read(row) {
            Ok(sink) => sinks.push((sink, delivery)),
            Err(what) => tracing::error!(what, "a sink can't be read by this version"),
        }
    }
    Ok((sinks, heads))
}

async fn watch_lag(app: &App) {
    match numbers(app).await {
        Ok(all) => app.exports.note_behind(all.iter().fold(Lag::default(), |most, one| most.or(one.lag))),
        Err(error) => tracing::warn!(%error, "how far sinks are behind could not be read"),
    }
}

/// Delivers what there is; true once all up to these heads has arrived.
async fn drain(app: &App, sink: &Sink, heads: &[ChainHead], holder: &str) -> bool {
    for _ in 0..AUDIT_BATCHES_PER_TURN {
        match step(app, sink, heads, holder).await {
            Ok(Step::Done) => {}
            Ok(Step::Idle) => return true,
            Ok(Step::Later) => return false,
            Err(error) => {
                tracing::warn!(sink = sink.id, %error, "a sink's delivery stopped at the database");
                return false;
            }
        }
    }
    false
}

async fn step(app: &App, sink: &Sink, heads: &[ChainHead], holder: &str) -> Result<Step, DbError> {
    let db = app.store.db();
    let claimed = Instant::now();
    let Some(delivery) = claim(db, &sink.id, holder, AUDIT_LEASE_MICROS).await? else { return Ok(Step::Later) };
    if delivery.due_at > app.clock.now() {
        return Ok(Step::Later);
    }
    if !delivery.opened {
        open(db, sink, holder).await?;
    }
    let filter = sink.filter();
    pass_pruned(db, sink).await?;
    let (text, batch, rows) = if delivery.batch.is_empty() {
        let plan = next(db, &positions_of(db, &sink.id).await?, heads, &filter).await?;
        if plan.runs.is_empty() {
            return Ok(Step::Idle);
        }
        let batch = Batch::new(plan.runs, app.clock.now());
        let Some(text) = batch.to_text() else { return Ok(Step::Later) };
        if !plan.rows.is_empty() && !start_batch(db, &sink.id, holder, &text).await? {
            return Ok(Step::Later);
        }
        let text = if plan.rows.is_empty() { String::new() } else { text };
        (text, batch, plan.rows)
    } else {
        let Some(batch) = Batch::parse(&delivery.batch) else {
            tracing::error!(sink = sink.id, "a stored batch can't be read by this version");
            return Ok(Step::Later);
        };
        let rows = read::read_runs(db, &batch.runs, &filter).await?;
        (delivery.batch.clone(), batch, rows)
    };
    let records = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    if records > 0 {
        if claimed.elapsed() > AUDIT_LEASE_FRESH && claim(db, &sink.id, holder, AUDIT_LEASE_MICROS).await?.is_none() {
            return Ok(Step::Later);
        }
        if let Err(failed) = send(app, sink, &message(&batch.id, batch.at, sink, &rows)).await {
            return fail(app, sink, holder, delivery.attempts, failed).await;
        }
    }
    let (mut reached, now) = (batch.reached(), app.clock.now());
    let positions = positions_of(db, &sink.id).await?;
    // What was pruned meanwhile may reach further.
    reached.retain(|(writer, to)| positions.get(writer).is_none_or(|at| at < to));
    let done = BatchDone { sink_id: sink.id.clone(), holder: holder.to_owned(), batch: text, reached, records, now };
    Ok(if finish_batch(db, &done).await? { Step::Done } else { Step::Later })
}

/// Where a sink begins: what is older than it, and what was pruned, it never gets.
async fn open(db: &Db, sink: &Sink, holder: &str) -> Result<(), DbError> {
    let mut begins = positions_since(db, sink.spec.since).await?;
    for pruning in prunings(db).await? {
        let n = begins.entry(pruning.writer).or_insert(0);
        *n = (*n).max(pruning.n);
    }
    open_sink(db, &sink.id, holder, begins).await.map(|_| ())
}

/// What was pruned while a sink was paused it has missed: that is counted, and it goes on.
async fn pass_pruned(db: &Db, sink: &Sink) -> Result<(), DbError> {
    let prunings = prunings(db).await?;
    if prunings.is_empty() {
        return Ok(());
    }
    let positions = positions_of(db, &sink.id).await?;
    for pruning in prunings {
        let have = positions.get(&pruning.writer).copied().unwrap_or(0);
        if have < pruning.n {
            let missed = pruning.n.saturating_sub(have);
            tracing::warn!(
                sink = sink.id,
                writer = pruning.writer,
                missed,
                "records were pruned while a sink was paused"
            );
            skip_pruned(db, &sink.id, &pruning.writer, pruning.n, missed).await?;
        }
    }
    Ok(())
}

async fn fail(app: &App, sink: &Sink, holder: &str, attempts: i64, failed: Failed) -> Result<Step, DbError> {
    let now = app.clock.now();
    let due_at = now.saturating_add(pause_after(attempts, random_bytes::<1>()));
    note_failure(app.store.db(), (&sink.id, holder), failed.why, (now, due_at)).await?;
    if failed.gone {
        pause(app, sink).await;
    }
    Ok(Step::Later)
}

/// Twice as long after each try, up to a bound, and up to a quarter more or less: receivers that
/// came back together are not asked together.
fn pause_after(attempts: i64, [random]: [u8; 1]) -> i64 {
    let doubled = 2_i64.saturating_pow(u32::try_from(attempts).unwrap_or(u32::MAX)).min(AUDIT_MAX_PAUSE_SECONDS);
    let jitter = doubled.saturating_mul(i64::from(random).saturating_sub(128)) / 512;
    doubled.saturating_add(jitter).max(1)
}

/// Signs a message for this moment and sends it once.
async fn send(app: &App, sink: &Sink, message: &Message) -> Result<(), Failed> {
    let failed = |why| Failed { why, gone: false };
    let Ok(method) = Method::parse("POST") else { return Err(failed("not signed")) };
    let opened = app.safe.open_note(&aad(&sink.id), sink.sealed_secret());
    let secret = opened.and_then(|secret| String::from_utf8(secret.expose().clone()).ok());
    let now = app.clock.now();
    let signature = secret.and_then(|secret| sign_webhook(&secret, &message.id, now, message.body.as_bytes()));
    let Some(signature) = signature else {
        tracing::error!(sink = sink.id, "the secret of a sink can't be opened");
        return Err(failed("its secret can't be opened"));
    };
    let mut call = Forward::new(method, sink.spec.endpoint_url.clone());
    let headers = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (USER_AGENT, "stipend".to_owned()),
        (HeaderName::from_static("webhook-id"), message.id.clone()),
        (HeaderName::from_static("webhook-timestamp"), now.to_string()),
        (HeaderName::from_static("webhook-signature"), signature),
    ];
    for (name, value) in headers {
        let value = HeaderValue::from_str(&value).map_err(|_| failed("not signed"))?;
        call.headers.insert(name, value);
    }
    call.body = RequestBody::Whole(Bytes::from(message.body.clone()));
    call.timeouts = Timeouts { head: AUDIT_SINK_TIMEOUT, idle: AUDIT_SINK_TIMEOUT, total: AUDIT_SINK_TIMEOUT };
    match tokio::time::timeout(AUDIT_SINK_TIMEOUT, app.upstreams.forward(call)).await {
        // What it says beside that is not read.
        Ok(Ok(answer)) if answer.status.is_success() => Ok(()),
        Ok(Ok(answer)) => Err(answered(answer.status.as_u16())),
        Ok(Err(fault)) => {
            tracing::info!(sink = sink.id, %fault, "a sink could not be reached");
            Err(failed("not reached"))
        }
        Err(_) => Err(failed("no answer in time")),
    }
}

fn answered(status: u16) -> Failed {
    let why = match status {
        401 | 403 => "answered that it may not be told",
        410 => "answered that it is gone",
        413 => "answered that it is too large",
        429 => "answered that it is too much",
        300..=399 => "answered with a redirect, which is not followed",
        400..=499 => "answered with a client error",
        _ => "answered with a server error",
    };
    Failed { why, gone: status == 410 }
}

/// Sends a message without records, once, for whoever wants to see whether it arrives.
///
/// # Errors
/// Why it did not, in words of ours.
pub async fn try_once(app: &App, sink: &Sink) -> Result<(), &'static str> {
    let message = trial(&random_id("msg_"), app.clock.now(), sink);
    send(app, sink, &message).await.map_err(|failed| failed.why)
}

/// Stops a sink whose receiver is gone, on record.
async fn pause(app: &App, sink: &Sink) {
    const WHY: &str = "its receiver answered that it is gone (410)";
    let basis = app.live.applied();
    let Ok(Some(found)) = find_sink(app.store.db(), &sink.id).await else { return };
    let mut draft = Draft::new("audit_sink.paused", &own_origin());
    draft.owner(sink.owner.as_deref());
    draft.put("target", sink.id.clone());
    draft.put("why", WHY);
    let dep = deps::audit_sink(&sink.id);
    let work = Work {
        deps: vec![dep.clone()],
        writes: vec![Write::Update(Row::AuditSink(row(found, SinkState::Paused, Some(WHY), app.clock.now())))],
        changes: vec![dep],
        ..Work::recording(basis, draft.outcome(DONE))
    };
    match app.committer.submit(work).await {
        Outcome::Committed { .. } => tracing::warn!(sink = sink.id, "a sink was paused: {WHY}"),
        // Somebody changed it meanwhile: the next failure looks again.
        Outcome::Stale | Outcome::Conflict => {}
        _ => tracing::warn!(sink = sink.id, "a sink could not be paused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_differ_by_a_quarter() {
        assert_eq!([0, 1, 2, 5].map(|attempts| pause_after(attempts, [128])), [1, 2, 4, 32]);
        for attempts in [9, 40, i64::MAX] {
            assert_eq!(pause_after(attempts, [0]), AUDIT_MAX_PAUSE_SECONDS - AUDIT_MAX_PAUSE_SECONDS / 4);
            let longest = pause_after(attempts, [255]);
            assert!((AUDIT_MAX_PAUSE_SECONDS..=AUDIT_MAX_PAUSE_SECONDS * 5 / 4).contains(&longest), "{longest}");
        }
    }
}
