//! Reading the audit as it grows: the heads of all chains, and what lies between a position and
//! a head.

use crate::audit::Hash;
use crate::db::{Db, DbError, read};
use crate::queries::{AUDIT_PAGE_LIMIT, OwnerFilter};
use crate::rows::AuditRow;
use crate::tables::audit_records as records;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use std::collections::BTreeMap;

/// What a reader of the feed wants; a record must pass all that is said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FeedFilter {
    /// Matches a record's owner or its subject's owner.
    pub owners: OwnerFilter,
    /// Any of these; none: all events.
    pub events: Vec<String>,
    pub outcome: Option<String>,
    pub client_id: Option<String>,
    pub jti: Option<String>,
}

/// A chain, and the number of its newest record.
#[derive(Clone, Debug, Eq, PartialEq, diesel::QueryableByName)]
pub struct ChainHead {
    #[diesel(sql_type = Text)]
    pub writer: String,
    #[diesel(sql_type = BigInt)]
    pub n: i64,
}

/// All chains that have records, the one that began first in front. One look into the primary
/// key for each start of a process.
pub async fn chain_heads(db: &Db) -> Result<Vec<ChainHead>, DbError> {
    const TEXT: &str = "SELECT h.writer, h.n FROM (SELECT w.writer AS writer, w.started_at AS started_at, \
        (SELECT max(r.n) FROM audit_records r WHERE r.writer = w.writer) AS n FROM audit_writers w) h \
        WHERE h.n IS NOT NULL ORDER BY h.started_at, h.writer";
    read!(db, get_results::<ChainHead>, diesel::sql_query(TEXT))
}

/// What a reader has had who has had all that is older than `since` (microseconds): of each
/// chain that goes on after it, the number before its first such record; of the others all.
pub async fn positions_since(db: &Db, since: i64) -> Result<BTreeMap<String, i64>, DbError> {
    if since <= 0 {
        return Ok(BTreeMap::new());
    }
    let heads = chain_heads(db).await?;
    let mut positions: BTreeMap<String, i64> = heads.into_iter().map(|head| (head.writer, head.n)).collect();
    let first = read!(
        db,
        get_results::<(String, Option<i64>)>,
        records::table
            .filter(records::at.ge(since))
            .group_by(records::writer)
            .select((records::writer, diesel::dsl::min(records::n)))
    )?;
    for (writer, n) in first {
        positions.insert(writer, n.unwrap_or(1).saturating_sub(1));
    }
    Ok(positions)
}

/// The records of a chain after `after` and up to `to` that pass, in order, at most `limit`.
pub async fn records_between(
    db: &Db,
    (writer, after, to): (&str, i64, i64),
    filter: &FeedFilter,
    limit: i64,
) -> Result<Vec<AuditRow>, DbError> {
    let (writer, filter, limit) = (writer.to_owned(), filter.clone(), limit.clamp(1, AUDIT_PAGE_LIMIT));
    read!(db, get_results::<AuditRow>, {
        let mut query = records::table
            .select(AuditRow::as_select())
            .into_boxed::<B>()
            .filter(records::writer.eq(writer))
            .filter(records::n.gt(after))
            .filter(records::n.le(to));
        if let Some(only) = filter.owners.only() {
            query = query.filter(
                records::owner_id
                    .assume_not_null()
                    .eq_any(only.clone())
                    .or(records::subject_owner_id.assume_not_null().eq_any(only)),
            );
        }
        if !filter.events.is_empty() {
            query = query.filter(records::event.eq_any(filter.events));
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
        query.order(records::n.asc()).limit(limit)
    })
}

/// Number, time (microseconds) and hash of the first record of a chain after `after`.
pub async fn first_after(db: &Db, writer: &str, after: i64) -> Result<Option<(i64, i64, Hash)>, DbError> {
    let writer = writer.to_owned();
    let found = read!(
        db,
        get_results::<(i64, i64, Vec<u8>)>,
        records::table
            .filter(records::writer.eq(writer))
            .filter(records::n.gt(after))
            .order(records::n.asc())
            .limit(1)
            .select((records::n, records::at, records::hash))
    )?;
    Ok(found.into_iter().next().and_then(|(n, at, hash)| Some((n, at, hash.try_into().ok()?))))
}
