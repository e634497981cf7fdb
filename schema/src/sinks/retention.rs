//! What has left the audit: whole beginnings of chains that were pruned, and parts of records
//! that were redacted. Deciding and signing either is the server's; here is what that needs to
//! read, and the one statement that removes records.

use super::rows::{AuditPruningRow, AuditRedactionRow};
use crate::audit::Hash;
use crate::db::{Db, DbError, Pools, read};
use crate::rows::AuditRow;
use crate::tables::{
    audit_checkpoints as checkpoints, audit_prunings, audit_records as records, audit_redactions as redactions,
};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel_async::AsyncPgConnection;

/// Most records that one statement removes.
pub const PRUNE_BATCH: i64 = 5_000;
/// Most prunings read at once: one for each chain that was ever pruned.
const PRUNINGS_LIMIT: i64 = 100_000;

/// A point behind which a chain can be pruned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Prunable {
    pub n: i64,
    pub hash: Hash,
}

#[derive(diesel::QueryableByName)]
struct Least {
    #[diesel(sql_type = Nullable<BigInt>)]
    n: Option<i64>,
}

#[derive(diesel::QueryableByName)]
struct Unopened {
    #[diesel(sql_type = BigInt)]
    n: i64,
}

/// Up to where every active sink has had a chain: `None` where no sink holds it back. A sink that
/// nobody has opened yet holds all of it back.
pub async fn needed_by_sinks(db: &Db, writer: &str) -> Result<Option<i64>, DbError> {
    const UNOPENED: &str = "SELECT count(*) AS n FROM audit_sinks s WHERE s.state = 'active' AND NOT EXISTS \
        (SELECT 1 FROM audit_sink_deliveries d WHERE d.sink_id = s.id AND d.opened)";
    const LEAST: &str = "SELECT min(coalesce(p.n, 0)) AS n FROM audit_sinks s \
        LEFT JOIN audit_sink_positions p ON p.sink_id = s.id AND p.writer = ";
    let unopened = read!(db, get_result::<Unopened>, diesel::sql_query(UNOPENED))?;
    if unopened.n > 0 {
        return Ok(Some(0));
    }
    let place = match &*db.pools {
        Pools::Pg(_) => "$1",
        Pools::Lite(_) => "?",
    };
    let text = format!("{LEAST}{place} WHERE s.state = 'active'");
    let writer = writer.to_owned();
    let least = read!(db, get_result::<Least>, diesel::sql_query(text).bind::<Text, _>(writer))?;
    Ok(least.n)
}

/// The furthest point of a chain that lies before `before` (microseconds), at or before record
/// `limit`, and that was signed: its newest such checkpoint.
pub async fn prunable(db: &Db, writer: &str, before: i64, limit: i64) -> Result<Option<Prunable>, DbError> {
    let writer = writer.to_owned();
    let found = read!(
        db,
        get_results::<(i64, Vec<u8>)>,
        checkpoints::table
            .filter(checkpoints::writer.eq(writer))
            .filter(checkpoints::at.lt(before))
            .filter(checkpoints::n.le(limit))
            .order(checkpoints::n.desc())
            .limit(1)
            .select((checkpoints::n, checkpoints::hash))
    )?;
    Ok(found.into_iter().next().and_then(|(n, hash)| Some(Prunable { n, hash: hash.try_into().ok()? })))
}

/// Where chains were pruned, by writer.
pub async fn prunings(db: &Db) -> Result<Vec<AuditPruningRow>, DbError> {
    read!(
        db,
        get_results::<AuditPruningRow>,
        audit_prunings::table
            .order(audit_prunings::writer.asc())
            .limit(PRUNINGS_LIMIT)
            .select(AuditPruningRow::as_select())
    )
}

/// Removes up to [`PRUNE_BATCH`] records of a chain up to `n`, the oldest first, with the
/// statements about them; answers how many records.
pub async fn delete_pruned(db: &Db, writer: &str, n: i64) -> Result<usize, DbError> {
    let first = super::first_after(db, writer, 0).await?.map_or(i64::MAX, |(first, _, _)| first);
    if first > n {
        return Ok(0);
    }
    let to = first.saturating_add(PRUNE_BATCH).saturating_sub(1).min(n);
    let writer = writer.to_owned();
    macro_rules! delete {
        ([$($wait:tt)*], $run:path, $conn:expr) => {{
            $run(diesel::delete(checkpoints::table.filter(checkpoints::writer.eq(&writer)).filter(checkpoints::n.lt(to))), &mut *$conn)$($wait)*?;
            $run(diesel::delete(redactions::table.filter(redactions::writer.eq(&writer)).filter(redactions::n.le(to))), &mut *$conn)$($wait)*?;
            $run(diesel::delete(records::table.filter(records::writer.eq(&writer)).filter(records::n.le(to))), &mut *$conn)$($wait)*
        }};
    }
    match &*db.pools {
        Pools::Pg(pool) => {
            let run = async {
                let mut taken = pool.take().await?;
                let conn: &mut AsyncPgConnection = &mut taken;
                let deleted: QueryResult<usize> =
                    async { delete!([.await], diesel_async::RunQueryDsl::execute, conn) }.await;
                deleted.map_err(DbError::from_diesel)
            };
            tokio::time::timeout(db.limits.answer_timeout, run)
                .await
                .map_err(DbError::timed_out)
                .and_then(|deleted| deleted)
        }
        Pools::Lite(pools) => pools.write.run(move |conn| delete!([], RunQueryDsl::execute, conn)).await,
    }
}

/// One record.
pub async fn find_record(db: &Db, writer: &str, n: i64) -> Result<Option<AuditRow>, DbError> {
    let writer = writer.to_owned();
    let found = read!(db, get_results::<AuditRow>, records::table.find((writer, n)).select(AuditRow::as_select()))?;
    Ok(found.into_iter().next())
}

/// The redactions of a chain's records after `after` and up to `to`.
pub async fn redactions_between(db: &Db, writer: &str, after: i64, to: i64) -> Result<Vec<AuditRedactionRow>, DbError> {
    let writer = writer.to_owned();
    read!(
        db,
        get_results::<AuditRedactionRow>,
        redactions::table
            .filter(redactions::writer.eq(writer))
            .filter(redactions::n.gt(after))
            .filter(redactions::n.le(to))
            .order(redactions::n.asc())
            .select(AuditRedactionRow::as_select())
    )
}

/// The pruning of one chain, where it was pruned.
pub async fn pruning_of(db: &Db, writer: &str) -> Result<Option<AuditPruningRow>, DbError> {
    let writer = writer.to_owned();
    let found = read!(
        db,
        get_results::<AuditPruningRow>,
        audit_prunings::table.find(writer).select(AuditPruningRow::as_select())
    )?;
    Ok(found.into_iter().next())
}
