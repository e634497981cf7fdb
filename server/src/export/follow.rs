//! Following the audit live: server-sent events, each with the cursor to go on from.
//!
//! A follower is read for by a task of its own, which ends when its caller may no longer read what
//! it reads, when the server stops, when it does not take what it is sent, or when it has gone.
//! Whatever ends it, it goes on from its last cursor.

use super::cursor::Place;
use super::read::next;
use super::sink::Format;
use super::{Exports, native};
use crate::app::App;
use crate::limits::{
    AUDIT_HEARTBEAT, AUDIT_RECHECK_EVERY, AUDIT_SLOW_READER, MAX_AUDIT_FOLLOWERS, MAX_AUDIT_FOLLOWERS_OF_CALLER,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use stipend_schema::sinks::FeedFilter;
use stipend_schema::{AuditRow, DbError};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A place among those who follow, given back when it is dropped.
#[derive(Debug)]
pub struct Seat {
    app: Arc<App>,
    caller: String,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.app.exports.followers.lock();
        if let Some(count) = seats.get_mut(&self.caller) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                seats.remove(&self.caller);
            }
        }
    }
}

impl Seat {
    /// A place for one more follower, if this node and this caller have room.
    #[must_use]
    pub fn take(app: &Arc<App>, caller: &str) -> Option<Self> {
        let mut seats = app.exports.followers.lock();
        let all: usize = seats.values().sum();
        let own = seats.get(caller).copied().unwrap_or(0);
        if all >= MAX_AUDIT_FOLLOWERS || own >= MAX_AUDIT_FOLLOWERS_OF_CALLER {
            return None;
        }
        seats.insert(caller.to_owned(), own.saturating_add(1));
        Some(Self { app: Arc::clone(app), caller: caller.to_owned() })
    }
}

/// What a follower wants.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub filter: FeedFilter,
    pub format: Format,
}

/// Asks whether the caller still may.
pub type May = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

/// Why it ended, for the log and for the follower.
enum Ended {
    Gone,
    Slow,
    Stopping,
    NotAllowed,
    Unreadable,
    TooManyChains,
}

impl Ended {
    /// What the follower is told, where it can be.
    const fn comment(&self) -> Option<&'static str> {
        match self {
            Self::Gone | Self::Slow => None,
            Self::Stopping => Some("the server stops: come back"),
            Self::NotAllowed => Some("the access token has ended, or allows less than it did"),
            Self::Unreadable => Some("the audit can't be read now: come back"),
            Self::TooManyChains => Some("too much is behind: use the export"),
        }
    }
}

/// Sends what comes until something ends it. `may` says whether the caller still may.
pub async fn follow(seat: Seat, mut place: Place, wanted: Wanted, may: May, out: mpsc::Sender<Bytes>) {
    let app = Arc::clone(&seat.app);
    let ended = run(&app, &mut place, &wanted, &may, &out).await;
    if let Some(comment) = ended.comment() {
        let _ = timeout(AUDIT_SLOW_READER, out.send(Bytes::from(format!(": {comment}\n\n")))).await;
    }
    drop(seat);
}

async fn run(app: &App, place: &mut Place, wanted: &Wanted, may: &May, out: &mpsc::Sender<Bytes>) -> Ended {
    let mut heads = app.exports.heads();
    let mut stopping = app.exports.stopping();
    let (mut checked, mut spoke) = (Instant::now(), Instant::now());
    if !say(out, opening(place)).await {
        return Ended::Slow;
    }
    loop {
        if *stopping.borrow() {
            return Ended::Stopping;
        }
        if checked.elapsed() >= AUDIT_RECHECK_EVERY {
            if !may().await {
                return Ended::NotAllowed;
            }
            checked = Instant::now();
        }
        match send_next(app, place, wanted, &mut heads, out).await {
            Ok(Sent::Records) => {
                spoke = Instant::now();
                continue;
            }
            Ok(Sent::Nothing) => {}
            Ok(Sent::Ended(ended)) => return ended,
            Err(_) => return Ended::Unreadable,
        }
        if spoke.elapsed() >= AUDIT_HEARTBEAT {
            let Some(cursor) = place.cursor() else { return Ended::TooManyChains };
            if !say(out, format!(": alive\nid: {}\n\n", cursor.to_text())).await {
                return Ended::Slow;
            }
            spoke = Instant::now();
        }
        tokio::select! {
            _ = heads.changed() => {}
            _ = stopping.changed() => {}
            () = tokio::time::sleep(AUDIT_RECHECK_EVERY) => {}
            () = out.closed() => return Ended::Gone,
        }
    }
}

enum Sent {
    Records,
    Nothing,
    Ended(Ended),
}

async fn send_next(
    app: &App,
    place: &mut Place,
    wanted: &Wanted,
    heads: &mut super::Heads,
    out: &mpsc::Sender<Bytes>,
) -> Result<Sent, DbError> {
    let known = heads.borrow_and_update().clone();
    let (db, now) = (app.store.db().clone(), app.clock.micros());
    let (positions, filter, all) = (place.positions().clone(), wanted.filter.clone(), Arc::clone(&known.heads));
    let read = app.store.run(async move { next(&db, &positions, &all, &filter).await }).await;
    let plan = read.map_err(|_| DbError::Unavailable("the store stopped".to_owned()))??;
    if plan.runs.is_empty() {
        place.settle(known.at);
        return Ok(Sent::Nothing);
    }
    for row in &plan.rows {
        place.reach(&row.writer, row.n, now);
        let Some(cursor) = place.cursor() else { return Ok(Sent::Ended(Ended::TooManyChains)) };
        let text = format!("id: {}\nevent: record\ndata: {}\n\n", cursor.to_text(), written(wanted.format, row));
        if !say(out, text).await {
            return Ok(Sent::Ended(Ended::Slow));
        }
    }
    for run in &plan.runs {
        place.reach(&run.writer, run.to, now);
    }
    Ok(Sent::Records)
}

/// Says that it has begun and from where, so that whoever is cut off before the first record goes
/// on from here.
fn opening(place: &Place) -> String {
    let id = place.cursor().map(|cursor| format!("id: {}\n", cursor.to_text())).unwrap_or_default();
    format!(": following\n{id}\n")
}

/// Whether it was taken in time.
async fn say(out: &mpsc::Sender<Bytes>, text: String) -> bool {
    matches!(timeout(AUDIT_SLOW_READER, out.send(Bytes::from(text))).await, Ok(Ok(())))
}

/// A record as the search shows it, or as an event of OCSF. In one line: JSON has no other breaks.
pub fn written(format: Format, row: &AuditRow) -> Value {
    match format {
        Format::Native => {
            let mut item = native(row);
            let record = serde_json::from_str::<Value>(&row.record).ok();
            if let (Some(Value::Object(mut record)), Some(item)) = (record, item.as_object_mut()) {
                record.insert("hash".to_owned(), item.remove("hash").unwrap_or_default());
                return Value::Object(record);
            }
            item
        }
        Format::Ocsf => super::ocsf::event(&row.record).unwrap_or_else(|| json!({ "record": row.record })),
    }
}

impl Exports {
    /// Whether anybody follows.
    pub(super) fn is_followed(&self) -> bool {
        !self.followers.lock().is_empty()
    }
}
