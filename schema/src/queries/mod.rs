//! Reads, one function per question, each answering plain rows. Lists are paged by key, never
//! by offset, and never longer than their limit. No function here writes, and none decides
//! who may see a row beyond the [`OwnerFilter`] it is given.

mod approvals;
mod audit;
mod budgets;
mod clients;
mod custody;
mod documents;
mod issuers;
mod lists;
mod policies;
mod records;
mod registrations;
mod responsibilities;
mod verify;

pub use approvals::{
    find_approval, find_approval_by_handle, list_approvals, open_approvals_of_client, open_approvals_of_owner,
};
pub use audit::{
    AUDIT_PAGE_LIMIT, AuditCursor, AuditFilter, WRITER_PAGE_LIMIT, audit_anchors, audit_export, audit_records,
    audit_writers, checkpoints_of, newest_checkpoint,
};
pub use budgets::{
    ACCOUNT_LINES_LIMIT, DUE_HOLDS_LIMIT, due_carves, due_holds, find_budget_answer, find_budget_hold,
    find_budget_line, lines_of_account, list_budget_lines, list_lines_under, uses_of_line,
};
pub use clients::{ClientBundle, find_client, find_client_bundle, find_client_secrets, find_clients_by_spiffe_id};
pub use custody::{
    DUE_VERSIONS_LIMIT, EXPOSURES_LIMIT, VERSIONS_LIMIT, active_version, credential_versions, due_versions,
    exposures_of_agent, exposures_of_credential, find_credential, find_grant, find_version, grant_of, grant_uses,
    list_credentials, list_grants, sealed_versions, server_secrets, version_keks, versions_of_other_keks,
};
pub use documents::{
    CLIENT_DOCUMENTS_LIMIT, DOCUMENT_CLIENTS_LIMIT, client_documents, clients_of_document, find_client_document,
    find_document_client, list_client_documents,
};
pub use issuers::{find_issuer, find_issuer_by_name, list_issuers};
pub use lists::{
    OwnerFilter, PAGE_LIMIT, Page, list_clients, list_exchange_rules, list_owners, list_resources, list_revocations,
};
pub use policies::{
    DecisionFilter, POLICIES_LIMIT, POLICY_VERSIONS_LIMIT, find_policy, list_policies, policies_of, policy_versions,
    recorded_decisions,
};
pub use records::{
    RULES_LIMIT, exchange_rules_of_actor, find_exchange_rule, find_owner, find_resource, find_resource_by_uri,
    find_revocation, signing_keys,
};
pub use registrations::{
    find_client_registration, find_registration_token, find_registration_token_by_hash, list_registration_tokens,
};
pub use responsibilities::{RESPONSIBILITIES_LIMIT, due_orphans, find_responsibility, responsibilities_of_person};
pub use verify::verify_ledger;

use crate::db::{Db, DbError, Pools};
use diesel::sql_types::BigInt;

#[derive(diesel::QueryableByName)]
struct Micros {
    #[diesel(sql_type = BigInt)]
    micros: i64,
}

/// The database's clock, in microseconds since the epoch.
pub async fn database_time(db: &Db) -> Result<i64, DbError> {
    let text = match &*db.pools {
        Pools::Pg(_) => "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros",
        Pools::Lite(_) => "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) * 1000 AS micros",
    };
    let row = crate::db::read!(db, get_result::<Micros>, diesel::sql_query(text))?;
    Ok(row.micros)
}
