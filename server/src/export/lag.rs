//! How far sinks are behind: in records, and in seconds of the oldest that has not arrived.

use super::sink::Sink;
use crate::app::App;
use crate::clock::MICROS_PER_SECOND;
use crate::limits::AUDIT_CHAINS_AT_ONCE;
use stipend_schema::sinks::{
    ChainHead, SinkDeliveryRow, active_sinks, chain_heads, deliveries_of, first_after, positions_of, positions_since,
};
use stipend_schema::{Db, DbError};

/// How far one sink is behind. Records that it does not want count until they were looked at.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lag {
    pub records: i64,
    /// Age of the oldest of them, in seconds; 0 where there is none.
    pub seconds: i64,
}

impl Lag {
    /// The greater of each.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { records: self.records.max(other.records), seconds: self.seconds.max(other.seconds) }
    }
}

/// The numbers of one active sink, for whoever collects numbers.
#[derive(Clone, Debug)]
pub struct Numbers {
    pub sink: String,
    pub owner: Option<String>,
    pub lag: Lag,
    pub delivery: Option<SinkDeliveryRow>,
}

/// How far a sink is behind these heads, at `now` in seconds.
///
/// # Errors
/// [`DbError`].
pub async fn lag_of(
    db: &Db,
    sink: &Sink,
    delivery: Option<&SinkDeliveryRow>,
    heads: &[ChainHead],
    now: i64,
) -> Result<Lag, DbError> {
    let positions = match delivery.filter(|delivery| delivery.opened) {
        Some(_) => positions_of(db, &sink.id).await?,
        None => positions_since(db, sink.spec.since).await?,
    };
    let at = |head: &ChainHead| positions.get(&head.writer).copied().unwrap_or(0);
    let records = heads.iter().map(|head| head.n.saturating_sub(at(head)).max(0)).fold(0_i64, i64::saturating_add);
    let mut oldest: Option<i64> = None;
    for head in heads.iter().filter(|head| head.n > at(head)).take(AUDIT_CHAINS_AT_ONCE) {
        if let Some((_, made, _)) = first_after(db, &head.writer, at(head)).await? {
            oldest = Some(oldest.map_or(made, |oldest| oldest.min(made)));
        }
    }
    let seconds = oldest.map_or(0, |oldest| now.saturating_sub(oldest / MICROS_PER_SECOND).max(0));
    Ok(Lag { records, seconds })
}

/// The numbers of all active sinks.
///
/// # Errors
/// [`DbError`].
pub async fn numbers(app: &App) -> Result<Vec<Numbers>, DbError> {
    let db = app.store.db();
    let sinks: Vec<Sink> = active_sinks(db).await?.into_iter().filter_map(|row| Sink::read(row).ok()).collect();
    if sinks.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = sinks.iter().map(|sink| sink.id.clone()).collect();
    let (heads, mut deliveries) = (chain_heads(db).await?, deliveries_of(db, &ids).await?);
    let now = app.clock.now();
    let mut all = Vec::with_capacity(sinks.len());
    for sink in sinks {
        let place = deliveries.iter().position(|delivery| delivery.sink_id == sink.id);
        let delivery = place.map(|place| deliveries.swap_remove(place));
        let lag = lag_of(db, &sink, delivery.as_ref(), &heads, now).await?;
        all.push(Numbers { sink: sink.id, owner: sink.owner, lag, delivery });
    }
    Ok(all)
}
