//! Making, reading, changing and removing a stream, its status and its verification (SSF section
//! 8.1). A client has one stream, and no other client's exists for it.

use super::caller::Caller;
use super::event::{Event, EventKind};
use super::oversight::forget;
use super::request::{StreamRequest, asked_for, check_text};
use super::stream::{Delivery, Stream, StreamSpec, StreamState};
use crate::app::App;
use crate::audit::{DONE, Origin};
use crate::deps;
use crate::limits::{MAX_DECISIONS, MAX_SIGNALS_WAITING};
use crate::reason::Reason;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use stipend_keys::random_id;
use stipend_schema::signals::{NOT_PUSHED, SignalStreamRow, clear_outbox, outbox_len, redirect_events};
use stipend_schema::{Db, DbError, Note, Outcome, Row, Table, Work, Write};

/// A stream as it is shown (SSF section 8.1.1). What a push sends as `Authorization` is not.
#[derive(Debug, Serialize)]
pub struct Configuration {
    pub stream_id: String,
    pub iss: String,
    pub aud: String,
    pub events_supported: Vec<&'static str>,
    pub events_requested: Vec<String>,
    pub events_delivered: Vec<&'static str>,
    pub delivery: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// One, or (asked for without an id) all of them.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum View {
    One(Box<Configuration>),
    All(Vec<Configuration>),
}

fn view(app: &App, stream: &Stream) -> Configuration {
    let delivered = EventKind::OFFERED.into_iter().filter(|kind| stream.delivers(*kind));
    let delivery = match &stream.spec.delivery {
        Delivery::Push { endpoint_url } => json!({ "method": Delivery::PUSH, "endpoint_url": endpoint_url }),
        Delivery::Poll => {
            let endpoint_url = format!("{}/{}", app.urls.signals_poll_endpoint, stream.id);
            json!({ "method": Delivery::POLL, "endpoint_url": endpoint_url })
        }
    };
    Configuration {
        stream_id: stream.id.clone(),
        iss: app.urls.issuer.clone(),
        aud: stream.client_id.clone(),
        events_supported: EventKind::OFFERED.map(EventKind::uri).to_vec(),
        events_requested: stream.spec.events_requested.clone(),
        events_delivered: delivered.map(EventKind::uri).collect(),
        delivery,
        description: stream.spec.description.clone(),
    }
}

/// The caller's stream; `id`, where one is named, must be its.
pub(super) async fn own(app: &App, caller: &Caller, id: Option<&str>) -> Result<Arc<Stream>, Reason> {
    let stream = app.records.find_stream(&caller.client_id).await?.ok_or(Reason::StreamUnknown)?;
    if id.is_none_or(|id| id == stream.id) { Ok(stream) } else { Err(Reason::StreamUnknown) }
}

/// # Errors
/// [`Reason::StreamUnknown`] for an id that is not the caller's.
pub async fn find(app: &App, caller: &Caller, id: Option<&str>) -> Result<View, Reason> {
    match (own(app, caller, id).await, id) {
        (Ok(stream), Some(_)) => Ok(View::One(Box::new(view(app, &stream)))),
        (Ok(stream), None) => Ok(View::All(vec![view(app, &stream)])),
        (Err(Reason::StreamUnknown), None) => Ok(View::All(Vec::new())),
        (Err(reason), _) => Err(reason),
    }
}

/// What is to be written, and what the caller is told.
struct Change<T> {
    writes: Vec<Write>,
    answer: T,
}

/// Decides and commits, until nobody overtakes it; a refusal is recorded.
async fn commit<T>(
    app: &App,
    caller: &Caller,
    event: &'static str,
    origin: &Origin,
    decide: impl AsyncFn() -> Result<Change<T>, Reason>,
) -> Result<T, Reason> {
    for _ in 0..MAX_DECISIONS {
        let basis = app.live.applied();
        let draft = caller.draft(event, origin);
        let stream = deps::stream_of(&caller.client_id);
        let mut deps = caller.deps.clone();
        deps.push(stream.clone());
        let (work, answer) = match decide().await {
            Ok(Change { writes, answer }) => {
                let changes = if writes.is_empty() { Vec::new() } else { vec![stream] };
                (Work { deps, writes, changes, ..Work::recording(basis, draft.outcome(DONE)) }, Ok(answer))
            }
            Err(reason) if reason.is_own_trouble() => return Err(reason),
            Err(reason) => (Work { deps, ..Work::recording(basis, draft.refused(reason)) }, Err(reason)),
        };
        match app.committer.submit(work).await {
            Outcome::Committed { .. } => return answer,
            Outcome::Stale | Outcome::Conflict => {
                app.tailer.catch_up().await;
            }
            Outcome::Invalid(what) => {
                tracing::error!(what, "a stream's work was refused by the committer");
                return Err(Reason::Internal);
            }
            Outcome::Replayed { .. } | Outcome::Settled { .. } | Outcome::Exceeded { .. } | Outcome::Unavailable => {
                return Err(Reason::StoreUnavailable);
            }
        }
    }
    Err(Reason::Overtaken)
}

/// # Errors
/// [`Reason::StreamExists`], or what is wrong with the request.
pub async fn create(
    app: &App,
    caller: &Caller,
    asked: &StreamRequest,
    origin: &Origin,
) -> Result<Configuration, Reason> {
    commit(app, caller, "stream.created", origin, async || {
        if app.records.find_stream(&caller.client_id).await?.is_some() {
            return Err(Reason::StreamExists);
        }
        let stream = Stream {
            id: random_id("ssf_"),
            owner_id: caller.owner_id.clone(),
            client_id: caller.client_id.clone(),
            state: StreamState::Enabled,
            state_reason: None,
            spec: StreamSpec { events_requested: Vec::new(), delivery: Delivery::Poll, description: None, held: None },
            sealed_authorization: None,
            created_at: app.clock.now(),
        };
        let stream = asked_for(app, stream, asked, true)?;
        let now = app.clock.now();
        Ok(Change { writes: vec![Write::Insert(Row::SignalStream(row(&stream, now)?))], answer: view(app, &stream) })
    })
    .await
}

/// Changes what the request names.
///
/// # Errors
/// [`Reason::StreamUnknown`], or what is wrong with the request.
pub async fn patch(
    app: &App,
    caller: &Caller,
    asked: &StreamRequest,
    origin: &Origin,
) -> Result<Configuration, Reason> {
    change(app, caller, asked, false, origin).await
}

/// Changes all: what the request does not name is gone.
///
/// # Errors
/// As [`patch`].
pub async fn put(app: &App, caller: &Caller, asked: &StreamRequest, origin: &Origin) -> Result<Configuration, Reason> {
    change(app, caller, asked, true, origin).await
}

async fn change(
    app: &App,
    caller: &Caller,
    asked: &StreamRequest,
    whole: bool,
    origin: &Origin,
) -> Result<Configuration, Reason> {
    let id = asked.stream_id.as_deref().ok_or(Reason::BadStream)?;
    let (answer, moved) = commit(app, caller, "stream.changed", origin, async || {
        let have = own(app, caller, Some(id)).await?;
        let shown = serde_json::to_value(view(app, &have)).map_err(|_| Reason::Internal)?;
        // SSF sections 8.1.1.3 and 8.1.1.4: what is ours to say must match where it is said.
        let ours = ["iss", "aud", "events_supported", "events_delivered"];
        let said = asked.others.iter().filter(|(name, _)| ours.contains(&name.as_str()));
        if said.into_iter().any(|(name, value)| shown.get(name) != Some(value)) {
            return Err(Reason::BadStream);
        }
        let stream = asked_for(app, copy(&have), asked, whole)?;
        let moved = (stream.spec.delivery != have.spec.delivery).then(|| stream.id.clone());
        let due = if matches!(stream.spec.delivery, Delivery::Push { .. }) { app.clock.now() } else { NOT_PUSHED };
        let writes = vec![Write::Update(Row::SignalStream(row(&stream, app.clock.now())?))];
        Ok(Change { writes, answer: (view(app, &stream), moved.map(|id| (id, due))) })
    })
    .await?;
    if let Some((id, due)) = moved {
        store(app, async move |db| redirect_events(&db, &id, due).await).await?;
    }
    Ok(answer)
}

/// # Errors
/// [`Reason::StreamUnknown`].
pub async fn remove(app: &App, caller: &Caller, id: &str, origin: &Origin) -> Result<(), Reason> {
    let id = commit(app, caller, "stream.removed", origin, async || {
        let stream = own(app, caller, Some(id)).await?;
        // Another one in its place would be told again.
        if stream.spec.held.is_some() {
            return Err(Reason::StreamHeld);
        }
        let writes = vec![Write::Delete(Table::SignalStream, stream.id.clone())];
        Ok(Change { writes, answer: stream.id.clone() })
    })
    .await?;
    store(app, async move |db| forget(&db, &id).await).await?;
    Ok(())
}

/// SSF section 8.1.2.2.
#[derive(Clone, Debug, Deserialize)]
pub struct NewStatus {
    pub stream_id: String,
    pub status: String,
    pub reason: Option<String>,
}

fn status_view(stream: &Stream) -> Value {
    let mut status = json!({ "stream_id": stream.id, "status": stream.state.as_str() });
    if let (Some(reason), Some(status)) = (&stream.state_reason, status.as_object_mut()) {
        status.insert("reason".to_owned(), reason.clone().into());
    }
    status
}

/// # Errors
/// [`Reason::StreamUnknown`].
pub async fn status(app: &App, caller: &Caller, id: &str) -> Result<Value, Reason> {
    Ok(status_view(&*own(app, caller, Some(id)).await?))
}

/// # Errors
/// [`Reason::StreamUnknown`], [`Reason::BadStream`].
pub async fn set_status(app: &App, caller: &Caller, new: &NewStatus, origin: &Origin) -> Result<Value, Reason> {
    let (answer, stream, state, due) = commit(app, caller, "stream.status_changed", origin, async || {
        let have = own(app, caller, Some(&new.stream_id)).await?;
        let state = StreamState::parse(&new.status).ok_or(Reason::BadStream)?;
        if have.spec.held.is_some() {
            return Err(Reason::StreamHeld);
        }
        check_text(new.reason.as_deref())?;
        let stream = Stream { state, state_reason: new.reason.clone(), ..copy(&have) };
        let now = app.clock.now();
        let due = if matches!(stream.spec.delivery, Delivery::Push { .. }) { now } else { NOT_PUSHED };
        let writes = vec![Write::Update(Row::SignalStream(row(&stream, now)?))];
        Ok(Change { writes, answer: (status_view(&stream), stream.id.clone(), state, due) })
    })
    .await?;
    match state {
        // What was kept comes now.
        StreamState::Enabled => store(app, async move |db| redirect_events(&db, &stream, due).await).await?,
        StreamState::Disabled => store(app, async move |db| clear_outbox(&db, &stream, None).await).await?,
        StreamState::Paused => 0,
    };
    Ok(answer)
}

/// SSF section 8.1.4.2.
#[derive(Clone, Debug, Deserialize)]
pub struct Verification {
    pub stream_id: String,
    pub state: Option<String>,
}

/// Has a verification event sent, like any other.
///
/// # Errors
/// [`Reason::StreamUnknown`], [`Reason::StreamFull`].
pub async fn verify(app: &App, caller: &Caller, asked: &Verification, origin: &Origin) -> Result<(), Reason> {
    commit(app, caller, "stream.verification_asked", origin, async || {
        let stream = own(app, caller, Some(&asked.stream_id)).await?;
        check_text(asked.state.as_deref())?;
        if stream.state == StreamState::Disabled {
            return Err(Reason::BadStream);
        }
        let id = stream.id.clone();
        if store(app, async move |db| outbox_len(&db, &id).await).await? >= MAX_SIGNALS_WAITING {
            return Err(Reason::StreamFull);
        }
        let detail = asked.state.iter().map(|state| ("state".to_owned(), Value::from(state.clone()))).collect();
        let event = of_stream(EventKind::Verification, &stream, detail);
        let row = event.for_stream(app, &stream, &origin.request_id);
        Ok(Change { writes: vec![Write::Note(Note::Signal(row))], answer: () })
    })
    .await
}

/// An event about the stream itself.
pub(super) fn of_stream(kind: EventKind, stream: &Stream, detail: Map<String, Value>) -> Event {
    Event { kind, sub_id: json!({ "format": "opaque", "id": stream.id }), detail }
}

/// What a sealed `Authorization` belongs to.
pub(super) fn aad(stream: &str) -> Vec<u8> {
    format!("stream authorization {stream}").into_bytes()
}

pub(super) fn copy(stream: &Stream) -> Stream {
    Stream {
        id: stream.id.clone(),
        owner_id: stream.owner_id.clone(),
        client_id: stream.client_id.clone(),
        state: stream.state,
        state_reason: stream.state_reason.clone(),
        spec: stream.spec.clone(),
        sealed_authorization: stream.sealed_authorization.clone(),
        created_at: stream.created_at,
    }
}

pub(super) fn row(stream: &Stream, now: i64) -> Result<SignalStreamRow, Reason> {
    Ok(SignalStreamRow {
        id: stream.id.clone(),
        owner_id: stream.owner_id.clone(),
        client_id: stream.client_id.clone(),
        state: stream.state.as_str().to_owned(),
        state_reason: stream.state_reason.clone(),
        spec: serde_json::to_string(&stream.spec).map_err(|_| Reason::Internal)?,
        sealed_authorization: stream.sealed_authorization.clone(),
        created_at: stream.created_at,
        updated_at: now,
    })
}

/// Asks the database.
pub(super) async fn store<T, Fut>(app: &App, query: impl FnOnce(Db) -> Fut) -> Result<T, Reason>
where
    T: Send + 'static,
    Fut: Future<Output = Result<T, DbError>> + Send + 'static,
{
    let work = query(app.store.db().clone());
    app.store.run(work).await.ok().and_then(Result::ok).ok_or(Reason::StoreUnavailable)
}
