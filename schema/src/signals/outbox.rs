//! Streams, and the outbox of each: what was written with the work that caused it stays until its
//! receiver has acknowledged it or its time is over.
//!
//! Whoever delivers claims an event first, for a while: two nodes seldom send the same one, and
//! that a receiver may get one twice is what its id is for.

use super::rows::{SignalEventRow, SignalStreamRow};
use crate::db::{Db, DbError, Pools, read};
use crate::queries::{OwnerFilter, Page};
use crate::tables::{signal_outbox, signal_streams};
use diesel::prelude::*;

/// Most events that one read of an outbox answers.
pub const OUTBOX_PAGE: i64 = 200;
/// When an event is due that nobody pushes.
pub const NOT_PUSHED: i64 = i64::MAX;

/// Changes rows of the outbox, and answers how many.
macro_rules! change {
    ($db:expr, $query:expr) => {
        match &*$db.pools {
            Pools::Pg(pool) => {
                let change = async {
                    let mut conn = pool.take().await?;
                    let conn: &mut diesel_async::AsyncPgConnection = &mut conn;
                    diesel_async::RunQueryDsl::execute($query, conn).await.map_err(DbError::from_diesel)
                };
                tokio::time::timeout($db.limits.answer_timeout, change)
                    .await
                    .map_err(DbError::timed_out)
                    .and_then(|changed| changed)
            }
            Pools::Lite(pools) => pools.write.run(move |conn| diesel::RunQueryDsl::execute($query, conn)).await,
        }
    };
}

pub(super) use change;

pub async fn find_stream(db: &Db, id: &str) -> Result<Option<SignalStreamRow>, DbError> {
    let id = id.to_owned();
    let found =
        read!(db, get_results::<SignalStreamRow>, signal_streams::table.find(id).select(SignalStreamRow::as_select()))?;
    Ok(found.into_iter().next())
}

/// A client has one stream at most.
pub async fn find_stream_of(db: &Db, client_id: &str) -> Result<Option<SignalStreamRow>, DbError> {
    let client_id = client_id.to_owned();
    let found = read!(
        db,
        get_results::<SignalStreamRow>,
        signal_streams::table.filter(signal_streams::client_id.eq(client_id)).select(SignalStreamRow::as_select())
    )?;
    Ok(found.into_iter().next())
}

pub async fn list_streams(db: &Db, owners: &OwnerFilter, page: &Page) -> Result<Vec<SignalStreamRow>, DbError> {
    let (after, limit) = page.parts();
    let only = owners.only();
    read!(db, get_results::<SignalStreamRow>, {
        let mut query = signal_streams::table
            .select(SignalStreamRow::as_select())
            .into_boxed::<B>()
            .filter(signal_streams::id.gt(after));
        if let Some(only) = only {
            query = query.filter(signal_streams::owner_id.eq_any(only));
        }
        query.order(signal_streams::id.asc()).limit(limit)
    })
}

/// The oldest events of a stream, at most `limit` of them.
pub async fn outbox(db: &Db, stream_id: &str, limit: i64) -> Result<Vec<SignalEventRow>, DbError> {
    let (stream_id, limit) = (stream_id.to_owned(), limit.clamp(1, OUTBOX_PAGE));
    read!(
        db,
        get_results::<SignalEventRow>,
        signal_outbox::table
            .filter(signal_outbox::stream_id.eq(stream_id))
            .order((signal_outbox::created_at.asc(), signal_outbox::id.asc()))
            .limit(limit)
            .select(SignalEventRow::as_select())
    )
}

/// How many events of a stream wait.
pub async fn outbox_len(db: &Db, stream_id: &str) -> Result<i64, DbError> {
    let stream_id = stream_id.to_owned();
    read!(db, get_result::<i64>, signal_outbox::table.filter(signal_outbox::stream_id.eq(stream_id)).count())
}

/// Events whose time to be pushed has come.
pub async fn due_events(db: &Db, now: i64) -> Result<Vec<SignalEventRow>, DbError> {
    read!(
        db,
        get_results::<SignalEventRow>,
        signal_outbox::table
            .filter(signal_outbox::due_at.le(now))
            .order(signal_outbox::due_at.asc())
            .limit(OUTBOX_PAGE)
            .select(SignalEventRow::as_select())
    )
}

/// Sets an event's time anew, if nobody else has meanwhile; `tried`: that is one try more.
pub async fn put_off(db: &Db, event: &SignalEventRow, until: i64, tried: bool) -> Result<bool, DbError> {
    let (id, was, attempts) = (event.id.clone(), event.due_at, event.attempts.saturating_add(i64::from(tried)));
    let changed = change!(
        db,
        diesel::update(signal_outbox::table.find(id).filter(signal_outbox::due_at.eq(was)))
            .set((signal_outbox::due_at.eq(until), signal_outbox::attempts.eq(attempts)))
    )?;
    Ok(changed == 1)
}

/// Has all events of a stream pushed from `at` on, or by nobody ([`NOT_PUSHED`]); they have not
/// been tried then.
pub async fn redirect_events(db: &Db, stream_id: &str, at: i64) -> Result<usize, DbError> {
    let stream_id = stream_id.to_owned();
    change!(
        db,
        diesel::update(signal_outbox::table.filter(signal_outbox::stream_id.eq(stream_id)))
            .set((signal_outbox::due_at.eq(at), signal_outbox::attempts.eq(0)))
    )
}

/// Removes events of a stream that its receiver has.
pub async fn remove_events(db: &Db, stream_id: &str, ids: &[String]) -> Result<usize, DbError> {
    let (stream_id, ids) = (stream_id.to_owned(), ids.to_vec());
    change!(
        db,
        diesel::delete(
            signal_outbox::table.filter(signal_outbox::stream_id.eq(stream_id)).filter(signal_outbox::id.eq_any(ids))
        )
    )
}

/// Removes whatever a stream was to be told, but what has `except` in its claims: the URI of an
/// event.
pub async fn clear_outbox(db: &Db, stream_id: &str, except: Option<&str>) -> Result<usize, DbError> {
    let stream_id = stream_id.to_owned();
    // Claims are JSON in one line: nothing has this.
    let kept = format!("%{}%", except.unwrap_or("\n"));
    change!(
        db,
        diesel::delete(
            signal_outbox::table
                .filter(signal_outbox::stream_id.eq(stream_id))
                .filter(signal_outbox::claims.not_like(kept))
        )
    )
}
