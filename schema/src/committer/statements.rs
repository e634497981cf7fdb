//! The statements of a transaction that read the same on both backends, and the order in which
//! all of them run, written once and expanded for each: async on PostgreSQL, plain on SQLite.
//! The order is the promise: lock, fence, burns, ledger and counters, writes, changes, audit, commit.

use super::decide::Batch;
use super::work::Outcome;
use super::{lite, pg};
use crate::audit::Chain;
use crate::db::{Db, Pools};
use diesel::result::{DatabaseErrorKind, Error};
use std::sync::Arc;

/// What a transaction decided, valid once it has committed.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) chain: Chain,
    /// Nothing to commit when every work was stale.
    pub(super) wrote: bool,
}

/// Why a transaction was not committed.
#[derive(Debug)]
pub(super) enum Failure {
    /// A write met a row it did not expect.
    Conflict,
    Invalid(&'static str),
    /// The database refused a statement; nothing was stored.
    Refused(String),
    /// No connection or no answer before the commit was sent; nothing was stored.
    Lost(String),
    /// The commit was sent and its result is not known, or the chain is not where it should
    /// be: this writer must not be used again.
    Unknown(String),
}

/// Where transactions run: a database, or what stands for one in the simulation.
pub(super) trait Transactions: Send + Sync + 'static {
    /// One transaction, whole or not at all. `at` in microseconds.
    fn commit(&self, batch: &Arc<Batch>, chain: Chain, at: i64) -> impl Future<Output = Result<Done, Failure>> + Send;
}

impl Transactions for Db {
    async fn commit(&self, batch: &Arc<Batch>, chain: Chain, at: i64) -> Result<Done, Failure> {
        match &*self.pools {
            Pools::Pg(pool) => pg::commit(pool, self.limits.answer_timeout, batch, chain, at).await,
            Pools::Lite(pools) => lite::commit(pools, Arc::clone(batch), chain, at).await,
        }
    }
}

/// Why a step stopped.
#[derive(Debug)]
pub(super) enum StepError {
    Database(Error),
    MissingRow,
    ChainTaken,
    WentBack,
}

impl From<Error> for StepError {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

impl StepError {
    /// An audit record's number already used means that another process shares the chain.
    pub(super) fn in_audit(error: Error) -> Self {
        match error {
            Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _) => Self::ChainTaken,
            other => Self::Database(other),
        }
    }

    pub(super) fn into_failure(self) -> Failure {
        let error = match self {
            Self::MissingRow => return Failure::Conflict,
            Self::ChainTaken => return Failure::Unknown("the chain is taken".to_owned()),
            Self::WentBack => return Failure::Lost(crate::recovery::WENT_BACK.to_owned()),
            Self::Database(error) => error,
        };
        match &error {
            Error::DatabaseError(kind, _) => match kind {
                DatabaseErrorKind::UniqueViolation
                | DatabaseErrorKind::ForeignKeyViolation
                | DatabaseErrorKind::RestrictViolation => Failure::Conflict,
                DatabaseErrorKind::CheckViolation | DatabaseErrorKind::NotNullViolation => {
                    Failure::Invalid("a value the table does not admit")
                }
                _ if crate::db::lost_connection(&error) => Failure::Lost(crate::db::brief(&error)),
                _ => Failure::Refused(crate::db::brief(&error)),
            },
            Error::BrokenTransactionManager => Failure::Lost(crate::db::brief(&error)),
            _ => Failure::Refused(crate::db::brief(&error)),
        }
    }
}

/// The steps of a transaction. `$on` is the module with the backend's statements.
macro_rules! transaction_steps {
    ($on:path, $conn:expr, $batch:expr, $chain:expr, $at:expr, [$($wait:tt)*]) => {{
        use $on as on;
        let at: i64 = $at;
        let mut chain: crate::audit::Chain = $chain;
        let head = on::feed_head($conn)$($wait)*?;
        if head.recover_from > 0 {
            return Err(StepError::WentBack);
        }
        if chain.n > 0 && chain.epoch != head.epoch {
            // What this writer remembers of its chain may not be there.
            return Err(StepError::ChainTaken);
        }
        chain.epoch = head.epoch;
        let mut decision = crate::committer::decide::Decision::new($batch, head);
        if let Some(after) = decision.fence_from() {
            let changes = on::changes_between($conn, after, head.seq)$($wait)*?;
            decision.fence(&changes);
        }
        let burns = decision.burns();
        if !burns.is_empty() {
            let won = on::burn($conn, &burns)$($wait)*?;
            decision.burned(won);
        }
        let (orders, counters) = (decision.orders().next().is_some(), decision.counters());
        if orders || !counters.is_empty() {
            let now = crate::committer::decide::seconds(at);
            let mut stored = crate::ledger::Stored::default();
            if orders {
                let wanted = crate::committer::ledger::Wanted::new(decision.orders());
                stored = on::open_books($conn, wanted, now)$($wait)*?;
            }
            let mut counted = Vec::new();
            if !counters.is_empty() {
                counted = on::open_counters($conn, &counters, now)$($wait)*?;
            }
            let (entries, counted) = decision.settle(stored, counted, now);
            on::keep_books($conn, &entries)$($wait)*?;
            on::keep_counters($conn, &counted)$($wait)*?;
        }
        let new_head = decision.new_head();
        for write in decision.writes() {
            on::write($conn, write, new_head)$($wait)*?;
        }
        for note in decision.notes() {
            on::note($conn, note)$($wait)*?;
        }
        let places = decision.places();
        if !places.is_empty() {
            on::keep_places($conn, &places)$($wait)*?;
        }
        let reach = decision.reach();
        if !reach.is_empty() {
            on::keep_reach($conn, &reach)$($wait)*?;
        }
        for line in decision.exhausted() {
            on::note_exhausted($conn, line, crate::committer::decide::seconds(at))$($wait)*?;
        }
        let changes = decision.changes(at);
        if !changes.is_empty() {
            on::publish($conn, &changes, new_head)$($wait)*?;
        }
        let wrote = decision.records_anything();
        if wrote && chain.n == 0 {
            let heads = on::other_heads($conn)$($wait)*?;
            on::open_chain($conn, &chain.writer, at)$($wait)*?;
            let opening = crate::committer::decide::opening_record(&mut chain, at, &heads);
            on::append($conn, std::slice::from_ref(&opening))$($wait)*
                .map_err(StepError::in_audit)?;
        }
        let (records, outcomes) = decision.records(&mut chain, at);
        if !records.is_empty() {
            on::append($conn, &records)$($wait)*.map_err(StepError::in_audit)?;
        }
        Ok::<Done, StepError>(Done { outcomes, chain, wrote })
    }};
}

/// Statements in diesel's own language. The module that expands this brings its `RunQueryDsl`.
macro_rules! shared_statements {
    ($conn:ty, [$($asyncness:ident)?], [$($wait:tt)*]) => {
        pub(super) $($asyncness)? fn feed_head(conn: &mut $conn) -> QueryResult<Head> {
            feed_head::table
                .find(1)
                .select((feed_head::seq, feed_head::pruned_to, feed_head::recover_from, feed_head::epoch))
                .first::<(i64, i64, i64, i64)>(conn)$($wait)*
                .map(Head::from)
        }

        pub(super) $($asyncness)? fn changes_between(
            conn: &mut $conn,
            after: i64,
            to: i64,
        ) -> QueryResult<Vec<ChangeRow>> {
            changes::table
                .filter(changes::seq.gt(after).and(changes::seq.le(to)))
                .select(ChangeRow::as_select())
                .load(conn)$($wait)*
        }

        /// The newest records of the writers that started last.
        pub(super) $($asyncness)? fn other_heads(conn: &mut $conn) -> QueryResult<Vec<Anchor>> {
            let writers = audit_writers::table
                .order(audit_writers::started_at.desc())
                .limit(OTHER_HEADS)
                .select(audit_writers::writer)
                .load::<String>(conn)$($wait)*?;
            let mut heads = Vec::with_capacity(writers.len());
            for writer in writers {
                let head = audit_records::table
                    .filter(audit_records::writer.eq(&writer))
                    .order(audit_records::n.desc())
                    .select((audit_records::n, audit_records::hash))
                    .first::<(i64, Vec<u8>)>(conn)$($wait)*
                    .optional()?;
                if let Some((n, hash)) = head
                    && let Ok(hash) = hash.try_into()
                {
                    heads.push(Anchor { writer, n, hash });
                }
            }
            Ok(heads)
        }

        pub(super) $($asyncness)? fn open_chain(
            conn: &mut $conn,
            writer: &str,
            at: i64,
        ) -> QueryResult<usize> {
            diesel::insert_into(audit_writers::table)
                .values((audit_writers::writer.eq(writer), audit_writers::started_at.eq(at)))
                .execute(conn)$($wait)*
        }

        async_or_sync_writes!($conn, [$($asyncness)?], [$($wait)*]);
        custody_statements!($conn, [$($asyncness)?], [$($wait)*]);
    };
}

/// Writes by whole rows. A row expected and missing stops the transaction.
macro_rules! async_or_sync_writes {
    ($conn:ty, [$($asyncness:ident)?], [$($wait:tt)*]) => {
        pub(super) $($asyncness)? fn write(
            conn: &mut $conn,
            write: &Write,
            seq: i64,
        ) -> Result<(), StepError> {
            let count = match write {
                // Written after the rows, in an order of their own.
                Write::Note(_) => 1,
                Write::Insert(row) => insert(conn, row, seq)$($wait)*?,
                Write::Update(row) => update(conn, row)$($wait)*?,
                Write::Delete(table, id) => delete(conn, *table, id)$($wait)*?,
            };
            if count == 1 { Ok(()) } else { Err(StepError::MissingRow) }
        }

        $($asyncness)? fn insert(conn: &mut $conn, row: &Row, seq: i64) -> QueryResult<usize> {
            macro_rules! into {
                ($table:ident, $values:expr) => {
                    diesel::insert_into($table::table).values($values).execute(conn)$($wait)*
                };
            }
            match row {
                Row::Owner(row) => into!(owners, row),
                Row::Client(row) => into!(clients, row),
                Row::ClientSecret(row) => into!(client_secrets, row),
                Row::ClientKey(row) => into!(client_keys, row),
                Row::Resource(row) => into!(resources, row),
                Row::ExchangeRule(row) => into!(exchange_rules, row),
                Row::SigningKey(row) => into!(signing_keys, row),
                Row::Revocation(row) => {
                    into!(revocations, &RevocationRow { seq, ..row.clone() })
                }
                Row::AuditCheckpoint(row) => into!(audit_checkpoints, row),
                Row::BudgetLine(row) => into!(budget_lines, row),
                Row::Credential(row) => into!(credentials, row),
                Row::CredentialVersion(row) => into!(credential_versions, row),
                Row::CredentialGrant(row) => into!(credential_grants, row),
                Row::ServerSecret(row) => into!(server_secrets, row),
                Row::SignalStream(row) => into!(signal_streams, row),
                Row::AuditSink(row) => into!(audit_sinks, row),
                Row::AuditPruning(row) => {
                    let earlier = audit_prunings::table.find(&row.writer).filter(audit_prunings::n.lt(row.n));
                    match diesel::update(earlier).set(row).execute(conn)$($wait)*? {
                        // None, or one that goes further: then this is a conflict.
                        0 => into!(audit_prunings, row),
                        changed => Ok(changed),
                    }
                }
                Row::AuditRedaction(row, record) => {
                    // What is not there, or is not what was to be redacted, makes none.
                    let changed = diesel::update(
                        audit_records::table
                            .find((&row.writer, row.n))
                            .filter(audit_records::hash.eq(&record.hash)),
                    )
                    .set((
                        audit_records::record.eq(&record.record),
                        audit_records::client_id.eq(&record.client_id),
                    ))
                    .execute(conn)$($wait)*?;
                    if changed == 0 {
                        return Ok(0);
                    }
                    diesel::insert_into(audit_redactions::table)
                        .values(&**row)
                        .on_conflict((audit_redactions::writer, audit_redactions::n))
                        .do_update()
                        .set(&**row)
                        .execute(conn)$($wait)*
                }
                Row::Issuer(row) => into!(issuers, row),
                Row::Policy(row) => into!(policies, row),
                Row::PolicyVersion(row) => into!(policy_versions, row),
                Row::RegistrationToken(row) => into!(registration_tokens, row),
                Row::ClientRegistration(row) => into!(client_registrations, row),
                Row::ClientDocument(row) => into!(client_documents, row),
                Row::DocumentClient(row) => into!(document_clients, row),
                Row::ApprovalRequest(row) => into!(approval_requests, row),
                Row::Responsibility(row) => into!(responsibilities, row),
            }
        }

        $($asyncness)? fn update(conn: &mut $conn, row: &Row) -> QueryResult<usize> {
            macro_rules! set {
                ($table:ident, $row:ident, $key:ident) => {
                    diesel::update($table::table.find(&$row.$key))
                        .set($row)
                        .execute(conn)$($wait)*
                };
            }
            match row {
                Row::Owner(row) => set!(owners, row, id),
                Row::Client(row) => set!(clients, row, id),
                Row::ClientSecret(row) => set!(client_secrets, row, id),
                Row::ClientKey(row) => set!(client_keys, row, id),
                Row::Resource(row) => set!(resources, row, id),
                Row::ExchangeRule(row) => set!(exchange_rules, row, id),
                Row::SigningKey(row) => set!(signing_keys, row, kid),
                Row::BudgetLine(row) => set!(budget_lines, row, id),
                Row::Credential(row) => set!(credentials, row, id),
                Row::CredentialVersion(row) => set!(credential_versions, row, id),
                Row::CredentialGrant(row) => set!(credential_grants, row, id),
                Row::ServerSecret(row) => set!(server_secrets, row, name),
                Row::SignalStream(row) => set!(signal_streams, row, id),
                Row::AuditSink(row) => set!(audit_sinks, row, id),
                Row::Issuer(row) => set!(issuers, row, id),
                Row::Policy(row) => set!(policies, row, id),
                Row::RegistrationToken(row) => set!(registration_tokens, row, id),
                Row::ClientRegistration(row) => set!(client_registrations, row, client_id),
                Row::ClientDocument(row) => set!(client_documents, row, id),
                Row::DocumentClient(row) => set!(document_clients, row, client_id),
                Row::ApprovalRequest(row) => set!(approval_requests, row, id),
                Row::Responsibility(row) => set!(responsibilities, row, client_id),
                // Refused before the transaction; never updated.
                Row::Revocation(_)
                | Row::AuditCheckpoint(_)
                | Row::AuditPruning(_)
                | Row::AuditRedaction(..)
                | Row::PolicyVersion(_) => Ok(0),
            }
        }

        $($asyncness)? fn delete(conn: &mut $conn, table: Table, id: &str) -> QueryResult<usize> {
            macro_rules! from {
                ($table:ident) => {
                    diesel::delete($table::table.find(id)).execute(conn)$($wait)*
                };
            }
            match table {
                Table::Owner => from!(owners),
                Table::Client => from!(clients),
                Table::ClientSecret => from!(client_secrets),
                Table::ClientKey => from!(client_keys),
                Table::Resource => from!(resources),
                Table::ExchangeRule => from!(exchange_rules),
                Table::SigningKey => from!(signing_keys),
                Table::Revocation => from!(revocations),
                Table::CredentialGrant => from!(credential_grants),
                Table::SignalStream => from!(signal_streams),
                Table::AuditSink => from!(audit_sinks),
                Table::BudgetExhaustion => from!(budget_exhaustions),
                Table::Issuer => from!(issuers),
                Table::ClientRegistration => from!(client_registrations),
            }
        }
    };
}

pub(super) use {async_or_sync_writes, shared_statements, transaction_steps};

/// How many other writers a new writer's first record names.
pub(super) const OTHER_HEADS: i64 = 16;
