//! What nodes tell one another of a sink's delivery: who is at it, which batch is on its way, and
//! what has arrived.
//!
//! A batch is stored before it is first sent, so that a retry, by whichever node, is the same
//! batch by the same name. It is done, and the positions move, in one transaction and only while
//! the batch is still the one that was sent.

use super::SINKS_LIMIT;
use super::rows::{AuditSinkPositionRow, AuditSinkRow, SinkDeliveryRow};
use crate::db::{Db, DbError, Pools, read};
use crate::queries::{OwnerFilter, Page, database_time};
use crate::tables::{audit_sink_deliveries as deliveries, audit_sink_positions as positions, audit_sinks as sinks};
use diesel::prelude::*;
use diesel_async::{AsyncConnection, AsyncPgConnection};
use std::collections::BTreeMap;

/// What arrived.
#[derive(Clone, Debug)]
pub struct BatchDone {
    pub sink_id: String,
    pub holder: String,
    /// The batch as it was stored; empty where there was nothing to send.
    pub batch: String,
    /// How far it reaches: chains and numbers.
    pub reached: Vec<(String, i64)>,
    /// Records in it; 0 where nothing was sent.
    pub records: i64,
    /// Seconds.
    pub now: i64,
}

/// Runs what changes rows in one transaction, on whichever backend.
macro_rules! transact {
    ($db:expr, |$conn:ident| $steps:expr) => {{
        let db: &Db = $db;
        match &*db.pools {
            Pools::Pg(pool) => {
                let run = async {
                    let mut taken = pool.take().await?;
                    let conn: &mut AsyncPgConnection = &mut taken;
                    conn.transaction(async |$conn| {
                        #[allow(unused_macros)]
                        macro_rules! run {
                            ($query:expr) => {
                                diesel_async::RunQueryDsl::execute($query, &mut *$conn).await
                            };
                        }
                        $steps
                    })
                    .await
                    .map_err(DbError::from_diesel)
                };
                tokio::time::timeout(db.limits.answer_timeout, run)
                    .await
                    .map_err(DbError::timed_out)
                    .and_then(|changed| changed)
            }
            Pools::Lite(pools) => {
                pools
                    .write
                    .run(move |conn| {
                        conn.immediate_transaction(|$conn| {
                            #[allow(unused_macros)]
                            macro_rules! run {
                                ($query:expr) => {
                                    diesel::RunQueryDsl::execute($query, &mut *$conn)
                                };
                            }
                            $steps
                        })
                    })
                    .await
            }
        }
    }};
}

/// Sinks that are delivered to, at most [`SINKS_LIMIT`].
pub async fn active_sinks(db: &Db) -> Result<Vec<AuditSinkRow>, DbError> {
    read!(
        db,
        get_results::<AuditSinkRow>,
        sinks::table
            .filter(sinks::state.eq("active"))
            .order(sinks::id.asc())
            .limit(SINKS_LIMIT)
            .select(AuditSinkRow::as_select())
    )
}

/// Sinks of owners, or all of them with the deployment's.
pub async fn list_sinks(db: &Db, owners: &OwnerFilter, page: &Page) -> Result<Vec<AuditSinkRow>, DbError> {
    let (after, limit) = page.parts();
    let only = owners.only();
    read!(db, get_results::<AuditSinkRow>, {
        let mut query = sinks::table.select(AuditSinkRow::as_select()).into_boxed::<B>().filter(sinks::id.gt(after));
        if let Some(only) = only {
            query = query.filter(sinks::owner_id.assume_not_null().eq_any(only));
        }
        query.order(sinks::id.asc()).limit(limit)
    })
}

/// How delivery to several sinks goes; one that nobody has looked at yet has no row.
pub async fn deliveries_of(db: &Db, ids: &[String]) -> Result<Vec<SinkDeliveryRow>, DbError> {
    let ids = ids.to_vec();
    read!(
        db,
        get_results::<SinkDeliveryRow>,
        deliveries::table.filter(deliveries::sink_id.eq_any(ids)).select(SinkDeliveryRow::as_select())
    )
}

/// Up to where a sink has what it wants, by chain.
pub async fn positions_of(db: &Db, sink_id: &str) -> Result<BTreeMap<String, i64>, DbError> {
    let sink_id = sink_id.to_owned();
    let rows = read!(
        db,
        get_results::<AuditSinkPositionRow>,
        positions::table.filter(positions::sink_id.eq(sink_id)).select(AuditSinkPositionRow::as_select())
    )?;
    Ok(rows.into_iter().map(|row| (row.writer, row.n)).collect())
}

/// Takes a sink's delivery for `micros`, by the database's clock: whoever has it keeps it, and
/// nobody else gets it meanwhile. Answers how it stands, where it is ours.
pub async fn claim(db: &Db, sink_id: &str, holder: &str, micros: i64) -> Result<Option<SinkDeliveryRow>, DbError> {
    let now = database_time(db).await?;
    let until = now.saturating_add(micros);
    let fresh = SinkDeliveryRow {
        sink_id: sink_id.to_owned(),
        lease_holder: holder.to_owned(),
        leased_until: until,
        opened: false,
        batch: String::new(),
        attempts: 0,
        due_at: 0,
        records: 0,
        batches: 0,
        failed: 0,
        missed: 0,
        delivered_at: None,
        failed_at: None,
        failure: None,
    };
    let (id, owned) = (sink_id.to_owned(), holder.to_owned());
    let ours = transact!(db, |conn| {
        run!(diesel::insert_into(deliveries::table).values(&fresh).on_conflict_do_nothing())?;
        run!(
            diesel::update(
                deliveries::table
                    .find(&id)
                    .filter(deliveries::lease_holder.eq(&owned).or(deliveries::leased_until.lt(now)))
            )
            .set((deliveries::lease_holder.eq(&owned), deliveries::leased_until.eq(until)))
        )
    })?;
    if ours == 0 {
        return Ok(None);
    }
    let found = deliveries_of(db, &[sink_id.to_owned()]).await?;
    Ok(found.into_iter().next().filter(|row| row.lease_holder == holder))
}

/// Notes where a sink begins. Done once.
pub async fn open_sink(db: &Db, sink_id: &str, holder: &str, begins: BTreeMap<String, i64>) -> Result<bool, DbError> {
    let (id, holder) = (sink_id.to_owned(), holder.to_owned());
    let rows: Vec<AuditSinkPositionRow> =
        begins.into_iter().map(|(writer, n)| AuditSinkPositionRow { sink_id: sink_id.to_owned(), writer, n }).collect();
    let opened = transact!(db, |conn| {
        let opened = run!(
            diesel::update(
                deliveries::table
                    .find(&id)
                    .filter(deliveries::lease_holder.eq(&holder))
                    .filter(deliveries::opened.eq(false))
            )
            .set(deliveries::opened.eq(true))
        )?;
        if opened == 1 {
            for row in &rows {
                run!(diesel::insert_into(positions::table).values(row).on_conflict_do_nothing())?;
            }
        }
        Ok(opened)
    })?;
    Ok(opened == 1)
}

/// Stores what is going to be sent, where nothing else is on its way.
pub async fn start_batch(db: &Db, sink_id: &str, holder: &str, batch: &str) -> Result<bool, DbError> {
    let (id, holder, batch) = (sink_id.to_owned(), holder.to_owned(), batch.to_owned());
    let stored = transact!(db, |conn| {
        run!(
            diesel::update(
                deliveries::table
                    .find(&id)
                    .filter(deliveries::lease_holder.eq(&holder))
                    .filter(deliveries::batch.eq(""))
            )
            .set(deliveries::batch.eq(&batch))
        )
    })?;
    Ok(stored == 1)
}

/// Moves the positions past what arrived. Whether it was still ours to move.
pub async fn finish_batch(db: &Db, done: &BatchDone) -> Result<bool, DbError> {
    let done = done.clone();
    let finished = transact!(db, |conn| {
        let sent = i64::from(done.records > 0);
        let ours = deliveries::table
            .find(&done.sink_id)
            .filter(deliveries::lease_holder.eq(&done.holder))
            .filter(deliveries::batch.eq(&done.batch));
        let finished = if sent == 1 {
            run!(diesel::update(ours).set((
                deliveries::batch.eq(""),
                deliveries::attempts.eq(0),
                deliveries::due_at.eq(0),
                deliveries::records.eq(deliveries::records + done.records),
                deliveries::batches.eq(deliveries::batches + sent),
                deliveries::delivered_at.eq(Some(done.now)),
            )))?
        } else {
            run!(diesel::update(ours).set((
                deliveries::batch.eq(""),
                deliveries::attempts.eq(0),
                deliveries::due_at.eq(0),
            )))?
        };
        if finished == 1 {
            for (writer, n) in &done.reached {
                let row = AuditSinkPositionRow { sink_id: done.sink_id.clone(), writer: writer.clone(), n: *n };
                run!(
                    diesel::insert_into(positions::table)
                        .values(&row)
                        .on_conflict((positions::sink_id, positions::writer))
                        .do_update()
                        .set(positions::n.eq(row.n))
                )?;
            }
        }
        Ok(finished)
    })?;
    Ok(finished == 1)
}

/// Counts a try that came to nothing and says when the next is due; `failure` is a word of ours.
pub async fn note_failure(
    db: &Db,
    (sink_id, holder): (&str, &str),
    failure: &str,
    (now, due_at): (i64, i64),
) -> Result<bool, DbError> {
    let (id, holder, failure) = (sink_id.to_owned(), holder.to_owned(), failure.to_owned());
    let noted = transact!(db, |conn| {
        run!(diesel::update(deliveries::table.find(&id).filter(deliveries::lease_holder.eq(&holder))).set((
            deliveries::attempts.eq(deliveries::attempts + 1),
            deliveries::failed.eq(deliveries::failed + 1),
            deliveries::due_at.eq(due_at),
            deliveries::failed_at.eq(Some(now)),
            deliveries::failure.eq(Some(&failure)),
        )))
    })?;
    Ok(noted == 1)
}

/// Takes a sink past what was pruned while it was paused, and counts what it has missed.
pub async fn skip_pruned(db: &Db, sink_id: &str, writer: &str, to: i64, missed: i64) -> Result<(), DbError> {
    let row = AuditSinkPositionRow { sink_id: sink_id.to_owned(), writer: writer.to_owned(), n: to };
    transact!(db, |conn| {
        run!(
            diesel::insert_into(positions::table)
                .values(&row)
                .on_conflict((positions::sink_id, positions::writer))
                .do_update()
                .set(positions::n.eq(row.n))
        )?;
        run!(
            diesel::update(deliveries::table.find(&row.sink_id))
                .set(deliveries::missed.eq(deliveries::missed + missed))
        )
    })?;
    Ok(())
}

/// Has a sink's next try made now.
pub async fn hasten(db: &Db, sink_id: &str) -> Result<(), DbError> {
    let id = sink_id.to_owned();
    transact!(db, |conn| {
        run!(diesel::update(deliveries::table.find(&id)).set((deliveries::due_at.eq(0), deliveries::attempts.eq(0))))
    })?;
    Ok(())
}

/// Whose the sinks are, one for each, at most [`SINKS_LIMIT`].
pub async fn all_sink_owners(db: &Db) -> Result<Vec<Option<String>>, DbError> {
    read!(
        db,
        get_results::<Option<String>>,
        sinks::table.order(sinks::id.asc()).limit(SINKS_LIMIT).select(sinks::owner_id)
    )
}
