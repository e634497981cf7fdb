//! A transaction on PostgreSQL. The feed's lock is an advisory one: shared by those that only
//! issue, alone for those that publish, so that no change can commit between the moment an
//! issue reads the feed's head and the moment it commits.
//! Every wait is bounded here too: a hung server sends no error.

use super::custody::custody_statements;
use super::decide::{Batch, BurnKey};
use super::ledger::{Wanted, ledger_statements};
use super::pg_bulk::{AppendRecords, BurnKeys, KeepPlaces, KeepReach, PublishChanges};
use super::pg_ledger::{
    AddAnswers, AddCaptures, AddCarves, AddHolds, AddLines, ChangeCaptures, ChangeCarves, ChangeHolds, KeepUses,
};
use super::statements::{
    Done, Failure, OTHER_HEADS, StepError, async_or_sync_writes, shared_statements, transaction_steps,
};
use crate::audit::{Anchor, Chain};
use crate::db::{PgObject, PgPool};
use crate::feed::Head;
use crate::ledger::{Entries, Stored};
use crate::policies::tables::{policies, policy_versions};
use crate::rows::{
    AuditRow, BudgetAnswerRow, BudgetCaptureRow, BudgetCarveRow, BudgetHoldRow, BudgetLineRow, BudgetUseRow, ChangeRow,
    CounterRow, RevocationRow,
};
use crate::signals::{SignalReachRow, StatusEntryRow};
use crate::tables::{
    approval_requests, audit_checkpoints, audit_prunings, audit_records, audit_redactions, audit_sinks, audit_writers,
    budget_answers, budget_captures, budget_carves, budget_exhaustions, budget_holds, budget_lines, budget_uses,
    changes, client_documents, client_keys, client_registrations, client_secrets, clients, counters,
    credential_exposures, credential_grants, credential_uses, credential_versions, credentials, document_clients,
    exchange_rules, feed_head, issuers, owners, registration_tokens, resources, responsibilities, revocations,
    server_secrets, signal_outbox, signal_streams, signing_keys,
};
use crate::write::{Note, Row, Table, Write};
use diesel::prelude::{BoolExpressionMethods, ExpressionMethods, QueryResult};
use diesel::{OptionalExtension, QueryDsl, SelectableHelper};
use diesel_async::{AnsiTransactionManager, AsyncPgConnection, RunQueryDsl, TransactionManager};
use std::collections::{BTreeSet, HashSet};
use std::time::Duration;
use tokio::time::timeout;

/// The advisory lock that stands for the feed's head ("stipendF").
pub(crate) const FEED_LOCK: i64 = 0x7374_6970_656e_6446;

pub(super) async fn commit(
    pool: &PgPool,
    limit: Duration,
    batch: &Batch,
    chain: Chain,
    at: i64,
) -> Result<Done, Failure> {
    let mut conn = pool.take_for_commit().await.map_err(|error| Failure::Lost(error.to_string()))?;
    let body = async {
        begin(&mut conn, batch.exclusive).await?;
        steps(&mut conn, batch, chain, at).await
    };
    match timeout(limit, body).await {
        Ok(Ok(done)) if done.wrote => finish(conn, limit, done).await,
        Ok(Ok(done)) => {
            roll_back(conn, limit).await;
            Ok(done)
        }
        Ok(Err(error)) => {
            roll_back(conn, limit).await;
            Err(error.into_failure())
        }
        Err(_) => {
            // The commit was not sent, and without this connection it never will be.
            discard(conn);
            Err(Failure::Lost("no answer in time".to_owned()))
        }
    }
}

/// BEGIN and the lock travel together. The head is read by a later statement: only then does
/// READ COMMITTED show what committed while the lock was waited for.
async fn begin(conn: &mut PgObject, exclusive: bool) -> Result<(), StepError> {
    let conn: &mut AsyncPgConnection = conn;
    let lock = if exclusive {
        format!("BEGIN; SELECT pg_advisory_xact_lock({FEED_LOCK})")
    } else {
        format!("BEGIN; SELECT pg_advisory_xact_lock_shared({FEED_LOCK})")
    };
    AnsiTransactionManager::begin_transaction_sql(conn, &lock).await.map_err(StepError::from)
}

async fn finish(mut conn: PgObject, limit: Duration, done: Done) -> Result<Done, Failure> {
    let commit = AnsiTransactionManager::commit_transaction(&mut *conn);
    match timeout(limit, commit).await {
        Ok(Ok(())) => Ok(done),
        Ok(Err(error)) => {
            discard(conn);
            Err(Failure::Unknown(crate::db::brief(&error)))
        }
        Err(_) => {
            discard(conn);
            Err(Failure::Unknown("no answer to the commit".to_owned()))
        }
    }
}

/// Leaves the connection clean, or closes it.
async fn roll_back(mut conn: PgObject, limit: Duration) {
    let done = timeout(limit, AnsiTransactionManager::rollback_transaction(&mut *conn)).await;
    // A failed BEGIN leaves an open transaction that diesel does not know of: it shows as an
    // error here, there being nothing to roll back.
    if !matches!(done, Ok(Ok(()))) {
        discard(conn);
    }
}

fn discard(conn: PgObject) {
    drop(PgObject::take(conn));
}

async fn steps(conn: &mut PgObject, batch: &Batch, chain: Chain, at: i64) -> Result<Done, StepError> {
    let conn: &mut AsyncPgConnection = conn;
    transaction_steps!(self, conn, batch, chain, at, [.await])
}

shared_statements!(AsyncPgConnection, [async], [.await]);
ledger_statements!(AsyncPgConnection, [async], [.await], [.for_update()]);

async fn lock_counters(conn: &mut AsyncPgConnection, keys: &BTreeSet<&str>) -> QueryResult<Vec<CounterRow>> {
    counters::table
        .filter(counters::key.eq_any(keys))
        .order(counters::key)
        .select(CounterRow::as_select())
        .for_update()
        .load(conn)
        .await
}

async fn burn(conn: &mut AsyncPgConnection, keys: &[BurnKey<'_>]) -> QueryResult<HashSet<Vec<u8>>> {
    let won = BurnKeys::new(keys).get_results::<Vec<u8>>(conn).await?;
    Ok(won.into_iter().collect())
}

async fn publish(conn: &mut AsyncPgConnection, changes: &[ChangeRow], head: i64) -> QueryResult<()> {
    diesel::update(feed_head::table.find(1)).set(feed_head::seq.eq(head)).execute(conn).await?;
    PublishChanges::new(changes).execute(conn).await?;
    Ok(())
}

async fn keep_places(conn: &mut AsyncPgConnection, places: &[&StatusEntryRow]) -> QueryResult<()> {
    KeepPlaces::new(places).execute(conn).await?;
    Ok(())
}

async fn keep_reach(conn: &mut AsyncPgConnection, reach: &BTreeSet<&SignalReachRow>) -> QueryResult<()> {
    KeepReach::new(reach).execute(conn).await?;
    Ok(())
}

async fn append(conn: &mut AsyncPgConnection, records: &[AuditRow]) -> QueryResult<()> {
    AppendRecords::new(records).execute(conn).await?;
    Ok(())
}

async fn keep_books(conn: &mut AsyncPgConnection, entries: &Entries) -> QueryResult<()> {
    macro_rules! keep {
        ($($statement:ident($rows:ident)),+) => {
            $(if !entries.$rows.is_empty() {
                $statement::new(&entries.$rows).execute(conn).await?;
            })+
        };
    }
    keep!(
        AddLines(new_lines),
        KeepUses(uses),
        AddHolds(new_holds),
        ChangeHolds(holds),
        AddCaptures(new_captures),
        ChangeCaptures(captures),
        AddCarves(new_carves),
        ChangeCarves(carves),
        AddAnswers(answers)
    );
    Ok(())
}
