//! Streams as administrators see and stop them. What an admin has stopped, its receiver can
//! neither start again nor get rid of: only an admin lets it go on.

use super::event::EventKind;
use super::stream::{Delivery, Stream, StreamState};
use super::streams::{copy, of_stream, row};
use crate::app::App;
use crate::reason::Reason;
use serde_json::{Map, Value};
use stipend_schema::signals::{NOT_PUSHED, SignalDeliveryRow, clear_outbox, forget_deliveries, redirect_events};
use stipend_schema::{Db, DbError, Note, Row, Table, Write};

/// What a receiver reads of an admin's decision; the admin's own words are for admins.
const HELD: &str = "an administrator has stopped it";

/// A stream, and how its delivery goes.
#[derive(Debug)]
pub struct Overseen {
    pub stream: Stream,
    /// Events that its receiver has not taken yet.
    pub waiting: i64,
    /// Nothing, where nothing was ever tried.
    pub delivery: Option<SignalDeliveryRow>,
}

impl Overseen {
    /// The events that it is told of.
    pub fn events(&self) -> impl Iterator<Item = &'static str> {
        EventKind::OFFERED.into_iter().filter(|kind| self.stream.delivers(*kind)).map(EventKind::uri)
    }

    /// Where a push goes: the host alone, because a path may be a secret.
    #[must_use]
    pub fn receiver(&self) -> Option<&str> {
        match &self.stream.spec.delivery {
            Delivery::Push { endpoint_url } => endpoint_url.host_str(),
            Delivery::Poll => None,
        }
    }
}

/// The stream in another state by an admin's word, and what is to be written. The receiver is
/// told before it is told nothing more (SSF section 8.1.5).
///
/// # Errors
/// [`Reason::Internal`].
pub fn order(
    app: &App,
    have: &Stream,
    to: StreamState,
    why: &str,
    request_id: &str,
) -> Result<(Stream, Vec<Write>), Reason> {
    let mut stream = Stream { state: to, ..copy(have) };
    let stops = to != StreamState::Enabled;
    stream.spec.held = stops.then(|| why.to_owned());
    stream.state_reason = stops.then(|| HELD.to_owned());
    let mut writes = vec![Write::Update(Row::SignalStream(row(&stream, app.clock.now())?))];
    if have.state != to {
        let said = [("status", Some(to.as_str())), ("reason", stops.then_some(HELD))];
        let said = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
        let detail: Map<String, Value> = said.collect();
        let told = of_stream(EventKind::StreamUpdated, &stream, detail).for_stream(app, &stream, request_id);
        writes.push(Write::Note(Note::Signal(told)));
    }
    Ok((stream, writes))
}

/// What removes a stream.
#[must_use]
pub fn removal(stream: &Stream) -> Write {
    Write::Delete(Table::SignalStream, stream.id.clone())
}

/// What waits goes the way of the stream: on again it is due at once, off it is dropped, all but
/// what says so.
///
/// # Errors
/// [`DbError`].
pub async fn follow(db: &Db, stream: &str, to: StreamState, pushes: bool, now: i64) -> Result<(), DbError> {
    match to {
        StreamState::Enabled => redirect_events(db, stream, if pushes { now } else { NOT_PUSHED }).await?,
        StreamState::Disabled => clear_outbox(db, stream, Some(EventKind::StreamUpdated.uri())).await?,
        StreamState::Paused => 0,
    };
    Ok(())
}

/// Removes what is left of a stream.
///
/// # Errors
/// [`DbError`].
pub async fn forget(db: &Db, stream: &str) -> Result<(), DbError> {
    clear_outbox(db, stream, None).await?;
    forget_deliveries(db, stream).await?;
    Ok(())
}
