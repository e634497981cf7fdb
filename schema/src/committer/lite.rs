//! A transaction on SQLite: immediate, whole, on the blocking thread that owns the one writing
//! connection. The single writer is the feed's lock.

use super::custody::custody_statements;
use super::decide::{Batch, BurnKey};
use super::ledger::{Wanted, ledger_statements};
use super::statements::{
    Done, Failure, OTHER_HEADS, StepError, async_or_sync_writes, shared_statements, transaction_steps,
};
use crate::audit::{Anchor, Chain};
use crate::db::{DbError, LitePools};
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
    exchange_rules, feed_head, issuers, jti_used, owners, registration_tokens, resources, responsibilities,
    revocations, server_secrets, signal_outbox, signal_reach, signal_streams, signing_keys, status_entries,
};
use crate::write::{Note, Row, Table, Write};
use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

pub(super) async fn commit(pools: &LitePools, batch: Arc<Batch>, chain: Chain, at: i64) -> Result<Done, Failure> {
    let joined = pools.write.run_raw(move |conn| transaction(conn, &batch, chain, at)).await;
    match joined {
        Ok(result) => result,
        Err(DbError::Unavailable(what)) => Err(Failure::Lost(what)),
        Err(other) => Err(Failure::Unknown(other.to_string())),
    }
}

fn transaction(conn: &mut SqliteConnection, batch: &Batch, chain: Chain, at: i64) -> Result<Done, Failure> {
    AnsiTransactionManager::begin_transaction_sql(conn, "BEGIN IMMEDIATE")
        .map_err(|error| StepError::from(error).into_failure())?;
    let result = steps(conn, batch, chain, at).map_err(StepError::into_failure);
    match result {
        Ok(done) if done.wrote => match AnsiTransactionManager::commit_transaction(conn) {
            Ok(()) => Ok(done),
            Err(error) => Err(Failure::Unknown(crate::db::brief(&error))),
        },
        result => match AnsiTransactionManager::rollback_transaction(conn) {
            Ok(()) => result,
            Err(error) => Err(Failure::Unknown(crate::db::brief(&error))),
        },
    }
}

fn steps(conn: &mut SqliteConnection, batch: &Batch, chain: Chain, at: i64) -> Result<Done, StepError> {
    transaction_steps!(self, conn, batch, chain, at, [])
}

shared_statements!(SqliteConnection, [], []);
ledger_statements!(SqliteConnection, [], [], []);

fn lock_counters(conn: &mut SqliteConnection, keys: &BTreeSet<&str>) -> QueryResult<Vec<CounterRow>> {
    counters::table.filter(counters::key.eq_any(keys)).select(CounterRow::as_select()).load(conn)
}

fn burn(conn: &mut SqliteConnection, keys: &[BurnKey<'_>]) -> QueryResult<HashSet<Vec<u8>>> {
    let mut won = HashSet::with_capacity(keys.len());
    for (key_hash, expires_at) in keys {
        let row = (jti_used::key_hash.eq(*key_hash), jti_used::expires_at.eq(*expires_at));
        let inserted = diesel::insert_into(jti_used::table).values(row).on_conflict_do_nothing().execute(conn)?;
        if inserted == 1 {
            won.insert(key_hash.to_vec());
        }
    }
    Ok(won)
}

fn keep_places(conn: &mut SqliteConnection, places: &[&StatusEntryRow]) -> QueryResult<()> {
    for place in places {
        diesel::insert_into(status_entries::table).values(*place).execute(conn)?;
    }
    Ok(())
}

fn keep_reach(conn: &mut SqliteConnection, reach: &BTreeSet<&SignalReachRow>) -> QueryResult<()> {
    for row in reach {
        diesel::insert_into(signal_reach::table).values(*row).on_conflict_do_nothing().execute(conn)?;
    }
    Ok(())
}

fn publish(conn: &mut SqliteConnection, changes: &[ChangeRow], head: i64) -> QueryResult<()> {
    diesel::update(feed_head::table.find(1)).set(feed_head::seq.eq(head)).execute(conn)?;
    for change in changes {
        diesel::insert_into(changes::table).values(change).execute(conn)?;
    }
    Ok(())
}

fn append(conn: &mut SqliteConnection, records: &[AuditRow]) -> QueryResult<()> {
    for record in records {
        diesel::insert_into(audit_records::table).values(record).execute(conn)?;
    }
    Ok(())
}

/// Row by row: no round trip lies between, and many rows in one call would open a savepoint.
pub(super) fn keep_books(conn: &mut SqliteConnection, entries: &Entries) -> QueryResult<()> {
    // One by one: a line of a batch may be under another of it.
    for row in &entries.new_lines {
        diesel::insert_into(budget_lines::table).values(row).execute(conn)?;
    }
    for row in &entries.uses {
        diesel::insert_into(budget_uses::table)
            .values(row)
            .on_conflict((budget_uses::line_id, budget_uses::period))
            .do_update()
            .set((
                budget_uses::held.eq(row.held),
                budget_uses::spent.eq(row.spent),
                budget_uses::carved.eq(row.carved),
                budget_uses::overage.eq(row.overage),
                budget_uses::told.eq(row.told),
            ))
            .execute(conn)?;
    }
    for row in &entries.new_holds {
        diesel::insert_into(budget_holds::table).values(row).execute(conn)?;
    }
    for row in &entries.holds {
        diesel::update(budget_holds::table.find(&row.id)).set(row).execute(conn)?;
    }
    for row in &entries.new_captures {
        diesel::insert_into(budget_captures::table).values(row).execute(conn)?;
    }
    for row in &entries.captures {
        diesel::update(budget_captures::table.find(&row.id)).set(row).execute(conn)?;
    }
    for row in &entries.new_carves {
        diesel::insert_into(budget_carves::table).values(row).execute(conn)?;
    }
    for row in &entries.carves {
        diesel::update(budget_carves::table.find(&row.line_id)).set(row).execute(conn)?;
    }
    for row in &entries.answers {
        diesel::insert_into(budget_answers::table).values(row).execute(conn)?;
    }
    Ok(())
}
