//! Delivery by push (RFC 8935): each event a request of its own, tried again after longer and
//! longer pauses; a receiver that takes none for long has its stream paused, and keeps its events.
//!
//! Calls go through the same guard as the proxy's: to public addresses over TLS, and to what the
//! configuration adds. No redirect is followed.

use super::event::{EventKind, is_of_stream, sign};
use super::stream::{Delivery, Stream, StreamState};
use super::streams::{aad, copy, of_stream, row, store};
use crate::app::App;
use crate::audit::{DONE, Draft};
use crate::deps;
use crate::jobs::own_origin;
use crate::limits::{
    MAX_PUSH_TRIES, PUSH_CLAIM_SECONDS, PUSH_EVERY, PUSH_MAX_PAUSE_SECONDS, PUSH_PAUSED_LOOK_SECONDS, PUSH_TIMEOUT,
    PUSHES_AT_ONCE,
};
use crate::proxy::{Forward, RequestBody, Timeouts};
use actix_web::http::StatusCode;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use stipend_keys::Secret;
use stipend_schema::signals::{
    NOT_PUSHED, SignalEventRow, due_events, find_stream, note_delivered, note_failed, put_off, remove_events,
};
use stipend_schema::{Note, Outcome, Row, Work, Write};
use stipend_token::constraint::Method;
use url::Url;

/// RFC 8935 section 2.1.
const KIND: HeaderValue = HeaderValue::from_static("application/secevent+jwt");

/// How a try ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    /// The receiver has it.
    Taken,
    /// The receiver will never take it (RFC 8935 section 2.3): another try would be the same.
    Refused,
    /// Nobody answered, or somebody who may another time; in words of ours.
    Failed(&'static str),
}

/// The job.
pub async fn push_events(app: Arc<App>) {
    loop {
        tokio::time::sleep(PUSH_EVERY).await;
        deliver(&app).await;
    }
}

/// One round of it: what is due now.
pub async fn deliver(app: &App) {
    let now = app.clock.now();
    let due = match store(app, async move |db| due_events(&db, now).await).await {
        Ok(due) => due,
        Err(_) => {
            tracing::warn!("security events to be pushed could not be read");
            return;
        }
    };
    let mut streams: HashMap<String, Option<Arc<Stream>>> = HashMap::new();
    for event in &due {
        if !streams.contains_key(&event.stream_id) {
            let id = event.stream_id.clone();
            let Ok(found) = store(app, async move |db| find_stream(&db, &id).await).await else { return };
            let stream = found.and_then(|row| Stream::read(row).ok()).map(Arc::new);
            streams.insert(event.stream_id.clone(), stream);
        }
    }
    let streams = &streams;
    futures_util::stream::iter(due)
        .for_each_concurrent(PUSHES_AT_ONCE, async |event| {
            let stream = streams.get(&event.stream_id).cloned().flatten();
            handle(app, stream.as_deref(), event).await;
        })
        .await;
}

async fn handle(app: &App, stream: Option<&Stream>, event: SignalEventRow) {
    let now = app.clock.now();
    // What an admin has stopped says so first; one whose receiver is away can't.
    let says_so = stream.is_some_and(|stream| stream.spec.held.is_some()) && is_of_stream(&event);
    let Some(stream) = stream.filter(|stream| stream.state != StreamState::Disabled || says_so) else {
        forget(app, &event).await;
        return;
    };
    let Delivery::Push { endpoint_url } = &stream.spec.delivery else {
        postpone(app, event, NOT_PUSHED, false).await;
        return;
    };
    if stream.state == StreamState::Paused && !says_so {
        postpone(app, event, now.saturating_add(PUSH_PAUSED_LOOK_SECONDS), false).await;
        return;
    }
    // Whoever moves its time may try it.
    let Some(event) = postpone(app, event, now.saturating_add(PUSH_CLAIM_SECONDS), true).await else { return };
    match push(app, stream, endpoint_url, &event).await {
        Answer::Taken => {
            forget(app, &event).await;
            note(app, stream, None).await;
        }
        Answer::Refused => {
            tracing::warn!(stream = stream.id, set = event.id, "a receiver refused a security event");
            forget(app, &event).await;
            note(app, stream, Some("refused")).await;
        }
        Answer::Failed(why) => {
            note(app, stream, Some(why)).await;
            let pause = 2_i64.saturating_pow(u32::try_from(event.attempts).unwrap_or(u32::MAX));
            let until = app.clock.now().saturating_add(pause.min(PUSH_MAX_PAUSE_SECONDS));
            let tries = event.attempts;
            postpone(app, event, until, false).await;
            // One that an admin or its receiver has stopped stays as they left it.
            if tries >= MAX_PUSH_TRIES && stream.state == StreamState::Enabled {
                pause_stream(app, stream).await;
            }
        }
    }
}

async fn push(app: &App, stream: &Stream, endpoint: &Url, event: &SignalEventRow) -> Answer {
    let (Ok(token), Ok(method)) = (sign(app, event), Method::parse("POST")) else {
        return Answer::Failed("not signed");
    };
    let mut call = Forward::new(method, endpoint.clone());
    call.headers.insert(CONTENT_TYPE, KIND);
    call.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    call.body = RequestBody::Whole(Bytes::from(token));
    call.timeouts = Timeouts { head: PUSH_TIMEOUT, idle: PUSH_TIMEOUT, total: PUSH_TIMEOUT };
    if let Some(sealed) = &stream.sealed_authorization {
        let opened = app.safe.open_note(&aad(&stream.id), sealed);
        let Some(header) = opened.and_then(|header| String::from_utf8(header.expose().clone()).ok()) else {
            tracing::error!(stream = stream.id, "what is to be sent to a receiver can't be opened");
            return Answer::Failed("its Authorization can't be opened");
        };
        call.inject.push((AUTHORIZATION, Secret::new(header)));
    }
    match tokio::time::timeout(PUSH_TIMEOUT, app.upstreams.forward(call)).await {
        Ok(Ok(answer)) if answer.status.is_success() => Answer::Taken,
        Ok(Ok(answer)) if answer.status.as_u16() == StatusCode::BAD_REQUEST.as_u16() => Answer::Refused,
        Ok(Ok(answer)) => {
            tracing::info!(stream = stream.id, status = answer.status.as_u16(), "a receiver did not take an event");
            Answer::Failed(answered(answer.status.as_u16()))
        }
        Ok(Err(fault)) => {
            tracing::info!(stream = stream.id, %fault, "a receiver could not be reached");
            Answer::Failed("not reached")
        }
        Err(_) => Answer::Failed("no answer in time"),
    }
}

fn answered(status: u16) -> &'static str {
    match status {
        401 | 403 => "answered that it may not be told: look at its Authorization",
        429 => "answered that it is too much",
        300..=399 => "answered with a redirect, which is not followed",
        400..=499 => "answered with a client error",
        _ => "answered with a server error",
    }
}

/// For whoever looks after the stream: that an event was taken, or why not.
async fn note(app: &App, stream: &Stream, failure: Option<&'static str>) {
    let (id, now) = (stream.id.clone(), app.clock.now());
    let noted = match failure {
        None => store(app, async move |db| note_delivered(&db, &id, 1, now).await).await,
        Some(why) => store(app, async move |db| note_failed(&db, &id, why, now).await).await,
    };
    if noted.is_err() {
        tracing::warn!(stream = stream.id, "how delivery goes could not be noted");
    }
}

/// The event with its new time, if it was still ours to move.
async fn postpone(app: &App, event: SignalEventRow, until: i64, tried: bool) -> Option<SignalEventRow> {
    let moved = event.clone();
    let done = store(app, async move |db| put_off(&db, &moved, until, tried).await).await;
    let attempts = event.attempts.saturating_add(i64::from(tried));
    done.ok().filter(|done| *done).map(|_| SignalEventRow { due_at: until, attempts, ..event })
}

async fn forget(app: &App, event: &SignalEventRow) {
    let (stream, ids) = (event.stream_id.clone(), vec![event.id.clone()]);
    if store(app, async move |db| remove_events(&db, &stream, &ids).await).await.is_err() {
        tracing::warn!(set = event.id, "a delivered security event could not be removed, and will come again");
    }
}

/// SSF section 8.1.5: the receiver is told why nothing comes, when something does again.
async fn pause_stream(app: &App, stream: &Stream) {
    const WHY: &str = "events could not be delivered";
    let detail = [("status", StreamState::Paused.as_str()), ("reason", WHY)];
    let detail: Map<String, Value> = detail.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let origin = own_origin();
    let told = of_stream(EventKind::StreamUpdated, stream, detail).for_stream(app, stream, &origin.request_id);
    let paused = Stream { state: StreamState::Paused, state_reason: Some(WHY.to_owned()), ..copy(stream) };
    let Ok(row) = row(&paused, app.clock.now()) else { return };
    let mut draft = Draft::new("stream.paused", &origin);
    draft.owner(Some(&stream.owner_id));
    draft.put("stream", stream.id.clone());
    let changed = deps::stream_of(&stream.client_id);
    let work = Work {
        deps: vec![changed.clone()],
        writes: vec![Write::Update(Row::SignalStream(row)), Write::Note(Note::Signal(told))],
        changes: vec![changed],
        ..Work::recording(app.live.applied(), draft.outcome(DONE))
    };
    match app.committer.submit(work).await {
        Outcome::Committed { .. } => tracing::warn!(stream = stream.id, "a stream was paused: {WHY}"),
        // Somebody changed it meanwhile: the next failure looks again.
        Outcome::Stale | Outcome::Conflict => {}
        _ => tracing::warn!(stream = stream.id, "a stream could not be paused"),
    }
}
