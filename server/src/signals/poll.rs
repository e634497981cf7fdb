//! Delivery by polling (RFC 8936): what the receiver has acknowledged goes, the oldest of what is
//! left is answered, and an empty answer waits a little.

use super::caller::Caller;
use super::event::{is_of_stream, sign};
use super::stream::{Delivery, Stream, StreamState};
use super::streams::{own, store};
use crate::admission::aside;
use crate::app::App;
use crate::limits::{LONG_POLL_EVERY, LONG_POLL_FOR, MAX_POLLED_EVENTS};
use crate::reason::Reason;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Instant;
use stipend_schema::signals::{note_delivered, note_failed, outbox, remove_events};

/// Events that one request may acknowledge or complain of.
const MAX_ACKNOWLEDGED: usize = 1000;

/// RFC 8936 section 2.2.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Poll {
    pub max_events: Option<i64>,
    pub return_immediately: bool,
    pub ack: Vec<String>,
    /// What the receiver could not make use of: it is told once, and not again (section 2.6).
    pub set_errs: Map<String, Value>,
}

/// RFC 8936 section 2.3.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Polled {
    pub sets: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub more_available: bool,
}

/// # Errors
/// [`Reason::StreamUnknown`], [`Reason::BadPoll`], or that the store does not answer.
pub async fn poll(app: &App, caller: &Caller, stream: &str, asked: &Poll) -> Result<Polled, Reason> {
    let (mut done, errors) = (asked.ack.clone(), &asked.set_errs);
    let most = asked.max_events.unwrap_or(MAX_POLLED_EVENTS).min(MAX_POLLED_EVENTS);
    if most < 0 || done.len().saturating_add(errors.len()) > MAX_ACKNOWLEDGED {
        return Err(Reason::BadPoll);
    }
    let id = polled(app, caller, stream).await?.id.clone();
    if !errors.is_empty() {
        tracing::warn!(stream = id, events = errors.len(), "a receiver could not make use of security events");
        done.extend(errors.keys().cloned());
    }
    if !done.is_empty() {
        let (stream, complaints, now) = (id.clone(), !errors.is_empty(), app.clock.now());
        store(app, async move |db| {
            let removed = remove_events(&db, &stream, &done).await?;
            if complaints {
                note_failed(&db, &stream, "not understood", now).await?;
            }
            // What was asked for twice is counted once.
            note_delivered(&db, &stream, i64::try_from(removed).unwrap_or(i64::MAX), now).await
        })
        .await?;
    }
    if most == 0 {
        return Ok(Polled::default());
    }
    let waits = if asked.return_immediately { None } else { app.long_polls.try_acquire().ok() };
    let deadline = Instant::now() + LONG_POLL_FOR;
    loop {
        // Meanwhile it may have been paused, or removed, or its client revoked.
        let stream = polled(app, caller, stream).await?;
        let found = waiting(app, &stream, most).await?;
        if !found.sets.is_empty() || waits.is_none() || Instant::now() >= deadline {
            return Ok(found);
        }
        aside(tokio::time::sleep(LONG_POLL_EVERY)).await;
    }
}

async fn polled(app: &App, caller: &Caller, id: &str) -> Result<std::sync::Arc<Stream>, Reason> {
    let stream = own(app, caller, Some(id)).await?;
    if stream.spec.delivery == Delivery::Poll { Ok(stream) } else { Err(Reason::StreamUnknown) }
}

async fn waiting(app: &App, stream: &Stream, most: i64) -> Result<Polled, Reason> {
    let id = stream.id.clone();
    // One more than is wanted, to know whether there is more.
    let mut events = store(app, async move |db| outbox(&db, &id, most.saturating_add(1)).await).await?;
    if stream.state != StreamState::Enabled {
        events.retain(is_of_stream);
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let more_available = events.len() > most;
    let sets = events.iter().take(most).map(|event| Ok((event.id.clone(), sign(app, event)?)));
    Ok(Polled { sets: sets.collect::<Result<_, Reason>>()?, more_available })
}
