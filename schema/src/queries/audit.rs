//! The audit as it is searched, exported and proved.

use super::OwnerFilter;
use crate::audit::{Anchor, WRITER_STARTED, WriterHead};
use crate::db::{Db, DbError, read};
use crate::rows::{AuditCheckpointRow, AuditRow};
use crate::sinks::pruning_of;
use crate::tables::{audit_checkpoints, audit_records as records, audit_writers as writers};
use diesel::prelude::*;

/// Longest page of audit records.
pub const AUDIT_PAGE_LIMIT: i64 = 500;
/// Most writers listed at once.
pub const WRITER_PAGE_LIMIT: i64 = 200;

/// A record's place in the order of the search: newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCursor {
    pub at: i64,
    pub writer: String,
    pub n: i64,
}

/// What is searched for; times in microseconds, `since` included, `until` not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditFilter {
    /// Matches a record's owner or its subject's owner.
    pub owners: OwnerFilter,
    pub event: Option<String>,
    pub outcome: Option<String>,
    pub client_id: Option<String>,
    pub jti: Option<String>,
    pub since: Option<i64>,
    pub until: Option<i64>,
    /// The other way round.
    pub oldest_first: bool,
}

/// Records that match, in the order asked for, after `cursor`, at most [`AUDIT_PAGE_LIMIT`].
pub async fn audit_records(
    db: &Db,
    filter: &AuditFilter,
    cursor: Option<&AuditCursor>,
    limit: i64,
) -> Result<Vec<AuditRow>, DbError> {
    let limit = limit.clamp(1, AUDIT_PAGE_LIMIT);
    let filter = filter.clone();
    let cursor = cursor.cloned();
    read!(db, get_results::<AuditRow>, {
        let mut query = records::table.select(AuditRow::as_select()).into_boxed::<B>();
        if let Some(only) = filter.owners.only() {
            query = query.filter(
                records::owner_id
                    .assume_not_null()
                    .eq_any(only.clone())
                    .or(records::subject_owner_id.assume_not_null().eq_any(only)),
            );
        }
        if let Some(event) = filter.event {
            query = query.filter(records::event.eq(event));
        }
        if let Some(outcome) = filter.outcome {
            query = query.filter(records::outcome.eq(outcome));
        }
        if let Some(client_id) = filter.client_id {
            query = query.filter(records::client_id.eq(client_id));
        }
        if let Some(jti) = filter.jti {
            query = query.filter(records::jti.eq(jti));
        }
        if let Some(since) = filter.since {
            query = query.filter(records::at.ge(since));
        }
        if let Some(until) = filter.until {
            query = query.filter(records::at.lt(until));
        }
        if let Some(AuditCursor { at, writer, n }) = cursor {
            // The bound on the time says nothing new, but it is what an index can begin at: without
            // it each page reads again all that lies before it.
            query = if filter.oldest_first {
                query.filter(records::at.ge(at)).filter(
                    records::at.gt(at).or(records::at
                        .eq(at)
                        .and(records::writer.gt(writer.clone()).or(records::writer.eq(writer).and(records::n.gt(n))))),
                )
            } else {
                query.filter(records::at.le(at)).filter(
                    records::at.lt(at).or(records::at
                        .eq(at)
                        .and(records::writer.lt(writer.clone()).or(records::writer.eq(writer).and(records::n.lt(n))))),
                )
            };
        }
        if filter.oldest_first {
            query.order((records::at.asc(), records::writer.asc(), records::n.asc())).limit(limit)
        } else {
            query.order((records::at.desc(), records::writer.desc(), records::n.desc())).limit(limit)
        }
    })
}

/// One writer's records after `n`, in order: what an export and a proof walk.
pub async fn audit_export(db: &Db, writer: &str, after: i64, limit: i64) -> Result<Vec<AuditRow>, DbError> {
    let writer = writer.to_owned();
    let limit = limit.clamp(1, AUDIT_PAGE_LIMIT);
    read!(
        db,
        get_results::<AuditRow>,
        records::table
            .filter(records::writer.eq(writer))
            .filter(records::n.gt(after))
            .order(records::n.asc())
            .limit(limit)
            .select(AuditRow::as_select())
    )
}

/// Writers with their newest record, by id after `after`, at most [`WRITER_PAGE_LIMIT`].
pub async fn audit_writers(db: &Db, after: &str) -> Result<Vec<WriterHead>, DbError> {
    let after = after.to_owned();
    let ids = read!(
        db,
        get_results::<String>,
        writers::table
            .filter(writers::writer.gt(after))
            .order(writers::writer.asc())
            .limit(WRITER_PAGE_LIMIT)
            .select(writers::writer)
    )?;
    let mut heads = Vec::with_capacity(ids.len());
    for writer in ids {
        let id = writer.clone();
        let newest = read!(
            db,
            get_results::<(i64, Vec<u8>)>,
            records::table
                .filter(records::writer.eq(id))
                .order(records::n.desc())
                .limit(1)
                .select((records::n, records::hash))
        )?;
        // A writer without records, or with a hash of a wrong length, was tampered with: it is
        // listed at zero, so that the proof trips over it.
        let head = newest.into_iter().next().and_then(|(n, hash)| Some((n, hash.try_into().ok()?)));
        // One whose records were all pruned stands where it was cut.
        let head = match head {
            None => pruning_of(db, &writer).await?.and_then(|row| Some((row.n, row.hash.try_into().ok()?))),
            found => found,
        };
        let (n, hash) = head.unwrap_or_default();
        heads.push(WriterHead { writer, n, hash });
    }
    Ok(heads)
}

/// Every anchor that writers' first records name, of writers with an id after `after`.
/// Answers the last writer looked at too, to go on from; `None` at the end.
pub async fn audit_anchors(db: &Db, after: &str) -> Result<(Vec<Anchor>, Option<String>), DbError> {
    let after = after.to_owned();
    let rows = read!(
        db,
        get_results::<AuditRow>,
        records::table
            .filter(records::n.eq(1))
            .filter(records::event.eq(WRITER_STARTED))
            .filter(records::writer.gt(after))
            .order(records::writer.asc())
            .limit(WRITER_PAGE_LIMIT)
            .select(AuditRow::as_select())
    )?;
    let next = rows.last().map(|row| row.writer.clone());
    Ok((rows.iter().flat_map(Anchor::named_by).collect(), next))
}

/// A writer's signed checkpoints after `n`, in order.
pub async fn checkpoints_of(db: &Db, writer: &str, after: i64) -> Result<Vec<AuditCheckpointRow>, DbError> {
    let writer = writer.to_owned();
    read!(
        db,
        get_results::<AuditCheckpointRow>,
        audit_checkpoints::table
            .filter(audit_checkpoints::writer.eq(writer))
            .filter(audit_checkpoints::n.gt(after))
            .order(audit_checkpoints::n.asc())
            .limit(AUDIT_PAGE_LIMIT)
            .select(AuditCheckpointRow::as_select())
    )
}

/// A writer's newest checkpoint.
pub async fn newest_checkpoint(db: &Db, writer: &str) -> Result<Option<AuditCheckpointRow>, DbError> {
    let writer = writer.to_owned();
    let rows = read!(
        db,
        get_results::<AuditCheckpointRow>,
        audit_checkpoints::table
            .filter(audit_checkpoints::writer.eq(writer))
            .order(audit_checkpoints::n.desc())
            .limit(1)
            .select(AuditCheckpointRow::as_select())
    )?;
    Ok(rows.into_iter().next())
}
