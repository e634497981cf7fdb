//! How the delivery of a stream's events goes: for people, and never read to decide anything.

use super::outbox::change;
use crate::db::{Db, DbError, Pools, read};
use crate::rows::row;
use crate::tables::{self, budget_exhaustions, signal_deliveries, signal_outbox};
use diesel::prelude::*;

row! {
    #[derive(Debug)]
    SignalDeliveryRow of signal_deliveries (stream_id) {
        stream_id: String,
        delivered: i64,
        failed: i64,
        delivered_at: Option<i64>,
        failed_at: Option<i64>,
        failure: Option<String>,
    }
}

/// Of several streams; one of which nothing was ever tried has none.
pub async fn deliveries(db: &Db, streams: &[String]) -> Result<Vec<SignalDeliveryRow>, DbError> {
    let streams = streams.to_vec();
    read!(
        db,
        get_results::<SignalDeliveryRow>,
        signal_deliveries::table
            .filter(signal_deliveries::stream_id.eq_any(streams))
            .select(SignalDeliveryRow::as_select())
    )
}

/// How many events of each stream wait.
pub async fn waiting(db: &Db, streams: &[String]) -> Result<Vec<(String, i64)>, DbError> {
    let streams = streams.to_vec();
    read!(
        db,
        get_results::<(String, i64)>,
        signal_outbox::table
            .filter(signal_outbox::stream_id.eq_any(streams))
            .group_by(signal_outbox::stream_id)
            .select((signal_outbox::stream_id, diesel::dsl::count_star()))
    )
}

/// Counts events that a receiver has, at `now` in seconds.
pub async fn note_delivered(db: &Db, stream_id: &str, events: i64, now: i64) -> Result<usize, DbError> {
    let row = SignalDeliveryRow {
        stream_id: stream_id.to_owned(),
        delivered: events,
        failed: 0,
        delivered_at: Some(now),
        failed_at: None,
        failure: None,
    };
    change!(
        db,
        diesel::insert_into(signal_deliveries::table)
            .values(row)
            .on_conflict(signal_deliveries::stream_id)
            .do_update()
            .set((
                signal_deliveries::delivered.eq(signal_deliveries::delivered + events),
                signal_deliveries::delivered_at.eq(Some(now)),
            ))
    )
}

/// Counts a try that came to nothing; `failure` is a word of ours and nothing that was answered.
pub async fn note_failed(db: &Db, stream_id: &str, failure: &str, now: i64) -> Result<usize, DbError> {
    let failure = Some(failure.to_owned());
    let row = SignalDeliveryRow {
        stream_id: stream_id.to_owned(),
        delivered: 0,
        failed: 1,
        delivered_at: None,
        failed_at: Some(now),
        failure: failure.clone(),
    };
    change!(
        db,
        diesel::insert_into(signal_deliveries::table)
            .values(row)
            .on_conflict(signal_deliveries::stream_id)
            .do_update()
            .set((
                signal_deliveries::failed.eq(signal_deliveries::failed + 1),
                signal_deliveries::failed_at.eq(Some(now)),
                signal_deliveries::failure.eq(failure),
            ))
    )
}

/// Lines that were used up, of which nobody has been told yet, the oldest first.
pub async fn exhaustions(db: &Db, limit: i64) -> Result<Vec<String>, DbError> {
    let limit = limit.clamp(1, super::OUTBOX_PAGE);
    read!(
        db,
        get_results::<String>,
        budget_exhaustions::table
            .order((budget_exhaustions::at.asc(), budget_exhaustions::line_id.asc()))
            .limit(limit)
            .select(budget_exhaustions::line_id)
    )
}

/// Removes what is said of a stream that is gone.
pub async fn forget_deliveries(db: &Db, stream_id: &str) -> Result<usize, DbError> {
    let stream_id = stream_id.to_owned();
    change!(db, diesel::delete(signal_deliveries::table.find(stream_id)))
}
