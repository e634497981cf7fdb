//! Rows of sinks, prunings and redactions. Times in seconds but where microseconds are said.

use crate::rows::row;
use crate::tables;
use std::fmt;

row! {
    /// Where the audit is sent; of an owner, or without one of the whole deployment. `spec` is
    /// JSON whose shape belongs to the server.
    #[derive(diesel::AsChangeset)]
    #[diesel(treat_none_as_null = true)]
    AuditSinkRow of audit_sinks (id) {
        id: String,
        owner_id: Option<String>,
        name: String,
        state: String,
        state_reason: Option<String>,
        spec: String,
        sealed_secret: Vec<u8>,
        created_at: i64,
        updated_at: i64,
    }
}

impl fmt::Debug for AuditSinkRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditSinkRow")
            .field("id", &self.id)
            .field("owner_id", &self.owner_id)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

row! {
    /// Who delivers to a sink, and how that goes. `leased_until` in microseconds of the database's
    /// clock; `batch` is what is on its way, empty where nothing is.
    #[derive(Debug)]
    SinkDeliveryRow of audit_sink_deliveries (sink_id) {
        sink_id: String,
        lease_holder: String,
        leased_until: i64,
        opened: bool,
        batch: String,
        attempts: i64,
        due_at: i64,
        records: i64,
        batches: i64,
        failed: i64,
        missed: i64,
        delivered_at: Option<i64>,
        failed_at: Option<i64>,
        failure: Option<String>,
    }
}

row! {
    /// A sink has had what it wants of `writer`'s chain up to and with record `n`.
    #[derive(Debug)]
    AuditSinkPositionRow of audit_sink_positions (sink_id, writer) {
        sink_id: String,
        writer: String,
        n: i64,
    }
}

row! {
    /// The signed statement that `writer`'s records up to `n` were removed, and what the last of
    /// them hashed to. `at` in microseconds.
    #[derive(Debug, diesel::AsChangeset)]
    AuditPruningRow of audit_prunings (writer) {
        writer: String,
        n: i64,
        hash: Vec<u8>,
        at: i64,
        jws: String,
    }
}

row! {
    /// The signed statement that something was taken out of a record, and what is left hashes to
    /// `redacted_hash`. `at` in microseconds.
    #[derive(Debug, diesel::AsChangeset)]
    AuditRedactionRow of audit_redactions (writer, n) {
        writer: String,
        n: i64,
        redacted_hash: Vec<u8>,
        at: i64,
        jws: String,
    }
}
